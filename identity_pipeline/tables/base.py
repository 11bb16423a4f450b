"""What schemas are made of: types, and columns that several tables share."""

from __future__ import annotations

from typing import Final

import polars as pl

Schema = dict[str, pl.DataType | type[pl.DataType]]

FACE: Final[Schema] = {"face_id": pl.String, "frame_idx": pl.Int64}
BOX: Final[Schema] = dict.fromkeys(("x1", "y1", "x2", "y2"), pl.Float32)
KEY_POINTS: Final[Schema] = {f"kp{i}_{axis}": pl.Float32 for i in range(5) for axis in "xy"}
VECTOR: Final = pl.List(pl.Float32)
STRINGS: Final = pl.List(pl.String)
REASONS: Final = STRINGS
