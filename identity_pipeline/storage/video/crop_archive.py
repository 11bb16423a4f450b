"""The crops of one video: compressed pictures in Parquet parts of bounded size.

A part holds whole faces in the order of the video, so a reader needs the memory of one part.
"""

from __future__ import annotations

import hashlib
import shutil
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from identity_pipeline.storage.files.hashing import sha256_of_file

ALIGNED_SHAPE = (112, 112, 3)

SCHEMA = {
    "face_id": pl.String,
    "aligned": pl.Binary,  # 112 x 112 x 3 BGR bytes; Parquet's compression makes them small
    "region_jpeg": pl.Binary,
    "region_x": pl.Float32,
    "region_y": pl.Float32,
    "region_scale": pl.Float64,
}


def part_in(folder: Path, number: int) -> Path:
    """The file of a part, counted from 0 in the order of the video."""
    return folder / f"part-{number:05d}.parquet"


def write_part(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Writes faces, by the columns of `SCHEMA`, as one part."""
    pl.DataFrame(rows, schema=SCHEMA).write_parquet(path, compression="lz4")


def take_over(parts: Iterable[Path], folder: Path) -> None:
    """Puts finished parts into an archive's folder, in their order; they stay where they are.

    They are linked, not copied, where the file system can.
    """
    for number, part in enumerate(parts):
        try:
            part_in(folder, number).hardlink_to(part)
        except OSError:
            shutil.copyfile(part, part_in(folder, number))


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
        wanted = None if face_ids is None else pl.Series("wanted", sorted(face_ids), pl.String)
        frames = None if face_ids is None else sorted(map(_frame_of, face_ids))
        for part in self.parts:
            if frames is not None and not _overlap(frames, _frames_in(part)):
                continue
            table = pl.read_parquet(
                part, columns=["face_id", *columns], memory_map=False, glob=False
            )
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
        return sum(
            pl.scan_parquet(p, glob=False).select(pl.len()).collect().item() for p in self.parts
        )

    def data_version(self) -> str:
        """SHA-256 over the digests of the parts."""
        digests = "".join(sha256_of_file(part) for part in self.parts)
        return hashlib.sha256(digests.encode()).hexdigest()


def _frame_of(face_id: str) -> int:
    """The number of the frame in a face's id."""
    return int(face_id.partition("-")[0])


def _overlap(frames: Sequence[int], part: tuple[int, int]) -> bool:
    """Whether one of some frames, which are sorted, is between the first and last of a part."""
    n = bisect_left(frames, part[0])
    return n < len(frames) and frames[n] <= part[1]


def _frames_in(part: Path) -> tuple[int, int]:
    """The first and the last frame of a part; remembered, for whoever wants one face of many."""
    found = part.stat()
    return _first_and_last(str(part.resolve()), found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=4096)
def _first_and_last(path: str, size: int, mtime_ns: int) -> tuple[int, int]:
    del size, mtime_ns  # they are part of the cache's key
    ids = pl.read_parquet(path, columns=["face_id"], memory_map=False, glob=False)["face_id"]
    frames = [_frame_of(face_id) for face_id in ids]
    return min(frames, default=0), max(frames, default=-1)
