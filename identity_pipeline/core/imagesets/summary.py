"""What an export says of its riders, computed once from the tables.

What belongs here: every figure of a rider (coverage, prototype, shortfalls with their causes,
sampling weights), as one `RiderSummary`, and what is said of an exported face. What does not:
writing any of it. `meta.json`, the page and the figures all read the same summary.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

import polars as pl

from identity_pipeline.core.faces.buckets import EXPRESSIONS
from identity_pipeline.core.faces.gates import Failing, commonest_failure, strict_requirements
from identity_pipeline.core.geometry import Box
from identity_pipeline.core.imagesets.candidates import box_of
from identity_pipeline.core.imagesets.challenge import challenge_kind, kinds_absent
from identity_pipeline.core.imagesets.faces import (
    VECTORS,
    coverage_counts,
    likeness,
    person_views,
)
from identity_pipeline.core.imagesets.image_sets import CROP
from identity_pipeline.core.imagesets.novelty import Likeness
from identity_pipeline.core.imagesets.pairs import pair_causes, pairs_wanted
from identity_pipeline.core.imagesets.portrait import anchor_eligible, is_frontal
from identity_pipeline.core.imagesets.selection import open_candidates, until_the_stop
from identity_pipeline.settings import BucketSettings, QualitySettings, SelectionSettings, Settings

CONDITIONING = {
    "default": (20, 70, 10),
    "identity_drift": (30, 60, 10),
    "short_diversity": (15, 75, 10),
    "dark": (20, 65, 15),
}
"""Sampling weights anchor : coverage : challenge in per cent. Not counts."""

NO_PROTOTYPE: Final = "no_prototype"
"""Standing of faces of a rider who is not known well enough."""


@dataclass(frozen=True)
class ExportedFace:
    """One face of an image of a set, with what was measured of it.

    Attributes:
        face_id, frame_idx, person_id, timestamp_ms: which face, and when it was seen.
        box: of the face, px of the source.
        crop: what the image shows, whole px of the source.
        yaw, pitch, roll: degrees; None where they were not measured.
        yaw_bin, pitch_bin, expression_bin, occlusion_bin, lighting_bin: as in `face_buckets`.
        quality_score, novelty, stable_score: None where they were not measured.
        kind: of challenge (`challenge.KINDS`); None outside the challenge set.
        yaw_camera, pitch_camera: as measured, where the camera is known and yaw and pitch are those
            of the head; else None.
    """

    face_id: str
    frame_idx: int
    person_id: int
    timestamp_ms: float
    box: Box
    crop: Box
    yaw: float | None
    pitch: float | None
    roll: float | None
    yaw_bin: str
    pitch_bin: str
    expression_bin: str
    occlusion_bin: str
    lighting_bin: str
    quality_score: float | None
    novelty: float | None
    stable_score: float | None
    kind: str | None = None
    yaw_camera: float | None = None
    pitch_camera: float | None = None

    @classmethod
    def of(cls, candidate: Mapping[str, Any], chosen: Mapping[str, Any]) -> ExportedFace:
        """From a face's row of `candidates` and its row of a set, which wins where both tell."""
        row = {**candidate, **chosen}
        row |= {"box": box_of(row), "crop": Box(*(float(row[name]) for name in CROP))}
        return cls(**{name: row[name] for name in cls.__dataclass_fields__})


class PairRelation(NamedTuple):
    """Offset of the second face of a pair in widths of the first, and its relative size."""

    relative_x: float
    relative_y: float
    relative_scale: float
    iou: float


def pair_relation(left: Box, right: Box) -> PairRelation:
    """How the two faces of a pair stand to each other."""
    return PairRelation(
        round((right.centre[0] - left.centre[0]) / left.width, 4),
        round((right.centre[1] - left.centre[1]) / left.width, 4),
        round(right.longer_side / left.longer_side, 4),
        round(left.iou(right), 4),
    )


class Cause(NamedTuple):
    """Why faces did not become images of a set, and how many of them.

    Of `not_on_this_ride` it is how many kinds of challenge the ride does not have.
    """

    code: str
    faces: int


class Shortfall(NamedTuple):
    """A set (`anchor`, `challenge` or `pair`) and what kept others out; commonest cause first.

    Of pairs the causes count frames, of the other sets candidates.
    """

    set_name: str
    have: int
    wanted: int
    causes: tuple[Cause, ...] = ()


NO_PAIRS = Shortfall("pair", 0, 0)
"""Of a sole rider."""


