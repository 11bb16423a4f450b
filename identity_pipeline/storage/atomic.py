"""Writing whole or not at all: beside the target, flushed, then renamed into place."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TEMPORARY_MARK = ".partial-"


def temporary_beside(target: Path) -> Path:
    """A path in the target's folder that no other writer uses and no reader looks at."""
    return target.with_name(f"{TEMPORARY_MARK}{target.name}-{os.getpid()}-{uuid.uuid4().hex[:8]}")


def is_temporary(path: Path) -> bool:
    """Whether a path was left by a writer that died."""
    return path.name.startswith(TEMPORARY_MARK)


def target_of(temporary: Path) -> Path:
    """What a temporary path was to become, or was before."""
    name = temporary.name.removeprefix(TEMPORARY_MARK).rsplit("-", 2)[0]
    return temporary.with_name(name)


def is_writer_alive(temporary: Path) -> bool:
    """Whether the process that made a temporary path still runs on this host."""
    process = temporary.name.rsplit("-", 2)[-2]
    if not process.isdigit():
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True


def write_with(target: Path, write: Callable[[Path], None]) -> None:
    """Calls `write` with a temporary path and renames the result to the target."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_beside(target)
    try:
        write(temporary)
        flush(temporary)
        temporary.replace(target)
        flush(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(target: Path, data: bytes) -> None:
    """Writes bytes atomically."""

    def write(path: Path) -> None:
        path.write_bytes(data)

    write_with(target, write)


def write_json(target: Path, value: Any) -> None:
    """Writes JSON atomically, keys sorted, so that equal values are equal bytes."""
    write_bytes(target, json_bytes(value))


def json_bytes(value: Any) -> bytes:
    """Canonical, readable JSON with a final newline."""
    return (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A folder to fill that takes the target's place when the block ends without an error.

    An older folder of that name is moved aside first and removed afterwards; a crash between the
    two renames leaves it to `sweep_temporaries`, and the next run writes the folder again.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_beside(target)
    temporary.mkdir()
    try:
        yield temporary
        for path in sorted(temporary.rglob("*")):
            flush(path)
        retired = temporary_beside(target)
        if target.exists():
            target.rename(retired)
        try:
            temporary.rename(target)
        except OSError:
            if retired.exists():
                retired.rename(target)
            raise
        flush(target.parent)
        shutil.rmtree(retired, ignore_errors=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def sweep_temporaries(root: Path, *, spare_living: bool = False) -> list[Path]:
    """Removes what dead writers left below a folder and returns the paths.

    Only call it while nothing writes there, or spare what writers on this host are at.
    """
    swept = [
        path
        for path in sorted(root.rglob(f"{TEMPORARY_MARK}*"))
        if path.exists() and not (spare_living and is_writer_alive(path))
    ]
    for path in swept:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return swept


def flush(path: Path) -> None:
    """Waits until a file's bytes, or a folder's entries, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
