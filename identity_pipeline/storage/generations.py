"""Tables that belong together and change together: all of a new generation are seen, or none.

A generation is a folder that is written beside and renamed; `current.json` names the one in force
and is replaced last. So a reader sees the tables of one run, and a crash leaves the generation
that was in force. The last few are kept, so that a run can say what it moved.
"""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from identity_pipeline.schemas import conform
from identity_pipeline.storage import atomic

KEPT = 3


class NoGenerationError(FileNotFoundError):
    """Nothing was published yet."""


@dataclass(frozen=True)
class Generation:
    """One set of tables.

    Attributes:
        number: counts from 1.
        fingerprint: SHA-256 over everything that the tables were made of.
    """

    number: int
    fingerprint: str

    @property
    def name(self) -> str:
        """Name of its folder."""
        return f"{self.number:06d}-{self.fingerprint[:12]}"


@dataclass(frozen=True)
class Generations:
    """The generations below one folder."""

    root: Path

    def current(self) -> Generation | None:
        """The generation in force; None before the first."""
        path = self.root / "current.json"
        return Generation(**json.loads(path.read_text())) if path.is_file() else None

    def previous(self) -> Generation | None:
        """The newest kept generation before the one in force."""
        current = self.current()
        older = [g for g in self._kept() if current and g < f"{current.number:06d}"]
        if not older:
            return None
        path = self.root / max(older) / "generation.json"
        return Generation(**json.loads(path.read_text()))

    def folder(self, generation: Generation) -> Path:
        """Where a generation's tables lie."""
        return self.root / generation.name

    def read(self, table: str, generation: Generation | None = None) -> pl.DataFrame:
        """One table of a generation, by default of the one in force.

        Raises:
            NoGenerationError: there is none.
        """
        chosen = generation or self.current()
        path = self.folder(chosen) / f"{table}.parquet" if chosen else None
        if path is None or not path.is_file():
            raise NoGenerationError(
                f"the library's table {table} is not there yet; run `identity-pipeline recluster`."
            )
        return conform(table, pl.read_parquet(path))

    def publish(self, tables: Mapping[str, pl.DataFrame], fingerprint: str) -> Generation:
        """Writes the tables as a new generation and puts it in force.

        Raises:
            SchemaError: a table does not have its schema.
        """
        conformed = {name: conform(name, table) for name, table in sorted(tables.items())}
        with self._locked():
            current = self.current()
            generation = Generation(current.number + 1 if current else 1, fingerprint)
            with atomic.new_folder(self.folder(generation)) as folder:
                for name, table in conformed.items():
                    table.write_parquet(folder / f"{name}.parquet", compression="zstd")
                atomic.write_json(folder / "generation.json", generation.__dict__)
            atomic.write_json(self.root / "current.json", generation.__dict__)
            for name in sorted(self._kept())[:-KEPT]:
                shutil.rmtree(self.root / name, ignore_errors=True)
        return generation

    def _kept(self) -> list[str]:
        return [path.parent.name for path in self.root.glob("[0-9]*/generation.json")]

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
