"""Tables that belong together and change together: readers see all of a new generation, or none.

A generation is a folder that is written beside and renamed; `data/tables/library` is a symbolic
link to the one in force, and replacing the link is the only moment of change. So a crash leaves
the generation that was in force. The last few are kept, so that a run can say what it moved.
Reading is `snapshots`: a generation is opened, and all tables are read from it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from identity_pipeline.storage.files import atomic, locks, small_files
from identity_pipeline.storage.files.hashing import sha256_of_file
from identity_pipeline.storage.files.small_files import RECORD_SEAL, DamagedFileError, sealed
from identity_pipeline.storage.layout import Layout, inside
from identity_pipeline.storage.library.snapshots import (
    LEDGER,
    MEND,
    NOTE,
    Generation,
    NoGenerationError,
    Snapshot,
    open_folder,
    prune,
)
from identity_pipeline.storage.video.tables import Manifest
from identity_pipeline.tables import LIBRARY_TABLES, conform

LOG = logging.getLogger(__name__)
KEPT = 3
TRIES = 100
"""How often a generation may be replaced and pruned while it is being opened."""


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
        """What is in force."""
        return self.layout.library_tables

    def in_force(self) -> str | None:
        """The name of the generation in force, by the link alone; None before the first."""
        folder = self._in_force()
        return folder.name if folder else None

    def current(self) -> Generation | None:
        """What is known of the generation in force; None before the first.

        Raises:
            DamagedFileError: its note cannot be read.
        """
        noted = small_files.read(self.link / NOTE, Generation, MEND)
        if noted is None and self._in_force() is not None:
            raise DamagedFileError(self.link / NOTE, "it is missing", MEND)
        return noted

    def open(self) -> Snapshot:
        """Opens the generation in force.

        Raises:
            NoGenerationError: nothing was published yet.
            DamagedFileError: its note cannot be read.
        """
        snapshot = self.find()
        if snapshot is None:
            raise NoGenerationError(
                "there is no library yet; run `identity-pipeline recluster` first."
            )
        return snapshot

    def find(self) -> Snapshot | None:
        """Opens the generation in force; None before the first.

        Raises:
            DamagedFileError: its note cannot be read.
        """
        for _ in range(TRIES):
            folder = self._in_force()
            if folder is None:
                return None
            snapshot = open_folder(folder)
            if snapshot is not None:
                return snapshot
            if folder == self._in_force():  # no writer leaves it so
                raise DamagedFileError(folder / NOTE, "it is missing", MEND)
        raise NoGenerationError("the library is replaced all the time; try again.")

    def before(self, snapshot: Snapshot) -> Snapshot | None:
        """Opens the newest kept generation before another one; None where there is none."""
        for name in reversed([name for name in self._kept() if name < snapshot.folder.name]):
            older = open_folder(self.root / name)
            if older is not None:
                return older
        return None

    def newest_with(self, step: str) -> Snapshot | None:
        """Opens the newest kept generation that a step noted to be in step with.

        Raises:
            DamagedFileError: its note cannot be read.
        """
        for name in reversed(self._kept()):
            if (self.root / name / f"{step}.manifest.json").is_file():
                return open_folder(self.root / name)
        return None

    def newest_whole(self) -> Snapshot | None:
        """Opens the generation in force or, where a file of it is damaged, the newest whole one.

        For who makes the next one: ids of clusters are taken over from it.
        """
        in_force = self._in_force()
        names = [name for name in self._kept() if in_force and name <= in_force.name]
        for name in reversed(names):
            try:
                snapshot = open_folder(self.root / name)
                if snapshot is not None:
                    for table in LIBRARY_TABLES:
                        snapshot.table(table)
                    return snapshot
            except (DamagedFileError, NoGenerationError) as error:
                LOG.warning("The library's generation %s is passed over: %s", name, error)
        return None

    def noted(self, name: str) -> Manifest | None:
        """What is noted of a table or step of the generation in force; None before the first."""
        snapshot = self.find()
        if snapshot is None:
            return None
        with snapshot:
            return snapshot.noted(name)

    def rows(self, table: str) -> int | None:
        """Rows of a table in force, by what is noted of it; None before the first."""
        noted = self.noted(table)
        return noted.rows if noted else None

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
        settings: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> Generation:
        """Writes the tables as a new generation and puts it in force.

        Args:
            tables: all of them.
            fingerprint: see `Generation`, as for all up to `day` and for `settings`.
            space: of the templates.
            next_cluster_id: never given yet.
            versions: of the templates, by video.
            former: last cluster of tracks that humans settled.
            day: ISO date.
            ledger: number and digest of the last event that went in.
            settings: by group.

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
                dict(settings or {}),
            )
            with atomic.new_folder(self.root / generation.name) as folder:
                for name, table in conformed.items():
                    path = folder / f"{name}.parquet"
                    table.write_parquet(path, compression="zstd", statistics=True)
                    manifest = Manifest(fingerprint, sha256_of_file(path), table.height)
                    atomic.write_json(folder / f"{name}.manifest.json", manifest.as_json())
                if ledger is not None:
                    head = {"seq": ledger[0], "sha256": ledger[1]}
                    atomic.write_json(folder / LEDGER, sealed(head, RECORD_SEAL))
                # A line each for all videos of a large library would take longer than its tables.
                atomic.write_json(folder / NOTE, vars(generation), lines=False)
            self._put_in_force(generation.name)
            for name in self._kept()[:-KEPT]:
                prune(self.root / name)
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

    def _in_force(self) -> Path | None:
        """The folder in force, by the link; None before the first."""
        try:
            return self.link.parent / self.link.readlink()
        except OSError:
            return None

    def _kept(self) -> list[str]:
        """Names of the kept generations, oldest first."""
        return sorted(path.parent.name for path in self.root.glob(f"[0-9]*/{NOTE}"))

    def computing(self) -> AbstractContextManager[None]:
        """One computation at a time, from what it reads to what it publishes."""
        return locks.exclusive(self.root / ".computing", "The library", "computing it", None)

    def locked(self) -> AbstractContextManager[None]:
        """One writer at a time."""
        return locks.exclusive(self.root / ".lock", "The library", "publishing it", None)
