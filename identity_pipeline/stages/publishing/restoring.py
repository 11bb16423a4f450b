"""A backup brought back into a data folder, without losing what the folder holds.

The ledger is the last thing to be put in place, in one step: a crash before leaves the old one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.ledger import witnesses
from identity_pipeline.ledger.errors import DamagedLedgerError, LedgerError
from identity_pipeline.ledger.lines import FIRST, digest
from identity_pipeline.ledger.store import LedgerStore
from identity_pipeline.ledger.witnesses import GivenUp
from identity_pipeline.storage.files import atomic
from identity_pipeline.storage.files.hashing import sha256_of_file
from identity_pipeline.storage.files.small_files import parse
from identity_pipeline.storage.folder.backup import (
    ACKNOWLEDGED,
    DATA,
    EVENTS,
    FOLDER,
    MEND,
    REDACTIONS,
    SETTINGS,
    BackupError,
    BackupManifest,
    place_of,
    read_backup,
    write_backup,
)
from identity_pipeline.storage.folder.backup_register import NotedBackup, note_backup
from identity_pipeline.storage.folder.data_folder import FORMAT, DataFolder, holds_data
from identity_pipeline.storage.folder.keys import KeyStore
from identity_pipeline.storage.folder.sealing import sealed_lines
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.redactions import Redactions

LEDGER_ONLY = (DATA + EVENTS, DATA + ACKNOWLEDGED)
TOKEN: Final = re.compile(rb"~[0-9a-f]{16}")
"""What a ride is called in the ledger."""


class RestoreError(IdentityPipelineError, RuntimeError):
    """A backup that would take decisions away which the folder holds, or knew."""


@dataclass(frozen=True)
class Restored:
    """What a restore did.

    Attributes:
        events: in the ledger now.
        written: files of the data folder that were put in place.
        kept: files that were there with other content, and stayed.
        lost: what the folder knew and the backup does not hold; the most first.
        beside: where the ledger that was there lies now; null where it was the same or none.
        settings: what became of the settings, as a sentence; empty where the backup has none.
        unreadable: on names that cannot be read, as a sentence; None where all can.
    """

    events: int
    written: tuple[str, ...]
    kept: tuple[str, ...]
    lost: tuple[GivenUp, ...]
    beside: Path | None
    settings: str
    unreadable: str | None


def back_up(layout: Layout, target: Path, at: str, keys: Path | None = None) -> BackupManifest:
    """Writes a backup of a folder whose ledger is whole, and notes that there is one.

    Args:
        layout: the data folder.
        target: the file.
        at: ISO time with a zone.
        keys: where the keys are written, apart from the backup; None: nowhere.

    Raises:
        LedgerError: the ledger is damaged or lost: a backup of it would replace a good one.
        RestoreError: there is nothing in the folder, the backup would lie in it, or the keys would
            lie beside the backup.
        KeysError: the keys would lie in the data folder, or there are none.
    """
    if not holds_data(layout):
        raise RestoreError(f"{layout.root} holds nothing to back up; name a folder with --data.")
    if target.resolve().is_relative_to(layout.root.resolve()):
        raise RestoreError(
            f"{target} lies in the data folder: there it is lost with it, and keeps who is "
            "forgotten; name a file elsewhere."
        )
    if keys is not None and keys.resolve().parent == target.resolve().parent:
        raise RestoreError(
            f"{keys} would lie beside the backup, and whoever has both reads every name; name "
            "another folder for --keys."
        )
    LedgerStore(layout).verify()
    if keys is not None:
        KeyStore(layout).copy_to(keys)
    manifest = write_backup(layout, target)
    where = None if keys is None else str(keys.absolute())
    digest = sha256_of_file(target)
    note_backup(layout, NotedBackup(str(target.absolute()), at, digest, manifest.events, where))
    return manifest


def restore(
    layout: Layout,
    backup: Path,
    settings: Path,
    by: str,
    at: str,
    *,
    force: bool = False,
    keys: Path | None = None,
) -> Restored:
    """Puts the files of a backup back.

    Files that are there stay as they are, but for the ledger, which may only become longer.

    Args:
        layout: the data folder; it may be empty.
        backup: the file.
        settings: where the settings belong; a file that is there stays.
        by: who does that.
        at: ISO time with a zone.
        force: replace what differs, also a ledger with more or other events: it is kept beside.
        keys: a file of keys that `back_up` wrote; None: those that are here.

    Raises:
        BackupError: the backup is damaged.
        RestoreError: it would take decisions away, and `force` is not set.
    """
    _, contents = read_backup(backup)
    ledger = LedgerStore(layout)
    earlier = _checked(backup, contents, ledger)
    if keys is not None:
        ledger.keys.bring_back(keys)
    lines = sealed_lines(contents.get(DATA + EVENTS, b"").split(b"\n")[:-1], ledger.keys)
    events = b"".join(line + b"\n" for line in lines)
    _check_forgotten(backup, ledger, events)
    with ledger.locked():
        there = _whole_lines(layout.ledger)
        lost = _lost(layout, lines, by, at)
        same = there == lines[: len(there)]
        if not force and (not same or lost):
            raise RestoreError(_refusal(layout, backup, lines, there, same, lost))
        hidden = _hide_too(layout, contents)  # first: nothing shows whom it hides
        written, kept = _put_files(layout, contents, force=force)
        beside = None if same else _put_aside(layout)
        atomic.write_bytes(layout.ledger, events)
        head = digest(lines[-1]) if lines else FIRST
        witnesses.note(layout, len(lines), head, [*earlier, *lost])
    said = _put_settings(settings, contents.get(SETTINGS), force=force)
    unreadable = ledger.unreadable(ledger.history())
    return Restored(len(lines), (*hidden, *written), kept, tuple(lost), beside, said, unreadable)


def _check_forgotten(backup: Path, ledger: LedgerStore, events: bytes) -> None:
    """Passes a backup that knows nobody, and no ride and no track, that was forgotten since.

    Raises:
        RestoreError: it does.
    """
    state, destroyed = ledger.check(events), ledger.keys.keyring().destroyed
    tokens = {token.decode() for token in TOKEN.findall(events)} & destroyed
    rides = {token for token in tokens if f"forgotten-{token[1:]}" not in state.forgotten.videos}
    since = _forgettings(_whole_lines(ledger.path)) - _forgettings(events.splitlines())
    back = sorted({*(state.people.keys() & destroyed), *rides, *since})
    if back:
        raise RestoreError(
            f"{backup} is older than the forgetting of {', '.join(back)}, which it would bring "
            "back; take a newer backup. Files of it can be taken out with any zip program."
        )


def _forgettings(lines: Iterable[bytes]) -> set[str]:
    """Ids of the forgettings among the lines of a ledger, of which some may be damaged."""
    found = set()
    for line in lines:
        with suppress(ValueError, KeyError, TypeError):
            record = json.loads(line)
            if record["kind"] == "forget":
                found.add(str(record["id"]))
    return found


def _put_files(
    layout: Layout, contents: Mapping[str, bytes], *, force: bool
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Puts plain files in place; names of what was written, and of what stayed."""
    written, kept = [], []
    for name, data in _plain_files(contents):
        path = place_of(layout, name)
        present = path.read_bytes() if path.is_file() else None
        if present is None or (force and present != data and name != FOLDER):
            atomic.write_bytes(path, data)
            written.append(name)
        elif present != data:
            kept.append(name)
    return tuple(written), tuple(kept)


