"""The events of a file as a sequence that unseals and parses a line when asked for, and keeps it.

A command looks at a few events of many. Whether the lines are those that were written is settled
before (`store`).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from typing import overload

from identity_pipeline.ledger import events as ev
from identity_pipeline.storage.folder.keys import Keyring
from identity_pipeline.storage.folder.sealing import FIRST, unsealed

SEQ = re.compile(rb'"seq": (\d+)')


class StoredEvents(Sequence[ev.Event]):
    """Events 1, 2, 3, ... of a ledger; equal to any sequence of the same events."""

    def __init__(
        self, data: bytes, parsed: dict[int, ev.Event] | None = None, keyring: Keyring | None = None
    ) -> None:
        """From whole lines.

        Args:
            data: the lines, each with its newline.
            parsed: place (from 0) -> event, of those that were read already.
            keyring: what the lines are unsealed with.
        """
        self.keyring = keyring or Keyring()
        self._data = data
        self._lines = data.split(b"\n")[:-1]
        self._parsed = {} if parsed is None else parsed
        self._numbers: dict[str, int] = {}
        self._more: tuple[ev.Event, ...] = ()

    def plus(self, event: ev.Event) -> StoredEvents:
        """The sequence with one more event, which is in no file yet."""
        longer = StoredEvents.__new__(StoredEvents)
        longer._data, longer._lines, longer._parsed = self._data, self._lines, self._parsed
        longer._numbers, longer._more = self._numbers, (*self._more, event)
        longer.keyring = self.keyring
        return longer

    def follows(self, other: Sequence[ev.Event]) -> bool:
        """Whether this is the other sequence and one event more, without comparing each."""
        if not isinstance(other, StoredEvents) or other._lines is not self._lines:
            return False
        return self._more[:-1] == other._more and len(self) == len(other) + 1

    def grown(self, data: bytes, parsed: dict[int, ev.Event], keyring: Keyring) -> StoredEvents:
        """The events of a file that begins with these lines, which are not taken apart again."""
        longer = StoredEvents(data[len(self._data) :], self._parsed | parsed, keyring)
        longer._data, longer._lines = data, [*self._lines, *longer._lines]
        return longer

    @property
    def has_more(self) -> bool:
        """Whether some of the events are in no file yet."""
        return bool(self._more)

    def digest(self, number: int) -> str:
        """The digest of the line of an event that is stored; of none, what the first refers to."""
        return digest(self._lines[number - 1]) if number else FIRST

    def ends(self, number: int, sha256: str) -> bool:
        """Whether the stored events once ended with this number and digest."""
        return 0 <= number <= len(self._lines) and self.digest(number) == sha256

    @property
    def size(self) -> int:
        """Bytes of the lines."""
        return len(self._data)

    def begin(self, data: bytes, keyring: Keyring) -> bool:
        """Whether a file begins with these lines, and they still read as they did.

        Not where an event is in no file yet, nor where a key was destroyed, or was missing.
        """
        if not self._data or self._more or self.keyring.missed:
            return False
        return self.keyring.version == keyring.version and data.startswith(self._data)

    def number(self, event_id: str) -> int:
        """The number of an event by its id; 0 where there is none."""
        for event in self._more:
            if event.id == event_id:
                return event.seq
        if event_id not in self._numbers:
            self._numbers[event_id] = self._stored_number(event_id)
        return self._numbers[event_id]

    def numbers(self, beginning: str) -> list[int]:
        """Numbers of the events whose id begins so."""
        pattern = re.compile(rb'"id": "(' + re.escape(beginning.encode()) + rb'[^"]*)"')
        found = [self.number(match.decode()) for match in pattern.findall(self._data)]
        return found + [event.seq for event in self._more if event.id.startswith(beginning)]

    def _stored_number(self, event_id: str) -> int:
        # A reason may hold these very letters, but there its quotation marks are escaped.
        at = self._data.find(b'"id": "' + event_id.encode() + b'"')
        line = self._data[at : self._data.find(b"\n", at)] if at >= 0 else b""
        found = SEQ.search(line)
        return int(found[1]) if found else 0

    @overload
    def __getitem__(self, index: int) -> ev.Event: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[ev.Event, ...]: ...
    def __getitem__(self, index: int | slice) -> ev.Event | tuple[ev.Event, ...]:
        """One event, or several as a tuple."""
        places = range(len(self))[index]
        return self._at(places) if isinstance(places, int) else tuple(map(self._at, places))

    def __len__(self) -> int:
        """How many events there are."""
        return len(self._lines) + len(self._more)

    def __iter__(self) -> Iterator[ev.Event]:
        """The events in order."""
        return map(self._at, range(len(self)))

    def __eq__(self, other: object) -> bool:
        """Whether the same events are in the other sequence."""
        if isinstance(other, StoredEvents) and other._lines == self._lines:
            return self._more == other._more
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]

    def _at(self, place: int) -> ev.Event:
        if place >= len(self._lines):
            return self._more[place - len(self._lines)]
        if place not in self._parsed:
            self._parsed[place] = event_of(self._lines[place], self.keyring)[0]
        return self._parsed[place]


def digest(line: bytes) -> str:
    """SHA-256 of a line without its newline."""
    return hashlib.sha256(line).hexdigest()


def event_of(line: bytes, keyring: Keyring) -> tuple[ev.Event, str]:
    """The event of a line, and the digest that it names as that of the line before.

    Raises:
        ValueError: it is no JSON, is not sealed as it was written, or is no event
            (`pydantic.ValidationError`).
        KeyError: it names no line before.
        AttributeError, TypeError: it is no object.
    """
    record = json.loads(line)
    previous = record.pop("previous")
    return ev.parse(unsealed(record, keyring)), previous
