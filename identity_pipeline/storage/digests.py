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
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from identity_pipeline.storage import private
from identity_pipeline.storage.layout import Layout

WAIT_S = 10.0
"""For another process that writes; a write takes milliseconds."""
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
        with self._open() as database:
            if self._seen(database) != self._now():
                self._read_names(database)
            query = "SELECT id FROM videos WHERE digits = ? ORDER BY id"
            return [row[0] for row in database.execute(query, (sha256[:8],))]

    @contextmanager
    def writing(self, video_id: str, sha256: str) -> Iterator[None]:
        """Notes a record that is written in the block."""
        with self._open() as database:
            row = (sha256[:8], video_id)
            database.execute("INSERT OR IGNORE INTO videos VALUES (?, ?)", row)
        yield
        with self._open() as database:
            self._see(database, self._now())

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

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        private.make_folder(self.path.parent)
        with closing(sqlite3.connect(self.path, timeout=WAIT_S)) as database, database:
            database.execute(
                "CREATE TABLE IF NOT EXISTS videos (digits TEXT, id TEXT, PRIMARY KEY (digits, id))"
                " WITHOUT ROWID"
            )
            database.execute("CREATE TABLE IF NOT EXISTS seen (changed_ns INTEGER)")
            yield database
