"""What was decided about one person: event by event, and who they are not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from identity_pipeline.ledger import events as ev
from identity_pipeline.ledger.replay import History
from identity_pipeline.ledger.state import LibraryState
from identity_pipeline.stages.curation.snapshot import LibrarySnapshot
from identity_pipeline.stages.desk.people import PAGE, TRACKS, Tile, tiles


@dataclass(frozen=True)
class Decision:
    """One decision about a person.

    Attributes:
        seq: its number.
        event_id: what an undo needs; where it was undone: the undo, which brings it back.
        time: ISO, in UTC.
        actor: who.
        words: what, with the names of now.
        undone: whether it was taken back.
    """

    seq: int
    event_id: str
    time: str
    actor: str
    words: str
    undone: bool


@dataclass(frozen=True)
class Negative:
    """A track of which it was said that it is not the person.

    Attributes:
        tile: how it looks.
        score: at which a suggestion was declined, after which it may be asked again; null: it was
            rejected for ever.
        decision: that said so; null where it is not found any more.
        with_it: other tracks that the same decision names.
    """

    tile: Tile
    score: float | None
    decision: Decision | None
    with_it: int


def decisions_about(library: LibrarySnapshot, person_id: str, page: int = 1) -> list[Decision]:
    """What was decided about a person, or about whoever was merged into them; the newest first.

    Args:
        library: as it is now.
        person_id: in force.
        page: from 1.
    """
    history = library.history
    named = history.position.named
    numbers = {seq for who in _once(library.state, person_id) for seq in named.get(who, ())}
    newest = sorted(numbers, reverse=True)[(page - 1) * PAGE : page * PAGE]
    undos = _undos(history)
    told = (history.events[seq - 1] for seq in newest)
    return [_decision(library, event, undos) for event in told if event.kind != "renumber"]


def _once(state: LibraryState, person_id: str) -> Iterator[str]:
    """All who are this person now."""
    return (who for who in state.people if state.survivor(who) == person_id)


def _undos(history: History) -> dict[str, str]:
    """The undo in force of each event that is undone."""
    off = history.undone
    return {target: undo for _, undo, target in history.position.undos if undo not in off}


def _decision(library: LibrarySnapshot, event: ev.Event, undos: dict[str, str]) -> Decision:
    undone = event.id in undos
    handle = undos.get(event.id, event.id)
    words = in_words(library, event)
    return Decision(event.seq, handle, event.time, event.actor, words, undone)


def negatives_of(library: LibrarySnapshot, person_id: str) -> tuple[list[Negative], int]:
    """Who a person is not, as far as it was said: rejections first, then declined suggestions.

    Returns:
        Those that one page holds, and how many there are.
    """
    state = library.state
    rejected: dict[str, float | None] = {s: None for s, who in state.rejected if who == person_id}
    declined = {s: score for (s, who), score in state.declined.items() if who == person_id}
    scores = {**declined, **rejected}
    ordered = sorted(scores, key=lambda subject: (scores[subject] is not None, subject))
    undos = _undos(library.history)
    shown = [
        _negative(library, tile, scores[tile.subject], person_id, undos)
        for tile in tiles(library, dict.fromkeys(ordered[:TRACKS], ""), None)
    ]
    return shown, len(ordered)


def _negative(
    library: LibrarySnapshot,
    tile: Tile,
    score: float | None,
    person_id: str,
    undos: dict[str, str],
) -> Negative:
    kind = "reject" if score is None else "suggestion_rejected"
    history = library.history
    for seq in reversed(history.position.named.get(tile.subject, ())):
        event = history.events[seq - 1]
        of_person = library.survivor(getattr(event, "person_id", "")) == person_id
        if event.kind == kind and of_person and event.id not in history.undone:
            others = len(event.named_subjects) - 1
            return Negative(tile, score, _decision(library, event, undos), others)
    return Negative(tile, score, None, 0)


WORDS: Final = {
    "name": "{tracks} named {name}",
    "rename": "renamed to {name}",
    "confirm": "{tracks} confirmed as {person}",
    "reject": "{tracks} said not to be {person}",
    "suggestion_rejected": "{tracks} suggested as {person}: declined",
    "merge": "{person} merged into {into}",
    "split": "{tracks} split off from {person}",
    "move": "{tracks} moved from {person} to {to}",
    "hide": "hidden",
    "unhide": "listed again",
    "set_cover": "cover chosen",
}
"""Events about people; a kind that is not here is told by its own name."""


def in_words(library: LibrarySnapshot, event: ev.Event) -> str:
    """An event in a few words."""
    several = len(event.named_subjects)
    told = {
        "tracks": f"{several} track{'' if several == 1 else 's'}",
        "name": getattr(event, "name", ""),
        **{
            field: library.state.people[who].name or library.called(who)
            for field, who in _people_of(event)
            if who in library.state.people
        },
    }
    wanted = ("person", "into", "to")
    return WORDS.get(event.kind, event.kind.replace("_", " ")).format(
        **{**dict.fromkeys(wanted, "nobody any more"), **told}
    )


def _people_of(event: ev.Event) -> Iterable[tuple[str, str]]:
    fields = {"person": "person_id", "into": "into", "to": "to"}
    return ((name, getattr(event, f)) for name, f in fields.items() if hasattr(event, f))
