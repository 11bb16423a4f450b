"""SQLite databases that stay open between two statements.

Dagster opens a database for each statement, compiles the statement, and closes it again, which with
a write-ahead log copies the log into the file and flushes both: of a video's share that was most.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import create_engine, event

if TYPE_CHECKING:
    from sqlalchemy import Engine

WAIT_S: Final = 30
"""How long a database that somebody else writes to is waited for; as Dagster's own."""
KEPT: Final = 4
"""Databases that stay open: the one of all runs, and those of the last few runs."""
_ALL: Final[weakref.WeakSet[OpenDatabases]] = weakref.WeakSet()


class OpenDatabases:
    """Engines of databases by their files, those that were used last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # With the number of its file; None where that was not there yet.
        self._engines: OrderedDict[Path, tuple[Engine, int | None]] = OrderedDict()
        _ALL.add(self)

    def engine(self, path: Path) -> tuple[Engine, bool]:
        """The engine of a database, and whether its file is new: not there yet, or another one.

        Somebody may have removed it, or put another one in its place, while it was open; what was
        written to the old one would be lost.
        """
        with self._lock:
            engine, number = self._engines.pop(path, (None, None))
            now = _number(path)
            changed = number is not None and number != now
            if engine is not None and changed:
                engine.dispose()
            if engine is None or changed:
                engine = _engine(path)
            self._engines[path] = (engine, now)
            while len(self._engines) > KEPT:
                self._engines.popitem(last=False)[1][0].dispose()
            return engine, changed or now is None

    def close(self, path: Path | None = None) -> None:
        """Closes one database, or all; each is opened again when it is asked for."""
        with self._lock:
            for one in [path] if path else list(self._engines):
                engine, _ = self._engines.pop(one, (None, None))
                if engine is not None:
                    engine.dispose()


def _number(path: Path) -> int | None:
    """What a file has that no other one has while it is there."""
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


def _engine(path: Path) -> Engine:
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": WAIT_S})
    event.listen(engine, "connect", _on_connect)
    return engine


def _on_connect(connection: Any, _: object) -> None:
    """Commits reach the disk with the next checkpoint of the log.

    A process that is killed loses nothing. A machine that loses power may lose the last entries of
    its runs, and never the soundness of the file; what a run made is in the data folder, flushed,
    and is what decides what is made again.
    """
    connection.execute("PRAGMA synchronous=NORMAL")


def _close_all() -> None:
    for one in list(_ALL):
        one.close()


# A connection of SQLite must not be carried into another process.
os.register_at_fork(before=_close_all)
