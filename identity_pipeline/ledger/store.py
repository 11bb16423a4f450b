"""The file of events: append-only JSON lines, durable before a command returns, for many writers.

Each line is one event with sorted keys and the SHA-256 of the line before it, so a changed or
missing line is noticed. Witnesses say how many events were acknowledged (`witnesses`), so a missing
end, or a missing ledger, is noticed too. Writers take turns by a lock; readers never wait.

Names and words of people are sealed in the lines, with keys that lie elsewhere and can be destroyed
(`storage.folder.sealing`); the chain is over what is sealed.

Reading costs what the last events cost: what the others amount to lies in a snapshot, which is
used only where every byte before them is as it was (`snapshot`). `verify` trusts no snapshot.

A crash in the middle of an append leaves a last line without its end, which nobody was told about:
readers pass over it and the next writer cuts it off. Any other damage is an error.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from identity_pipeline.ledger import events as ev
from identity_pipeline.ledger import snapshot, witnesses
from identity_pipeline.ledger.commands import Command, Planned
from identity_pipeline.ledger.errors import (
    DamagedLedgerError,
    LedgerError,
    NoChangeError,
    RefusedError,
)
from identity_pipeline.ledger.lines import FIRST, StoredEvents, digest, event_of
from identity_pipeline.ledger.position import Position
from identity_pipeline.ledger.replay import History
from identity_pipeline.ledger.state import LibraryState
from identity_pipeline.ledger.witnesses import GivenUp, Witness
from identity_pipeline.storage.files import atomic, locks, private
from identity_pipeline.storage.folder.keys import Keyring, KeyStore
from identity_pipeline.storage.folder.sealing import keys_for, line_of, rides_in, sealed
from identity_pipeline.storage.layout import Layout


@dataclass(frozen=True)
class _Contents:
    """What a reading of the file found.

    Attributes:
        history: all whole events.
        events: the same, as they are stored.
        data: all whole lines.
    """

    history: History
    events: StoredEvents
    data: bytes

    @property
    def head(self) -> str:
        """Digest of the last whole line."""
        return self.events.digest(len(self.events))

    @property
    def size(self) -> int:
        """Bytes up to the end of the last whole line."""
        return len(self.data)


@dataclass(frozen=True)
class LedgerStore:
    """The ledger of one data folder."""

    layout: Layout

    @property
    def path(self) -> Path:
        """The file of events."""
        return self.layout.ledger

    @property
    def head_path(self) -> Path:
        """The record of what was acknowledged: number and digest of the last line."""
        return witnesses.head_path(self.layout)

    @property
    def lock_path(self) -> Path:
        """An empty file on which writers lock."""
        return self.path.with_name("lock")

    @property
    def snapshot_path(self) -> Path:
        """What the events amount to; may be deleted at any time."""
        return self.path.with_name("replayed.json")

    @property
    def keys(self) -> KeyStore:
        """The keys of what is sealed in the lines."""
        return KeyStore(self.layout)

    def history(self, seen: History | None = None) -> History:
        """All events; waits for nobody.

        Args:
            seen: an earlier history of this ledger, which need not be read again.

        Raises:
            DamagedLedgerError: a line was changed, is missing, or is no event.
            LostLedgerError: the ledger is gone, shorter than what was acknowledged, or another one.
            DamagedWitnessError: a record of how far it was is damaged, and all else is whole.
        """
        contents = self._read(seen=seen)
        self._save(contents.history, contents.data, contents.head, contents.events.keyring)
        return contents.history

    def verify(self) -> History:
        """All events, each read, checked and replayed anew, whatever the snapshot says.

        Raises:
            DamagedLedgerError: see `history`.
            LedgerError: the snapshot fits the file and says something else; it is removed.
        """
        contents = self._read(whole=True)
        keyring = contents.events.keyring
        found = snapshot.read(self.snapshot_path, contents.data, keyring.version)
        if found is not None:
            position, _, _ = found
            now = History(contents.history.events, position)
            if now.state != contents.history.state:
                self.snapshot_path.unlink(missing_ok=True)
                raise LedgerError(
                    f"{self.snapshot_path} did not say what the events of {self.path.name} amount "
                    "to and was removed; the events are whole. Run the command again."
                )
        return contents.history

    def check(self, data: bytes) -> LibraryState:
        """What these lines amount to, which may become this ledger; each is read and checked.

        Raises:
            LedgerError: they are no ledger.
        """
        return self._parsed((), data, whole=True).history.state

    def unreadable(self, history: History) -> str | None:
        """A sentence on names that cannot be read, for their keys are missing; None where all can.

        Keys that were destroyed on purpose are not missing.
        """
        keyring, people = self.keys.keyring(), history.state.people.items()
        known = keyring.keys.keys() | keyring.destroyed
        missing = [p for p, person in people if person.name is not None and p not in known]
        if not missing:
            return None
        return (
            f"{len(missing)} {'name' if len(missing) == 1 else 'names'} cannot be read: the keys "
            f"are not in {self.keys.path}. Bring them back with `identity-pipeline restore BACKUP "
            "--keys FILE`, with the file that `backup --keys` wrote."
        )

    def head_of(self, history: History) -> tuple[int, str]:
        """Number and digest of the last event of a history that was read here."""
        events, seq = history.events, history.next_seq - 1
        if isinstance(events, StoredEvents) and not events.has_more:
            return seq, events.digest(seq)
        return seq, StoredEvents(self._bytes()).digest(seq)

    def preview(self, command: Command) -> Planned:
        """What a command would do now; nothing is written."""
        return command(self.history())

    def commit(self, command: Command, seen: History | None = None) -> Planned:
        """Runs a command on the newest history and appends its event, durably.

        Nothing is written when the command or the check of its event raises.

        Args:
            command: decides.
            seen: an earlier history of this ledger, which need not be read again.

        Raises:
            RefusedError: the event contradicts the ledger.
            DamagedLedgerError: see `history`.
        """
        return self.commit_all([command], seen)[0]

    def commit_all(self, commands: Iterable[Command], seen: History | None = None) -> list[Planned]:
        """Runs commands one after the other and appends their events, all of them or none.

        Args and errors as of `commit`; there is at least one command.
        """
        with self.locked():
            contents = self._read(seen=seen)
            planned, history = [], contents.history
            for command in commands:
                planned.append(_checked(command, history))
                history = planned[-1].history
            lines = self._encoded([one.event for one in planned], contents.head)
            self._append(contents.size, b"".join(lines))
            self._note_head(history.next_seq - 1, lines[-1])
            data = contents.data + b"".join(lines)
            self._save(history, data, digest(lines[-1][:-1]), contents.events.keyring)
        return planned

    def _save(self, history: History, data: bytes, head: str, keyring: Keyring) -> None:
        """Writes the snapshot where the old one saves too little; none of what cannot be read."""
        saved = history.known.saved if history.known else 0
        if history.next_seq - 1 - saved >= snapshot.EVERY and not keyring.missed:
            snapshot.write(self.snapshot_path, history.position, data, head, keyring.version)

    def accept(self, by: str, at: str, *, write: bool = True) -> list[GivenUp]:
        """Goes on with the events that are there, where some that were acknowledged are lost.

        What was given up is recorded, and no witness speaks of it again.

        Args:
            by: who does that.
            at: ISO time with a zone.
            write: False only tells what would be given up.

        Returns:
            What was lost, the most first.

        Raises:
            NoChangeError: nothing is lost.
            DamagedLedgerError: the events that are there are damaged themselves.
        """
        with self.locked():
            known = witnesses.witnesses_of(self.layout)
            contents = self._parsed((), self._bytes(), whole=True)
            seq = contents.history.next_seq - 1
            wrong = witnesses.unfit(known, seq, contents.events.digest)
            if not wrong:
                raise NoChangeError("Nothing of the ledger is lost; there is nothing to accept.")
            known_ends = dict.fromkeys((one.seq, one.sha256) for one in wrong)
            lost = [GivenUp(number, sha256, seq, by, at) for number, sha256 in known_ends]
            if write:
                witnesses.note(self.layout, seq, contents.head, lost)
        return lost

    # reading -----------------------------------------------------------------------------------

    def _read(self, *, whole: bool = False, seen: History | None = None) -> _Contents:
        """Reads the file; damage counts only when a second reading finds the same bytes.

        A reader may see half of a writer's cut and append, which are two steps.
        """
        known, data = self._known(), self._bytes()
        while True:
            try:
                return self._parsed(known, data, whole, seen)
            except DamagedLedgerError:
                before = known, data
                known, data = self._known(), self._bytes()
                if (known, data) == before:
                    raise

    def _known(self) -> tuple[Witness, ...]:
        """What the witnesses say; where one is damaged, whether all else bears the ledger out.

        Raises:
            LedgerError: the ledger is damaged by the others, or it is not and that one is.
        """
        known, damaged = witnesses.records_of(self.layout)
        if damaged:
            count = len(self._parsed(known, self._bytes(), whole=True).events)
            raise witnesses.unsaid_by(damaged[0], known, count)
        return known

    def _bytes(self) -> bytes:
        return self.path.read_bytes() if self.path.is_file() else b""

    def _parsed(
        self,
        known: tuple[Witness, ...],
        data: bytes,
        whole: bool = False,
        seen: History | None = None,
    ) -> _Contents:
        data = data[: data.rfind(b"\n") + 1]
        keyring = self.keys.keyring()
        found = None
        if not whole:
            found = _begun(data, seen, keyring) or snapshot.read(
                self.snapshot_path, data, keyring.version
            )
        position, start, head = found or (None, 0, FIRST)
        there = position.seq if position else 0
        fresh: dict[int, ev.Event] = {}
        for number, line in enumerate(data[start:].split(b"\n")[:-1], start=there + 1):
            fresh[number - 1] = self._event(number, line, head, keyring)
            head = digest(line)
        base = seen.events if seen and position is seen.position else None
        events = (
            base.grown(data, fresh, keyring)
            if isinstance(base, StoredEvents)
            else StoredEvents(data, fresh, keyring)
        )
        witnesses.check(self.path, known, len(events), events.digest)
        return _Contents(History(events, position), events, data)

    def _event(self, number: int, line: bytes, previous: str, keyring: Keyring) -> ev.Event:
        try:
            event, named = event_of(line, keyring)
        except ValidationError as error:
            raise DamagedLedgerError(self.path, number, _lower(ev.why_invalid(error))) from error
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise DamagedLedgerError(self.path, number, "it is no event") from error
        if named != previous:
            why = f"it does not follow line {number - 1}, which was changed or is missing"
            raise DamagedLedgerError(self.path, number, why)
        if event.seq != number:
            raise DamagedLedgerError(self.path, number, f"it is numbered {event.seq}")
        return event

    # writing -----------------------------------------------------------------------------------

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One writer at a time."""
        folder = self.path.parent
        if not folder.is_dir():
            private.make_folder(folder)
            atomic.flush(folder.parent)
        with locks.exclusive(self.lock_path, "The ledger", "writing to the ledger", None):
            yield

    def _encoded(self, events: Iterable[ev.Event], previous: str) -> list[bytes]:
        """The sealed lines of events; the keys for them are on the disk before they are written."""
        records = [event.model_dump(mode="json") for event in events]
        keyring = self.keys.ensure(
            (name for record in records for name in keys_for(record)),
            (name for record in records for name in rides_in(record)),
        )
        lines: list[bytes] = []
        for record in records:
            lines.append(line_of(sealed(record, keyring), previous))
            previous = digest(lines[-1][:-1])
        return lines

    def _append(self, size: int, line: bytes) -> None:
        """Appends after the last whole line; whatever goes wrong, the file is as before."""
        new = not self.path.exists()
        with self.path.open("ab", buffering=0) as stream:
            if stream.tell() != size:
                stream.truncate(size)
            try:
                _write_all(stream.fileno(), line)
                os.fsync(stream.fileno())
            except BaseException:
                stream.truncate(size)
                os.fsync(stream.fileno())
                raise
        if new:
            atomic.flush(self.path.parent)

    def _note_head(self, seq: int, line: bytes) -> None:
        try:
            witnesses.note(self.layout, seq, digest(line[:-1]))
        except OSError as error:
            raise LedgerError(
                f"Event {seq} is stored, but how far the ledger is could not be noted ({error}); "
                "mend that and do not repeat the command."
            ) from error


def _begun(data: bytes, seen: History | None, keyring: Keyring) -> tuple[Position, int, str] | None:
    """As `snapshot.read`, from a history with whose very bytes the file begins."""
    events = seen.events if seen else None
    if seen is None or not isinstance(events, StoredEvents) or not events.begin(data, keyring):
        return None
    last = data.rfind(b"\n", 0, events.size - 1) + 1
    return seen.position, events.size, digest(data[last : events.size - 1])


def _checked(command: Command, history: History) -> Planned:
    """What a command plans on a history.

    Raises:
        RefusedError: it was built on another one.
    """
    planned = command(history)
    if not _follows(planned.history.events, history.events):
        raise RefusedError("The command was built on another history; build it anew.")
    if planned.history.events[-1] != planned.event:
        raise RefusedError("The command's history does not end with its event.")
    return planned


def _follows(longer: Sequence[ev.Event], events: Sequence[ev.Event]) -> bool:
    """Whether a history was built on these very events, and has one more."""
    return isinstance(longer, StoredEvents) and longer.follows(events)


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:].rstrip(".")
