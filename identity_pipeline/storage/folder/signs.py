"""Signs of whether anything in a data folder is other than it was, without opening a file.

Files are renamed into their folders (`storage.files.atomic`), so a folder whose time is the same
holds the same files. What is appended to or changed in place (the ledger, costs, Dagster's
database) is looked at itself. What no picture of the work depends on is left out: the crops of
single videos, profiles, the index's points, pictures of the desk, what was published.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.progress.known import stamp_of

FOLDERS: Final = (
    *("registry", "failures", "redactions", "crops", "output", "index", "keys", "forgetting"),
    *("ledger", "progress/live", "tables/.generations"),
)
TREES: Final = ("models/heads", "photo_sets", "chunks")
"""Folders with folders that matter."""
FILES: Final = (
    *("folder.json", "acknowledged.json", "paused.json", "progress/batches.json"),
    *("ledger/events.jsonl", "ledger/head.json", "tables/library"),
)
RUNS: Final = ("storage/history/runs.db", "storage/history/runs.db-wal")
"""Dagster's database of runs, in its folder."""
MANY: Final = "tables"
"""Of a folder of this name the folders in it matter, not what they hold: files by the thousand."""


def signs_of(layout: Layout, others: Iterable[str] = ()) -> dict[str, str]:
    """What tells this state of a folder from others, by path.

    Args:
        layout: the data folder.
        others: paths outside it that matter too.
    """
    root = str(layout.root)
    paths = [f"{root}/{name}" for name in (*FOLDERS, *FILES)]
    for tree in (*TREES, MANY):
        paths += _folders(f"{root}/{tree}", tree == MANY)
    paths += _files(f"{root}/progress/costs")
    paths += [f"{layout.dagster}/{name}" for name in RUNS]
    in_force = _link(layout.library_tables)
    paths += [str(layout.library_tables.parent / in_force)] if in_force else []
    found = {path: sign_of(path) for path in (*paths, *others)}
    return {**found, "library": in_force}


def sign_of(path: str) -> str:
    """Changes with a file, or with what is in a folder; `-` where there is none."""
    try:
        return stamp_of(os.stat(path))  # noqa: PTH116 - of thousands
    except OSError:
        return "-"


def newest(signs: dict[str, str]) -> int:
    """When the last of them changed, in nanoseconds since 1970."""
    return max((int(s.split("/")[0]) for s in signs.values() if s[:1].isdigit()), default=0)


def _folders(folder: str, many: bool) -> Iterator[str]:
    """A folder and all folders in it; of those by the thousand only the first level."""
    yield folder
    try:
        with os.scandir(folder) as entries:
            inner = [(e.path, e.name) for e in entries if e.is_dir(follow_symlinks=False)]
    except OSError:
        return
    for path, name in inner:
        if many:
            yield path
        else:
            yield from _folders(path, name == MANY)


def _files(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.path for entry in entries if entry.is_file()]
    except OSError:
        return []


def _link(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return ""
