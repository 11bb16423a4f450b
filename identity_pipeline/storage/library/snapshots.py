"""One generation of the library, open: all that is read of it is of one moment, and stays.

A snapshot is the only way to a table of the library. It holds a shared lock on the generation's
note; who prunes takes that lock alone first, so an open generation is left alone, in this process
and in others. The kernel ends the lock with the process that holds it, however that ends.
"""

from __future__ import annotations

import os
import shutil
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import polars as pl

from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.storage.files import atomic, locks, small_files
from identity_pipeline.storage.files.recorded import DamagedTableError, read_recorded
from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.video.tables import Manifest
from identity_pipeline.tables import LIBRARY_TABLES, TABLES, SchemaError, conform, empty

NOTE = "generation.json"
LEDGER = "ledger.json"
"""In the folder of a generation: the last event of the ledger that it was made of."""
FILES = frozenset(
    {NOTE, *(f"{n}{end}" for n in LIBRARY_TABLES for end in (".parquet", ".manifest.json"))}
)
"""In the folder of a generation: the library. The other files say what is of one data folder: which
steps are in step with it, and how far the ledger was."""
LATER_TABLES = ("video_copies",)
"""Tables that generations of older versions lack; they are empty there."""
MEND = "`identity-pipeline recluster` computes the library anew."


class NoGenerationError(IdentityPipelineError, FileNotFoundError):
    """Nothing was published yet."""


@dataclass(frozen=True)
class Generation:
    """One set of tables.

    Attributes:
        number: counts from 1.
        fingerprint: SHA-256 over everything that the tables were made of.
        space: embedding space of its templates; empty without any.
        next_cluster_id: the first cluster id that was never given.
        versions: data version of the templates of each video that it is made of.
        former: the cluster in which a track was before humans said who it is, so that the cluster
            gets its id back when they take that back.
        day: ISO date on which it was computed; empty for one of an older version.
        settings: that it was computed with, by group; empty for one of an older version.
    """

    number: int
    fingerprint: str
    space: str
    next_cluster_id: int
    versions: Mapping[str, str] = field(default_factory=dict)
    former: Mapping[str, int] = field(default_factory=dict)
    day: str = ""
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of its folder."""
        return f"{self.number:06d}-{self.fingerprint[:12]}"


class Snapshot:
    """An open generation; close it, or use it in a `with`. One that is dropped closes itself."""

    def __init__(self, folder: Path, generation: Generation, lock: int) -> None:
        """Takes over the descriptor of a held lock; see `open_folder`."""
        self.folder, self.generation = folder, generation
        self._tables: dict[str, pl.DataFrame] = {}
        self._closing = weakref.finalize(self, os.close, lock)

    @property
    def number(self) -> int:
        """Number of the generation."""
        return self.generation.number

    @property
    def space(self) -> str:
        """Embedding space of its templates; empty without any."""
        return self.generation.space

    def table(self, name: str) -> pl.DataFrame:
        """One of its tables, compared with what was recorded when it was written.

        Raises:
            NoGenerationError: it has no such table.
            DamagedTableError: it is not what was written, or of an incompatible version.
        """
        if name not in self._tables:
            path = self.path(name)
            if name in LATER_TABLES and not path.is_file():
                return empty(name)
            if not path.is_file():
                raise NoGenerationError(
                    f"the library has no table {name} yet; run `identity-pipeline recluster` first."
                )
            read = read_recorded(path, lambda: self._recorded(name), lambda: MEND)
            self._tables[name] = _of_today(name, read, path)
        return self._tables[name]

    def path(self, name: str) -> Path:
        """Where a table lies."""
        return self.folder / f"{name}.parquet"

    def noted(self, name: str) -> Manifest | None:
        """The manifest of a table, or the note of a step; None where there is none to be read."""
        try:
            return small_files.read(self.folder / f"{name}.manifest.json", Manifest, MEND)
        except DamagedFileError:
            return None

    def note(self, step: str, manifest: Manifest) -> None:
        """Notes that a step was done with this generation; a new one starts without it."""
        atomic.write_json(self.folder / f"{step}.manifest.json", manifest.as_json())

    def files(self) -> dict[str, bytes]:
        """The files of the library that are there, by name; see `FILES`."""
        paths = [self.folder / name for name in sorted(FILES)]
        return {path.name: path.read_bytes() for path in paths if path.is_file()}

    def close(self) -> None:
        """Gives it free for pruning."""
        self._closing()

    def __enter__(self) -> Self:
        """Itself; the lock is held already."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes it."""
        self.close()

    def _recorded(self, name: str) -> str | None:
        noted = self.noted(name)
        return noted.data_version if noted else None


def _of_today(name: str, table: pl.DataFrame, path: Path) -> pl.DataFrame:
    """A table in its present schema: what an older version did not have is null.

    Raises:
        DamagedTableError: it cannot be brought into it.
    """
    schema = TABLES[name]
    new = [pl.lit(None, dtype).alias(c) for c, dtype in schema.items() if c not in table.columns]
    try:
        return conform(name, table.with_columns(new).select(schema.keys()))
    except SchemaError as error:
        reason = f"it was written by another version ({error})"
        raise DamagedTableError(path, reason, MEND) from error


def open_folder(folder: Path) -> Snapshot | None:
    """Opens the generation in a folder; None where it is being pruned, or is gone.

    Raises:
        DamagedFileError: its note cannot be read.
    """
    note = folder / NOTE
    try:
        lock = os.open(note, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        # Whoever prunes renames first: is this still the file of that name?
        there = locks.try_lock(lock, shared=True) and os.path.samestat(os.fstat(lock), note.stat())
        generation = small_files.read(note, Generation, MEND) if there else None
    except FileNotFoundError:
        there, generation = False, None
    except BaseException:
        os.close(lock)
        raise
    if not there or generation is None:
        os.close(lock)
        return None
    return Snapshot(folder, generation, lock)


@contextmanager
def unused(folder: Path) -> Iterator[bool]:
    """Whether nobody has a generation open; while the block runs nobody can open it."""
    try:
        lock = os.open(folder / NOTE, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:  # a folder without a note is nobody's
        yield True
        return
    try:
        yield locks.try_lock(lock, shared=False)
    finally:
        os.close(lock)


def prune(folder: Path) -> bool:
    """Removes the folder of a generation unless somebody has it open; whether it is gone."""
    with unused(folder) as free:
        if free and folder.exists():
            retired = atomic.temporary_beside(folder)
            folder.rename(retired)
            shutil.rmtree(retired, ignore_errors=True)
    return free
