"""Whether a folder is a data folder, its format and id, and the way from an older format to ours.

A mistyped folder is no empty library: the sentence says which one may be meant.

`data/folder.json` holds format and id. A folder without it that holds data was made before there
were formats: that is format 1. The first process that opens a folder brings it to the present
format; a folder of a newer format is refused. The note is written last, so a migration that
was killed is done again from its beginning: each one may be repeated.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import ClassVar, Final

from identity_pipeline.errors import IdentityPipelineError, system_words
from identity_pipeline.storage.files import atomic, private
from identity_pipeline.storage.files.hashing import sha256_of_file
from identity_pipeline.storage.files.locks import exclusive
from identity_pipeline.storage.folder.backup import write_backup
from identity_pipeline.storage.folder.backup_register import NotedBackup, note_backup
from identity_pipeline.storage.folder.sealing import seal_ledger
from identity_pipeline.storage.layout import Layout

FORMAT: Final = 4
"""Of the folders that this program writes. Raise it, with a migration, when an older program would
misread or spoil what a newer one writes; a new field that has a default needs no new format."""
UNNUMBERED: Final = 1
"""Of folders from before there were formats."""
DATA: Final = ("registry", "tables", "ledger", "output", "models", "failures", "archive")
"""Folders of which a file makes a data folder one that was in use."""
OWN: Final = frozenset({*private.HELD, "videos", "photos"}) - {"backups", "acknowledged.json"}
"""What a data folder may hold; any of it makes one."""
SURE: Final = frozenset({"registry", "tables", "ledger"})
"""What nothing else holds: by these another folder is offered."""
READ_ONLY: Final = (errno.EROFS, errno.EACCES, errno.EPERM)
WAIT_S: Final = 600.0
"""How long to wait for another process that migrates."""

Tell = Callable[[str], None]
"""Is told in a sentence what a migration does."""


class DataFolderError(IdentityPipelineError, RuntimeError):
    """A data folder that this program cannot open."""


class NoDataFolderError(IdentityPipelineError, ValueError):
    """The data folder that is named is none; the sentence says which may be meant."""

    exit_status: ClassVar[int] = 2


@dataclass(frozen=True)
class DataFolder:
    """What a data folder says of itself.

    Attributes:
        format: of its files.
        id: 32 hex digits that no other folder has, and that it keeps; empty for a folder of an
            older format that cannot be written.
    """

    format: int
    id: str


@dataclass(frozen=True)
class Migration:
    """The way from one format to the next.

    Attributes:
        what: what it changes, in words that follow "it".
        migrate: does it; may be called again where an earlier call was killed.
    """

    what: str
    migrate: Callable[[Layout], None]


def _note_what_was_acknowledged(layout: Layout) -> None:
    """Format 2 knows outside the ledger's folder how far the ledger was acknowledged."""
    head = layout.ledger.with_name("head.json")
    if head.is_file() and not layout.acknowledged.is_file():
        atomic.write_bytes(layout.acknowledged, head.read_bytes())


def _seal_names(layout: Layout) -> None:
    """Format 3 has no name of a person in plain text in the ledger.

    A damaged ledger stays as it is: whoever reads it is told, and `restore` seals what it brings.
    """
    if layout.ledger.is_file():
        with contextlib.suppress(ValueError, KeyError, AttributeError, TypeError):
            seal_ledger(layout)


MIGRATIONS: Final[Mapping[int, Migration]] = {
    1: Migration("notes how many decisions the ledger holds", _note_what_was_acknowledged),
    2: Migration(
        "seals the names and words in the ledger, each with a key of its own in data/keys, and "
        "anchors the chain of its lines anew",
        _seal_names,
    ),
    3: Migration("may keep the tables of a finished video in one file", lambda layout: None),
}
"""By the format that each one starts from."""


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
        if root.exists():
            names = _names_in(root, usual)
        else:
            _check_missing(root, usual, new)
            return
    except OSError as error:
        raise NoDataFolderError(f"the data folder cannot be read. {system_words(error)}") from error
    if new or names & OWN:
        return
    if not names and root.name in OWN and _is_one(root.parent):
        raise NoDataFolderError(
            f"{root} lies inside the data folder {root.parent}; did you mean {root.parent}?"
        )
    if names - {"README.md", ".gitkeep"}:
        raise NoDataFolderError(
            f"{root} is no data folder, it holds other things{_meant(root, usual)}; name the "
            "folder with --data, or, to begin a new one: identity-pipeline run FILE"
        )


def _names_in(root: Path, usual: Iterable[Path]) -> set[str]:
    if not root.is_dir():
        raise NoDataFolderError(
            f"{root} is a file, and no data folder{_meant(root, usual)}; --data names the folder."
        )
    return {entry.name for entry in os.scandir(root)}


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
    beside = {path.name: path for path in filter(_is_one, _folders(root.parent))}
    alike = [beside[name] for name in get_close_matches(root.name, beside, n=1)]
    others = [path for path in usual if path.absolute() != root.absolute()]
    found = [*filter(_is_one, _folders(root)), *alike, *filter(_is_one, (*others, root.parent))]
    return f"; did you mean {found[0]}?" if found else ""


def _folders(parent: Path) -> list[Path]:
    return sorted(path for path in parent.iterdir() if path.is_dir()) if parent.is_dir() else []


