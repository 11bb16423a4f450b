"""Group `curate`: candidates, the selection, the four sets, the frame ledger, the export."""

import dagster as dg
import polars as pl

from identity_pipeline.core.imagesets import frame_ledger as ledger
from identity_pipeline.core.imagesets import image_sets
from identity_pipeline.core.imagesets import selection as select_images
from identity_pipeline.defs.assets.videos import registered
from identity_pipeline.defs.display import pictures
from identity_pipeline.defs.resources.progress import ProgressReporters
from identity_pipeline.defs.resources.steps import Step, named_failures, video_table
from identity_pipeline.models.hub import ModelHub
from identity_pipeline.settings import Settings
from identity_pipeline.stages.specs.spec import switched_off
from identity_pipeline.storage.video.crop_archive import CropArchive
from identity_pipeline.storage.video.failures import FailureNotes
from identity_pipeline.storage.video.tables import TableStore

CURATE = "curate"


@video_table(CURATE, {"polars"})
def candidates(
    context: dg.AssetExecutionContext,
    ride_video: pl.DataFrame,
    face_detections: pl.DataFrame,
    face_quality: pl.DataFrame,
    face_landmarks: pl.DataFrame,
    identity_stability: pl.DataFrame,
    face_buckets: pl.DataFrame,
    vision_embeddings: pl.DataFrame,
    store: dg.ResourceParam[TableStore],
    settings: dg.ResourceParam[Settings],
) -> dg.MaterializeResult:
    """Every rider face with all that was observed, its export crop, and how far it got."""
    from identity_pipeline.stages.imagesets.curate import Measurements, candidates_of

    observed = Measurements(
        ride_video,
        face_detections,
        face_quality,
        face_landmarks,
        identity_stability,
        face_buckets,
        vision_embeddings,
    )
    step = Step(context, store, settings)
    return step.table(
        lambda: candidates_of(observed, settings),
        lambda table: pictures.describe_counts(table, "standing"),
    )


@video_table(CURATE, {"python"})
def selection(
    context: dg.AssetExecutionContext,
    candidates: pl.DataFrame,
    store: dg.ResourceParam[TableStore],
    settings: dg.ResourceParam[Settings],
) -> dg.MaterializeResult:
    """The replayable decision on every candidate: save, replace, add or reject, with its reason."""
    step = Step(context, store, settings)
    return step.table(
        lambda: select_images.select(candidates, settings.selection),
        lambda table: pictures.describe_selection(table, candidates, settings),
    )


@video_table(CURATE, {"python"})
def anchor_set(
    context: dg.AssetExecutionContext,
    candidates: pl.DataFrame,
    selection: pl.DataFrame,
    face_crops: CropArchive,
    store: dg.ResourceParam[TableStore],
    settings: dg.ResourceParam[Settings],
) -> dg.MaterializeResult:
    """Three to five frontal, best images per rider, apart in time and unlike each other."""
    step = Step(context, store, settings)
    return step.table(
        lambda: image_sets.build_anchor_set(
            image_sets.open_candidates(candidates, selection), settings.selection
        ),
        lambda table: pictures.describe_set(table, face_crops, "anchor"),
    )


@video_table(CURATE, {"python"})
def coverage_set(
    context: dg.AssetExecutionContext,
    candidates: pl.DataFrame,
    selection: pl.DataFrame,
    anchor_set: pl.DataFrame,
    face_crops: CropArchive,
    store: dg.ResourceParam[TableStore],
    settings: dg.ResourceParam[Settings],
) -> dg.MaterializeResult:
    """The best image, at most two, of every pose and expression bucket."""
    step = Step(context, store, settings)
    return step.table(
        lambda: image_sets.build_coverage_set(
            image_sets.open_candidates(candidates, selection), anchor_set, settings.selection
        ),
        lambda table: pictures.describe_set(table, face_crops, "coverage"),
    )


@video_table(CURATE, {"python"})
def challenge_set(
    context: dg.AssetExecutionContext,
    candidates: pl.DataFrame,
    selection: pl.DataFrame,
    anchor_set: pl.DataFrame,
    coverage_set: pl.DataFrame,
    face_crops: CropArchive,
    store: dg.ResourceParam[TableStore],
    settings: dg.ResourceParam[Settings],
) -> dg.MaterializeResult:
    """Five to eight extreme images that are surely the same person."""
    step = Step(context, store, settings)
    return step.table(
        lambda: image_sets.build_challenge_set(
            image_sets.open_candidates(candidates, selection),
            [anchor_set, coverage_set],
            settings.selection,
        ),
        lambda table: pictures.describe_set(table, face_crops, "challenge"),
    )


