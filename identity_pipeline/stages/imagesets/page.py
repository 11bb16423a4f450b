"""What the page of an export shows, from the tables of the video and the summaries of its riders.

What belongs here: filling in `media.page.ExportPage`. What does not: computing any of its figures
(`core.imagesets.summary`) and the words and the layout of the page (`media.page`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from identity_pipeline.core.imagesets.summary import RiderSummary
from identity_pipeline.media.crops import encode_jpeg
from identity_pipeline.media.figures import coverage_grid_svg, ledger_bar_svg, track_timeline_svg
from identity_pipeline.media.page import (
    ExportPage,
    ImageCard,
    PersonSection,
    SetSection,
    VideoFacts,
    ledger_rows,
)
from identity_pipeline.media.sheets import data_uri
from identity_pipeline.settings import Settings
from identity_pipeline.stages.imagesets.images import Exported, LeftOut
from identity_pipeline.stages.imagesets.provenance import Provenance
from identity_pipeline.stages.specs.exported import FOLDERS, TYPES

THUMBNAIL_QUALITY = 82


@dataclass(frozen=True)
class VideoTables:
    """The tables of one video that the export reads.

    `observed` is the table `candidates`; the others are the tables of their names.
    """

    ride_video: pl.DataFrame
    frames: pl.DataFrame
    face_detections: pl.DataFrame
    face_tracks: pl.DataFrame
    riders: pl.DataFrame
    observed: pl.DataFrame
    selection: pl.DataFrame
    frame_ledger: pl.DataFrame
    sets: Mapping[str, pl.DataFrame]


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
    return ExportPage(
        video=_video_facts(tables, provenance),
        settings_version=provenance.settings_sha256[:12],
        models=provenance.models,
        people=tuple(_person_section(rider, images, settings) for rider in riders),
        pairs=tuple(_card(image) for image in images if image.is_pair),
        timeline_svg=timeline_svg(tables, settings) if tables.frames.height else None,
        ledger_svg=_ledger_svg(tables),
        ledger=ledger_rows(tables.frame_ledger),
        left_out=tuple((image.file, image.sentence) for image in left_out),
    )


def _person_section(
    rider: RiderSummary, images: Sequence[Exported], settings: Settings
) -> PersonSection:
    own = [image for image in images if image.faces[0].person_id == rider.person_id]
    grid = None
    if rider.no_set_reason is None:
        saved, seen = rider.saved_faces, rider.seen.cells
        grid = coverage_grid_svg(saved, settings.buckets, seen=seen, headline=False)
    return PersonSection(
        rider=rider,
        sets=tuple(
            SetSection(TYPES[name], tuple(_card(image) for image in own if image.set_name == name))
            for name in FOLDERS
        ),
        coverage_svg=grid,
    )


def _card(image: Exported) -> ImageCard:
    small = encode_jpeg(image.thumbnail, THUMBNAIL_QUALITY)
    return ImageCard(image.file, data_uri(small, "image/jpeg"), image.faces)


def _ledger_svg(tables: VideoTables) -> str | None:
    """The bar of all faces; it says so when it does not add up to what the frames counted."""
    counted = int(tables.frames["face_count"].sum())
    return ledger_bar_svg(tables.frame_ledger, detected=counted) if counted else None


def timeline_svg(tables: VideoTables, settings: Settings) -> str:
    """Who was seen when, in what light, and where the images were taken."""
    exported = pl.concat(
        table.select("person_id", "timestamp_ms", set=pl.lit(TYPES[name]))
        for name, table in tables.sets.items()
    )
    return track_timeline_svg(
        tables.frames, tables.face_tracks, tables.riders, exported, settings.buckets
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
