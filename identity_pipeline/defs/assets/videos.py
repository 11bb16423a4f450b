"""Group `watch`: what a video is, and the one pass over its pixels."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import polars as pl

from identity_pipeline.defs.display import metadata, pictures
from identity_pipeline.defs.instance.pools import GPU
from identity_pipeline.defs.instance.preflight import check_video
from identity_pipeline.defs.resources.progress import ProgressReporters
from identity_pipeline.defs.resources.steps import (
    OWNERS,
    Step,
    named_failures,
    video_table,
    video_tables,
)
from identity_pipeline.models.hub import ModelHub
from identity_pipeline.settings import Settings, chosen
from identity_pipeline.stages.specs.assets import PASS, VIDEO_SPECS
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

WATCH = "watch"


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


@video_table(WATCH, {"ffmpeg"})
def ride_video(
    context: dg.AssetExecutionContext,
    store: dg.ResourceParam[TableStore],
    settings: dg.ResourceParam[Settings],
    models: dg.ResourceParam[ModelHub],
) -> dg.MaterializeResult:
    """One validated ride video: SHA-256, codec, how its pictures are shown, times, warnings."""
    from identity_pipeline.stages.video.notes import notes_of_file
    from identity_pipeline.stages.video.probe import video_row

    step = Step(context, store, settings)
    with named_failures(context, store, settings), step.at_work():
        step.go_on()
        record = registered(store, context.partition_key)
        check_video(context, store, settings, models, size_of(record.existing_path()))
        row = video_row(record, settings.video)
        step.work.computed = True
    # A new attempt begins: what an older one died of is no longer true.
    FailureNotes(store.layout).clear(context.partition_key)
    # A file may change under its name, so it is looked at every time, and the row is what counts.
    fingerprint = sha256_of_value(row.to_dicts())
    return step.result(
        "ride_video",
        row,
        fingerprint,
        False,
        lambda table: {
            **metadata.numbers(table.drop("video_id", "path", "warnings").row(0, named=True)),
            "warnings": "\n".join(notes_of_file(table)) or "none",
            "path": dg.MetadataValue.path(record.existing_path()),
            "also known as": ", ".join(Path(link).name for link in record.links) or "no other name",
        },
    )


@video_tables(
    {
        name: dg.AssetOut(
            group_name=WATCH,
            kinds=kinds,
            owners=OWNERS,
            code_version=VIDEO_SPECS[name].code,
            io_manager_key="crop_archive_io" if name == "face_crops" else "video_table_io",
            description=description,
            dagster_type=dg.Nothing,
        )
        for name, kinds, description in (
            ("frames", {"ffmpeg"}, "One row per sampled frame: time, light, sharpness, scene cut."),
            ("face_detections", {"onnx"}, "One row per face: box, score, key points, tracklet."),
            ("face_crops", {"onnx"}, "Aligned 112 px crop and padded region of every face."),
        )
    },
    checked=("frames", "face_detections"),
    pool=GPU,
)
def watch(
    context: dg.AssetExecutionContext,
    ride_video: pl.DataFrame,
    store: dg.ResourceParam[TableStore],
    settings: dg.ResourceParam[Settings],
    models: dg.ResourceParam[ModelHub],
    progress: dg.ResourceParam[ProgressReporters],
) -> Iterator[dg.MaterializeResult]:
    """The one decoding pass: frames, face detections and crops."""
    step = Step(context, store, settings, models)
    archive = CropArchive(store.layout.crops(context.partition_key))
    with (
        named_failures(context, store, settings),
        step.at_work(),
        step.open_chunks(WATCH, _chunk_key(step)) as chunks,
    ):
        made = {name: step.made_of(name) for name in PASS}
        fingerprints = {name: fingerprint(of) for name, of in made.items()}
        tables = _reusable(step, archive, fingerprints)
        reused = tables is not None
        if tables is None:
            seen = _pass(context, ride_video, chunks, step, models, progress)
            for name, of in made.items():
                step.computed(name, of)
            tables = _in_place(seen, archive, step, fingerprints["face_crops"])
        yield from _results(step, tables, archive, fingerprints, reused)
        chunks.drop()


def _chunk_key(step: Step) -> str:
    """What a chunk depends on: not on the tracker, nor on whether a truncated file is accepted."""
    later = ("tracking.", "video.truncated_share", "video.allow_truncated")
    made = step.made_of("frames")
    shaping = {n: value for n, value in made["settings"].items() if not n.startswith(later)}
    shaping |= chosen(step.settings, ("models.device",))
    return fingerprint({**made, "settings": shaping})


def _in_place(
    seen: "DetectionPass", archive: CropArchive, step: Step, fingerprint: str
) -> dict[str, pl.DataFrame]:
    """Puts the crops of a pass in their place, and returns its tables."""
    with atomic.new_folder(archive.folder) as folder:
        take_over(seen.crop_parts, folder)
    noted = Manifest(fingerprint, archive.data_version(), archive.count())
    step.store.note("face_crops", step.video_id, noted)
    return {"frames": seen.frames, "face_detections": seen.face_detections}


def _results(
    step: Step,
    tables: dict[str, pl.DataFrame],
    archive: CropArchive,
    fingerprints: dict[str, str],
    reused: bool,
) -> Iterator[dg.MaterializeResult]:
    def describe_faces(table: pl.DataFrame) -> dict[str, object]:
        return pictures.describe_detections(table, archive)

    for name, describe in (
        ("frames", pictures.describe_frames),
        ("face_detections", describe_faces),
    ):
        yield step.result(name, tables[name], fingerprints[name], reused, describe)
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


def _reusable(
    step: Step, archive: CropArchive, fingerprints: dict[str, str]
) -> dict[str, pl.DataFrame] | None:
    """The tables of an earlier pass, when all three outputs are whole and made of the same."""
    store, video_id = step.store, step.video_id
    for name in ("frames", "face_detections"):
        known = store.manifest(name, video_id)
        if known is None or known.fingerprint != fingerprints[name]:
            return None
    crops = store.noted("face_crops", video_id)
    if crops is None or crops.fingerprint != fingerprints["face_crops"]:
        return None
    if archive.data_version() != crops.data_version:
        return None
    return {name: store.read(name, video_id) for name in ("frames", "face_detections")}


def _pass(
    context: dg.AssetExecutionContext,
    ride_video: pl.DataFrame,
    chunks: ChunkStore,
    step: Step,
    models: ModelHub,
    progress: ProgressReporters,
) -> "DetectionPass":
    from identity_pipeline.stages.video.detect import detect_video

    step.go_on()
    duration, fps = ride_video["duration_ms"][0], step.settings.video.analysis_fps
    expected = round(duration * fps / 1000) if duration and fps else None
    path = registered(step.store, context.partition_key).existing_path()
    reporter = progress.reporter(context)
    return detect_video(path, chunks, models.face_pack, step.settings, expected, reporter)
