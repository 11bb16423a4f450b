"""A small SQLite database that only remembers: one that is damaged is put away and begun anew.

What belongs here: opening it, and telling damage from a database that is busy. What is remembered
is for the callers; whatever they do must be safe to do twice.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final, TypeVar

from identity_pipeline.storage.files import private, small_files

LOG = logging.getLogger(__name__)
WAIT_S = 10.0
"""For another process that writes; a write takes milliseconds."""
DAMAGE: Final = frozenset(
    {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_MISMATCH}
)
"""Not a database, a broken one, or one whose tables are others. Busy, full and read-only are not:
these are told to whoever asked."""
COMPANIONS: Final = ("-journal", "-wal", "-shm")
Answer = TypeVar("Answer")


def remembering(
    path: Path, setup: Sequence[str], work: Callable[[sqlite3.Connection], Answer]
) -> Answer:
    """Does something with a database, all of it or nothing.

    Args:
        path: of the database; made where there is none.
        setup: statements that make its tables where they are not there.
        work: is called with the open database, once more with a new one where it was damaged.

    Raises:
        sqlite3.Error: it is busy for too long, or cannot be written.
    """
    private.make_folder(path.parent)
    try:
        return _done(path, setup, work)
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", None)
        if code is None or code & 0xFF not in DAMAGE:
            raise
        LOG.warning("%s is damaged (%s); it is only a memory and begun anew.", path, error)
    for name in (path.name, *(f"{path.name}{ending}" for ending in COMPANIONS)):
        small_files.discard(path.with_name(name))
    return _done(path, setup, work)


def _done(path: Path, setup: Sequence[str], work: Callable[[sqlite3.Connection], Answer]) -> Answer:
    with closing(sqlite3.connect(path, timeout=WAIT_S)) as database, database:
        for statement in setup:
            database.execute(statement)
        return work(database)
