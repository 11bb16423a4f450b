"""The crops of one video: compressed pictures in Parquet parts of bounded size.

A part holds whole faces in the order of the video, so a reader needs the memory of one part.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from identity_pipeline.storage.hashing import sha256_of_file

ALIGNED_SHAPE = (112, 112, 3)

SCHEMA = {
    "face_id": pl.String,
    "aligned": pl.Binary,  # 112 x 112 x 3 BGR bytes; Parquet's compression makes them small
    "region_jpeg": pl.Binary,
    "region_x": pl.Float32,
    "region_y": pl.Float32,
    "region_scale": pl.Float64,
}


@dataclass
class CropWriter:
    """Collects faces and writes a part whenever enough are there."""

    folder: Path
    faces_per_part: int
    _rows: list[dict[str, object]] = field(default_factory=list)
    _parts: int = 0

    def add(self, **row: object) -> None:
        """Adds one face, by the columns of `SCHEMA`."""
        self._rows.append(row)
        if len(self._rows) >= self.faces_per_part:
            self.flush()

    def flush(self) -> None:
        """Writes what is left; the last call of a pass."""
        if not self._rows:
            return
        path = self.folder / f"part-{self._parts:05d}.parquet"
        pl.DataFrame(self._rows, schema=SCHEMA).write_parquet(path, compression="lz4")
        self._parts += 1
        self._rows = []


@dataclass(frozen=True)
class CropArchive:
    """The stored crops of one video."""

    folder: Path

    @property
    def parts(self) -> list[Path]:
        """Part files in the order of the video."""
        return sorted(self.folder.glob("part-*.parquet"))

    def rows(
        self, face_ids: Collection[str] | None, columns: Collection[str]
    ) -> Iterator[dict[str, object]]:
        """Rows of the wanted faces (all when None) in the order of the video, part by part."""
        wanted = None if face_ids is None else pl.Series("wanted", sorted(face_ids))
        for part in self.parts:
            table = pl.read_parquet(part, columns=["face_id", *columns], memory_map=False)
            if wanted is not None:
                table = table.filter(pl.col("face_id").is_in(wanted.implode()))
            yield from table.iter_rows(named=True)

    def aligned(self, face_ids: Collection[str] | None) -> Iterator[tuple[str, NDArray[np.uint8]]]:
        """(face_id, (112, 112, 3) BGR crop) of the wanted faces (all when None), one by one."""
        for row in self.rows(face_ids, ["aligned"]):
            pixels = np.frombuffer(row["aligned"], dtype=np.uint8)  # type: ignore[call-overload]
            yield str(row["face_id"]), pixels.reshape(ALIGNED_SHAPE)

    def count(self) -> int:
        """Number of faces."""
        return sum(pl.scan_parquet(p).select(pl.len()).collect().item() for p in self.parts)

    def data_version(self) -> str:
        """SHA-256 over the digests of the parts."""
        digests = "".join(sha256_of_file(part) for part in self.parts)
        return hashlib.sha256(digests.encode()).hexdigest()
