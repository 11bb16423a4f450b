"""Decisions that were made of an older head of the ledger: whether somebody else was faster.

A page shows the library at one head; until its button is pressed others may have decided. What they
decided hinders only where it is about the same subjects, or about the same person as a whole, so
two curators can work at once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from identity_pipeline.ledger import events as ev
from identity_pipeline.ledger.commands import Command, Planned
from identity_pipeline.ledger.errors import ChangedMeanwhileError, RefusedError
from identity_pipeline.ledger.lines import StoredEvents
from identity_pipeline.ledger.position import names_of
from identity_pipeline.ledger.replay import History, describe

Head = tuple[int, str]
"""Number and digest of the last event that was there (`LedgerStore.head_of`)."""
_WHOLE_PERSON = (ev.Renamed, ev.Merged, ev.Hidden, ev.Unhidden)
"""Decisions about a person, whatever their tracks are."""


def decided_on(command: Command, head: Head, own: Collection[str] = ()) -> Command:
    """The same decision, made of what was known at a head.

    Args:
        command: decides.
        head: of the ledger, when whoever decides looked at it.
        own: ids of what they decided since themselves, which does not hinder them.

    Returns:
        A command for `LedgerStore.commit` or `preview`. It raises `ChangedMeanwhileError` where an
        event since then names a subject of the decision, or is like it about a whole person whom
        both name; where it fails only because of events since then; and where the head is not of
        this ledger. Other newer events do not hinder it.
    """

    def decide(history: History) -> Planned:
        newer = [event for event in _since(history, head) if event.id not in own]
        try:
            planned = command(history)
        except RefusedError as error:
            if newer and (why := _spoiling(command, history, newer, head[0])):
                raise _changed(why) from error
            raise
        if why := _hindering(planned.event, history, newer):
            raise _changed(why)
        return planned

    return decide


def _since(history: History, head: Head) -> Sequence[ev.Event]:
    """The events after a head.

    Raises:
        ChangedMeanwhileError: it is no head of this ledger.
    """
    seq, sha256 = head
    events = history.events
    if isinstance(events, StoredEvents) and events.ends(seq, sha256):
        return events[seq:]
    raise ChangedMeanwhileError(
        "What you saw was made of another ledger; look again and decide on what is there now.", ()
    )


def _spoiling(
    command: Command, history: History, newer: Sequence[ev.Event], seen: int
) -> tuple[ev.Event, ...]:
    """The newer events without which a refused decision would hold; none where it never did."""
    try:
        event = command(History(history.events[:seen])).event
    except RefusedError:
        return ()
    mine = _names(event, history)
    return tuple(other for other in newer if mine & _names(other, history))


def _hindering(
    event: ev.Event, history: History, newer: Iterable[ev.Event]
) -> tuple[ev.Event, ...]:
    """The newer events that a decision must be made in the knowledge of."""
    subjects, whole = _subjects(event, history), _whole(event, history)
    return tuple(
        other
        for other in newer
        if subjects & _subjects(other, history) or whole & _whole(other, history)
    )


def _names(event: ev.Event, history: History) -> set[str]:
    """The people and subjects that a decision is about."""
    return names_of(history.meant(event))


def _subjects(event: ev.Event, history: History) -> set[str]:
    return {name for name in _names(event, history) if ":" in name}


def _whole(event: ev.Event, history: History) -> set[str]:
    """The people whom a decision is about as a whole."""
    meant = history.meant(event)
    return names_of(meant) if isinstance(meant, _WHOLE_PERSON) else set()


def _changed(events: tuple[ev.Event, ...]) -> ChangedMeanwhileError:
    told = ", ".join(f"{describe(event)} by {event.actor}" for event in events[:3])
    more = f" and {len(events) - 3} more" if len(events) > 3 else ""
    return ChangedMeanwhileError(
        f"Somebody was faster: {told}{more}; look again and decide on what is there now.", events
    )
