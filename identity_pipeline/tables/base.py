"""What schemas are made of: types, and columns that several tables share."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

import polars as pl

Schema = dict[str, pl.DataType | type[pl.DataType]]
Range = tuple[float, float]
SHARE: Final[Range] = (0.0, 1.0)
COSINE: Final[Range] = (-1.0, 1.0)
COUNT: Final[Range] = (0.0, float("inf"))


class Table(Schema):
    """The columns of a table with their dtypes, and what must hold of its rows.

    Attributes:
        key: columns that tell the rows apart; a table without is a bag of rows.
        ranges: of columns, where `tables.soundness.RANGES` does not say them for all tables.
        later: columns that tables of older versions lack; null, as not measured, where one is read.
        optional: columns that only some videos have: not written where no row has one, and read as
            null then.
    """

    def __init__(
        self,
        columns: Schema,
        *key: str,
        ranges: Mapping[str, Range] | None = None,
        later: Collection[str] = (),
        optional: Collection[str] = (),
    ) -> None:
        """Takes the columns in the order of the file, and the names of the key's."""
        super().__init__(columns)
        self.key, self.ranges = key, dict(ranges or {})
        self.later, self.optional = frozenset((*later, *optional)), frozenset(optional)


FACE: Final[Schema] = {"face_id": pl.String, "frame_idx": pl.Int64}
BOX: Final[Schema] = dict.fromkeys(("x1", "y1", "x2", "y2"), pl.Float32)
KEY_POINTS: Final[Schema] = {f"kp{i}_{axis}": pl.Float32 for i in range(5) for axis in "xy"}
VECTOR: Final = pl.List(pl.Float32)
STRINGS: Final = pl.List(pl.String)
REASONS: Final = STRINGS
