"""Group `observe`: landmarks and pose, identity stability, buckets of the riders' faces."""

import dagster as dg
import polars as pl

from identity_pipeline.core.tracks.riders import rider_faces
from identity_pipeline.defs.assets.faces import OBSERVE
from identity_pipeline.defs.display import pictures
from identity_pipeline.defs.instance.pools import GPU
from identity_pipeline.defs.resources.progress import ProgressReporters
from identity_pipeline.defs.resources.steps import Step, video_table
from identity_pipeline.models.hub import ModelHub
from identity_pipeline.settings import Settings
from identity_pipeline.storage.video.chunks import ChunkStore
from identity_pipeline.storage.video.crop_archive import CropArchive
from identity_pipeline.storage.video.tables import TableStore


@video_table(OBSERVE, {"onnx"}, pool=GPU)
def face_landmarks(
    context: dg.AssetExecutionContext,
    face_detections: pl.DataFrame,
    face_crops: CropArchive,
    face_quality: pl.DataFrame,
    face_tracks: pl.DataFrame,
    riders: pl.DataFrame,
    store: dg.ResourceParam[TableStore],
    settings: dg.ResourceParam[Settings],
    models: dg.ResourceParam[ModelHub],
    progress: dg.ResourceParam[ProgressReporters],
) -> dg.MaterializeResult:
    """Landmarks, head pose, eyes, mouth, smile and occlusion of the riders' usable faces."""
    from identity_pipeline.stages.video.measure import measure_landmarks, smoothed_boxes

    def compute(chunks: ChunkStore) -> pl.DataFrame:
        boxes = smoothed_boxes(rider_faces(face_tracks, riders), face_detections, settings)
        usable = boxes.join(face_quality.filter("loose").select("face_id"), on="face_id")
        reporter = progress.reporter(context)
        pack = models.face_pack
        return measure_landmarks(usable, face_crops, pack, face_quality, settings, reporter, chunks)

    step = Step(context, store, settings, models)
    return step.chunked(
        compute,
        lambda table: pictures.describe_landmarks(table, face_crops),
        "models.recognition_batch",
    )


@video_table(OBSERVE, {"numpy"})
def identity_stability(
    context: dg.AssetExecutionContext,
    face_embeddings: pl.DataFrame,
    face_quality: pl.DataFrame,
    face_landmarks: pl.DataFrame,
    face_tracks: pl.DataFrame,
    riders: pl.DataFrame,
    store: dg.ResourceParam[TableStore],
    settings: dg.ResourceParam[Settings],
) -> dg.MaterializeResult:
    """Each rider's prototype (a medoid), and which faces surely are that rider."""
    from identity_pipeline.stages.imagesets.curate import stability_of

    step = Step(context, store, settings)
    return step.table(
        lambda: stability_of(
            rider_faces(face_tracks, riders),
            face_embeddings,
            face_quality,
            face_landmarks,
            settings,
        ),
        pictures.describe_stability,
    )


@video_table(OBSERVE, {"polars"})
def face_buckets(
    context: dg.AssetExecutionContext,
    face_landmarks: pl.DataFrame,
    face_quality: pl.DataFrame,
    store: dg.ResourceParam[TableStore],
    settings: dg.ResourceParam[Settings],
) -> dg.MaterializeResult:
    """Pose, expression, occlusion and lighting bins of the riders' usable faces."""
    from identity_pipeline.stages.imagesets.curate import buckets_of

    step = Step(context, store, settings)
    return step.table(
        lambda: buckets_of(face_landmarks, face_quality, settings), pictures.describe_buckets
    )
