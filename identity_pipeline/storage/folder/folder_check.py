"""Whether a folder is a data folder, so that a mistyped one is no empty library.

What belongs here: telling a data folder from any other, and which one may be meant. What lies in
it: `storage.layout`; which format it has: `storage.folder.data_folder`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import ClassVar, Final

from identity_pipeline.errors import IdentityPipelineError, system_words

OWN: Final = frozenset(
    {"registry", "tables", "ledger", "videos", "output", "failures", "archive", "models", "index",
     "progress", "dagster", "published", "crops", "chunks", "cameras", "reports", "paused.json",
     "logs", "folder.json", ".folder.lock"}
)  # fmt: skip
"""What a data folder may hold; any of it makes one."""
SURE: Final = frozenset({"registry", "tables", "ledger"})
"""What nothing else holds: by these another folder is offered."""


class NoDataFolderError(IdentityPipelineError, ValueError):
    """The data folder that is named is none; the sentence says which may be meant."""

    exit_status: ClassVar[int] = 2


def check_data_folder(root: Path, usual: Iterable[Path] = (), *, new: bool = False) -> None:
    """Passes a data folder, also an empty one.

    Args:
        root: the folder that is named.
        usual: others that may be meant.
        new: a folder that is not there may be begun.

    Raises:
        NoDataFolderError: there is none, or it may not be read, or it holds other things.
    """
    try:
        if not root.exists():
            _check_missing(root, usual, new)
            return
        if not root.is_dir():
            raise NoDataFolderError(
                f"{root} is a file, and no data folder{_meant(root, usual)}; "
                "--data names the folder."
            )
        names = {entry.name for entry in os.scandir(root)}
    except OSError as error:
        raise NoDataFolderError(f"the data folder cannot be read. {system_words(error)}") from error
    if not new and root.name in OWN and not names and _is_one(root.parent):
        raise NoDataFolderError(
            f"{root} lies inside the data folder {root.parent}; did you mean {root.parent}?"
        )
    if new or not names or names & OWN or names <= {"README.md", ".gitkeep"}:
        return
    raise NoDataFolderError(
        f"{root} is no data folder, it holds other things{_meant(root, usual)}; name the folder "
        "with --data, or, to begin a new one: identity-pipeline run FILE"
    )


def _check_missing(root: Path, usual: Iterable[Path], new: bool) -> None:
    parent = next(folder for folder in root.absolute().parents if folder.exists())
    if not parent.is_dir():
        raise NoDataFolderError(f"there can be no data folder at {root}, for {parent} is a file.")
    if not new:
        raise NoDataFolderError(
            f"there is no data folder at {root}{_meant(root, usual) or '.'} To begin one: "
            "identity-pipeline run FILE"
        )


def _meant(root: Path, usual: Iterable[Path]) -> str:
    """`; did you mean FOLDER?` for a data folder near the one that is named, else nothing."""
    there = [path for path in usual if path.absolute() != root.absolute() and _is_one(path)]
    inside = [path for path in _folders(root) if _is_one(path)]
    beside = {path.name: path for path in _folders(root.parent) if _is_one(path)}
    alike = [beside[name] for name in get_close_matches(root.name, beside, n=1)]
    around = [root.parent] if _is_one(root.parent) else []
    found = [*inside, *alike, *there, *around]
    return f"; did you mean {found[0]}?" if found else ""


def _folders(parent: Path) -> list[Path]:
    return sorted(path for path in parent.iterdir() if path.is_dir()) if parent.is_dir() else []


def _is_one(path: Path) -> bool:
    return any((path / name).is_dir() for name in SURE)
