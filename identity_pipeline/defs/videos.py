"""Group `watch`: what a video is, and the one pass over its pixels."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import polars as pl

from identity_pipeline.defs import metadata, pictures
from identity_pipeline.defs.partitions import videos
from identity_pipeline.defs.pools import GPU
from identity_pipeline.defs.progress import ProgressReporters
from identity_pipeline.defs.steps import OWNERS, Step, named_failures, sound_check, video_table
from identity_pipeline.models.hub import ModelHub
from identity_pipeline.settings import Settings
from identity_pipeline.storage import atomic
from identity_pipeline.storage.crop_archive import CropArchive
from identity_pipeline.storage.failures import FailureNotes
from identity_pipeline.storage.hashing import sha256_of_value
from identity_pipeline.storage.registry import Registration, VideoRegistry
from identity_pipeline.storage.tables import Manifest, TableStore

WATCH = "watch"
PASS = ("frames", "face_detections", "face_crops")


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


@video_table(WATCH, {"ffmpeg"}, code_version="1")
def ride_video(
    context: dg.AssetExecutionContext,
    store: dg.ResourceParam[TableStore],
    settings: dg.ResourceParam[Settings],
) -> dg.MaterializeResult[pl.DataFrame]:
    """One validated ride video: its bytes' SHA-256, container, codec, size, rotation and times."""
    from identity_pipeline.stages.facts import video_row

    with named_failures(context, store, settings):
        record = registered(store, context.partition_key)
        row = video_row(record, settings.video)
    # A new attempt begins: what an older one died of is no longer true.
    FailureNotes(store.layout).clear(context.partition_key)
    # A file may change under its name, so it is looked at every time, and the row is what counts.
    fingerprint = sha256_of_value(row.to_dicts())
    return Step(context, store, settings).result(
        "ride_video",
        row,
        fingerprint,
        False,
        lambda table: {
            **metadata.numbers(table.drop("video_id", "path").row(0, named=True)),
            "path": dg.MetadataValue.path(record.existing_path()),
            "also known as": ", ".join(Path(link).name for link in record.links) or "no other name",
        },
    )


@dg.multi_asset(
    outs={
        name: dg.AssetOut(
            group_name=WATCH,
            kinds=kinds,
            owners=OWNERS,
            code_version="1",
            io_manager_key="crop_archive_io" if name == "face_crops" else "video_table_io",
            description=description,
        )
        for name, kinds, description in (
            ("frames", {"ffmpeg"}, "One row per sampled frame: time, light, sharpness, scene cut."),
            ("face_detections", {"onnx"}, "One row per face: box, score, key points, tracklet."),
            ("face_crops", {"onnx"}, "Aligned 112 px crop and padded region of every face."),
        )
    },
    check_specs=[sound_check(name) for name in ("frames", "face_detections")],
    partitions_def=videos,
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
    step = Step(
        context,
        store,
        settings,
        uses=(
            "video.analysis_fps",
            "video.scene_cut_correlation",
            "video.truncated_share",
            "video.allow_truncated",
            "models.det_size",
            "models.det_score_min",
            "tracking.lost_buffer_s",
            "tracking.min_iou",
            "crops.body_widths",
            "crops.body_heights",
            "crops.region_face_px",
            "crops.region_jpeg_quality",
            "crops.chunk_faces",
        ),
        models=models,
        runs=("face_pack",),
    )
    video_id = context.partition_key
    archive = CropArchive(store.layout.crops(video_id))
    with named_failures(context, store, settings):
        fingerprints = {name: step.fingerprint(name) for name in PASS}
        tables = _reusable(store, video_id, archive, fingerprints)
        reused = tables is not None
        if tables is None:
            tables = _pass(context, ride_video, archive, step, models, progress)
            store.note(
                "face_crops",
                video_id,
                Manifest(fingerprints["face_crops"], archive.data_version(), archive.count()),
            )
    frames, detections = tables["frames"], tables["face_detections"]
    yield step.result("frames", frames, fingerprints["frames"], reused, pictures.describe_frames)
    yield step.result(
        "face_detections",
        detections,
        fingerprints["face_detections"],
        reused,
        lambda table: pictures.describe_detections(table, archive),
    )
    yield dg.MaterializeResult(
        asset_key="face_crops",
        value=archive,  # type: ignore[arg-type]
        data_version=dg.DataVersion(fingerprints["face_crops"][:16]),
        metadata={
            "reused": reused,
            "faces": archive.count(),
            "megabytes": round(sum(p.stat().st_size for p in archive.parts) / 1e6, 2),
            "path": dg.MetadataValue.path(archive.folder),
        },
    )


def _reusable(
    store: TableStore, video_id: str, archive: CropArchive, fingerprints: dict[str, str]
) -> dict[str, pl.DataFrame] | None:
    """The tables of an earlier pass, when all three outputs are whole and made of the same."""
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
    archive: CropArchive,
    step: Step,
    models: ModelHub,
    progress: ProgressReporters,
) -> dict[str, pl.DataFrame]:
    from identity_pipeline.stages.watch import watch_video

    duration, fps = ride_video["duration_ms"][0], step.settings.video.analysis_fps
    expected = round(duration * fps / 1000) if duration and fps else None
    with atomic.new_folder(archive.folder) as folder:
        seen = watch_video(
            registered(step.store, context.partition_key).existing_path(),
            folder,
            models.face_pack,
            step.settings,
            expected,
            progress.reporter(context),
        )
    return {"frames": seen.frames, "face_detections": seen.face_detections}
