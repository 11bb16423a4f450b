"""Which outputs of which videos were computed, and which reused, by Dagster's own events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import dagster as dg

from identity_pipeline.defs.resources.io import FINGERPRINT, REUSED
from identity_pipeline.stages.specs.assets import VIDEO_SPECS

PAGE: Final = 500
LOOKED_AT_ANYWAY: Final = "ride_video"
"""The file may change under its name, so every run looks at it."""


@dataclass(frozen=True)
class Made:
    """One materialisation of one output of one video.

    Attributes:
        asset: which output.
        video_id: of which video.
        at: seconds since 1970.
        reused: it was there already, of the same inputs.
        fingerprint: of what it is made of; None for an output without a table.
    """

    asset: str
    video_id: str
    at: float
    reused: bool
    fingerprint: str | None


def materialisations(instance: dg.DagsterInstance) -> list[Made]:
    """All of them, of every per-video asset."""
    return [made for asset in VIDEO_SPECS for made in _of_asset(instance, asset)]


def _of_asset(instance: dg.DagsterInstance, asset: str) -> Iterator[Made]:
    wanted, cursor = dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset)), None
    while True:
        page = instance.fetch_materializations(wanted, limit=PAGE, cursor=cursor, ascending=True)
        for record in page.records:
            materialised = record.asset_materialization
            if materialised is None:
                continue
            known = {name: value.value for name, value in materialised.metadata.items()}
            yield Made(
                asset,
                str(record.partition_key),
                record.timestamp,
                bool(known.get(REUSED)),
                str(known[FINGERPRINT]) if FINGERPRINT in known else None,
            )
        cursor = page.cursor
        if not page.has_more:
            return


def counts(made: Iterable[Made]) -> dict[str, tuple[int, int]]:
    """(computed, reused) by asset, in the order of the work."""
    computed = Counter((one.asset, one.reused) for one in made)
    return {asset: (computed[asset, False], computed[asset, True]) for asset in VIDEO_SPECS}


def doubles(made: Iterable[Made]) -> list[str]:
    """Outputs that were computed more than once of the same inputs."""
    times = Counter(
        (one.asset, one.video_id, one.fingerprint)
        for one in made
        if not one.reused and one.fingerprint is not None and one.asset != LOOKED_AT_ANYWAY
    )
    return [f"{asset} of {video}" for (asset, video, _), n in sorted(times.items()) if n > 1]
