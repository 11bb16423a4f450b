"""Group `observe`: identity embeddings (who) and vision embeddings (what is new), never mixed."""

import dagster as dg
import polars as pl

from identity_pipeline.defs.assets.faces import OBSERVE
from identity_pipeline.defs.display import metadata
from identity_pipeline.defs.instance.pools import GPU
from identity_pipeline.defs.resources.progress import ProgressReporters
from identity_pipeline.defs.resources.steps import Step, video_table
from identity_pipeline.models.hub import ModelHub
from identity_pipeline.settings import Settings
from identity_pipeline.stages.specs.spec import switched_off
from identity_pipeline.storage.video.chunks import ChunkStore
from identity_pipeline.storage.video.crop_archive import CropArchive
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline.tables import empty


@video_table(OBSERVE, {"onnx"}, pool=GPU)
def face_embeddings(
    context: dg.AssetExecutionContext,
    face_detections: pl.DataFrame,
    face_crops: CropArchive,
    face_quality: pl.DataFrame,
    store: dg.ResourceParam[TableStore],
    settings: dg.ResourceParam[Settings],
    models: dg.ResourceParam[ModelHub],
    progress: dg.ResourceParam[ProgressReporters],
) -> dg.MaterializeResult:
    """`e_id` of every usable face, and of every n-th face of each tracklet as a witness."""
    from identity_pipeline.stages.video.measure import embed_faces, faces_to_embed

    def compute(chunks: ChunkStore) -> pl.DataFrame:
        wanted = faces_to_embed(face_detections, face_quality, settings.quality.witness_every)
        reporter = progress.reporter(context)
        return embed_faces(wanted, face_crops, models.face_pack, settings, reporter, chunks)

    def describe(table: pl.DataFrame) -> dict[str, object]:
        witnesses = (table["because"] == "witness").sum()
        return metadata.numbers(
            {
                "embedded": table.height,
                "witnesses": witnesses,
                "left_out": face_detections.height - table.height,
                "space": table["space"][0] if table.height else None,
            }
        )

    step = Step(context, store, settings, models)
    return step.chunked(compute, describe, "models.recognition_batch")


@video_table(OBSERVE, {"torch", "huggingface"}, pool=GPU)
def vision_embeddings(
    context: dg.AssetExecutionContext,
    ride_video: pl.DataFrame,
    face_detections: pl.DataFrame,
    face_crops: CropArchive,
    face_quality: pl.DataFrame,
    face_landmarks: pl.DataFrame,
    identity_stability: pl.DataFrame,
    store: dg.ResourceParam[TableStore],
    settings: dg.ResourceParam[Settings],
    models: dg.ResourceParam[ModelHub],
    progress: dg.ResourceParam[ProgressReporters],
) -> dg.MaterializeResult:
    """`e_vis_face` and `e_vis_body` of the faces that are usable, stable and fit for export."""
    from identity_pipeline.stages.imagesets.curate import Measurements, faces_to_see
    from identity_pipeline.stages.video.measure import embed_views

    if off := switched_off(settings, "vision"):
        return Step(context, store, settings).skip(off)
    # Which bucket a face falls into says nothing of whether it is worth seeing.
    unsorted = empty("face_buckets")
    observed = Measurements(
        ride_video, face_detections, face_quality, face_landmarks, identity_stability, unsorted
    )

    def compute(chunks: ChunkStore) -> pl.DataFrame:
        wanted = faces_to_see(observed, settings)
        reporter = progress.reporter(context)
        return embed_views(wanted, face_crops, models.vision, settings, reporter, chunks)

    def describe(table: pl.DataFrame) -> dict[str, object]:
        return metadata.numbers(
            {
                "embedded": table.height,
                "left_out": identity_stability.height - table.height,
                "space": table["space"][0] if table.height else None,
            }
        )

    step = Step(context, store, settings, models)
    return step.chunked(compute, describe, "models.vision_batch")
