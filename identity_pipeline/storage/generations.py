"""Tables that belong together and change together: readers see all of a new generation, or none.

A generation is a folder that is written beside and renamed; `data/tables/library` is a symbolic
link to the one in force, and replacing the link is the only moment of change. So a crash leaves
the generation that was in force. The last few are kept, so that a run can say what it moved.
"""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import polars as pl

from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.schemas import conform, empty, with_later_columns
from identity_pipeline.storage import atomic
from identity_pipeline.storage.data_folder import noted_folder
from identity_pipeline.storage.hashing import sha256_of_file
from identity_pipeline.storage.layout import Layout, inside
from identity_pipeline.storage.tables import Manifest

KEPT = 3
NOTE = "generation.json"
LATER_TABLES = ("video_copies",)
"""Tables that generations of older versions lack; they are empty there."""
LEDGER = "ledger.json"
"""In the folder of a generation: the last event of the ledger that it was made of."""


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
    """

    number: int
    fingerprint: str
    space: str
    next_cluster_id: int
    versions: Mapping[str, str] = field(default_factory=dict)
    former: Mapping[str, int] = field(default_factory=dict)
    day: str = ""

    @property
    def name(self) -> str:
        """Name of its folder."""
        return f"{self.number:06d}-{self.fingerprint[:12]}"


@dataclass(frozen=True)
class Generations:
    """The generations of the library's tables."""

    layout: Layout

    @property
    def root(self) -> Path:
        """The folder of all generations."""
        return self.layout.generations

    @property
    def link(self) -> Path:
        """What readers open."""
        return self.layout.library_tables

    def current(self) -> Generation | None:
        """The generation in force; None before the first."""
        return self._noted(self.link)

    def previous(self) -> Generation | None:
        """The newest kept generation before the one in force."""
        current = self.current()
        if current is None:
            return None
        older = [name for name in self._kept() if name < current.name]
        return self._noted(self.root / older[-1]) if older else None

    def newest_with(self, note: str) -> Generation | None:
        """The newest kept generation that a step noted to have been brought in step with."""
        there = [n for n in self._kept() if (self.root / n / f"{note}.manifest.json").is_file()]
        return self._noted(self.root / there[-1]) if there else None

    def read(self, table: str, generation: Generation | None = None) -> pl.DataFrame:
        """One table of a generation, by default of the one in force.

        Raises:
            NoGenerationError: there is none.
        """
        folder = self.root / generation.name if generation else self.link
        path = folder / f"{table}.parquet"
        if table in LATER_TABLES and (folder / NOTE).is_file() and not path.is_file():
            return empty(table)
        if not path.is_file():
            raise NoGenerationError(
                f"the library has no table {table} yet; run `identity-pipeline recluster` first."
            )
        return conform(table, with_later_columns(table, pl.read_parquet(path)))

    def publish(
        self,
        tables: Mapping[str, pl.DataFrame],
        fingerprint: str,
        *,
        space: str,
        next_cluster_id: int,
        versions: Mapping[str, str] | None = None,
        former: Mapping[str, int] | None = None,
        day: str = "",
        ledger: tuple[int, str] | None = None,
    ) -> Generation:
        """Writes the tables as a new generation and puts it in force.

        Args:
            tables: all of them.
            fingerprint: see `Generation`, as for all up to `day`.
            space: of the templates.
            next_cluster_id: never given yet.
            versions: of the templates, by video.
            former: last cluster of tracks that humans settled.
            day: ISO date.
            ledger: number and digest of the last event that went in.

        Raises:
            SchemaError: a table does not have its schema.
        """
        conformed = {name: conform(name, table) for name, table in sorted(tables.items())}
        with self.locked():
            kept = self._kept()
            number = int(kept[-1].split("-")[0]) + 1 if kept else 1
            generation = Generation(
                number,
                fingerprint,
                space,
                next_cluster_id,
                dict(versions or {}),
                dict(former or {}),
                day,
            )
            with atomic.new_folder(self.root / generation.name) as folder:
                for name, table in conformed.items():
                    path = folder / f"{name}.parquet"
                    table.write_parquet(path, compression="zstd", statistics=True)
                    manifest = Manifest(fingerprint, sha256_of_file(path), table.height)
                    atomic.write_json(folder / f"{name}.manifest.json", manifest.as_json())
                if ledger is not None:
                    whose = noted_folder(self.layout)
                    head = {"seq": ledger[0], "sha256": ledger[1]}
                    atomic.write_json(folder / LEDGER, {**head, "folder": whose and whose.id})
                atomic.write_json(folder / NOTE, asdict(generation))
            self._put_in_force(generation.name)
            for name in self._kept()[:-KEPT]:
                shutil.rmtree(self.root / name, ignore_errors=True)
        return generation

    def adopt(self, name: str, files: Mapping[str, bytes]) -> None:
        """Puts a generation in force that another data folder has made.

        Args:
            name: of its folder.
            files: name -> bytes of each of its files.

        Raises:
            UnsafePathError: a name leads out of its folder.
        """
        with self.locked():
            with atomic.new_folder(inside(self.root, self.root / name)) as folder:
                for file, data in files.items():
                    inside(folder, folder / file).write_bytes(data)
            self._put_in_force(name)

    def _put_in_force(self, name: str) -> None:
        temporary = atomic.temporary_beside(self.link)
        temporary.symlink_to((self.root / name).relative_to(self.link.parent))
        temporary.replace(self.link)
        atomic.flush(self.link.parent)

    def _noted(self, folder: Path) -> Generation | None:
        path = folder / NOTE
        return Generation(**json.loads(path.read_text())) if path.is_file() else None

    def _kept(self) -> list[str]:
        """Names of the kept generations, oldest first."""
        return sorted(path.parent.name for path in self.root.glob(f"[0-9]*/{NOTE}"))

    @contextmanager
    def computing(self) -> Iterator[None]:
        """One computation at a time, from what it reads to what it publishes."""
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / ".computing").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One writer at a time."""
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
