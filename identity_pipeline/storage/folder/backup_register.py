"""Which backups were made of a data folder, wherever they lie: who is forgotten may still be there.

A backup holds no keys, so of somebody forgotten it holds sealed names; but profiles and photographs
lie in it plain. It expires: see the setting `retention.backups_days`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from identity_pipeline.storage.files import atomic, locks, small_files
from identity_pipeline.storage.layout import Layout

MEND: Final = "Remove it: the backups themselves stay, and receipts no longer name them."


@dataclass(frozen=True)
class NotedBackup:
    """One backup.

    Attributes:
        path: where it was written, absolute.
        made_at: ISO time with a zone.
        sha256: of the file as it was written.
        events: of the ledger that it holds.
        keys: where the keys were written beside it, absolute, or None.
    """

    path: str
    made_at: str
    sha256: str
    events: int
    keys: str | None = None


@dataclass(frozen=True)
class _Register:
    backups: tuple[NotedBackup, ...] = ()


def noted_backups(layout: Layout) -> tuple[NotedBackup, ...]:
    """All backups that were noted, the oldest first; one that was written over is there once.

    Raises:
        DamagedFileError: the register is damaged.
    """
    found = small_files.read(layout.backup_register, _Register, MEND)
    return found.backups if found else ()


def note_backup(layout: Layout, backup: NotedBackup) -> None:
    """Notes a backup; of one of the same path only the newest is known."""

    def with_it(known: tuple[NotedBackup, ...]) -> tuple[NotedBackup, ...]:
        return (*(one for one in known if one.path != backup.path), backup)

    _change(layout, with_it)


def drop_notes(layout: Layout, paths: set[Path]) -> None:
    """Forgets backups that are gone."""
    names = {str(path) for path in paths}
    _change(layout, lambda known: tuple(one for one in known if one.path not in names))


def _change(
    layout: Layout, change: Callable[[tuple[NotedBackup, ...]], tuple[NotedBackup, ...]]
) -> None:
    lock = layout.backup_register.with_name(".register.lock")
    with locks.exclusive(lock, "The register of backups", "noting a backup", None):
        register = _Register(change(noted_backups(layout)))
        atomic.write_json(layout.backup_register, asdict(register))
