"""Locks between processes (and threads): the only module that calls `flock`.

The lock is the kernel's (`flock`): it ends with the process that holds it, however that ends.
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.storage.files import private, small_files

POLL_S = 0.05


class LockBusyError(IdentityPipelineError, RuntimeError):
    """Somebody else kept a lock for longer than the wait."""


@contextmanager
def exclusive(path: Path, what: str, purpose: str, wait_s: float | None) -> Iterator[None]:
    """Holds the lock of a file while the block runs; a bounded wait names who holds it.

    Args:
        path: the lock's file; it stays, and tells who holds the lock.
        what: what the lock protects, in the words of the sentence of the error.
        purpose: what the holder does with it, in the words of that sentence.
        wait_s: how long to wait for another holder; None waits until it is free.

    Raises:
        LockBusyError: it was held all the time; names the holder.
    """
    private.make_folder(path.parent)
    with path.open("a+", encoding="utf-8") as stream:
        _acquire(stream, path, what, wait_s)
        stream.truncate(0)
        me = {"pid": os.getpid(), "host": platform.node(), "purpose": purpose, "since": _now()}
        stream.write(json.dumps(me))
        stream.flush()
        try:
            yield
        finally:
            stream.truncate(0)
            fcntl.flock(stream, fcntl.LOCK_UN)


@contextmanager
def shared(path: Path) -> Iterator[None]:
    """Holds the lock of a file beside others who share it, while the block runs.

    Waits for who holds it alone (`exclusive`).

    Args:
        path: the lock's file; it stays.
    """
    private.make_folder(path.parent)
    with path.open("a+", encoding="utf-8") as stream:
        fcntl.flock(stream, fcntl.LOCK_SH)
        try:
            yield
        finally:
            fcntl.flock(stream, fcntl.LOCK_UN)  # also where a child has the file open, too


@dataclass(frozen=True)
class _Holder:
    purpose: str
    pid: int
    since: str
    host: str = field(default_factory=platform.node)


def holder(path: Path) -> str | None:
    """Who holds a lock, as far as its file tells: "PURPOSE (process 12, since 10:15:01 UTC)".

    The machine is told where it is another one.
    """
    try:
        noted = small_files.parse(path.read_bytes(), _Holder)
    except (OSError, ValueError):
        return None
    where = "" if noted.host == platform.node() else f" on {noted.host}"
    return f"{noted.purpose} (process {noted.pid}{where}, since {noted.since})"


def _now() -> str:
    return f"{datetime.now(UTC):%H:%M:%S} UTC"


def try_lock(descriptor: int, *, shared: bool) -> bool:
    """Locks an open file whose content is not the lock's own, without waiting.

    Closing the descriptor frees the lock.

    Args:
        descriptor: of the open file.
        shared: beside other shared holders; else alone.

    Returns:
        Whether it is locked now.
    """
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _acquire(stream: IO[str], path: Path, what: str, wait_s: float | None) -> None:
    if wait_s is None:
        fcntl.flock(stream, fcntl.LOCK_EX)
        return
    end = time.monotonic() + wait_s
    while not try_lock(stream.fileno(), shared=False):
        if time.monotonic() >= end:
            raise LockBusyError(
                f"{what} is in use by {holder(path) or 'another process'} and did not become "
                f"free within {wait_s:g} s; wait for it to end, then try again."
            )
        time.sleep(POLL_S)
