"""From events to the state: a pure replay of those that were not undone.

An undo removes its event from the sequence, and the state is what the rest amounts to. So undoing
is exact for every kind and in any order; it is refused when a later event would lose its ground.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from identity_pipeline.ledger import events as ev
from identity_pipeline.ledger import forgetting
from identity_pipeline.ledger.book import Anchors
from identity_pipeline.ledger.errors import DanglingError, LedgerError, NoChangeError, RefusedError
from identity_pipeline.ledger.lines import StoredEvents
from identity_pipeline.ledger.position import Position, names_of, number_in, undo_of, undone
from identity_pipeline.ledger.state import LibraryState
from identity_pipeline.ledger.working import WorkingState

LISTED, EXPLAINED = 20, 3
"""How many events a refused undo names at most, and how many of them with the reason."""


def in_order(events: Iterable[ev.Event]) -> tuple[ev.Event, ...]:
    """Events sorted by `seq`.

    Raises:
        LedgerError: numbers are missing or double, or two events have one id.
    """
    ordered = tuple(sorted(events, key=lambda event: event.seq))
    if [event.seq for event in ordered] != list(range(1, len(ordered) + 1)):
        raise LedgerError("The events are not numbered 1, 2, 3, …: some are missing or double.")
    if len({event.id for event in ordered}) != len(ordered):
        raise LedgerError("Two events have the same id.")
    return ordered


def replay(events: Iterable[ev.Event]) -> LibraryState:
    """The state that events amount to.

    Raises:
        RefusedError: an event contradicts those before it; no stored ledger does that.
    """
    return History(in_order(events)).state


@dataclass(frozen=True)
class History:
    """All events of a ledger, in order, and what follows from them.

    Attributes:
        events: all of them.
        known: what the first of them amount to, where that is known already; only saves time.
    """

    events: Sequence[ev.Event] = ()
    known: Position | None = field(default=None, compare=False, repr=False)

    @cached_property
    def position(self) -> Position:
        """All that follows from the events."""
        return (self.known or Position()).after(self.events)

    @cached_property
    def state(self) -> LibraryState:
        """What the events in force amount to."""
        return self.position.working.freeze()

    @property
    def undone(self) -> frozenset[str]:
        """Ids of undone events."""
        return self.position.off

    @property
    def in_force(self) -> tuple[ev.Event, ...]:
        """Events that are neither undone nor undos, in order."""
        return tuple(reversed(tuple(self.latest_in_force())))

    def latest_in_force(self) -> Iterator[ev.Event]:
        """Events that are neither undone nor undos, the last first, each when it is asked for."""
        for place in range(len(self.events) - 1, -1, -1):
            event = self.events[place]
            if event.id not in self.undone and not isinstance(event, ev.Undone):
                yield event

    @property
    def next_seq(self) -> int:
        """Number of the next event."""
        return len(self.events) + 1

    @cached_property
    def anchors(self) -> Mapping[str, tuple[ev.Anchor, ...]]:
        """Faces by which each subject can be found again, newest first, under its present name.

        Of all events, also of undone ones: they may come back. Where decisions decide whether a
        subject is `lost`, both names have its anchors.
        """
        return Anchors(self.position.anchors)

    def event(self, event_id: str) -> ev.Event:
        """An event by its id.

        Raises:
            RefusedError: there is none.
        """
        if seq := self._number(event_id):
            return self.events[seq - 1]
        raise RefusedError(f"There is no event {event_id}; list them with `events`.")

    def meant(self, event: ev.Event) -> ev.Event:
        """The decision that an undo takes back or brings back; any other event itself."""
        while isinstance(event, ev.Undone):
            event = self.event(event.event_id)
        return event

    def called(self, beginning: str) -> list[ev.Event]:
        """Events whose id begins so."""
        events = self.events
        if isinstance(events, StoredEvents):
            return [events[seq - 1] for seq in events.numbers(beginning)]
        return [event for event in events if event.id.startswith(beginning)]

    def _number(self, event_id: str) -> int:
        return number_in(self.events)(event_id)

    def after(self, event: ev.Event) -> History:
        """The history with one more event.

        Raises:
            RefusedError: the event contradicts the state; nothing has changed.
            NoChangeError: it is an undo without effect.
            DanglingError: it is an undo that later events forbid.
        """
        if event.seq != self.next_seq:
            raise RefusedError(f"Event {event.seq} cannot follow {len(self.events)} events.")
        if self._number(event.id):
            raise RefusedError(f"There already is an event {event.id}.")
        events = self.events
        longer = events.plus(event) if isinstance(events, StoredEvents) else (*events, event)
        later = History(longer, self.position)
        if isinstance(event, ev.Undone):
            self._check_undo(event)
        _ = later.state
        return later

    def _check_undo(self, event: ev.Undone) -> None:
        target = self.event(event.event_id)
        if isinstance(target, ev.Renumbered):
            raise RefusedError(
                f"Event {target.id} is no decision but the new numbering of a video; it stays."
            )
        self._check_known(target)
        if target.id in self.undone:
            raise NoChangeError(f"{describe(target)} is already undone.")
        undos = [*self.position.undos, undo_of(event)]
        off = undone(undos)
        toggled = (off ^ self.undone) - {event_id for _, event_id, _ in undos}
        if not toggled:
            raise NoChangeError(f"Undoing {describe(target)} changes nothing: other undos remain.")
        if broken := failing(self._connected(toggled, off), LISTED):
            raise DanglingError(_refusal(target, broken), [late.id for late, _ in broken])

    def _check_known(self, target: ev.Event) -> None:
        """Passes a decision that may be taken back: whom it is about was not forgotten."""
        meant = self.meant(target)
        if isinstance(meant, ev.Forgotten):
            raise RefusedError("What was forgotten is gone for good; that cannot be undone.")
        if forgetting.is_about(meant, names_of(meant), self.state.forgotten):
            raise RefusedError(
                f"{describe(target)} is about somebody who was forgotten; nothing of it is left "
                "to be undone."
            )

    def _connected(self, toggled: Iterable[str], off: Container[str]) -> list[ev.Event]:
        """Events in force that those toggled may bear on."""
        numbers = [self._number(event_id) for event_id in sorted(toggled)]
        _, connected = self.position.reached(numbers, self.events)
        chosen = (self.events[seq - 1] for seq in connected)
        return [event for event in chosen if event.id not in off]


def failing(in_force: Sequence[ev.Event], most: int) -> list[tuple[ev.Event, str]]:
    """The first events that contradict those before them, with the reason.

    Each is passed over, and the replay begins anew because it may have been half applied.
    """
    broken: dict[str, tuple[ev.Event, str]] = {}
    while len(broken) < most and (first := _first_failing(in_force, broken)) is not None:
        broken[first[0].id] = first
    return list(broken.values())


def _first_failing(
    in_force: Sequence[ev.Event], skipped: Container[str]
) -> tuple[ev.Event, str] | None:
    working = WorkingState()
    for event in in_force:
        if event.id not in skipped:
            try:
                working.apply(event)
            except RefusedError as error:
                return event, str(error)
    return None


def describe(event: ev.Event) -> str:
    """An event in a few words, for messages."""
    return f"{event.kind} #{event.seq} ({event.id})"


def _refusal(target: ev.Event, broken: Sequence[tuple[ev.Event, str]]) -> str:
    reasons = "; ".join(f"{describe(late)}: {why.rstrip('.')}" for late, why in broken[:EXPLAINED])
    rest = ", ".join(describe(late) for late, _ in broken[EXPLAINED:])
    count = f"{'at least ' if len(broken) == LISTED else ''}{len(broken)}"
    return (
        f"{describe(target)} cannot be undone because {count} other "
        f"{'event needs' if len(broken) == 1 else 'events need'} it, undo them first: {reasons}"
        f"{f'; also {rest}' if rest else ''}."
    )
