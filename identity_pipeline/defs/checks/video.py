"""Asset checks between the tables of a video.

Each table by itself is checked where it is made (`steps.sound_check`). A failed check of severity
ERROR stops its own video only.
"""

from collections.abc import Callable
from pathlib import Path

import dagster as dg
import polars as pl

from identity_pipeline.core.imagesets.frame_ledger import conservation_errors
from identity_pipeline.core.video import drift
from identity_pipeline.defs.assets.faces import face_quality, face_tracks, riders
from identity_pipeline.defs.assets.image_sets import frame_ledger, identity_dataset
from identity_pipeline.defs.display.metadata import numbers
from identity_pipeline.defs.instance.partitions import videos
from identity_pipeline.defs.resources.inputs import from_store
from identity_pipeline.settings import Settings
from identity_pipeline.storage.video.camera_history import CameraHistory
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline.tables.soundness import count_faults


def video_check(
    asset: dg.AssetsDefinition, *, blocking: bool, description: str
) -> Callable[[Callable[..., dg.AssetCheckResult]], dg.AssetChecksDefinition]:
    """`dg.asset_check` of one video's table, for a function that takes tables by their names."""

    def check(function: Callable[..., dg.AssetCheckResult]) -> dg.AssetChecksDefinition:
        step, inputs = from_store(function)
        return dg.asset_check(
            asset=asset,
            additional_deps=[name for name in inputs if name != asset.key.path[-1]],
            partitions_def=videos,
            blocking=blocking,
            description=description,
        )(step)

    return check


@video_check(
    asset=face_tracks,
    blocking=True,
    description="No face is lost or made up between the frames and the tracks.",
)
def counts_agree(
    face_tracks: pl.DataFrame,
    frames: pl.DataFrame,
    face_detections: pl.DataFrame,
    face_quality: pl.DataFrame,
    face_embeddings: pl.DataFrame,
) -> dg.AssetCheckResult:
    """The counts of `tables.soundness`."""
    wrong = count_faults(frames, face_detections, face_quality, face_embeddings, face_tracks)
    return dg.AssetCheckResult(
        passed=not wrong,
        severity=dg.AssetCheckSeverity.ERROR,
        description="; ".join(wrong) or f"{face_detections.height} faces are in every table.",
        metadata={"faces": face_detections.height, "frames": frames.height},
    )


@video_check(
    asset=face_quality,
    blocking=False,
    description="Faces, light, detector score and usable share are as in the last videos of the "
    "camera.",
)
def like_its_camera(
    context: dg.AssetCheckExecutionContext,
    face_quality: pl.DataFrame,
    ride_video: pl.DataFrame,
    frames: pl.DataFrame,
    face_detections: pl.DataFrame,
    store: dg.ResourceParam[TableStore],
    settings: dg.ResourceParam[Settings],
) -> dg.AssetCheckResult:
    """A dirty lens or a turned mount is worth a look; the video itself may be fine."""
    camera = drift.camera_of(Path(ride_video["path"][0]).stem, settings.ingest.camera_pattern)
    figures = drift.figures_of(frames, face_detections, face_quality)
    history = CameraHistory(store.layout).add(
        camera, context.partition_key, figures, settings.drift.videos
    )
    compared = drift.compare(figures, history, settings.drift)
    unlike = [one.sentence for one in compared if one.unlike]
    whose = camera or "the camera without a name"
    few = "" if any(one.usual is not None for one in compared) else "; too few to compare with"
    return dg.AssetCheckResult(
        passed=not unlike,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(unlike) or f"As the last {len(history)} videos of {whose}{few}.",
        metadata={
            "camera": whose,
            "videos_before": len(history),
            **numbers({one.name: one.value for one in compared}),
            **numbers({f"usual_{one.name}": one.usual for one in compared}),
        },
    )


@video_check(
    asset=frame_ledger,
    blocking=True,
    description="Every face of every sampled frame is in exactly one state, and the sums agree.",
)
def every_face_is_accounted_for(
    frame_ledger: pl.DataFrame,
    frames: pl.DataFrame,
    face_detections: pl.DataFrame,
    anchor_set: pl.DataFrame,
    coverage_set: pl.DataFrame,
    challenge_set: pl.DataFrame,
    pair_set: pl.DataFrame,
) -> dg.AssetCheckResult:
    """The conservation law of `core.imagesets.frame_ledger`."""
    sets = {
        "anchor_set": anchor_set,
        "coverage_set": coverage_set,
        "challenge_set": challenge_set,
        "pair_set": pair_set,
    }
    errors = conservation_errors(frame_ledger, face_detections, frames, sets)
    return dg.AssetCheckResult(
        passed=not errors,
        severity=dg.AssetCheckSeverity.ERROR,
        description="; ".join(errors) or f"{frame_ledger.height} faces add up.",
        metadata={"faces": frame_ledger.height, "errors": len(errors)},
    )


@video_check(
    asset=riders,
    blocking=False,
    description="Somebody rides.",
)
def somebody_rides(riders: pl.DataFrame) -> dg.AssetCheckResult:
    """A ride without a rider is worth a look, but is no error: cars run empty."""
    count = riders["person_id"].drop_nulls().len()
    return dg.AssetCheckResult(
        passed=count > 0,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{count} riders." if count else "No rider: an empty car, or a blind camera.",
        metadata={"riders": count, "tracks": riders.height},
    )


@video_check(
    asset=identity_dataset,
    blocking=True,
    description="Every exported file is in its place with the bytes of its digest, and no other.",
)
def export_is_complete(
    context: dg.AssetCheckExecutionContext,
    identity_dataset: pl.DataFrame,
    store: dg.ResourceParam[TableStore],
) -> dg.AssetCheckResult:
    """Reads the folder back."""
    from identity_pipeline.stages.imagesets.dataset import export_is_whole

    target = store.layout.export(context.partition_key)
    whole = export_is_whole(target, identity_dataset)
    return dg.AssetCheckResult(
        passed=whole,
        severity=dg.AssetCheckSeverity.ERROR,
        description="All files are there." if whole else f"{target} differs from its manifest.",
        metadata={"files": identity_dataset.height},
    )


@video_check(
    asset=identity_dataset,
    blocking=False,
    description="Every image that was chosen was proved to show the frame that was analysed.",
)
def every_image_is_proved(identity_dataset: pl.DataFrame) -> dg.AssetCheckResult:
    """An image that is not proved is left out; the others of the video are sound."""
    left_out = identity_dataset.filter(pl.col("left_out").is_not_null())
    told = [f"{file}: {why}" for file, why in left_out.select("file", "left_out").iter_rows()]
    return dg.AssetCheckResult(
        passed=not told,
        severity=dg.AssetCheckSeverity.WARN,
        description=" ".join(told) or "Every image shows the frame that was analysed.",
        metadata={"left_out": left_out.height},
    )
