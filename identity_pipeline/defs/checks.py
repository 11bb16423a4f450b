"""Asset checks: what makes a table trustworthy. All are per video.

A failed check of severity ERROR stops its own video only.
"""

import dagster as dg
import polars as pl

from identity_pipeline.core.frame_ledger import conservation_errors
from identity_pipeline.defs.faces import riders
from identity_pipeline.defs.image_sets import frame_ledger, identity_dataset
from identity_pipeline.defs.partitions import videos
from identity_pipeline.storage.tables import TableStore


@dg.asset_check(
    asset=frame_ledger,
    additional_ins={
        name: dg.AssetIn()
        for name in (
            "frames",
            "face_detections",
            "anchor_set",
            "coverage_set",
            "challenge_set",
            "pair_set",
        )
    },
    partitions_def=videos,
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
    """The conservation law of `core.frame_ledger`."""
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


@dg.asset_check(
    asset=riders,
    partitions_def=videos,
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


@dg.asset_check(
    asset=identity_dataset,
    partitions_def=videos,
    blocking=True,
    description="Every exported file is in its place with the bytes of its digest, and no other.",
)
def export_is_complete(
    context: dg.AssetCheckExecutionContext,
    identity_dataset: pl.DataFrame,
    store: dg.ResourceParam[TableStore],
) -> dg.AssetCheckResult:
    """Reads the folder back."""
    from identity_pipeline.stages.dataset import export_is_whole

    target = store.layout.export(context.partition_key)
    whole = export_is_whole(target, identity_dataset)
    return dg.AssetCheckResult(
        passed=whole,
        severity=dg.AssetCheckSeverity.ERROR,
        description="All files are there." if whole else f"{target} differs from its manifest.",
        metadata={"files": identity_dataset.height},
    )
