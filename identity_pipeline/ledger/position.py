"""How far a replay has come: the state after some events, and what is needed to go on from there.

Going on by one event costs what the event costs, not what the ledger does. An undo of an old event
replays only the decisions that are connected with it by people and subjects: of no other decision
can the outcome change. That this is the pure replay of all events is a test's business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, Generic, Self, TypeVar

from identity_pipeline.ledger import book
from identity_pipeline.ledger import events as ev
from identity_pipeline.ledger import subjects as ids
from identity_pipeline.ledger.forgetting import rides_of
from identity_pipeline.ledger.lines import StoredEvents
from identity_pipeline.ledger.working import WorkingState, consent_name, target_of, visit

Undo = tuple[int, str, str]
"""Number and id of an undo, and the id of the event that it takes back."""
Named = dict[str, list[int]]
Value = TypeVar("Value")


class Position:
    """The outcome of the first `seq` events.

    Attributes:
        seq: how many events went in.
        undos: all undos among them, in order.
        off: ids of the events that are undone, undos among them.
        working: the state that the events in force amount to.
        saved: how many of the events are in the snapshot from which it came.
    """

    def __init__(self) -> None:
        self.seq = 0
        self.undos: list[Undo] = []
        self.off: frozenset[str] = frozenset()
        self.working = WorkingState()
        self.saved = 0
        self._anchors: _Later[book.Book] = _Later(dict, _with_anchors)
        self._named: _Later[Named] = _Later(dict, _with_names)

    @property
    def anchors(self) -> book.Book:
        """Faces by which subjects are found again, see `book`."""
        return self._anchors.value

    @property
    def named(self) -> Named:
        """Person or subject -> numbers of the decisions and new numberings that name it."""
        return self._named.value

    def after(self, events: Sequence[ev.Event]) -> Position:
        """The position after all of `events`, of which this one has the first `seq`.

        Raises:
            RefusedError: an event contradicts those before it.
        """
        fresh = events[self.seq :]
        if not fresh:
            return self
        later = Position()
        later.seq, later.saved = len(events), self.saved
        later.undos = [*self.undos, *(undo_of(e) for e in fresh if isinstance(e, ev.Undone))]
        later.off = undone(later.undos)
        later._anchors, later._named = self._anchors.and_then(fresh), self._named.and_then(fresh)
        later.working = self.working.copy()
        self._toggle(later, events)
        for event in fresh:
            if not isinstance(event, ev.Undone) and event.id not in later.off:
                later.working.apply(event)
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

    def as_json(self) -> list[Any]:
        """Everything, as plain lists and dicts, in three parts: most commands need but the first.

        These are the state, the anchors, and the names.
        """
        first = {"seq": self.seq, "undos": self.undos, "working": self.working.as_json()}
        return [first, self.anchors, self.named]

    @classmethod
    def from_json(cls, first: Mapping[str, Any], rest: Sequence[Callable[[], Any]]) -> Self:
        """What `as_json` gave; functions that read the second and the third part when called."""
        position = cls()
        position.seq = position.saved = first["seq"]
        position.undos = first["undos"]
        position.off = undone(position.undos)
        position.working = WorkingState.from_json(first["working"])
        read_anchors, read_names = rest
        position._anchors = _Later(read_anchors, _with_anchors)
        position._named = _Later(read_names, _with_names)
        return position


class _Later(Generic[Value]):
    """Something that events add to, computed when it is asked for and then kept."""

    def __init__(
        self,
        base: Callable[[], Value],
        grown: Callable[[Value, Sequence[ev.Event]], Value],
        fresh: tuple[ev.Event, ...] = (),
    ) -> None:
        self._base, self._grown, self._fresh = base, grown, fresh

    @cached_property
    def value(self) -> Value:
        """It."""
        base = self._base()
        return self._grown(base, self._fresh) if self._fresh else base

    def and_then(self, fresh: Sequence[ev.Event]) -> _Later[Value]:
        """The same after more events."""
        if "value" in vars(self):
            value = self.value
            return _Later(lambda: value, self._grown, tuple(fresh))
        return _Later(self._base, self._grown, (*self._fresh, *fresh))


def _with_anchors(base: book.Book, fresh: Sequence[ev.Event]) -> book.Book:
    rows = base.copy()
    for event in fresh:
        rows = book.with_event(rows, event)
    return rows


def _with_names(base: Named, fresh: Sequence[ev.Event]) -> Named:
    named, own = base.copy(), set[str]()  # own: names whose list is not one of the base
    for event in fresh:
        for name in names_of(event):
            if name not in own:
                named[name] = list(named.get(name, ()))
                own.add(name)
            named[name].append(event.seq)
    return named


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


_PEOPLE = ("person_id", "into", "to", "new_person_id")


def names_of(event: ev.Event) -> set[str]:
    """The people and subjects that an event names."""
    match event:
        case ev.Undone():
            return set()
        case ev.Renumbered():
            pairs = {name for pair in event.renames for name in pair}
            return pairs | {*event.not_found, *(ids.lost(s, event.seq) for s in event.not_found)}
        case ev.Forgotten():
            return {*event.person_ids, *event.subjects, *map(visit, rides_of(event))}
        case ev.ConsentRecorded():
            return {consent_name(target_of(event))}
    return {*event.named_subjects, *(getattr(event, f) for f in _PEOPLE if hasattr(event, f))}


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