def _is_one(path: Path) -> bool:
    return any((path / name).is_dir() for name in SURE)


def open_data_folder(layout: Layout, tell: Tell | None = None) -> DataFolder | None:
    """Opens a folder to read it, or to work in it; brings an older one to the present format.

    Where nothing may be written, an older folder is read as it is.

    Args:
        layout: the folder.
        tell: is told what a migration does.

    Returns:
        What the folder says of itself; None for one that was never used, which stays untouched.

    Raises:
        DataFolderError: it is of a newer format, or its note is damaged.
        LockBusyError: another process has been migrating it for very long.
    """
    noted = noted_folder(layout)
    if noted is None and not holds_data(layout):
        return None
    _make_private(layout, tell)
    if noted is not None and noted.format == FORMAT:
        return noted
    try:
        return _brought_up(layout, tell)
    except OSError as error:
        if error.errno not in READ_ONLY:
            raise
        return noted or DataFolder(UNNUMBERED, "")


def claim_data_folder(layout: Layout, tell: Tell | None = None) -> DataFolder:
    """Opens a folder to work in it; one that was never used gets its note.

    Raises:
        DataFolderError: it is of a newer format, or its note is damaged.
        LockBusyError: another process has been migrating it for very long.
        OSError: it cannot be written.
    """
    noted = noted_folder(layout)
    folder = noted if noted and noted.format == FORMAT else _brought_up(layout, tell)
    _make_private(layout, tell)
    return folder


def noted_folder(layout: Layout) -> DataFolder | None:
    """What the note says; None without one.

    Raises:
        DataFolderError: the folder is of a newer format, or the note is damaged.
    """
    path = layout.folder_note
    try:
        noted = json.loads(path.read_bytes())
        version, name = noted["format"], noted["id"]
        if type(version) is not int or version < UNNUMBERED or not isinstance(name, str):
            raise TypeError("wrong types")
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise DataFolderError(
            f"{path} is damaged ({error!r}); remove it: the folder then gets a new id, and "
            "everything else stays as it is."
        ) from error
    if version > FORMAT:
        raise DataFolderError(
            f"{layout.root} is a data folder of format {version}, and this program knows formats "
            f"up to {FORMAT}; update identity_pipeline, or name another folder with --data."
        )
    return DataFolder(version, name)


def _make_private(layout: Layout, tell: Tell | None) -> None:
    """Takes from others what an older program, or a copy, let them do in the folder."""
    try:
        changed = private.tighten(layout.root)
    except OSError as error:
        if error.errno not in READ_ONLY:
            raise
        return
    if changed > 1 and tell is not None:
        tell(
            f"{layout.root} was open to other users of this machine; {changed} files and folders "
            "of it are private now (paths.group_may_read lets its group read)."
        )


def holds_data(layout: Layout) -> bool:
    """Whether somebody has worked in a folder."""
    return any(_has_entries(layout.root / name) for name in DATA)


def pending(layout: Layout) -> list[Migration]:
    """What opening a folder would do to it, in order.

    Raises:
        DataFolderError: see `noted_folder`.
    """
    noted = noted_folder(layout)
    if noted is None and not holds_data(layout):
        return []
    return _from(noted.format if noted else UNNUMBERED)


def _from(version: int) -> list[Migration]:
    return [MIGRATIONS[number] for number in range(version, FORMAT)]


def _brought_up(layout: Layout, tell: Tell | None) -> DataFolder:
    """Migrates under a lock, or makes the note of a new folder."""
    purpose = "a migration to the present format"
    with exclusive(layout.root / ".folder.lock", f"The data folder {layout.root}", purpose, WAIT_S):
        noted = noted_folder(layout)  # another process may have been faster
        if noted is not None and noted.format == FORMAT:
            return noted
        name = noted.id if noted else uuid.uuid4().hex
        steps = pending(layout)
        if steps:
            _say(tell, f"{layout.root} is of an older version and is brought to format {FORMAT}.")
            _back_up(layout, noted.format if noted else UNNUMBERED, tell)
        for migration in steps:
            _say(tell, f"It {migration.what}.")
            migration.migrate(layout)
        folder = DataFolder(FORMAT, name)
        atomic.write_json(layout.folder_note, asdict(folder))
        return folder


def _back_up(layout: Layout, version: int, tell: Tell | None) -> None:
    """Keeps what cannot be made again, as it was before a migration."""
    target = layout.backups / f"before-format-{version + 1}.zip"
    names_something = layout.ledger.is_file() or any(layout.registry.glob("*.json"))
    if target.exists() or not names_something:  # it is there after a migration that was killed
        return
    events = write_backup(layout, target).events
    made_at = datetime.now(UTC).isoformat()
    digest = sha256_of_file(target)
    note_backup(layout, NotedBackup(str(target.absolute()), made_at, digest, events))
    _say(tell, f"A backup of what cannot be made again is {target}.")


def _say(tell: Tell | None, sentence: str) -> None:
    if tell:
        tell(sentence)


def _has_entries(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def inner_folder(root: Path, file: str) -> Path | None:
    """The data folder within another in which a file lies; None of a file of the outer one.

    Args:
        root: the outer data folder.
        file: below it.
    """
    within = [root / parent for parent in Path(file).parents if parent != Path()]
    return next((folder for folder in within if Layout(folder).folder_note.is_file()), None)
