"""Which video a file is, remembered so that neither known files nor all records are read again.

One SQLite database, and only a memory: it can be deleted at any time, and is then made again from
the files and from the names of the records, as it is where it is damaged. Its tables::

    files     path, size, mtime_ns, inode, video_id
              a file of the inbox as it was when it was read: a known file costs one stat
    contents  digits, video_id
              the first digits of a content's SHA-256, and an id that ends in them
    listed    changed_ns
              the time of change of the registry's folder when its names were last read

A registration is noted in `contents` before its record is written, so a crash between the two
leaves a row without a record. Callers pass over it, as over the row of a record that was removed.
Records that others put there are seen by the folder's time of change.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from identity_pipeline.storage.files import private, small_files
from identity_pipeline.storage.layout import VIDEO_ID, Layout

LOG = logging.getLogger(__name__)
SETUP: Final = (
    # A journal that stays and is no write-ahead log: a write leaves the folder's time of change
    # alone, and it works on network shares.
    "PRAGMA journal_mode = PERSIST",
    "CREATE TABLE IF NOT EXISTS files (path TEXT PRIMARY KEY, size INTEGER, mtime_ns INTEGER, "
    "inode INTEGER, video_id TEXT) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS contents (digits TEXT, video_id TEXT, "
    "PRIMARY KEY (digits, video_id)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS listed (changed_ns INTEGER)",
)
DIGITS: Final = 8
RECORD: Final = re.compile(rf"^(?P<id>.+-(?P<digits>[0-9a-f]{{{DIGITS}}})[0-9a-f]*)\.json$")
WAIT_S = 10.0
"""For another process that writes; a write takes milliseconds."""
DAMAGE: Final = frozenset(
    {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_MISMATCH}
)
"""Not a database, a broken one, or one with other tables. Busy, full and read-only are no damage:
the caller gets these errors."""
UNWRITABLE: Final = frozenset({sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN})
COMPANIONS: Final = ("-journal", "-wal", "-shm")
Answer = TypeVar("Answer")


class Stamp(NamedTuple):
    """What changes with a file's content, as far as its folder tells."""

    size: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, stat: os.stat_result) -> Stamp:
        """The stamp of a file that was looked at."""
        return cls(stat.st_size, stat.st_mtime_ns, stat.st_ino)


class KnownFile(NamedTuple):
    """A file that was read once: its stamp then, and the video that it is."""

    stamp: Stamp
    video_id: str


def stamps_of(files: Iterable[Path]) -> dict[str, Stamp]:
    """The stamp of every file that still exists."""
    stamps: dict[str, Stamp] = {}
    for file in files:
        try:
            stamps[str(file)] = Stamp.of(file.stat())
        except OSError:
            continue
    return stamps


@dataclass(frozen=True)
class KnownFiles:
    """The database `data/registry/known_files.sqlite`.

    Its methods raise `sqlite3.Error` where it is busy for too long, or cannot be written.
    """

    layout: Layout

    @property
    def path(self) -> Path:
        """The database."""
        return self.layout.registry / "known_files.sqlite"

    def all(self) -> dict[str, KnownFile]:
        """The files that are remembered, by path; an entry that makes no sense is passed over."""
        query = "SELECT path, size, mtime_ns, inode, video_id FROM files"
        rows = self._do(lambda database: database.execute(query).fetchall())
        return {
            path: KnownFile(Stamp(*stamp), video)
            for path, *stamp, video in rows
            if isinstance(video, str) and VIDEO_ID.fullmatch(video)
        }

    def remember(self, files: Mapping[str, KnownFile]) -> None:
        """Notes files, by path, in place of what was known of them."""
        rows = [(path, *file.stamp, file.video_id) for path, file in files.items()]
        insert = "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)"
        self._do(lambda database: database.executemany(insert, rows))

    def forget(self, paths: Iterable[str]) -> None:
        """Forgets files, because they are gone."""
        gone = [(path,) for path in paths]
        self._do(lambda database: database.executemany("DELETE FROM files WHERE path = ?", gone))

    def ids_of_content(self, sha256: str) -> list[str]:
        """Ids that may be of this content, sorted: they end in the first digits of its digest."""
        if not self.layout.registry.is_dir():
            return []

        def found(database: sqlite3.Connection) -> list[str]:
            row = database.execute("SELECT changed_ns FROM listed").fetchone()
            if row is None or row[0] != self._changed_ns():
                self._list_records(database)
            query = "SELECT video_id FROM contents WHERE digits = ? ORDER BY video_id"
            ids = [row[0] for row in database.execute(query, (sha256[:DIGITS],))]
            return [video_id for video_id in ids if VIDEO_ID.fullmatch(str(video_id))]

        try:
            return self._do(found)
        except sqlite3.OperationalError as error:
            if _primary(error) not in UNWRITABLE:
                raise
            # A folder that is only read: the names of its records say the same, more slowly.
            named = self._records()
            return sorted(video_id for digits, video_id in named if digits == sha256[:DIGITS])

    @contextmanager
    def writing_record(self, video_id: str, sha256: str) -> Iterator[None]:
        """Notes the content of a record that is written in the block."""
        row = (sha256[:DIGITS], video_id)
        insert = "INSERT OR IGNORE INTO contents VALUES (?, ?)"
        self._do(lambda database: database.execute(insert, row))
        yield
        self._do(lambda database: _note_listed(database, self._changed_ns()))

    def _list_records(self, database: sqlite3.Connection) -> None:
        shutil.rmtree(self.layout.registry / "digests", ignore_errors=True)  # of older versions
        now = self._changed_ns()  # before the look: what comes during it makes the next look again
        # None is taken away: a record that is just being written has its row already.
        database.executemany("INSERT OR IGNORE INTO contents VALUES (?, ?)", self._records())
        _note_listed(database, now)

    def _records(self) -> list[tuple[str, str]]:
        """(digits, id) of all records, by their names."""
        with os.scandir(self.layout.registry) as entries:
            found = [match for entry in entries if (match := RECORD.match(entry.name))]
        return [(match["digits"], match["id"]) for match in found]

    def _changed_ns(self) -> int:
        return self.layout.registry.stat().st_mtime_ns

    def _do(self, work: Callable[[sqlite3.Connection], Answer]) -> Answer:
        """Does something with the database, all of it or nothing.

        `work` is called once more, with a new database, where the old one is damaged; so it must
        be safe to do twice.
        """
        private.make_folder(self.path.parent)
        try:
            return self._done(work)
        except sqlite3.DatabaseError as error:
            if _primary(error) not in DAMAGE:
                raise
            LOG.warning("%s is damaged (%s); it is only a memory and begun anew.", self.path, error)
        for ending in ("", *COMPANIONS):
            small_files.discard(self.path.with_name(f"{self.path.name}{ending}"))
        return self._done(work)

    def _done(self, work: Callable[[sqlite3.Connection], Answer]) -> Answer:
        with closing(sqlite3.connect(self.path, timeout=WAIT_S)) as database, database:
            for statement in SETUP:
                database.execute(statement)
            return work(database)


def _primary(error: sqlite3.DatabaseError) -> int | None:
    """SQLite's code of an error, without what it adds to it."""
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _note_listed(database: sqlite3.Connection, changed_ns: int) -> None:
    database.execute("DELETE FROM listed")
    database.execute("INSERT INTO listed VALUES (?)", (changed_ns,))
