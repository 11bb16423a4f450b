"""Group `detect`: what a video is, and the one pass over its pixels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import polars as pl

from identity_pipeline.core.video.highlights import Emphasis, overview
from identity_pipeline.defs.display import metadata, pictures
from identity_pipeline.defs.instance.preflight import check_video
from identity_pipeline.defs.resources.decorators import video_asset
from identity_pipeline.defs.resources.steps import VideoStep
from identity_pipeline.settings import chosen
from identity_pipeline.stages.specs.assets import PASS
from identity_pipeline.stages.specs.cache_key import fingerprint
from identity_pipeline.storage.files import atomic
from identity_pipeline.storage.files.hashing import sha256_of_value
from identity_pipeline.storage.folder.disk import size_of
from identity_pipeline.storage.video.chunks import ChunkStore
from identity_pipeline.storage.video.crop_archive import CropArchive, take_over
from identity_pipeline.storage.video.failures import FailureNotes
from identity_pipeline.storage.video.registry import Registration, VideoRegistry
from identity_pipeline.storage.video.tables import Manifest, TableStore

if TYPE_CHECKING:
    from identity_pipeline.stages.video.detect import DetectionPass

TABLES = ("frames", "face_detections")


def registered(store: TableStore, video_id: str) -> Registration:
    """The record of a video.

    Raises:
        VideoError: the video was never registered.
    """
    from identity_pipeline.media.errors import VideoError

    record = VideoRegistry(store.layout).get(video_id)
    if record is None:
        raise VideoError(
            "missing",
            f"{video_id} is not registered; drop its file into {store.layout.videos} or run "
            "`identity-pipeline run FILE`.",
        )
    return record


@video_asset
def ride_video(step: VideoStep) -> dg.MaterializeResult:
    """One validated ride video: SHA-256, codec, how its pictures are shown, times, warnings."""
    from identity_pipeline.stages.video.notes import notes_of_file
    from identity_pipeline.stages.video.probe import video_row

    store, settings = step.store, step.all_settings
    with step.named_failures(), step.heartbeat():
        step.stop_if_paused()
        record = registered(store, step.video_id)
        highlights = step.highlights
        # The file first: for one that is no video no model is opened.
        row = video_row(record, step.settings.video)
        check_video(step.context, store, settings, step.models, size_of(record.existing_path()))
        step.work.computed = True
    # A new attempt begins: what an older one died of is no longer true.
    FailureNotes(store.layout).clear(step.video_id)
    return step.result(
        "ride_video",
        row,
        # A file may change under its name, so it is looked at every time, and the row is its key.
        sha256_of_value(row.to_dicts()),
        lambda table: {
            **metadata.numbers(table.drop("video_id", "path", "warnings").row(0, named=True)),
            "warnings": "\n".join(notes_of_file(table)) or "none",
            "path": dg.MetadataValue.path(record.existing_path()),
            "highlights": overview(highlights.windows) if highlights else "none",
            "also known as": ", ".join(Path(link).name for link in record.links) or "no other name",
        },
        reused=False,
    )


@video_asset
def watch(step: VideoStep) -> Iterator[dg.MaterializeResult]:
    """The one decoding pass: frames, face detections and crops."""
    archive = CropArchive(step.store.layout.crops(step.video_id))
    with (
        step.named_failures(),
        step.heartbeat(),
        step.open_chunks(_chunk_key(step)) as chunks,
    ):
        parts = {name: step.key_parts(name) for name in PASS}
        keys = {name: fingerprint(of) for name, of in parts.items()}
        reused = all(step.is_current(name, keys[name]) for name in PASS)
        if reused:
            tables = {name: step.store.read(name, step.video_id) for name in TABLES}
        else:
            seen = _pass(step, chunks)
            for name, of in parts.items():
                step.computed(name, of)
            tables = _in_place(seen, archive, step, keys["face_crops"])
        yield from _results(step, tables, archive, keys, reused=reused)
        chunks.drop()


def _chunk_key(step: VideoStep) -> str:
    """What a chunk depends on: not on the tracker, nor on whether a truncated file is accepted."""
    later = ("tracking.", "video.truncated_share", "video.allow_truncated")
    parts = step.key_parts("frames")
    shaping = {n: value for n, value in parts["settings"].items() if not n.startswith(later)}
    shaping |= chosen(step.all_settings, ("models.device", "models.detection_batch"))
    return fingerprint({**parts, "settings": shaping})


def _in_place(
    seen: DetectionPass, archive: CropArchive, step: VideoStep, key: str
) -> dict[str, pl.DataFrame]:
    """Puts the crops of a pass in their place, and returns its tables."""
    with atomic.new_folder(archive.folder) as folder:
        take_over(seen.crop_parts, folder)
    noted = Manifest(key, archive.data_version(), archive.count())
    step.store.note("face_crops", step.video_id, noted)
    return {"frames": seen.frames, "face_detections": seen.face_detections}


def _results(
    step: VideoStep,
    tables: dict[str, pl.DataFrame],
    archive: CropArchive,
    keys: dict[str, str],
    *,
    reused: bool,
) -> Iterator[dg.MaterializeResult]:
    def describe_faces(table: pl.DataFrame) -> dict[str, object]:
        return pictures.describe_detections(table, archive)

    for name, describe in zip(TABLES, (pictures.describe_frames, describe_faces), strict=True):
        yield step.result(name, tables[name], keys[name], describe, reused=reused)
    yield dg.MaterializeResult(
        asset_key="face_crops",
        data_version=dg.DataVersion(archive.data_version()[:16]),
        metadata={
            "reused": reused,
            "faces": archive.count(),
            "megabytes": round(sum(p.stat().st_size for p in archive.parts) / 1e6, 2),
            "path": dg.MetadataValue.path(archive.folder),
        },
    )


def _pass(step: VideoStep, chunks: ChunkStore) -> DetectionPass:
    from identity_pipeline.stages.video.detect import detect_video

    step.stop_if_paused()
    video = step.inputs["ride_video"]
    duration, fps = video["duration_ms"][0], step.settings.video.analysis_fps
    emphasis = step.emphasis
    expected = (emphasis or Emphasis((), step.settings.highlights)).expected_frames(
        duration or 0.0, fps
    )
    path = registered(step.store, step.video_id).existing_path()
    pack = step.models.face_pack
    report = step.reporter()
    return detect_video(
        path, chunks, pack, step.settings, expected or None, report, emphasis, step.redaction
    )