class ConditioningWeights(NamedTuple):
    """Sampling weights of the sets in per cent, and the key of `CONDITIONING` they come from."""

    anchor: int
    coverage: int
    challenge: int
    rule: str


class Prototype(NamedTuple):
    """The face that stands for a rider: the medoid of so many faces of the strict gate."""

    face_id: str
    frame_idx: int
    timestamp_ms: float
    strict_faces: int


class AxisSizes(NamedTuple):
    """Number of bins of each axis."""

    yaw: int
    pitch: int
    expression: int


@dataclass(frozen=True)
class AxisCoverage:
    """Filled bins of the three axes, and the (yaw, pitch) cells."""

    yaw: int
    pitch: int
    expression: int
    cells: frozenset[tuple[int, int]]


@dataclass(frozen=True)
class RiderSummary:
    """All figures of one rider of one video.

    Attributes:
        person_id: 0 or 1.
        seat: `left` or `right` in the picture; None for a sole rider.
        track_score, size_score, centre_score, length_score: the score and its parts, in [0, 1].
        face_count: faces detected of this rider.
        images: exported images by set (asset name), pairs among them.
        saved_faces: rows of `candidates` of the anchors and the coverage images.
        filled: bins that the saved faces fill.
        seen: bins that the rider's usable moments fill.
        bins: bins there are.
        prototype: None where too few faces were good enough.
        stop_reason: why the coverage stopped growing; None without candidates.
        stop_ms: when it did; None where it grew until the end.
        kinds_absent: kinds of challenge of which the ride shows no face of this rider; None where
            none of the rider's faces was measured.
        empty_buckets: for each bucket of pose and expression that a candidate shows and no exported
            anchor or coverage image, the commonest reason.
        no_set_reason: code of why nothing was exported; None where something was.
        weights: None where nothing was exported.
        shortfalls: sets of this rider alone that have fewer images than wanted.
        pairs: how many pictures of both there are, and why not more.
        not_strict: where the rider is not known well enough, what of the strict gate most of the
            faces fail.
    """

    person_id: int
    seat: str | None
    track_score: float
    size_score: float
    centre_score: float
    length_score: float
    face_count: int
    images: Mapping[str, int]
    saved_faces: pl.DataFrame
    filled: AxisCoverage
    seen: AxisCoverage
    bins: AxisSizes
    prototype: Prototype | None
    stop_reason: str | None
    stop_ms: float | None
    kinds_absent: tuple[str, ...] | None
    empty_buckets: Mapping[str, str]
    no_set_reason: str | None
    weights: ConditioningWeights | None
    shortfalls: tuple[Shortfall, ...]
    pairs: Shortfall = NO_PAIRS
    not_strict: Failing | None = None

    @property
    def name(self) -> str:
        """`person_0` or `person_1`, as its folder in the export."""
        return f"person_{self.person_id}"

    @property
    def total_saved(self) -> int:
        """Images of this rider alone."""
        return sum(count for name, count in self.images.items() if name != "pair_set")


def summaries_of(
    riders: pl.DataFrame,
    observed: pl.DataFrame,
    selection: pl.DataFrame,
    sets: Mapping[str, pl.DataFrame],
    chosen: Mapping[str, pl.DataFrame],
    left_out: Collection[int],
    detections: pl.DataFrame,
    frame_size: tuple[int, int],
    settings: Settings,
) -> list[RiderSummary]:
    """The summary of each rider, from left to right.

    Args:
        riders: table `riders`.
        observed: table `candidates`.
        selection: table `selection`.
        sets: what was exported of each set, by asset name.
        chosen: the sets as they were chosen.
        left_out: riders with an image that was chosen and is not exported.
        detections: table `face_detections`.
        frame_size: (width, height).
        settings: bins and thresholds.
    """
    seats = riders.filter(pl.col("person_id").is_not_null()).sort("person_id")
    names = {1: (None,), 2: ("left", "right")}.get(seats.height, ())
    pairs = _pairs(observed, sets, detections, frame_size, settings.selection)
    result = []
    for rider, seat in zip(seats.iter_rows(named=True), names, strict=True):
        person = int(rider["person_id"])
        mine = pl.col("person_id") == person
        tables = (observed.filter(mine), selection.filter(mine))
        own = {name: table.filter(mine) for name, table in sets.items()}
        shown = pl.concat(table["face_id"] for table in own.values()).implode()
        unshown = {
            name: table.filter(mine & ~pl.col("face_id").is_in(shown))
            for name, table in chosen.items()
        }
        lacks = person in left_out
        summary = _summary_of(rider, seat, *tables, own, unshown, lacks, settings)
        result.append(replace(summary, pairs=pairs))
    return result


