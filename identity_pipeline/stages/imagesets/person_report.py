"""What an export says of each rider: `meta.json` and the rider's part of the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from identity_pipeline.core.imagesets.candidates import box_of
from identity_pipeline.core.imagesets.image_sets import open_candidates
from identity_pipeline.core.imagesets.summary import (
    CONDITIONING,
    anchor_causes,
    axis_sizes,
    challenge_causes,
    conditioning_rule,
    coverage_of,
)
from identity_pipeline.media.coverage_grid import coverage_grid_svg
from identity_pipeline.media.crops import encode_jpeg
from identity_pipeline.media.page import (
    Cause,
    ConditioningWeights,
    Coverage,
    ImageCard,
    PairCard,
    PairMember,
    PersonSection,
    SetSection,
    Shortfall,
)
from identity_pipeline.media.sheets import data_uri
from identity_pipeline.settings import Settings
from identity_pipeline.stages.imagesets.export import Exported, LeftOut, Provenance, pair_relation
from identity_pipeline.stages.specs.exported import TYPES

THUMBNAIL_QUALITY = 82


@dataclass(frozen=True)
class RiderData:
    """Everything about one rider that the report reads.

    Attributes:
        rider: the row of `riders`.
        seat: `left`, `right`, or None for a sole rider.
        observed: the rider's rows of `candidates`.
        selection: the rider's rows of `selection`.
        sets: the rider's rows of the sets, by asset name.
        images: the rider's exported images, without pairs.
        left_out: the rider's images that could not be proved, pairs among them.
    """

    rider: Mapping[str, Any]
    seat: str | None
    observed: pl.DataFrame
    selection: pl.DataFrame
    sets: Mapping[str, pl.DataFrame]
    images: Sequence[Exported]
    left_out: Sequence[LeftOut]

    @property
    def person_id(self) -> int:
        """0 or 1."""
        return int(self.rider["person_id"])

    @property
    def has_set(self) -> bool:
        """Whether anything was exported."""
        return bool(self.images)

    @property
    def saved_faces(self) -> pl.DataFrame:
        """Observed rows of the anchors and the coverage images."""
        ids = [
            face
            for name in ("anchor_set", "coverage_set")
            for face in self.sets[name]["face_id"].to_list()
        ]
        return self.observed.filter(pl.col("face_id").is_in(ids))

    @property
    def stop_reason(self) -> str | None:
        """Why the selection ended; None without candidates."""
        return str(self.selection["stop_reason"][0]) if self.selection.height else None

    @property
    def no_set_reason(self) -> str | None:
        """Code of why there is no set; None when there is one."""
        if self.has_set:
            return None
        if self.left_out:
            return "left_out"
        lacking = (self.observed["standing"] == "no_prototype").any()
        return "no_prototype" if lacking or not self.observed.height else "no_candidates"


def riders_data(
    riders: pl.DataFrame,
    observed: pl.DataFrame,
    selection: pl.DataFrame,
    sets: Mapping[str, pl.DataFrame],
    exported: Sequence[Exported],
    left_out: Sequence[LeftOut],
) -> list[RiderData]:
    """One `RiderData` per rider, from left to right."""
    seats = riders.filter(pl.col("person_id").is_not_null()).sort("person_id")
    names = {1: (None,), 2: ("left", "right")}.get(seats.height, ())
    result = []
    for rider, seat in zip(seats.iter_rows(named=True), names, strict=True):
        mine = pl.col("person_id") == rider["person_id"]
        result.append(
            RiderData(
                rider=rider,
                seat=seat,
                observed=observed.filter(mine),
                selection=selection.filter(mine),
                sets={name: table.filter(mine) for name, table in sets.items()},
                images=[
                    image
                    for image in exported
                    if image.set_name != "pair_set"
                    and image.rows[0]["person_id"] == rider["person_id"]
                ],
                left_out=[
                    image
                    for image in left_out
                    if rider["person_id"] in {row["person_id"] for row in image.rows}
                ],
            )
        )
    return result


def conditioning_of(data: RiderData, settings: Settings) -> ConditioningWeights:
    """The sampling weights of a rider's sets."""
    buckets = data.saved_faces["bucket_key"].drop_nulls().n_unique()
    rule = conditioning_rule(data.observed, buckets, settings.selection)
    return ConditioningWeights(*CONDITIONING[rule], rule=rule)


def shortfalls_of(data: RiderData, settings: Settings) -> list[Shortfall]:
    """Sets with fewer images than wanted, and why."""
    candidates = open_candidates(data.observed, data.selection)
    anchors, challenge = data.sets["anchor_set"], data.sets["challenge_set"]
    selection = settings.selection
    short = []
    if anchors.height < selection.anchor_min:
        causes = anchor_causes(candidates, anchors, selection)
        short.append(_shortfall("anchor", anchors.height, selection.anchor_min, causes))
    if challenge.height < selection.challenge_min:
        taken = [anchors, data.sets["coverage_set"], data.sets["pair_set"]]
        causes = challenge_causes(candidates, challenge, taken, selection)
        short.append(_shortfall("challenge", challenge.height, selection.challenge_min, causes))
    return short


def _shortfall(name: str, have: int, wanted: int, causes: list[tuple[str, int]]) -> Shortfall:
    return Shortfall(name, have, wanted, tuple(Cause(code, count) for code, count in causes))


