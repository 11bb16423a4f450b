"""Tables of the ride: what every camera's rides have in common, and the phase of every frame."""

from __future__ import annotations

from typing import Final

import polars as pl

from identity_pipeline.tables.base import COUNT, Table

RIDE_TABLES: Final[dict[str, Table]] = {
    "ride_phases": Table(
        {
            "frame_idx": pl.Int64,
            "timestamp_ms": pl.Float64,
            "position_s": pl.Float64,  # on the template; null: outside of it, or none is known
            "phase_number": pl.Int64,  # of the template's phases, from 0
            "phase": pl.String,  # see core.ride.naming.PHASES
            "title": pl.String,  # what people call it; null: nobody said
            "source": pl.String,  # template, or human
        },
        "frame_idx",
        ranges={"position_s": COUNT},
    ),
}
"""By name."""
