"""Modes of what is written: faces, names and vectors are read by nobody but their owner.

Folders are 0700 and files 0600, whatever umask a process is started with: each entry point sets
it (`guard`), and what is written whole sets its own modes besides (`atomic`). Where a group
has to read, `paths.group_may_read` makes that 0750 and 0640. Nobody else ever may.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import IO

PRIVATE, GROUP = 0o077, 0o027
"""Bits that are taken from every mode: all of group and others, or all but reading by the group."""
HELD = (
    *("registry", "photo_sets", "failures", "archive", "cameras", "tables", "crops", "chunks"),
    *("output", "datasets", "desk", "set_versions", "audits"),
    *("keys", "redactions", "forgetting", "receipts"),
    *("reports", "published", "progress", "ledger", "models", "index", "dagster", "logs"),
    *("backups", "folder.json", "acknowledged.json", "paused.json", ".folder.lock"),
)
"""What is made private in a data folder. Not the inbox: somebody else may put videos there, and
only its owner knows who."""


class _Guard:
    """What holds in this process."""

    mask = PRIVATE


def guard(*, group_may_read: bool | None = None) -> None:
    """Makes everything that this process and its children write from now on private.

    Args:
        group_may_read: the setting; None where it is not known yet.
    """
    if group_may_read is not None:
        _Guard.mask = GROUP if group_may_read else PRIVATE
    os.umask(_Guard.mask)


def file_mode() -> int:
    """The mode of a new file."""
    return 0o666 & ~_Guard.mask


def folder_mode() -> int:
    """The mode of a new folder."""
    return 0o777 & ~_Guard.mask


def make_folder(path: Path) -> None:
    """Makes a folder and its missing parents; an existing one keeps its mode."""
    missing = []
    while not path.exists():
        missing.append(path)
        path = path.parent
    for folder in reversed(missing):
        with contextlib.suppress(FileExistsError):  # somebody else was faster
            folder.mkdir(mode=folder_mode())
            folder.chmod(folder_mode())
    if missing:
        missing[0].mkdir(exist_ok=True)  # says what is wrong where a file is in the way


def new_file(path: Path) -> IO[bytes]:
    """A new file, private from its first byte.

    Raises:
        FileExistsError: there is something, be it a link that leads nowhere.
    """
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, file_mode()), "wb")


def tighten(root: Path) -> int:
    """Takes from a data folder what others may do with it, once: its own mode says so afterwards.

    Links are not followed and stay as they are; what belongs to another user is left alone.

    Returns:
        How many files and folders were changed.
    """
    found = root.stat()
    if not stat.S_IMODE(found.st_mode) & _Guard.mask or not _ours(found):
        return 0
    changed = 0
    for name in HELD:
        path = root / name
        if path.is_symlink() or not path.exists():
            continue
        changed += _tightened(path)
        for folder, folders, files in os.walk(path):
            changed += sum(_tightened(Path(folder) / one) for one in (*folders, *files))
    root.chmod(stat.S_IMODE(found.st_mode) & ~_Guard.mask)  # last: a walk that was killed is redone
    return changed + 1


def _ours(found: os.stat_result) -> bool:
    return os.geteuid() in (0, found.st_uid)


def _tightened(path: Path) -> bool:
    """Whether something was taken from a file or a folder."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:  # a link, a socket, gone meanwhile, or somebody else's
        return False
    try:
        found = os.fstat(descriptor)
        mode = stat.S_IMODE(found.st_mode)
        is_plain = stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)
        if not mode & _Guard.mask or not is_plain or not _ours(found):
            return False
        os.fchmod(descriptor, mode & ~_Guard.mask)
        return True
    finally:
        os.close(descriptor)
