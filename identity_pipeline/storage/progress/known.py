"""Memories of what lies in folders of many files, so that a look costs what changed since.

One file a memory, in `data/progress/known`: the SHA-256 of what follows, and JSON. Derived, worth
nothing, removed at any time. What is remembered of a file holds while the file's stamp (size, time,
inode) is the same. A file that is written whole is renamed into its folder, so where a folder's
time is the same as well, and is not of the moment in which it was looked at, none of its files is
looked at.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from identity_pipeline.storage.files import atomic
from identity_pipeline.storage.layout import Layout

SLACK_NS: Final = 2_000_000_000
"""A folder that changed so shortly before it was looked at may change again in the same instant."""


def stamp_of(found: os.stat_result) -> str:
    """Changes with a file's content, as far as its folder tells."""
    return f"{found.st_mtime_ns}/{found.st_size}/{found.st_ino}"


def stamps_in(folder: Path, ending: str, beside: str = "", mark: str = "") -> dict[str, str]:
    """The stamps of the files in a folder that have an ending; one look at the folder.

    Args:
        folder: none at all holds nothing.
        ending: what of a file's name is not the video's.
        beside: the ending of what lies beside some of the files.
        mark: ends the stamp of a file beside which it does.

    Returns:
        By video; half-written files are left out.
    """
    found: dict[str, str] = {}
    cut, marked = -len(ending), bool(mark)
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        # The plainest loop: it is gone through for half a million files.
        names = set(os.listdir(folder))  # noqa: PTH208
        for name in names:
            if not name.endswith(ending) or name.startswith(atomic.TEMPORARY_MARK):
                continue
            try:
                stamp = stamp_of(os.stat(f"{folder}/{name}"))  # noqa: PTH116
            except FileNotFoundError:  # it went in between
                continue
            video = name[:cut]
            found[video] = stamp + mark if marked and video + beside in names else stamp
    return found


def changed_at(folder: Path) -> int:
    """When a folder changed last, in nanoseconds since 1970; 0 where there is none."""
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return 0


@dataclass(frozen=True)
class Memory:
    """One memory.

    Attributes:
        layout: the data folder.
        name: of the memory.
        version: of what is kept in it; one of another version is none.
    """

    layout: Layout
    name: str
    version: int

    @property
    def path(self) -> Path:
        """Its file."""
        return self.layout.known / f"{self.name}.json"

    def recall(self) -> dict[str, Any]:
        """What was kept; nothing where there is none, or its bytes are not those that were kept."""
        try:
            digest, body = self.path.read_bytes().split(b"\n", 1)
            whole = digest.decode() == hashlib.sha256(body).hexdigest()
            value = json.loads(body) if whole else {}
        except (OSError, ValueError):
            return {}
        return value if value.get("version") == self.version else {}

    def keep(self, value: Mapping[str, Any]) -> None:
        """Keeps it; where nothing can be written, the next look costs as much as this one."""
        body = json.dumps({"version": self.version, **value}, separators=(",", ":")).encode()
        digest = hashlib.sha256(body).hexdigest().encode()
        with contextlib.suppress(OSError):
            if os.access(self.layout.root, os.W_OK):
                atomic.write_bytes(self.path, digest + b"\n" + body)


def quiet(before: Mapping[str, Any], folder: Path) -> bool:
    """Whether no file of a folder can have changed since it was kept with `looked_at`."""
    now = changed_at(folder)
    return bool(before) and before["folder"] == now and now < before["at"] - SLACK_NS


def looked_at(folder: Path) -> dict[str, int]:
    """When a folder is looked at and when it changed last; to be asked before its files are."""
    return {"at": time.time_ns(), "folder": changed_at(folder)}