def _pairs(
    observed: pl.DataFrame,
    sets: Mapping[str, pl.DataFrame],
    detections: pl.DataFrame,
    frame_size: tuple[int, int],
    settings: SelectionSettings,
) -> Shortfall:
    pairs, taken = sets["pair_set"], [sets["anchor_set"]]
    stopped = observed.join(until_the_stop(observed, settings), on="face_id", how="anti")
    late = pl.col("frame_idx").is_in(stopped["frame_idx"].unique().implode())
    before = observed.filter(~late)
    causes = pair_causes(before, pairs, taken, detections, frame_size, settings)
    if stopped.height:
        causes.append(("after_stop", stopped["frame_idx"].n_unique()))
    have, wanted = pairs["image"].n_unique(), pairs_wanted(observed, settings)
    return Shortfall("pair", have, wanted, tuple(Cause(*cause) for cause in causes))


def _summary_of(
    rider: Mapping[str, Any],
    seat: str | None,
    observed: pl.DataFrame,
    selection: pl.DataFrame,
    sets: Mapping[str, pl.DataFrame],
    unshown: Mapping[str, pl.DataFrame],
    lacks_image: bool,
    settings: Settings,
) -> RiderSummary:
    saved = pl.concat(sets[name]["face_id"] for name in ("anchor_set", "coverage_set"))
    faces = observed.filter(pl.col("face_id").is_in(saved.implode()))
    images = {name: table.height for name, table in sets.items()}
    lacking = _no_set_reason(observed, lacks_image)
    exported = any(images[name] for name in images if name != "pair_set")
    copied = ("track_score", "size_score", "centre_score", "length_score", "face_count")
    measured = bool(observed["loose"].any())
    absent = kinds_absent(observed, settings.selection) if measured else None
    return RiderSummary(
        person_id=int(rider["person_id"]),
        seat=seat,
        **{name: rider[name] for name in copied},
        images=images,
        saved_faces=faces,
        filled=coverage_of(faces),
        seen=coverage_seen(observed),
        bins=axis_sizes(settings.buckets),
        prototype=_prototype(observed),
        **_stop(selection),
        kinds_absent=absent,
        empty_buckets=empty_buckets(selection, faces),
        no_set_reason=None if exported else lacking,
        weights=_weights(observed, faces, settings.selection) if exported else None,
        shortfalls=tuple(_shortfalls(observed, absent or (), sets, unshown, settings.selection)),
        not_strict=_not_strict(observed, settings.quality, exported=exported),
    )


def _stop(selection: pl.DataFrame) -> dict[str, Any]:
    """Why and when the coverage stopped growing: the same on all of the rider's rows."""
    names = ("stop_reason", "stop_ms")
    return {name: selection[name][0] if selection.height else None for name in names}


def _no_set_reason(observed: pl.DataFrame, lacks_image: bool) -> str:
    if lacks_image:
        return "left_out"
    unknown = (observed["standing"] == NO_PROTOTYPE).any()
    return NO_PROTOTYPE if unknown or not observed.height else "no_candidates"


def _not_strict(
    observed: pl.DataFrame, settings: QualitySettings, *, exported: bool
) -> Failing | None:
    """What of the strict gate most faces fail of a rider of whom nothing is exported."""
    if exported or _no_set_reason(observed, lacks_image=False) != NO_PROTOTYPE:
        return None
    return commonest_failure(observed["strict_fails"], strict_requirements(settings))


def _prototype(observed: pl.DataFrame) -> Prototype | None:
    for face in observed.filter("is_prototype").head(1).iter_rows(named=True):
        strict = observed.filter("strict").height
        return Prototype(face["face_id"], face["frame_idx"], face["timestamp_ms"], strict)
    return None


def _weights(
    observed: pl.DataFrame, saved: pl.DataFrame, settings: SelectionSettings
) -> ConditioningWeights:
    buckets = saved["bucket_key"].drop_nulls().n_unique()
    rule = conditioning_rule(observed, buckets, settings)
    return ConditioningWeights(*CONDITIONING[rule], rule=rule)


