"""Which video a file is, remembered by size, time and inode, so that a known file costs one stat.

Only a memory: it can be deleted at any time, and then every file is read once more. It holds the
files that lie in the inbox now, so it does not grow with the history.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from identity_pipeline.storage.files.memory_database import remembering
from identity_pipeline.storage.layout import VIDEO_ID, Layout
from identity_pipeline.storage.video.registry import Registration, VideoRegistry

SETUP: Final = (
    # The journal stays, so that a write leaves the folder's time of change alone: it tells
    # `storage.video.digests` of new records.
    "PRAGMA journal_mode = PERSIST",
    "CREATE TABLE IF NOT EXISTS files (path TEXT PRIMARY KEY, size INTEGER, mtime_ns INTEGER, "
    "inode INTEGER, video_id TEXT) WITHOUT ROWID",
)
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
    """The memory in `data/registry/known_files.sqlite`."""

    layout: Layout

    @property
    def path(self) -> Path:
        """The database."""
        return self.layout.registry / "known_files.sqlite"

    def all(self) -> dict[str, KnownFile]:
        """What is remembered, by path; an entry that makes no sense is passed over."""
        query = "SELECT path, size, mtime_ns, inode, video_id FROM files"
        rows = self._do(lambda database: database.execute(query).fetchall())
        return {
            path: KnownFile(Stamp(*stamp), video)
            for path, *stamp, video in rows
            if isinstance(video, str) and VIDEO_ID.fullmatch(video)
        }

    def register(self, path: Path) -> tuple[Registration, bool]:
        """As `VideoRegistry.register`, and remembers the file unless it changed meanwhile."""
        before = Stamp.of(path.stat())
        record, is_new = VideoRegistry(self.layout).register(path)
        if Stamp.of(path.stat()) == before:
            self.remember({str(path): KnownFile(before, record.video_id)})
        return record, is_new

    def remember(self, files: Mapping[str, KnownFile]) -> None:
        """Notes files, by path, in place of what was known of them."""
        rows = [(path, *file.stamp, file.video_id) for path, file in files.items()]
        insert = "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)"
        self._do(lambda database: database.executemany(insert, rows))

    def forget(self, paths: Iterable[str]) -> None:
        """Forgets files, because they are gone."""
        gone = [(path,) for path in paths]
        self._do(lambda database: database.executemany("DELETE FROM files WHERE path = ?", gone))

    def _do(self, work: Callable[[sqlite3.Connection], Answer]) -> Answer:
        return remembering(self.path, SETUP, work)
