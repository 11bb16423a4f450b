"""Writing whole or not at all: beside the target, flushed, then renamed into place; private."""

from __future__ import annotations

import ctypes
import errno
import hashlib
import json
import os
import platform
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from identity_pipeline.storage.files import private
from identity_pipeline.storage.files.processes import is_running

TEMPORARY_MARK = ".partial-"
HERE = hashlib.sha256(platform.node().encode()).hexdigest()[:6]
"""Stands for this machine in temporary names: several may share a data folder."""
ELSEWHERE_S = 3600.0
"""A writer on another machine counts as alive while what it writes changed within this time."""


def temporary_beside(target: Path) -> Path:
    """A path in the target's folder that no other writer uses and no reader looks at."""
    writer = f"{os.getpid()}@{HERE}"
    return target.with_name(f"{TEMPORARY_MARK}{target.name}-{writer}-{uuid.uuid4().hex[:8]}")


def left_by(pid: int, folder: Path) -> list[Path]:
    """Temporary paths in a folder that a process of this machine made."""
    return sorted(folder.glob(f"{TEMPORARY_MARK}*-{pid}@{HERE}-*"))


def is_temporary(path: Path) -> bool:
    """Whether a path was left by a writer that died."""
    return path.name.startswith(TEMPORARY_MARK)


def target_of(temporary: Path) -> Path:
    """What a temporary path was to become, or was before."""
    name = temporary.name.removeprefix(TEMPORARY_MARK).rsplit("-", 2)[0]
    return temporary.with_name(name)


def is_writer_alive(temporary: Path) -> bool:
    """Whether the process that made a temporary path still runs; of other hosts by its age."""
    process, _, machine = temporary.name.rsplit("-", 2)[-2].partition("@")
    if machine not in ("", HERE):
        return time.time() - temporary.lstat().st_mtime < ELSEWHERE_S
    return process.isdigit() and is_running(int(process))


def write_with(target: Path, write: Callable[[Path], None]) -> None:
    """Calls `write` with a temporary path and renames the result to the target."""
    write_together((target, write))


def write_together(*parts: tuple[Path, Callable[[Path], None]]) -> None:
    """Writes several files of one folder under temporary names, then renames them at once.

    Nothing waits for the disk between two renames, so a reader that finds files that do not fit
    each other finds fitting ones when it reads again.

    Args:
        parts: target, and what writes a temporary path; called and put in place in this order.
    """
    temporaries: list[tuple[Path, Path]] = []
    try:
        for target, write in parts:
            private.make_folder(target.parent)
            temporary = temporary_beside(target)
            temporaries.append((temporary, target))
            write(temporary)
            temporary.chmod(private.file_mode())
            flush(temporary)
        for temporary, target in temporaries:
            temporary.replace(target)
        for folder in {target.parent for target, _ in parts}:
            flush(folder)
    finally:
        for temporary, _ in temporaries:
            temporary.unlink(missing_ok=True)


def write_bytes(target: Path, data: bytes) -> None:
    """Writes bytes atomically."""

    def write(path: Path) -> None:
        with private.new_file(path) as file:
            file.write(data)

    write_with(target, write)


def write_json(target: Path, value: Any, *, lines: bool = True) -> None:
    """Writes JSON atomically, keys sorted, so that equal values are equal bytes.

    Args:
        target: the file.
        value: what it is to hold.
        lines: readable, a line for each value; all in one is written ten times as fast.
    """
    write_bytes(target, json_bytes(value, lines=lines))


def json_bytes(value: Any, *, lines: bool = True) -> bytes:
    """Canonical JSON with a final newline; see `write_json`."""
    indent = 2 if lines else None
    return (json.dumps(value, indent=indent, sort_keys=True, ensure_ascii=False) + "\n").encode()


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A folder to fill that takes the target's place when the block ends without an error.

    An older folder of that name is exchanged for it in one step of the kernel, then removed: at
    every moment there is the old folder or the new one. Where system or file system cannot
    exchange (anything but Linux, some network shares) the old one is moved aside first; a crash
    between the two renames then leaves no folder until the next run writes it again.
    """
    private.make_folder(target.parent)
    temporary = temporary_beside(target)
    temporary.mkdir(mode=0o700)
    try:
        yield temporary
        for path in sorted(temporary.rglob("*")):
            if not path.is_symlink():
                path.chmod(private.folder_mode() if path.is_dir() else private.file_mode())
            flush(path)
        temporary.chmod(private.folder_mode())
        flush(temporary)
        _put_in_place(temporary, target)
        flush(target.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def remove(path: Path) -> None:
    """Removes a file or a folder: under a temporary name first, so that nobody reads half of it.

    What a kill leaves of it is swept like every half-written file.
    """
    retired = temporary_beside(path)
    path.rename(retired)
    shutil.rmtree(retired) if retired.is_dir() else retired.unlink()


def _put_in_place(new: Path, target: Path) -> None:
    """Renames a folder to the target; an older target is removed, or lies at `new`."""
    if not target.exists():
        try:
            new.rename(target)
        except OSError as error:  # another writer may have been there first
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        else:
            return
    if not exchange(new, target):
        retired = temporary_beside(target)
        target.rename(retired)
        try:
            new.rename(target)
        except OSError:
            retired.rename(target)
            raise
        shutil.rmtree(retired, ignore_errors=True)


_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
"""Of the kernel's <fcntl.h> and <linux/fs.h>."""
_CANNOT_EXCHANGE = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EPERM}


def exchange(a: Path, b: Path) -> bool:
    """Swaps two paths of one file system in one step.

    Returns:
        Whether it was done; False where the C library, kernel or file system cannot.

    Raises:
        OSError: a path is not there, or may not be renamed.
    """
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        return False
    renamed = renameat2(
        _AT_FDCWD, os.fsencode(a), _AT_FDCWD, os.fsencode(b), ctypes.c_uint(_RENAME_EXCHANGE)
    )
    code = ctypes.get_errno()
    if renamed and code not in _CANNOT_EXCHANGE:
        raise OSError(code, os.strerror(code), str(a), None, str(b))
    return not renamed


def sweep_temporaries(root: Path, *, spare_living: bool = False) -> list[Path]:
    """Removes what dead writers left below a folder and returns the paths.

    Only call it while nothing writes there, or spare what living writers are at.
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