def _shortfalls(
    observed: pl.DataFrame,
    absent: Collection[str],
    sets: Mapping[str, pl.DataFrame],
    unshown: Mapping[str, pl.DataFrame],
    settings: SelectionSettings,
) -> list[Shortfall]:
    candidates = open_candidates(observed, settings)
    anchors, challenge = sets["anchor_set"], sets["challenge_set"]
    short = []
    if anchors.height < settings.anchor_min:
        causes = anchor_causes(candidates, anchors, unshown["anchor_set"], settings)
        short.append(Shortfall("anchor", anchors.height, settings.anchor_min, tuple(causes)))
    if challenge.height < settings.challenge_min:
        taken = [anchors, sets["coverage_set"]]
        lost = pl.concat(unshown.values())
        causes = challenge_causes(candidates, challenge, taken, sets["pair_set"], lost, settings)
        causes += challenges_not_weighed(observed, settings)
        if absent:
            causes.append(Cause("not_on_this_ride", len(absent)))
        wanted = settings.challenge_min
        short.append(Shortfall("challenge", challenge.height, wanted, tuple(causes)))
    return short


def empty_buckets(selection: pl.DataFrame, shown: pl.DataFrame) -> dict[str, str]:
    """Why there is no image of a bucket that a rider's candidates show, by bucket.

    Args:
        selection: the rider's rows of the table.
        shown: rows of `candidates` of the exported anchors and coverage images.
    """
    empty = selection.filter(
        pl.col("bucket_key").is_not_null()
        & ~pl.col("bucket_key").is_in(shown["bucket_key"].drop_nulls().implode())
    )
    told = pl.when("kept").then(pl.lit("not_exported")).otherwise("reason")
    counts = empty.group_by("bucket_key", reason=told).len()
    commonest = counts.sort(["bucket_key", "len", "reason"], descending=[False, True, False])
    return dict(commonest.unique("bucket_key", maintain_order=True)["bucket_key", "reason"].rows())


def coverage_of(faces: pl.DataFrame) -> AxisCoverage:
    """Bins that a set of faces (rows of `face_buckets`) fills; `unknown` and `beyond` fill none."""
    yaw, pitch, expression = coverage_counts(
        faces.select("yaw_key", "pitch_key", "expression_bin").to_dicts()
    )
    cells = faces.filter(pl.col("yaw_key").is_not_null() & pl.col("pitch_key").is_not_null())
    return AxisCoverage(
        yaw, pitch, expression, frozenset(cells.select("yaw_key", "pitch_key").iter_rows())
    )


def coverage_seen(observed: pl.DataFrame) -> AxisCoverage:
    """Bins that the usable moments of a rider fill: not the noise of single faces in them.

    Args:
        observed: the rider's rows of `candidates`.
    """
    stands = pl.coalesce("representative_face_id", "face_id") == pl.col("face_id")
    return coverage_of(observed.filter("loose", stands))


def axis_sizes(settings: BucketSettings) -> AxisSizes:
    """Number of yaw, pitch and expression bins."""
    return AxisSizes(len(settings.yaw_edges) - 1, len(settings.pitch_edges) - 1, len(EXPRESSIONS))


def conditioning_rule(
    observed: pl.DataFrame, buckets_saved: int, settings: SelectionSettings
) -> str:
    """Which row of `CONDITIONING` fits a rider; the first that applies.

    Args:
        observed: the rider's rows of `candidates`.
        buckets_saved: different buckets among the saved images.
        settings: thresholds.
    """
    usable = observed.filter("loose")
    told = usable.filter(pl.col("stable_score").is_not_null())
    unstable = told["stability_reason"].is_in(["below_floor", "closer_to_rival"]).sum()
    if told.height and unstable / told.height >= settings.drift_unstable_share:
        return "identity_drift"
    dark = (usable["lighting_bin"] == "dark").sum()
    if usable.height and dark / usable.height >= settings.dark_share:
        return "dark"
    if buckets_saved < settings.short_diversity_buckets:
        return "short_diversity"
    return "default"


