"""How far a replay has come: the state after some events, and what is needed to go on from there.

Going on by one event costs what the event costs, not what the ledger does. An undo of an old event
replays only the decisions that are connected with it by people and subjects: of no other decision
can the outcome change. That this is the pure replay of all events is a test's business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Self

from identity_pipeline.ledger import book
from identity_pipeline.ledger import events as ev
from identity_pipeline.ledger import subjects as ids
from identity_pipeline.ledger.lines import StoredEvents
from identity_pipeline.ledger.working import WorkingState

Undo = tuple[int, str, str]
"""Number and id of an undo, and the id of the event that it takes back."""


class Position:
    """The outcome of the first `seq` events.

    Attributes:
        seq: how many events went in.
        undos: all undos among them, in order.
        off: ids of the events that are undone, undos among them.
        working: the state that the events in force amount to.
        anchors: faces by which subjects are found again, see `book`.
        named: person or subject → numbers of the decisions and new numberings that name it.
    """

    def __init__(self) -> None:
        self.seq = 0
        self.undos: list[Undo] = []
        self.off: frozenset[str] = frozenset()
        self.working = WorkingState()
        self.anchors: book.Book = {}
        self.named: dict[str, list[int]] = {}
        self._own: set[str] = set()  # names whose list no other position shares

    def after(self, events: Sequence[ev.Event]) -> Position:
        """The position after all of `events`, of which this one has the first `seq`.

        Raises:
            RefusedError: an event contradicts those before it.
        """
        fresh = events[self.seq :]
        if not fresh:
            return self
        later = Position()
        later.seq = len(events)
        later.undos = [*self.undos, *(undo_of(e) for e in fresh if isinstance(e, ev.Undone))]
        later.off = undone(later.undos)
        later.anchors, later.named = self.anchors.copy(), self.named.copy()
        later.working = self.working.copy()
        self._toggle(later, events)
        for event in fresh:
            later._add(event)
        return later

    def _toggle(self, later: Position, events: Sequence[ev.Event]) -> None:
        """Takes old events out of a later state, or back into it, where undos are new."""
        if not self.seq:
            return
        undos = {event_id for _, event_id, _ in later.undos}
        toggled = (self.off ^ later.off) - undos
        old = [seq for seq in map(number_in(events), sorted(toggled)) if seq <= self.seq]
        if not old:
            return
        names, numbers = self.reached(old, events)
        part = WorkingState()
        for seq in numbers:
            event = events[seq - 1]
            if event.id not in later.off:
                part.apply(event)
        later.working.put(part, names)

    def _add(self, event: ev.Event) -> None:
        if not isinstance(event, ev.Undone):
            if event.id not in self.off:
                self.working.apply(event)
            for name in sorted(names_of(event)):
                if name not in self._own:
                    self.named[name] = list(self.named.get(name, ()))
                    self._own.add(name)
                self.named[name].append(event.seq)
        self.anchors = book.with_event(self.anchors, event)

    def reached(
        self, numbers: Iterable[int], events: Sequence[ev.Event]
    ) -> tuple[set[str], list[int]]:
        """All that is connected with some events by the people and subjects they name.

        Args:
            numbers: of the events to begin with.
            events: the first `seq` events, or more.

        Returns:
            People and subjects, and the numbers of the events that name them, in order.
        """
        found, seen = set(numbers), set[str]()
        waiting = [name for seq in found for name in names_of(events[seq - 1])]
        while waiting:
            name = waiting.pop()
            if name in seen:
                continue
            seen.add(name)
            for seq in self.named.get(name, ()):
                event = events[seq - 1]
                # A new numbering names many tracks, each of which goes its own way.
                many = isinstance(event, ev.Renumbered)
                if many or seq not in found:
                    waiting += _renamed(event, name) if many else names_of(event)
                found.add(seq)
        return seen, sorted(found)

    def as_json(self) -> dict[str, Any]:
        """Everything, as plain lists and dicts."""
        return {
            "seq": self.seq,
            "undos": self.undos,
            "working": self.working.as_json(),
            "anchors": self.anchors,
            "named": self.named,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """What `as_json` gave."""
        position = cls()
        position.seq = value["seq"]
        position.undos = [(seq, event_id, target) for seq, event_id, target in value["undos"]]
        position.off = undone(position.undos)
        position.working = WorkingState.from_json(value["working"])
        position.anchors, position.named = value["anchors"], value["named"]
        return position


def undo_of(event: ev.Undone) -> Undo:
    """What the rest needs to know of an undo."""
    return event.seq, event.id, event.event_id


def undone(undos: Sequence[Undo]) -> frozenset[str]:
    """Ids of the events that are undone; undos that were themselves undone are among them.

    Args:
        undos: in order. An undo only ever refers to an earlier event, so one pass from the last to
            the first settles all of them.
    """
    off: set[str] = set()
    for _, event_id, target in reversed(undos):
        if event_id not in off:
            off.add(target)
    return frozenset(off)


def names_of(event: ev.Event) -> set[str]:
    """The people and subjects that an event names."""
    if isinstance(event, ev.Undone):
        return set()
    if isinstance(event, ev.Renumbered):
        pairs = {name for pair in event.renames for name in pair}
        return pairs | {*event.not_found, *(ids.lost(s, event.seq) for s in event.not_found)}
    fields = ("person_id", "into", "to", "new_person_id")
    return {*event.named_subjects, *(getattr(event, f) for f in fields if hasattr(event, f))}


def _renamed(event: ev.Event, name: str) -> list[str]:
    """What a new numbering may have made of a subject, or made it of."""
    if not isinstance(event, ev.Renumbered) or ":" not in name:
        return []
    base = name.split(":", 2)[2] if name.startswith("lost:") else name
    near = {n for pair in event.renames if name in pair or base in pair for n in pair}
    return [*near, base, *(ids.lost(n, event.seq) for n in sorted({*near, base}))]


def number_in(events: Sequence[ev.Event]) -> Callable[[str], int]:
    """A function from an event's id to its number; 0 where there is none."""
    if isinstance(events, StoredEvents):
        return events.number
    numbers = {event.id: event.seq for event in events}
    return lambda event_id: numbers.get(event_id, 0)
