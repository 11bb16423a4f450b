"""The whole export of one video: everything in `export` and `person_report`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from identity_pipeline.media.errors import VideoError
from identity_pipeline.media.figures import ledger_bar_svg, track_timeline_svg
from identity_pipeline.media.page import ExportPage, VideoFacts, ledger_rows, render_export_page
from identity_pipeline.settings import Settings
from identity_pipeline.stages.imagesets import export, person_report
from identity_pipeline.stages.imagesets.export import Exported, LeftOut, Provenance
from identity_pipeline.stages.progress.protocol import Progress, silent
from identity_pipeline.stages.specs.exported import TYPES, files_of
from identity_pipeline.stages.video.proof import Analysed
from identity_pipeline.storage.files import atomic
from identity_pipeline.storage.files.hashing import sha256_of_file
from identity_pipeline.storage.video.crop_archive import CropArchive


@dataclass(frozen=True)
class VideoTables:
    """The tables of one video that the export reads.

    `observed` is the table `candidates`; the others are the tables of their names.
    """

    ride_video: pl.DataFrame
    frames: pl.DataFrame
    face_tracks: pl.DataFrame
    riders: pl.DataFrame
    observed: pl.DataFrame
    selection: pl.DataFrame
    frame_ledger: pl.DataFrame
    sets: Mapping[str, pl.DataFrame]


@dataclass(frozen=True)
class Dataset:
    """An export that was written; `left_out` is not in it."""

    files: pl.DataFrame
    images: list[Exported]
    left_out: list[LeftOut]
    riders: list[person_report.RiderData]


def write_dataset(
    target: Path,
    video: Path,
    tables: VideoTables,
    crops: CropArchive,
    provenance: Provenance,
    settings: Settings,
    progress: Progress = silent,
) -> Dataset:
    """Writes the export folder of a video in place of any older one.

    Args:
        target: the folder; it appears whole or not at all.
        video: the source file.
        tables: the video's tables.
        crops: what was analysed, which every image is compared with.
        provenance: where the export comes from.
        settings: all settings.
        progress: called per image.

    Raises:
        VideoError: the source cannot be read any more, or is another file than was analysed.
    """
    if sha256_of_file(video) != provenance.source["sha256"]:
        raise VideoError(
            "changed",
            f"{video.name} is another file than the one that {provenance.video_id} was made of; "
            "put the old one back, or drop the new one in under a name of its own and run it.",
        )
    planned = export.planned_images(tables.sets, tables.observed)
    faces = {row["face_id"] for _, rows in planned.values() for row in rows}
    analysed = Analysed.of(crops, faces, settings.crops)
    with atomic.new_folder(target) as folder:
        images, left_out = export.write_images(
            folder, video, planned, tables.frames, analysed, provenance, settings, progress
        )
        tables = replace(tables, sets=_exported_sets(tables.sets, images))
        riders = person_report.riders_data(
            tables.riders, tables.observed, tables.selection, tables.sets, images, left_out
        )
        for rider in riders:
            place = folder / f"person_{rider.person_id}"
            place.mkdir(exist_ok=True)
            meta = person_report.person_meta(rider, provenance, settings)
            (place / "meta.json").write_bytes(atomic.json_bytes(meta))
            if rider.images:
                export.write_contact_sheet(folder, rider.person_id, list(rider.images))
        page = _page(tables, images, left_out, riders, provenance, settings)
        (folder / "index.html").write_text(render_export_page(page), encoding="utf-8")
        files = files_of(export.manifest_rows(folder, images, left_out))
        export.write_manifest(folder, files, left_out, provenance)
        rows = export.manifest_rows(folder, images, left_out)
    return Dataset(rows, images, left_out, riders)


def _exported_sets(
    sets: Mapping[str, pl.DataFrame], images: list[Exported]
) -> dict[str, pl.DataFrame]:
    """The sets without the images that were left out."""
    there = {(im.set_name, row["image"], row["face_id"]) for im in images for row in im.rows}

    def exported(name: str, table: pl.DataFrame) -> pl.Series:
        rows = table.select("image", "face_id").iter_rows()
        return pl.Series([(name, *row) in there for row in rows], dtype=pl.Boolean)

    return {name: table.filter(exported(name, table)) for name, table in sets.items()}


def _page(
    tables: VideoTables,
    images: list[Exported],
    left_out: list[LeftOut],
    riders: list[person_report.RiderData],
    provenance: Provenance,
    settings: Settings,
) -> ExportPage:
    return ExportPage(
        video=_video_facts(tables, provenance),
        settings_version=provenance.settings_sha256[:12],
        models=provenance.models,
        people=tuple(person_report.person_section(rider, settings) for rider in riders),
        pairs=tuple(person_report.pair_card(i) for i in images if i.set_name == "pair_set"),
        timeline_svg=timeline_svg(tables, settings) if tables.frames.height else None,
        ledger_svg=_ledger_svg(tables),
        ledger=ledger_rows(tables.frame_ledger),
        left_out=tuple((image.file, image.sentence) for image in left_out),
    )


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