@video_table(CURATE, {"python"})
def pair_set(
    context: dg.AssetExecutionContext,
    ride_video: pl.DataFrame,
    face_detections: pl.DataFrame,
    candidates: pl.DataFrame,
    selection: pl.DataFrame,
    anchor_set: pl.DataFrame,
    coverage_set: pl.DataFrame,
    challenge_set: pl.DataFrame,
    face_crops: CropArchive,
    store: dg.ResourceParam[TableStore],
    settings: dg.ResourceParam[Settings],
) -> dg.MaterializeResult:
    """Frames in which both riders are good, well apart and alone."""
    from identity_pipeline.stages.imagesets.curate import frame_size

    step = Step(context, store, settings)
    if off := switched_off(settings, "pair_sets"):
        return step.skip(off)
    return step.table(
        lambda: image_sets.build_pair_set(
            image_sets.open_candidates(candidates, selection),
            [anchor_set, coverage_set, challenge_set],
            face_detections,
            frame_size(ride_video),
            settings.selection,
        ),
        lambda table: pictures.describe_set(table, face_crops, "pair"),
    )


@video_table(CURATE, {"polars"})
def frame_ledger(
    context: dg.AssetExecutionContext,
    face_detections: pl.DataFrame,
    face_tracks: pl.DataFrame,
    riders: pl.DataFrame,
    candidates: pl.DataFrame,
    selection: pl.DataFrame,
    anchor_set: pl.DataFrame,
    coverage_set: pl.DataFrame,
    challenge_set: pl.DataFrame,
    pair_set: pl.DataFrame,
    store: dg.ResourceParam[TableStore],
    settings: dg.ResourceParam[Settings],
) -> dg.MaterializeResult:
    """What became of every face: one state, one reason, and what would have changed it."""
    sets = {
        "anchor_set": anchor_set,
        "coverage_set": coverage_set,
        "challenge_set": challenge_set,
        "pair_set": pair_set,
    }
    step = Step(context, store, settings)
    return step.table(
        lambda: ledger.build_ledger(
            face_detections, face_tracks, riders, candidates, selection, sets, settings
        ),
        pictures.describe_ledger,
    )


@video_table(CURATE, {"jpeg"})
def identity_dataset(
    context: dg.AssetExecutionContext,
    ride_video: pl.DataFrame,
    frames: pl.DataFrame,
    face_tracks: pl.DataFrame,
    riders: pl.DataFrame,
    candidates: pl.DataFrame,
    selection: pl.DataFrame,
    frame_ledger: pl.DataFrame,
    anchor_set: pl.DataFrame,
    coverage_set: pl.DataFrame,
    challenge_set: pl.DataFrame,
    pair_set: pl.DataFrame,
    face_crops: CropArchive,
    store: dg.ResourceParam[TableStore],
    settings: dg.ResourceParam[Settings],
    models: dg.ResourceParam[ModelHub],
    progress: dg.ResourceParam[ProgressReporters],
) -> dg.MaterializeResult:
    """The exported folder: images re-cut at native resolution, metadata, contact sheets, a page."""
    from identity_pipeline.stages.imagesets.dataset import (
        VideoTables,
        export_is_whole,
        write_dataset,
    )
    from identity_pipeline.stages.imagesets.provenance import provenance_of

    tables = VideoTables(
        ride_video=ride_video,
        frames=frames,
        face_tracks=face_tracks,
        riders=riders,
        observed=candidates,
        selection=selection,
        frame_ledger=frame_ledger,
        sets={
            "anchor_set": anchor_set,
            "coverage_set": coverage_set,
            "challenge_set": challenge_set,
            "pair_set": pair_set,
        },
    )
    video_id = context.partition_key
    target = store.layout.export(video_id)
    step = Step(context, store, settings, models)

    def compute() -> pl.DataFrame:
        with named_failures(context, store, settings):
            return write_dataset(
                target,
                registered(store, video_id).existing_path(),
                tables,
                face_crops,
                provenance_of(video_id, ride_video, frames, models, settings),
                settings,
                progress.reporter(context),
            ).files

    def whole(table: pl.DataFrame) -> bool:
        return export_is_whole(target, table)

    result = step.table(
        compute, lambda table: pictures.describe_dataset(table, target, tables, settings), whole
    )
    FailureNotes(store.layout).clear(video_id)
    return result