def person_meta(data: RiderData, provenance: Provenance, settings: Settings) -> dict[str, Any]:
    """`person_k/meta.json`."""
    filled = coverage_of(data.saved_faces)
    seen = coverage_of(data.observed.filter("loose"))
    sizes = axis_sizes(settings.buckets)
    axes = ("yaw", "pitch", "expression")
    prototype = data.observed.filter("is_prototype")
    weights = conditioning_of(data, settings) if data.has_set else None
    return {
        "person_id": data.person_id,
        "seat": data.seat,
        "track_score": round(float(data.rider["track_score"]), 6),
        "track_score_parts": {
            part: round(float(data.rider[f"{part}_score"]), 6)
            for part in ("size", "centre", "length")
        },
        "prototype_type": "medoid" if prototype.height else None,
        "prototype_face_id": prototype["face_id"][0] if prototype.height else None,
        "anchor_count": data.sets["anchor_set"].height,
        "coverage_count": data.sets["coverage_set"].height,
        "challenge_count": data.sets["challenge_set"].height,
        "pair_count": data.sets["pair_set"].height,
        "total_saved": len(data.images),
        "coverage_buckets_filled": {
            axis: f"{getattr(filled, axis)}/{size}" for axis, size in zip(axes, sizes, strict=True)
        },
        "coverage_of_what_this_video_shows": {
            axis: f"{getattr(filled, axis)}/{max(getattr(seen, axis), getattr(filled, axis))}"
            for axis in axes
        },
        "stop_reason": data.stop_reason,
        "no_set_reason": data.no_set_reason,
        "shortfalls": [
            {
                "set": s.set_name,
                "have": s.have,
                "wanted": s.wanted,
                "causes": {cause.code: cause.count for cause in s.causes},
            }
            for s in shortfalls_of(data, settings)
        ],
        "left_out": [image.as_json() for image in data.left_out],
        "conditioning_weights": weights
        and {
            "anchor": weights.anchor,
            "coverage": weights.coverage,
            "challenge": weights.challenge,
            "rule": weights.rule,
        },
        "source_sha256": provenance.source["sha256"],
        "identity_model_version": provenance.identity_space,
        "embed_model_version": provenance.vision_space,
    }


def person_section(data: RiderData, settings: Settings) -> PersonSection:
    """The rider's part of the page."""
    rider = data.rider
    return PersonSection(
        person_id=data.person_id,
        seat=data.seat,
        track_score=rider["track_score"],
        size_score=rider["size_score"],
        centre_score=rider["centre_score"],
        length_score=rider["length_score"],
        face_count=rider["face_count"],
        sets=tuple(
            SetSection(TYPES[name], tuple(_card(i) for i in data.images if i.set_name == name))
            for name in ("anchor_set", "coverage_set", "challenge_set")
        ),
        coverage=_coverage(data, settings) if data.has_set else None,
        coverage_svg=coverage_svg(data, settings) if data.has_set else None,
        stop_reason=data.stop_reason,
        prototype=_prototype(data),
        weights=conditioning_of(data, settings) if data.has_set else None,
        shortfalls=tuple(shortfalls_of(data, settings)) if data.has_set else (),
        no_set_reason=data.no_set_reason,
    )


def coverage_svg(data: RiderData, settings: Settings) -> str:
    """The rider's coverage grid; cells with usable faces but no image are marked."""
    seen = coverage_of(data.observed.filter("loose")).cells
    return coverage_grid_svg(data.saved_faces, settings.buckets, seen=seen, headline=False)


def _coverage(data: RiderData, settings: Settings) -> Coverage:
    filled = coverage_of(data.saved_faces)
    seen = coverage_of(data.observed.filter("loose"))
    yaw, pitch, expression = axis_sizes(settings.buckets)
    return Coverage(
        yaw=(filled.yaw, yaw),
        pitch=(filled.pitch, pitch),
        expression=(filled.expression, expression),
        cells=(len(filled.cells), yaw * pitch),
        shown=(len(filled.cells & seen.cells), len(seen.cells)),
    )


def _prototype(data: RiderData) -> str | None:
    prototype = data.observed.filter("is_prototype")
    if not prototype.height:
        return None
    strict = data.observed.filter("strict").height
    face = prototype.row(0, named=True)
    return (
        f"the medoid of {strict} strict faces, frame {face['frame_idx']} "
        f"at {face['timestamp_ms'] / 1000:.1f} s"
    )


def inline(image: Exported) -> str:
    """The image's thumbnail as a data URI."""
    return data_uri(encode_jpeg(image.thumbnail, THUMBNAIL_QUALITY), "image/jpeg")


def _card(image: Exported) -> ImageCard:
    row = image.rows[0]
    bins = ("yaw_bin", "pitch_bin", "expression_bin", "occlusion_bin", "lighting_bin")
    return ImageCard(
        file=image.file,
        thumbnail=inline(image),
        timestamp_ms=row["timestamp_ms"],
        **{name: row[name] for name in bins},
        quality=row["quality_score"],
        novelty=row["novelty"],
        stable=row["stable_score"],
        kind=row["kind"],
    )


def pair_card(image: Exported) -> PairCard:
    """A pair image on the page."""
    left, right = image.rows
    relation = pair_relation(box_of(dict(left)), box_of(dict(right)))
    return PairCard(
        file=image.file,
        thumbnail=inline(image),
        timestamp_ms=left["timestamp_ms"],
        members=tuple(
            PairMember(
                person_id=row["person_id"],
                yaw_bin=row["yaw_bin"],
                pitch_bin=row["pitch_bin"],
                expression_bin=row["expression_bin"],
                quality=row["quality_score"],
                novelty=row["novelty"],
                stable=row["stable_score"],
            )
            for row in image.rows
        ),
        relation=f"{relation['relative_x']:.1f} face widths apart, person_{right['person_id']} at "
        f"{relation['relative_scale']:.2f} of the size",
    )
