"""From events to the state: a pure replay of those that were not undone.

An undo removes its event from the sequence, and the state is what the rest amounts to. So undoing
is exact for every kind and in any order; it is refused when a later event would lose its ground.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from identity_pipeline.ledger import events as ev
from identity_pipeline.ledger import subjects as ids
from identity_pipeline.ledger.errors import DanglingError, LedgerError, NoChangeError, RefusedError
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


def undone(events: Sequence[ev.Event]) -> frozenset[str]:
    """Ids of the events that are undone; undos that were themselves undone are among them.

    Args:
        events: in order. An undo only ever refers to an earlier event, so one pass from the last
            to the first settles all of them.
    """
    off: set[str] = set()
    for event in reversed(events):
        if isinstance(event, ev.Undone) and event.id not in off:
            off.add(event.event_id)
    return frozenset(off)


def replay(events: Iterable[ev.Event]) -> LibraryState:
    """The state that events amount to.

    Raises:
        RefusedError: an event contradicts those before it; no stored ledger does that.
    """
    return History(in_order(events)).state


@dataclass(frozen=True)
class History:
    """All events of a ledger, in order, and what follows from them."""

    events: tuple[ev.Event, ...] = ()

    @cached_property
    def state(self) -> LibraryState:
        """What the events in force amount to."""
        working = WorkingState()
        for event in self.in_force:
            working.apply(event)
        return working.freeze()

    @cached_property
    def undone(self) -> frozenset[str]:
        """Ids of undone events."""
        return undone(self.events)

    @property
    def in_force(self) -> tuple[ev.Event, ...]:
        """Events that are neither undone nor undos, in order."""
        return tuple(
            event
            for event in self.events
            if event.id not in self.undone and not isinstance(event, ev.Undone)
        )

    @property
    def next_seq(self) -> int:
        """Number of the next event."""
        return len(self.events) + 1

    @cached_property
    def anchors(self) -> dict[str, tuple[ev.Anchor, ...]]:
        """Faces by which each subject can be found again, newest first, under its present name.

        Of all events, also of undone ones: they may come back. Where decisions decide whether a
        subject is `lost`, both names have its anchors.
        """
        book: dict[str, tuple[ev.Anchor, ...]] = {}
        for event in self.events:
            if isinstance(event, ev.Renumbered):
                book = _renumbered(book, event)
            for anchor in event.anchors:
                known = book.get(anchor.subject, ())
                book[anchor.subject] = (anchor, *(a for a in known if a != anchor))
        return book

    def event(self, event_id: str) -> ev.Event:
        """An event by its id.

        Raises:
            RefusedError: there is none.
        """
        for event in self.events:
            if event.id == event_id:
                return event
        raise RefusedError(f"There is no event {event_id}; list them with `events`.")

    def after(self, event: ev.Event) -> History:
        """The history with one more event.

        Raises:
            RefusedError: the event contradicts the state; nothing has changed.
            NoChangeError: it is an undo without effect.
            DanglingError: it is an undo that later events forbid.
        """
        if event.seq != self.next_seq:
            raise RefusedError(f"Event {event.seq} cannot follow {len(self.events)} events.")
        if any(event.id == known.id for known in self.events):
            raise RefusedError(f"There already is an event {event.id}.")
        longer = History((*self.events, event))
        if isinstance(event, ev.Undone):
            self._check_undo(event, longer)
        _ = longer.state
        return longer

    def _check_undo(self, event: ev.Undone, longer: History) -> None:
        target = self.event(event.event_id)
        if isinstance(target, ev.Renumbered):
            raise RefusedError(
                f"Event {target.id} is no decision but the new numbering of a video; it stays."
            )
        if target.id in self.undone:
            raise NoChangeError(f"{describe(target)} is already undone.")
        if longer.in_force == self.in_force:
            raise NoChangeError(f"Undoing {describe(target)} changes nothing: other undos remain.")
        if broken := longer.failing(LISTED):
            raise DanglingError(_refusal(target, broken), [late.id for late, _ in broken])

    def failing(self, most: int) -> list[tuple[ev.Event, str]]:
        """The first events in force that contradict those before them, with the reason.

        Each is passed over, and the replay begins anew because it may have been half applied.
        """
        broken: dict[str, tuple[ev.Event, str]] = {}
        while len(broken) < most and (first := self._first_failing(broken)) is not None:
            broken[first[0].id] = first
        return list(broken.values())

    def _first_failing(self, skipped: Container[str]) -> tuple[ev.Event, str] | None:
        working = WorkingState()
        for event in self.in_force:
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


def _renumbered(
    book: dict[str, tuple[ev.Anchor, ...]], event: ev.Renumbered
) -> dict[str, tuple[ev.Anchor, ...]]:
    renames, not_found = dict(event.renames), set(event.not_found)
    claims = Counter(renames.get(subject, subject) for subject in book if subject not in not_found)
    new = dict[str, tuple[ev.Anchor, ...]]()
    for subject, anchors in sorted(book.items()):
        name = renames.get(subject, subject)
        kept = ids.lost(subject, event.seq)
        names = {kept} if subject in not_found else {name, kept} if claims[name] > 1 else {name}
        for present in names:
            known = new.get(present, ())
            new[present] = known + tuple(a for a in anchors if a not in known)
    return new
