"""Table `ride_phases` of videos that never were."""

from __future__ import annotations

import polars as pl

from identity_pipeline.tables import TABLES


def phases_of(*stretches: tuple[str | None, int]) -> pl.DataFrame:
    """The table at 10 frames a second, of phases and whole seconds; each stretch has its number."""
    rows = []
    for number, (phase, seconds) in enumerate(stretches):
        source = {} if phase is None else {"phase_number": number, "source": "template"}
        for _ in range(10 * seconds):
            at = {"frame_idx": len(rows), "timestamp_ms": 100.0 * len(rows)}
            rows.append({**at, **source, "phase": phase})
    return pl.DataFrame(rows, schema=TABLES["ride_phases"])
