"""Which videos' ids end in a digest, so that a new file does not list the whole registry.

Only a memory: it can be deleted at any time, and is made again from the names of the records. Every
registration is noted here before its record is written, so a crash between the two leaves an entry
without a record, which whoever asks passes over, as that of a record that was removed. Records that
others put there are seen by the folder's time of change.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from identity_pipeline.storage.files.memory_database import remembering
from identity_pipeline.storage.layout import VIDEO_ID, Layout

SETUP: Final = (
    "CREATE TABLE IF NOT EXISTS videos (digits TEXT, id TEXT, PRIMARY KEY (digits, id)) "
    "WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS seen (changed_ns INTEGER)",
)
Answer = TypeVar("Answer")
NAME: Final = re.compile(r"^(?P<id>.+-(?P<digits>[0-9a-f]{8})[0-9a-f]*)\.json$")


@dataclass(frozen=True)
class DigestIndex:
    """The index in `data/registry/digests`.

    A folder of its own, so that its files leave the time of change of the registry alone.
    """

    layout: Layout

    @property
    def path(self) -> Path:
        """The database."""
        return self.layout.registry / "digests" / "index.sqlite"

    def ids(self, sha256: str) -> list[str]:
        """Ids that may be of this content, sorted: they end in the first digits of its digest."""
        if not self.layout.registry.is_dir():
            return []

        def found(database: sqlite3.Connection) -> list[str]:
            if self._seen(database) != self._now():
                self._read_names(database)
            query = "SELECT id FROM videos WHERE digits = ? ORDER BY id"
            ids = [row[0] for row in database.execute(query, (sha256[:8],))]
            return [video_id for video_id in ids if VIDEO_ID.fullmatch(str(video_id))]

        return self._do(found)

    @contextmanager
    def writing(self, video_id: str, sha256: str) -> Iterator[None]:
        """Notes a record that is written in the block."""
        row = (sha256[:8], video_id)
        insert = "INSERT OR IGNORE INTO videos VALUES (?, ?)"
        self._do(lambda database: database.execute(insert, row))
        yield
        self._do(lambda database: self._see(database, self._now()))

    def _read_names(self, database: sqlite3.Connection) -> None:
        now = self._now()  # before the look: what comes during it makes the next one look again
        with os.scandir(self.layout.registry) as entries:
            found = [match for entry in entries if (match := NAME.match(entry.name))]
        # None is taken away: a record that is just being written has its entry already.
        rows = ((match["digits"], match["id"]) for match in found)
        database.executemany("INSERT OR IGNORE INTO videos VALUES (?, ?)", rows)
        self._see(database, now)

    def _now(self) -> int:
        return self.layout.registry.stat().st_mtime_ns

    @staticmethod
    def _seen(database: sqlite3.Connection) -> int | None:
        row = database.execute("SELECT changed_ns FROM seen").fetchone()
        return row[0] if row else None

    @staticmethod
    def _see(database: sqlite3.Connection, changed_ns: int) -> None:
        database.execute("DELETE FROM seen")
        database.execute("INSERT INTO seen VALUES (?)", (changed_ns,))

    def _do(self, work: Callable[[sqlite3.Connection], Answer]) -> Answer:
        return remembering(self.path, SETUP, work)