def anchor_causes(
    candidates: pl.DataFrame,
    anchors: pl.DataFrame,
    unshown: pl.DataFrame,
    settings: SelectionSettings,
) -> list[Cause]:
    """Why a rider's other candidates became no anchors, most frequent first.

    Args:
        candidates: the rider's `selection.open_candidates`.
        anchors: the rider's anchors.
        unshown: those that were chosen and are not exported, which kept others out all the same.
        settings: thresholds.
    """
    limit = likeness(settings)._replace(vision=settings.anchor_cos_max)
    images, gap_s = [anchors, unshown], max(settings.anchor_gap_s, settings.min_gap_s)
    cause = (
        pl.when(pl.col("face_id").is_in(unshown["face_id"].implode()))
        .then(pl.lit("not_exported"))
        .when(~pl.col("strict").fill_null(False))
        .then(pl.lit("not_strict"))
        .when(~is_frontal(settings).fill_null(False))
        .then(pl.lit("not_frontal"))
        .when(~anchor_eligible(settings).fill_null(False))
        .then(pl.lit("not_plain"))
        .when(_near(images, gap_s))
        .then(pl.lit("too_close_in_time"))
        .when(_alike(candidates, images, limit))
        .then(pl.lit("too_alike"))
        .otherwise(pl.lit("not_exported"))
    )
    return _counted(candidates, anchors, cause)


def challenge_causes(
    candidates: pl.DataFrame,
    challenge: pl.DataFrame,
    taken: Sequence[pl.DataFrame],
    pairs: pl.DataFrame,
    unshown: pl.DataFrame,
    settings: SelectionSettings,
) -> list[Cause]:
    """Why a rider's other candidates became no challenge images, most frequent first.

    Args:
        candidates: the rider's `selection.open_candidates`.
        challenge: the rider's challenge images, fewer than wanted.
        taken: the rider's images of the other sets of one rider.
        pairs: those of the pair set.
        unshown: what was chosen for any set and is not exported; it kept others out all the same.
        settings: thresholds.
    """
    images = [*taken, challenge, unshown]
    used = [face for table in (*taken, pairs) for face in table["face_id"]]
    cause = (
        pl.when(pl.col("face_id").is_in(unshown["face_id"].implode()))
        .then(pl.lit("not_exported"))
        .when(pl.col("face_id").is_in(used))
        .then(pl.lit("taken"))
        .when(challenge_kind(settings).is_null())
        .then(pl.lit("not_extreme"))
        .when(pl.col("stable_score") < settings.challenge_stable_min)
        .then(pl.lit("not_stable"))
        .when(_near([*images, pairs], settings.min_gap_s))
        .then(pl.lit("too_close_in_time"))
        .when(_alike(candidates, images, likeness(settings)))
        .then(pl.lit("near_duplicate"))
        .otherwise(pl.lit("not_exported"))
    )
    return _counted(candidates, challenge, cause)


def challenges_not_weighed(observed: pl.DataFrame, settings: SelectionSettings) -> list[Cause]:
    """Why moments that are challenges were not among the candidates, most frequent first.

    Args:
        observed: the rider's rows of `candidates`.
        settings: what makes a kind.
    """
    hard = observed.filter(challenge_kind(settings).is_not_null())
    unsure = hard["standing"].is_in(["below_floor", "closer_to_rival", "not_embedded"]).sum()
    causes = {
        "not_surely_the_rider": int(unsure),
        "outranked": int((hard["standing"] == "outranked").sum()),
        "failed_gate": int((hard["standing"] == "gate").sum()),
    }
    return [Cause(code, n) for code, n in Counter(causes).most_common() if n]


def _near(images: Sequence[pl.DataFrame], gap_s: float) -> pl.Expr:
    """Whether a face is closer in time to one of the images."""
    times = [time for table in images for time in table["timestamp_ms"]]
    distances = [(pl.col("timestamp_ms") - time).abs() for time in times]
    return pl.any_horizontal(pl.lit(False), *(far < gap_s * 1000 for far in distances))


def _alike(candidates: pl.DataFrame, images: Sequence[pl.DataFrame], limit: Likeness) -> pl.Series:
    """Whether each candidate is the same picture as one of the images."""
    shown = candidates["face_id"].is_in([face for table in images for face in table["face_id"]])
    if not shown.any():
        return pl.repeat(False, candidates.height, eager=True)
    views, rows = person_views(candidates), shown.arg_true().to_numpy()
    closest = [(v @ v[rows].T).max(axis=1) for v in (views.face, views.look)]
    return pl.Series((closest[0] > limit.vision) | (closest[1] > limit.look))


def _counted(candidates: pl.DataFrame, chosen: pl.DataFrame, cause: pl.Expr) -> list[Cause]:
    told = candidates.drop(VECTORS).with_columns(cause=cause)
    others = told.filter(~pl.col("face_id").is_in(chosen["face_id"].implode()))
    return [Cause(code, count) for code, count in Counter(others["cause"].to_list()).most_common()]
