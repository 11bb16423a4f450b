"""What a step tells Dagster of an output: its version, whether it is sound, what a person looks at.

What belongs here: metadata that all outputs have in common. What one asset alone says is in
`defs.display`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

from identity_pipeline.defs.display import metadata
from identity_pipeline.defs.instance.partitions import OF
from identity_pipeline.defs.resources.io import FINGERPRINT
from identity_pipeline.stages.specs.assets import SPECS
from identity_pipeline.storage.video.failures import CHECK_FAILED, FailureNote, FailureNotes
from identity_pipeline.storage.video.tables import Manifest, TableStore
from identity_pipeline.tables import conform
from identity_pipeline.tables.soundness import faults

if TYPE_CHECKING:
    import polars as pl

SOUND = "sound"
RIGHT_PERSON = "right_person"
CONSENTED = "consented"
STATUS, SKIPPED, REASON = "status", "skipped", "reason"
Describe = Callable[["pl.DataFrame"], Mapping[str, Any]]


def skipped(reason: str) -> dict[str, Any]:
    """Metadata of an asset that was skipped.

    Args:
        reason: see `AssetSpec.off`.
    """
    return {STATUS: SKIPPED, REASON: reason}


def sound_check(asset: str) -> dg.AssetCheckSpec:
    """The check that each table of a video passes where it is made; see `tables.soundness`.

    A table that fails stops its own video and no other.
    """
    return dg.AssetCheckSpec(
        SOUND,
        asset=asset,
        partitions_def=OF[SPECS[asset].of],
        blocking=True,
        description="Columns, keys, value ranges and unit vectors are as they must be.",
    )


def right_person_check(asset: str) -> dg.AssetCheckSpec:
    """The check that a person's dataset is made of their rides alone."""
    return dg.AssetCheckSpec(
        RIGHT_PERSON,
        asset=asset,
        partitions_def=OF[SPECS[asset].of],
        blocking=True,
        description="Every ride in it is like the person's others.",
    )


def consent_check(asset: str) -> dg.AssetCheckSpec:
    """The check that a person's dataset is made of what they consent to."""
    return dg.AssetCheckSpec(
        CONSENTED,
        asset=asset,
        partitions_def=OF[SPECS[asset].of],
        blocking=True,
        description="They consent to it, in every ride that it is made of.",
    )


def result_of(
    store: TableStore,
    video_id: str,
    asset: str,
    table: pl.DataFrame,
    noted: Manifest,
    described: Mapping[str, Any],
) -> dg.MaterializeResult:
    """A table of a video that is in its place, as the result of a step; faults are noted.

    Dagster's data version is the hash of the table's bytes: what was computed again and came out
    the same does not make its descendants stale.

    Args:
        store: the tables.
        video_id: of which video.
        asset: whose table.
        table: that was read or written.
        noted: its manifest.
        described: metadata of this asset alone: what a person looks for comes first in the UI.
    """
    return dg.MaterializeResult(
        asset_key=asset,
        data_version=dg.DataVersion(noted.data_version[:16]),
        metadata={
            **described,
            "rows": metadata.preview(table),
            "dagster/partition_row_count": table.height,
            FINGERPRINT: noted.fingerprint,
        },
        check_results=[soundness(store, video_id, asset, table)],
    )


def soundness(
    store: TableStore, video_id: str, asset: str, table: pl.DataFrame
) -> dg.AssetCheckResult:
    """Whether a table of a video is sound; faults are noted on the video.

    Args:
        store: the tables.
        video_id: of which video.
        asset: whose table.
        table: that was read or written.
    """
    wrong = faults(asset, conform(asset, table))
    if wrong:
        note = FailureNote(CHECK_FAILED, "; ".join(wrong), asset, permanent=False)
        FailureNotes(store.layout).put(video_id, note)
    return dg.AssetCheckResult(
        passed=not wrong,
        asset_key=asset,
        check_name=SOUND,
        description="; ".join(wrong) or f"{table.height} rows are sound.",
    )
