"""Groups `observe` and `watch` of faces: quality and gates, tracks, riders."""

import dagster as dg
import polars as pl

from identity_pipeline.core.tracks.riders import find_riders
from identity_pipeline.core.tracks.tracking import build_tracks
from identity_pipeline.defs.display import pictures
from identity_pipeline.defs.resources.progress import ProgressReporters
from identity_pipeline.defs.resources.steps import Step, video_table
from identity_pipeline.settings import Settings
from identity_pipeline.storage.video.crop_archive import CropArchive
from identity_pipeline.storage.video.tables import TableStore

OBSERVE = "observe"


@video_table(OBSERVE, {"numpy"})
def face_quality(
    context: dg.AssetExecutionContext,
    ride_video: pl.DataFrame,
    face_detections: pl.DataFrame,
    face_crops: CropArchive,
    store: dg.ResourceParam[TableStore],
    settings: dg.ResourceParam[Settings],
    progress: dg.ResourceParam[ProgressReporters],
) -> dg.MaterializeResult:
    """The measured quality vector of every face, and the strict and the loose gate with reasons."""
    from identity_pipeline.stages.imagesets.curate import frame_size
    from identity_pipeline.stages.video.measure import measure_quality

    def compute() -> pl.DataFrame:
        size = frame_size(ride_video)
        return measure_quality(
            face_detections, face_crops, size, settings, progress.reporter(context)
        )

    step = Step(context, store, settings)
    return step.table(compute, lambda table: pictures.describe_quality(table, face_crops))


@video_table(OBSERVE, {"numpy"})
def face_tracks(
    context: dg.AssetExecutionContext,
    face_detections: pl.DataFrame,
    face_embeddings: pl.DataFrame,
    store: dg.ResourceParam[TableStore],
    settings: dg.ResourceParam[Settings],
) -> dg.MaterializeResult:
    """Identity-aware tracks: contaminated tracklets split, fragments of one person stitched."""
    step = Step(context, store, settings)
    return step.table(
        lambda: build_tracks(face_detections, face_embeddings, settings.tracking),
        pictures.describe_tracks,
    )


@video_table(OBSERVE, {"polars"})
def riders(
    context: dg.AssetExecutionContext,
    ride_video: pl.DataFrame,
    frames: pl.DataFrame,
    face_detections: pl.DataFrame,
    face_tracks: pl.DataFrame,
    store: dg.ResourceParam[TableStore],
    settings: dg.ResourceParam[Settings],
) -> dg.MaterializeResult:
    """The one or two riders, from left to right, and for every other track why it is none."""
    from identity_pipeline.stages.imagesets.curate import frame_size

    step = Step(context, store, settings)
    return step.table(
        lambda: find_riders(
            face_tracks, face_detections, frames.height, frame_size(ride_video), settings.riders
        ),
        lambda table: pictures.describe_riders(table, frames, face_tracks, settings),
    )
