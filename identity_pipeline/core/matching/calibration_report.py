"""What is shown of a calibration: the curves of both errors, and what has drifted."""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from identity_pipeline.core.matching.calibration_pairs import LEVELS
from identity_pipeline.tables import Schema

CURVE: Final[Schema] = {
    "space": pl.String,
    "level": pl.String,
    "threshold": pl.Float64,
    "far": pl.Float64,  # share of known impostor pairs at or above; null without any
    "frr": pl.Float64,  # share of genuine pairs below; null without any
}


def curves(pairs: pl.DataFrame, step: float = 0.01) -> pl.DataFrame:
    """The table `CURVE`: both error rates at thresholds from -1 to 1, per space and level."""
    grid = np.round(np.arange(-1.0, 1.0 + step / 2, step), 6)
    parts = []
    for space in sorted(pairs["space"].unique().to_list()):
        for level in LEVELS:
            own = pairs.filter(pl.col("space") == space, pl.col("level") == level)
            below = {
                kind: _share_below(own.filter(pl.col("kind") == kind)["score"].to_numpy(), grid)
                for kind in ("genuine", "impostor")
            }
            rejected, refused = below["genuine"], below["impostor"]
            parts.append(
                pl.DataFrame(
                    {
                        "space": [space] * len(grid),
                        "level": [level] * len(grid),
                        "threshold": grid,
                        "far": None if refused is None else 1.0 - refused,
                        "frr": rejected,
                    },
                    schema=CURVE,
                )
            )
    return pl.concat(parts) if parts else pl.DataFrame(schema=CURVE)


def _share_below(scores: NDArray[np.float64], grid: NDArray[np.float64]) -> NDArray | None:
    if not len(scores):
        return None
    return np.searchsorted(np.sort(scores), grid, side="left") / len(scores)


def drift(new: pl.DataFrame, previous: pl.DataFrame) -> pl.DataFrame:
    """Measured thresholds beside the previous ones, and which moved out of their interval.

    Args:
        new: table `CALIBRATION`.
        previous: the table before.

    Returns:
        space, camera, level, name, previous, low, high, threshold, moved; only rows measured both
        times.
    """
    keys = ["space", "camera", "level", "name"]
    before = previous.select(*keys, "low", "high", previous="threshold")
    return (
        new.select(*keys, "threshold")
        .join(before, on=keys, how="inner", nulls_equal=True)
        .filter(*(pl.col(c).is_not_null() for c in ("threshold", "previous", "low", "high")))
        .with_columns(
            moved=(pl.col("threshold") < pl.col("low")) | (pl.col("threshold") > pl.col("high"))
        )
        .select(*keys, "previous", "low", "high", "threshold", "moved")
        .sort(keys, nulls_last=False)
    )