def _plain_files(contents: Mapping[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """Files that are put in place as they are, by their names below the data folder."""
    for packed, data in sorted(contents.items()):
        redaction = fnmatchcase(packed, DATA + REDACTIONS)
        if packed != SETTINGS and packed not in LEDGER_ONLY and not redaction:
            yield packed.removeprefix(DATA), data


def _hide_too(layout: Layout, contents: Mapping[str, bytes]) -> tuple[str, ...]:
    """Adds redactions to those that are there, which stay; names of what changed."""
    changed = []
    for name, data in sorted((n.removeprefix(DATA), data) for n, data in contents.items()):
        if not fnmatchcase(name, REDACTIONS):
            continue
        path = place_of(layout, name)
        present = path.read_bytes() if path.is_file() else None
        Redactions(layout).add_from(path.stem, data)
        if path.read_bytes() != present:
            changed.append(name)
    return tuple(changed)


def _checked(
    backup: Path, contents: Mapping[str, bytes], ledger: LedgerStore
) -> tuple[GivenUp, ...]:
    """Looks at what a backup holds before any of it is written: it may be of a bad day.

    Returns:
        What had been given up when it was made.

    Raises:
        BackupError: the ledger, or a record of it, is damaged, or the folder is of a newer format.
    """
    name = EVENTS
    try:
        ledger.check(contents.get(DATA + EVENTS, b""))
        name = FOLDER
        folder = contents.get(DATA + FOLDER)
        newer = folder is not None and parse(folder, DataFolder).format > FORMAT
        name = ACKNOWLEDGED
        earlier = witnesses.given_up_by(json.loads(contents.get(DATA + ACKNOWLEDGED, b"{}")))
    except (LedgerError, ValueError, KeyError, TypeError, AttributeError) as error:
        line = f"line {error.line} of " if isinstance(error, DamagedLedgerError) else ""
        raise BackupError(f"{line}{name} in {backup} is damaged. {MEND}") from error
    if newer:
        raise BackupError(
            f"{backup} is of a data folder of a newer format than this program knows; update "
            "identity_pipeline."
        )
    return earlier


def _whole_lines(path: Path) -> list[bytes]:
    return path.read_bytes().split(b"\n")[:-1] if path.is_file() else []


def _lost(layout: Layout, lines: list[bytes], by: str, at: str) -> list[GivenUp]:
    """What the folder knows of the ledger beyond the backup."""
    known = witnesses.witnesses_of(layout)
    wrong = witnesses.unfit(known, len(lines), lambda seq: digest(lines[seq - 1]) if seq else FIRST)
    ends = dict.fromkeys((one.seq, one.sha256) for one in wrong)
    return [GivenUp(seq, sha256, len(lines), by, at) for seq, sha256 in ends]


def _refusal(
    layout: Layout,
    backup: Path,
    lines: list[bytes],
    there: list[bytes],
    same: bool,
    lost: list[GivenUp],
) -> str:
    known = max([len(there), *(one.seq for one in lost)])
    if same and not there:
        what = f"this folder had acknowledged {known} events, and the backup holds {len(lines)}"
    elif lines == there[: len(lines)]:
        what = f"{layout.ledger} holds {len(there)} events, the backup only {len(lines)} of them"
    else:
        what = f"{layout.ledger} holds other events than the backup"
    return (
        f"{what}, so restoring {backup} would give up decisions; take a newer backup, or say "
        "--force, which keeps the present ledger beside and records what is given up."
    )


def _put_aside(layout: Layout) -> Path:
    """Renames nothing that is in use: the present file is copied beside, then replaced."""
    for number in range(1, 10_000):
        beside = layout.ledger.with_name(f"events.before-restore-{number}.jsonl")
        if not beside.exists():
            atomic.write_bytes(beside, layout.ledger.read_bytes())
            return beside
    raise RestoreError(f"{layout.ledger.parent} is full of ledgers put aside; move them away.")


def _put_settings(target: Path, data: bytes | None, *, force: bool) -> str:
    if data is None:
        return ""
    if target.is_file() and target.read_bytes() == data:
        return f"{target} is as it was."
    if target.is_file() and not force:
        aside = target.with_name(f"{target.name}.restored")
        atomic.write_bytes(aside, data)
        return f"{target} is there and differs; that of the backup is {aside}."
    atomic.write_bytes(target, data)
    return f"{target} was put back."
