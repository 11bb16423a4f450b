"""Whom a word means that names whom to forget: a person, a ride, a photo set or a track.

Stricter than what a curator types elsewhere (`curation.targets`): what is forgotten never comes
back, so a word that may mean two things is refused, and so is the name of somebody who is another.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from identity_pipeline.ledger import events as ev
from identity_pipeline.ledger import subjects as ids
from identity_pipeline.ledger.state import Forgotten
from identity_pipeline.stages.curation.snapshot import LibrarySnapshot
from identity_pipeline.stages.curation.targets import TRACK, find_targets, people_called
from identity_pipeline.stages.library.copies_in_force import TABLE, Copies
from identity_pipeline.stages.library.view import pending_suggestions
from identity_pipeline.stages.privacy.footprint import (
    Footprint,
    FootprintError,
    Whom,
    names_borne,
)

LEAST = 4
"""Letters of an id that may stand for it."""
NEAREST = 3
"""Names that are offered in place of one that nobody bears."""


class AlreadyForgottenError(FootprintError):
    """Who is meant was forgotten before.

    Attributes:
        forgetting_id: of the event that did it, and of its receipt.
    """

    def __init__(self, word: str, event: ev.Forgotten) -> None:
        super().__init__(f"{word} was forgotten on {event.time[:10]}; nothing is left of it.")
        self.forgetting_id = event.id


def find_whom(library: LibrarySnapshot, word: str) -> Whom:
    """Who or what is meant.

    Args:
        library: as it is now.
        word: a person's name or id, a video or photo set (id, or a file), or a track `VIDEO:N`.

    Raises:
        AlreadyForgottenError: it was forgotten before.
        FootprintError: nothing is meant, or more than one thing, or somebody who is another.
        CurationError: there is no such track.
    """
    _refuse_twice(library, word)
    if track := TRACK.fullmatch(word):
        _refuse_twice(library, ids.track(track[1], int(track[2])))
        return Whom("track", tracks=find_targets(library, [word]).subjects)
    people = people_called(library, word)
    videos = _videos_called(library, word)
    if len(people) + len(videos) > 1:
        several = ", ".join([*people, *videos])
        raise FootprintError(f"{word!r} may be any of {several}; give the id of the one you mean.")
    if people:
        return Whom("person", person_id=_in_force(library, people[0]))
    if videos:
        return Whom("video", videos=_with_copies(library, videos[0]))
    raise FootprintError(_nobody(library, word))


def _refuse_twice(library: LibrarySnapshot, word: str) -> None:
    gone = library.state.forgotten
    if word not in gone.people and word not in gone.videos and not _is_gone(gone, library, word):
        return
    for event in reversed(library.history.events):
        if isinstance(event, ev.Forgotten) and word in (
            *event.person_ids,
            *event.videos,
            *event.subjects,
        ):
            raise AlreadyForgottenError(word, event)


def _is_gone(gone: Forgotten, library: LibrarySnapshot, subject: str) -> bool:
    """Whether a track was forgotten, and no ride that was processed anew has its number."""
    if subject not in gone.subjects:
        return False
    video_id = ids.parse(subject).video_id
    return subject not in set(library.templates([video_id])["track_key"].to_list())


def _videos_called(library: LibrarySnapshot, word: str) -> list[str]:
    """The one video or photo set of this id or file, else all whose id begins so."""
    stores = library.stores
    known = sorted({*stores.videos.ids(), *stores.photos.ids(), *library.videos})
    if word in known:
        return [word]
    if "." in word or "/" in word:
        record = stores.videos.find(word)
        return [record.video_id] if record else []
    return [name for name in known if len(word) >= LEAST and name.startswith(word)]


def _with_copies(library: LibrarySnapshot, video_id: str) -> tuple[str, ...]:
    """A ride with its copies: they show the same."""
    copy_of = Copies.from_table(library.table(TABLE)).of
    counts = copy_of.get(video_id, video_id)
    return tuple(sorted({video_id, counts, *(v for v, of in copy_of.items() if of == counts)}))


def _in_force(library: LibrarySnapshot, person_id: str) -> str:
    """A person, after checking that they are not another one by now."""
    state = library.state
    survivor = state.survivor(person_id)
    if survivor == person_id:
        return person_id
    event = next(
        (
            e
            for e in library.history.latest_in_force()
            if isinstance(e, ev.Merged) and e.person_id == person_id
        ),
        None,
    )
    number = f" by decision #{event.seq}" if event else ""
    undo = f", and `identity-pipeline undo {event.seq}` first, where they are two" if event else ""
    raise FootprintError(
        f"{state.people[person_id].name or person_id} is {state.display(survivor)}{number}; "
        f"`identity-pipeline forget {survivor}` forgets both{undo}."
    )


def _nobody(library: LibrarySnapshot, word: str) -> str:
    """That nothing is called so, with what may have been meant."""
    state = library.state
    former = _former(library, word)
    if former:
        who = former[0]
        return (
            f"Nobody is called {word!r} now; {state.display(state.survivor(who))} was. To forget "
            f"them: identity-pipeline forget {state.survivor(who)}"
        )
    names = {p.name for p in (state.people[who] for who in state.active) if p.name is not None}
    near = _like(word, names) or _like(word, {*library.stores.videos.ids(), *library.videos})
    meant = f" Did you mean {' or '.join(near)}?" if near else ""
    return (
        f"No person, ride or photo set is called {word!r}, and it is no track (VIDEO:NUMBER)."
        f"{meant} `identity-pipeline people` and `identity-pipeline videos` list them; of somebody "
        "who is forgotten no name is left, see `identity-pipeline receipts`."
    )


def _former(library: LibrarySnapshot, word: str) -> list[str]:
    """People in force who bore a name once, or into whom somebody of that name was merged."""
    wanted, state = ev.name_key(word), library.state
    return [
        who
        for who in state.people
        if wanted in map(ev.name_key, names_borne(library.history.events, {who}))
    ]


def _like(word: str, names: Iterable[str]) -> list[str]:
    by_key = {ev.name_key(name): name for name in sorted(names)}
    found = get_close_matches(ev.name_key(word), by_key, n=NEAREST)
    return [by_key[key] for key in found]


def remarks(library: LibrarySnapshot, found: Footprint) -> list[str]:
    """What is to be known before somebody is forgotten, in sentences that name people."""
    return [
        *_by_machine(found),
        *_suggested(library, found),
        *_parted(library, found),
        *_staying(library, found),
    ]


def _by_machine(found: Footprint) -> list[str]:
    machine = [track for track in found.tracks if track.how == "machine"]
    if not machine:
        return []
    return [
        f"{_tracks(track.subject for track in machine)} {'is' if len(machine) == 1 else 'are'} "
        "theirs by the machine alone; look at them first (`identity-pipeline explain`), or leave "
        "them out with --confirmed-only."
    ]


def _suggested(library: LibrarySnapshot, found: Footprint) -> list[str]:
    rows = pending_suggestions(library)
    near = [
        r["track_key"]
        for r in rows
        if library.survivor(r["person_id"]) in found.person_ids
        and r["track_key"] not in found.subjects
    ]
    if not near:
        return []
    return [
        f"{_tracks(near)} may be theirs and {'stays' if len(near) == 1 else 'stay'}; confirm what "
        "is (`identity-pipeline suggestions`) before you forget them."
    ]


def _parted(library: LibrarySnapshot, found: Footprint) -> list[str]:
    """Who was made of a part of them, or of whom they are a part: those are other people."""
    state, others = library.state, dict[str, int]()
    for event in library.history.in_force:
        if not isinstance(event, ev.Split):
            continue
        pair = event.person_id, event.new_person_id
        here = [who for who in pair if who in found.person_ids]
        if len(here) == 1:
            other = pair[0] if here[0] == pair[1] else pair[1]
            others[other] = event.seq
    return [
        f"{state.display(state.survivor(who))} was parted from them by decision #{seq} and stays; "
        f"if that is the same person: identity-pipeline forget {state.survivor(who)}"
        for who, seq in sorted(others.items())
        if who in state.people
    ]


def _staying(library: LibrarySnapshot, found: Footprint) -> list[str]:
    """People of whom only something goes."""
    if found.person_ids:
        return []
    state = library.state
    people = {state.assigned[s] for s in found.subjects if s in state.assigned}
    return [
        f"{state.display(who)} is somebody whose tracks go here, and stays with name and the rest; "
        f"to forget them: identity-pipeline forget {who}"
        for who in sorted(people)
    ]


def _tracks(subjects: Iterable[str]) -> str:
    return ", ".join(sorted(subject.removeprefix("track:") for subject in subjects))
