"""Whether two data folders hold the same: byte by byte, but for what says when it was made.

Compared byte by byte: all tables of the videos with their notes, crops, exports, registrations.
The library is compared by what it says: numbers of unknown clusters are given in the order in which
videos came in and are kept for ever, so they depend on which runs of the library there were; the
groups do not. The index is held against the tables by `identity-pipeline index check`.
Not compared: Dagster's own state, what work cost and how far it is (`progress/`), the order in
which a camera's videos came (`cameras/`), the memory of the inbox, and locks.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.library.generations import Generations

COMPARED: Final = ("tables", "crops", "output", "registry", "videos")
NOT: Final = (
    "tables/library/",
    "tables/.generations/",
    "tables/.memory/",
    "registry/known_files.sqlite",
)
"""The library is compared by its contents; what may be deleted at any time is not compared."""
NUMBERS: Final = {
    "person_assignments": ("cluster_id", "display"),
    "unknown_clusters": ("cluster_id",),
}
"""Columns that hold numbers of clusters."""
ORDER: Final = {
    "calibration": ("space", "camera", "level", "name"),
    "person_references": ("person_id", "reference"),
    "people": ("person_id",),
    "person_assignments": ("track_key",),
    "unknown_clusters": ("representative",),
    "suggestions": ("suggestion_id",),
}


@dataclass(frozen=True)
class Compared:
    """What came of it.

    Attributes:
        files: that both have, byte for byte.
        tables: of those, tables of videos.
        images: of those, exported files.
        different: paths that differ or that only one has.
        library_bytes: tables of the library that are the same bytes.
        library_rows: tables of the library that say the same.
        library_different: those that do not.
    """

    files: int
    tables: int
    images: int
    different: tuple[str, ...]
    library_bytes: tuple[str, ...]
    library_rows: tuple[str, ...]
    library_different: tuple[str, ...]


def digests(root: Path) -> dict[str, str]:
    """SHA-256 of every file that is compared byte by byte, by path below the data folder."""
    found = {}
    for top in COMPARED:
        for path in sorted((root / top).rglob("*")):
            name = path.relative_to(root).as_posix()
            if path.is_file() and not name.startswith(NOT):
                found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def compare(one: Path, other: Path) -> Compared:
    """Compares two data folders."""
    left, right = digests(one), digests(other)
    different = sorted(
        name for name in left.keys() | right.keys() if left.get(name) != right.get(name)
    )
    same = [name for name in left if left[name] == right.get(name)]
    by_bytes, by_rows, unlike = [], [], []
    for table in ORDER:
        if _library_bytes(one, table) == _library_bytes(other, table):
            by_bytes.append(table)
        elif said(one, table).equals(said(other, table)):
            by_rows.append(table)
        else:
            unlike.append(table)
    return Compared(
        len(same),
        sum(name.endswith(".parquet") and name.startswith("tables/") for name in same),
        sum(name.startswith("output/") for name in same),
        tuple(different),
        tuple(by_bytes),
        tuple(by_rows),
        tuple(unlike),
    )


def _library_bytes(root: Path, table: str) -> bytes:
    with Generations(Layout(root)).open() as snapshot:
        return snapshot.path(table).read_bytes()


def said(root: Path, table: str) -> pl.DataFrame:
    """A table of the library without the numbers of clusters, in an order of its own."""
    with Generations(Layout(root)).open() as snapshot:
        whole = snapshot.table(table)
    rows = whole.drop(*NUMBERS.get(table, ()))
    rows = rows.sort(*ORDER[table])
    if "tracks" in rows.columns:
        rows = rows.with_columns(pl.col("tracks").list.sort())
    return rows
