"""What the page of an export shows, from the tables of the video and the summaries of its riders.

What belongs here: filling in `media.page.ExportPage`. What does not: computing any of its figures
(`core.imagesets.summary`) and the words and the layout of the page (`media.page`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import polars as pl

from identity_pipeline.core.camera.reach import (
    LIGHTS,
    POSE,
    filled_bins,
    lacking,
    lacking_words,
    pose_cell,
)
from identity_pipeline.core.camera.shown_where import Cell, with_places
from identity_pipeline.core.faces.buckets import UNKNOWN
from identity_pipeline.core.imagesets.challenge import KINDS, challenge_kind
from identity_pipeline.core.imagesets.evidence import Evidence
from identity_pipeline.core.imagesets.faces import VECTORS
from identity_pipeline.core.imagesets.summary import RiderSummary
from identity_pipeline.media.crops import encode_jpeg
from identity_pipeline.media.figures import coverage_grid_svg, ledger_bar_svg
from identity_pipeline.media.page import (
    ExportPage,
    Growth,
    ImageCard,
    Lacking,
    PersonSection,
    PoseCell,
    PoseGrid,
    SetSection,
    VideoFacts,
    ledger_rows,
)
from identity_pipeline.media.sheets import data_uri
from identity_pipeline.media.timelines import moments_svg, track_timeline_svg
from identity_pipeline.settings import Settings
from identity_pipeline.stages.curation.consents import consent_sentences
from identity_pipeline.stages.imagesets.images import Exported, LeftOut
from identity_pipeline.stages.imagesets.provenance import KnownCamera, Provenance
from identity_pipeline.stages.specs.exported import (
    FOLDERS,
    TYPES,
    rider_file,
    sheet_file,
    sidecar_file,
)
from identity_pipeline.tables import empty

THUMBNAIL_QUALITY = 82
Reached = Callable[[str, str], str | None]
"""Who else shows a cell of an axis of `camera_reach`, in words; None: not known."""


@dataclass(frozen=True)
class VideoTables:
    """The tables of one video that the export reads.

    `observed` is the table `candidates`; the others are the tables of their names. The ledger is
    empty until it is known what is exported; of phases there is no table where the ride of the
    camera is not known.
    """

    ride_video: pl.DataFrame
    frames: pl.DataFrame
    face_detections: pl.DataFrame
    face_tracks: pl.DataFrame
    riders: pl.DataFrame
    observed: pl.DataFrame
    selection: pl.DataFrame
    moments: pl.DataFrame
    sets: Mapping[str, pl.DataFrame]
    frame_ledger: pl.DataFrame = field(default_factory=partial(empty, "frame_ledger"))
    ride_phases: pl.DataFrame | None = None


def export_page(
    tables: VideoTables,
    images: Sequence[Exported],
    left_out: Sequence[LeftOut],
    riders: Sequence[RiderSummary],
    provenance: Provenance,
    settings: Settings,
) -> ExportPage:
    """Everything that the page of an export shows.

    Args:
        tables: of the video; the sets are those that were exported.
        images: what was written.
        left_out: what was not.
        riders: from left to right.
        provenance: where the export comes from.
        settings: bins.
    """
    observed = tables.observed.drop(VECTORS).with_columns(
        moment_faces=pl.when(pl.col("moment_id").is_not_null()).then(pl.len().over("moment_id"))
    )
    rows = {row["face_id"]: row for row in observed.iter_rows(named=True)}
    cards: dict[str, list[ImageCard]] = {name: [] for name in TYPES}
    for image in images:
        cards[image.set_name].append(_card(image, rows))
    return ExportPage(
        video=_video_facts(tables, provenance),
        settings_version=provenance.settings_sha256[:12],
        models=provenance.models,
        people=tuple(
            _person_section(rider, cards, tables, provenance, settings) for rider in riders
        ),
        pairs=tuple(cards["pair_set"]),
        timeline_svg=timeline_svg(tables, settings) if tables.frames.height else None,
        moments_svg=rider_moments_svg(tables),
        ledger_svg=_ledger_svg(tables),
        ledger=ledger_rows(tables.frame_ledger),
        left_out=tuple((image.file, image.sentence) for image in left_out),
        min_side_px=settings.export.min_side_px,
        consent=consent_sentences(provenance.consents),
        expected=provenance.ride.expected if provenance.ride else (),
        failing=provenance.ride.failing if provenance.ride else (),
    )


def _person_section(
    rider: RiderSummary,
    cards: Mapping[str, Sequence[ImageCard]],
    tables: VideoTables,
    provenance: Provenance,
    settings: Settings,
) -> PersonSection:
    told = ("metadata", rider_file(rider.name))
    if rider.no_set_reason is not None:
        return PersonSection(rider, files=(told,))
    own = {
        name: tuple(card for card in cards[name] if card.faces[0].person_id == rider.person_id)
        for name in FOLDERS
    }
    ended = tables.frame_ledger.select("face_id", ended="reason")
    stands = pl.col("face_id") == pl.col("representative_face_id")
    shown = [card.faces[0].face_id for cards in own.values() for card in cards]
    seen = (
        tables.observed.filter(pl.col("person_id") == rider.person_id)
        .drop(VECTORS)
        .with_columns(kind=challenge_kind(settings.selection), stands=stands)
        .join(ended, on="face_id", how="left", maintain_order="left")
    )
    # What a moment shows counts for coverage, not the noise of single faces in it.
    faces = seen.filter(pl.col("stands").fill_null(False) | pl.col("face_id").is_in(shown))
    camera, where = provenance.camera, provenance.where_others(rider.person_id)
    said = _said_of(camera, settings, where)
    return PersonSection(
        rider=rider,
        sets=tuple(SetSection(TYPES[name], own[name]) for name in FOLDERS),
        grid=_pose_grid(faces, own["anchor_set"], own["coverage_set"], said),
        growth=_growth(rider, settings.selection.stop == "cut"),
        kinds_lacking=tuple(_kinds_lacking(seen, own["challenge_set"], said)),
        bins_lacking=_bins_lacking(rider, camera, where, settings),
        coverage_svg=coverage_grid_svg(
            rider.saved_faces, settings.buckets, seen=rider.seen.cells, headline=False
        ),
        files=(("contact sheet", sheet_file(rider.name)), told) if shown else (told,),
    )


def _bins_lacking(
    rider: RiderSummary,
    camera: KnownCamera | None,
    where: Mapping[Cell, str],
    settings: Settings,
) -> tuple[tuple[str, str, str], ...]:
    if camera is None:
        return ()
    found = with_places(lacking(camera.reach, filled_bins(rider.saved_faces), settings), where)
    return tuple((*which, words) for which, words in found.items())


def _said_of(
    camera: KnownCamera | None, settings: Settings, where: Mapping[Cell, str] = MappingProxyType({})
) -> Reached:
    """Who else shows a cell of an axis; of a camera that is not known nothing is said."""
    if camera is None:
        return lambda axis, cell: None

    def said(axis: str, cell: str) -> str:
        words = lacking_words(camera.reach, axis, cell, settings.camera)
        return with_places({(axis, cell): words}, where)[axis, cell]

    return said


def _card(image: Exported, observed: Mapping[str, Mapping[str, Any]]) -> ImageCard:
    """An image with what `candidates` tells of its faces."""
    small = data_uri(encode_jpeg(image.thumbnail, THUMBNAIL_QUALITY), "image/jpeg")
    rows = [observed[face.face_id] for face in image.faces]
    told = tuple(Evidence.of(row) for row in rows)
    together = None if image.is_pair else rows[0]["moment_faces"]
    found = tuple((view.name, len(view.sure)) for view in image.views)
    instead = None
    if image.stands_for is not None and image.instead_of is not None:
        instead = (image.stands_for, image.instead_of.sentence)
    beside = sidecar_file(image.file)
    return ImageCard(image.file, small, image.faces, told, together, found, instead, beside)


def _growth(rider: RiderSummary, cut: bool) -> Growth | None:
    """When the coverage set of a rider stopped growing; None where nothing was selected."""
    if rider.stop_reason is None:
        return None
    return Growth(rider.stop_reason, rider.stop_ms, cut=cut)


def stop_times(selection: pl.DataFrame) -> dict[int, float | None]:
    """When the coverage set of each rider stopped growing; None: it did not.

    Args:
        selection: the table of that name.
    """
    return dict(selection.select("person_id", "stop_ms").unique().iter_rows())


def _pose_grid(
    faces: pl.DataFrame,
    anchors: Sequence[ImageCard],
    coverage: Sequence[ImageCard],
    said: Reached,
) -> PoseGrid:
    """What the rider showed of each pose, and what is exported of it.

    Args:
        faces: rows of `candidates` that stand for the rider's moments or are shown, with how they
            `ended` in the frame ledger.
        anchors: of the rider.
        coverage: of the rider.
        said: who else reaches a pose.
    """
    there = faces.filter(pl.col("bucket_key").is_not_null())
    yaws, pitches = _bins(there, "yaw"), _bins(there, "pitch")
    rows = []
    for pitch, up in reversed(pitches.items()):
        cells = []
        for yaw, aside in yaws.items():
            posed = there.filter(pl.col("yaw_bin") == yaw, pl.col("pitch_bin") == pitch)
            own = [
                [c for c in cards if (c.faces[0].yaw_bin, c.faces[0].pitch_bin) == (yaw, pitch)]
                for cards in (coverage, anchors)
            ]
            held = {UNKNOWN} | {card.faces[0].expression_bin for cards in own for card in cards}
            lacks = _lacking(posed.filter(~pl.col("expression_bin").is_in(held)))
            reach = said(POSE, pose_cell(aside, up))
            cells.append(PoseCell(posed.height > 0, tuple(own[0]), tuple(own[1]), lacks, reach))
        rows.append((pitch, tuple(cells)))
    return PoseGrid(tuple(yaws), tuple(rows))


def _bins(faces: pl.DataFrame, axis: str) -> dict[str, int]:
    """The bins of an axis that faces fill and their keys, in the order of their angles."""
    bins = faces.select(f"{axis}_bin", f"{axis}_key").unique().sort(f"{axis}_key")
    return dict(bins.iter_rows())


def _lacking(faces: pl.DataFrame, name: str = "expression_bin") -> tuple[Lacking, ...]:
    """How many moments have each value of a column, and how the best of them ended.

    The best is the one that came farthest: one that was weighed, then one that stands for its
    moment, with the largest score.
    """
    weighed = pl.col("standing") == "candidate"
    moment = pl.coalesce(pl.col("moment_id").cast(pl.String), "face_id")
    ordered = faces.with_columns(weighed=weighed, moment=moment).sort(
        [name, "weighed", "stands", "picture_score", "face_id"],
        descending=[False, True, True, True, False],
        nulls_last=True,
    )
    return tuple(
        Lacking(str(value), own["moment"].n_unique(), own["ended"][0])
        for (value,), own in ordered.group_by(name, maintain_order=True)
    )


def _kinds_lacking(
    faces: pl.DataFrame, challenge: Sequence[ImageCard], said: Reached
) -> list[Lacking]:
    """The kinds of challenge of which a rider has no image, and of light who else has it."""
    shown = {card.faces[0].kind for card in challenge}
    told = {one.name: one for one in _lacking(faces.drop_nulls("kind"), "kind")}
    lacks = [told.get(kind, Lacking(kind, 0)) for kind in KINDS if kind not in shown]
    return [
        replace(one, reach=said("lighting", one.name)) if one.name in LIGHTS else one
        for one in lacks
    ]


def _ledger_svg(tables: VideoTables) -> str | None:
    """The bar of all faces; it says so when it does not add up to what the frames counted."""
    counted = int(tables.frames["face_count"].sum())
    return ledger_bar_svg(tables.frame_ledger, detected=counted) if counted else None


def timeline_svg(tables: VideoTables, settings: Settings) -> str:
    """Who was seen when, in what light, and where the images were taken."""
    shown = (tables.frames, tables.face_tracks, tables.riders, _exported(tables))
    return track_timeline_svg(*shown, settings.buckets, phases=tables.ride_phases)


def rider_moments_svg(tables: VideoTables) -> str | None:
    """The moments of the riders, and the images that came of them; None without a rider."""
    if not tables.observed.height:
        return None
    return moments_svg(tables.observed, _exported(tables), stop_times(tables.selection))


def _exported(tables: VideoTables) -> pl.DataFrame:
    return pl.concat(
        table.select("person_id", "timestamp_ms", set=pl.lit(TYPES[name]))
        for name, table in tables.sets.items()
    )


def _video_facts(tables: VideoTables, provenance: Provenance) -> VideoFacts:
    source = tables.ride_video.row(0, named=True)
    copied = ("sha256", "size_bytes", "width", "height", "duration_ms", "average_fps")
    return VideoFacts(
        name=Path(source["path"]).name,
        video_id=provenance.video_id,
        **{name: source[name] for name in copied},
        container=source["container"],
        codec=source["codec"],
        shown=_shown(source),
        warnings=tuple(provenance.source["warnings"]),
        sampled_frames=tables.frames.height,
        faces_seen=tables.frame_ledger.height,
        scene_cuts=int(tables.frames["scene_cut"].sum()),
        camera=provenance.camera.sentence if provenance.camera else None,
    )


def _shown(source: Mapping[str, Any]) -> str:
    """What was done to the pictures of a row of `ride_video`, for its page."""
    done = []
    if source["sample_aspect_ratio"] not in (None, "1:1"):
        coded = f"{source['coded_width']} × {source['coded_height']}"
        done.append(f"pixels of {source['sample_aspect_ratio']} ({coded}) made square")
    if source["interlaced"]:
        done.append("deinterlaced")
    if source["mirrored"]:
        done.append("mirrored")
    if source["rotation"]:
        done.append(f"turned by {source['rotation']}°")
    return ", ".join(done) or "as they are"
