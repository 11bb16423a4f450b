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
        written to the old one would be lost, and what was erased would stay on the disk with it.
        """
        with self._lock:
            changed = path in self._drop_replaced()
            engine, _ = self._engines.pop(path, (None, None))
            now = _number(path)
            self._engines[path] = (engine or _engine(path), now)
            while len(self._engines) > KEPT:
                self._engines.popitem(last=False)[1][0].dispose()
            return self._engines[path][0], changed or now is None

    def _drop_replaced(self) -> set[Path]:
        """Closes those whose file is not the one that was opened."""
        gone = {
            path
            for path, (_, number) in self._engines.items()
            if number is not None and number != _number(path)
        }
        for path in gone:
            self._engines.pop(path)[0].dispose()
        return gone

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


def close_all() -> None:
    """Closes all that this process has open; each is opened again when it is asked for."""
    for one in list(_ALL):
        one.close()


# A connection of SQLite must not be carried into another process.
os.register_at_fork(before=close_all)
