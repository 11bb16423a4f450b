"""What a decision changes, told to whoever decides: which subjects move from where to where.

Computed from the states before and after, so that it holds for every kind of event and for undo.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from identity_pipeline.ledger import subjects as ids
from identity_pipeline.ledger.events import CONSENT_SCOPES, Fault
from identity_pipeline.ledger.state import LibraryState, Person, Picture, Target

FAULTS: dict[Fault, str] = {
    "eyes": "eyes",
    "mouth": "mouth",
    "covered": "face covered",
    "blurred": "blurred",
    "light": "bad light",
    "pose": "pose",
    "not_them": "somebody else",
    "other": "other fault",
}
"""What is wrong with a rejected picture, in words."""


@dataclass(frozen=True)
class Facts:
    """What the tables know about subjects; all of it may be left out.

    Attributes:
        faces: subject → how many faces it has.
        places: subject → where the machine puts it, as displayed (`unknown_cluster_5`).
        disputed: subjects that something speaks against moving, as the caller sees it.
        seen_together: pairs of subjects that share a frame and so cannot be one person.
    """

    faces: Mapping[str, int] = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict)
    disputed: frozenset[str] = frozenset()
    seen_together: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True)
class Shift:
    """Subjects that go the same way.

    Attributes:
        before, after: where they were and where they will be, as displayed.
        subjects: which, sorted.
        faces: how many faces they have; None when it is not known of all of them.
        videos: in how many videos they are seen.
        disputed: how many of the faces (of the subjects, where faces are not known) are disputed.
    """

    before: str
    after: str
    subjects: tuple[str, ...]
    faces: int | None
    videos: int
    disputed: int

    def __str__(self) -> str:
        """`12 faces of 3 videos move from unknown_cluster_5 to person NAME; 2 are disputed`."""
        tracks = len(self.subjects)
        what = _count(tracks, "subject") if self.faces is None else _count(self.faces, "face")
        one = (tracks if self.faces is None else self.faces) == 1
        text = (
            f"{what} of {_count(self.videos, 'video')} {'moves' if one else 'move'} "
            f"from {self.before} to {self.after}"
        )
        if self.disputed:
            text += f"; {self.disputed} {'is' if self.disputed == 1 else 'are'} disputed"
        return text


@dataclass(frozen=True)
class Effect:
    """All that changes.

    Attributes:
        shifts: subjects that change their place, sorted by where from and where to.
        notes: everything else, one clause each.
    """

    shifts: tuple[Shift, ...]
    notes: tuple[str, ...]

    def __str__(self) -> str:
        """One line for each change."""
        return "\n".join([*map(str, self.shifts), *self.notes]) or "Nothing changes."


def effect_of(before: LibraryState, after: LibraryState, facts: Facts) -> Effect:
    """The difference between two states."""
    groups: dict[tuple[str, str], list[str]] = {}
    for subject in sorted(_touched(before, after)):
        if _place(before, subject) != _place(after, subject):
            source = _called(before, subject) or facts.places.get(subject, "unknown")
            target = _called(after, subject) or "unknown"
            groups.setdefault((source, target), []).append(subject)
    shifts = [_shift(*way, subjects, before, after, facts) for way, subjects in groups.items()]
    shifts.sort(key=lambda shift: (shift.before, shift.after))
    return Effect(tuple(shifts), tuple(_notes(before, after)))


def _touched(before: LibraryState, after: LibraryState) -> set[str]:
    """Subjects whose place may have changed."""
    moved = {subject for subject, _ in before.assigned.items() ^ after.assigned.items()}
    return moved | (before.ignored ^ after.ignored) | (before.not_faces ^ after.not_faces)


def _place(state: LibraryState, subject: str) -> str | None:
    aside = "ignored" if subject in state.ignored else None
    aside = "not a face" if subject in state.not_faces else aside
    return state.assigned.get(subject, aside)


def _called(state: LibraryState, subject: str) -> str | None:
    person_id = state.assigned.get(subject)
    return _place(state, subject) if person_id is None else _person(state, person_id)


def _person(state: LibraryState, person_id: str) -> str:
    unnamed = state.people[person_id].name is None
    return state.display(person_id) if unnamed else f"person {state.display(person_id)}"


def _shift(
    source: str,
    target: str,
    subjects: list[str],
    before: LibraryState,
    after: LibraryState,
    facts: Facts,
) -> Shift:
    known = _faces_known(subjects, facts)
    weights = known if len(known) == len(subjects) else dict.fromkeys(subjects, 1)
    declined = {s for s in subjects if (s, after.assigned.get(s)) in before.declined}
    disputed = declined | facts.disputed.intersection(subjects)
    return Shift(
        before=source,
        after=target,
        subjects=tuple(subjects),
        faces=sum(known.values()) if weights is known else None,
        videos=len({ids.parse(subject).video_id for subject in subjects}),
        disputed=sum(weights[subject] for subject in disputed),
    )


def _faces_known(subjects: list[str], facts: Facts) -> dict[str, int]:
    counts = {s: 1 if ids.parse(s).kind == "face" else facts.faces.get(s) for s in subjects}
    return {subject: count for subject, count in counts.items() if count is not None}


def _notes(before: LibraryState, after: LibraryState) -> list[str]:
    notes = [
        note
        for person_id in sorted({key for key, _ in before.people.items() ^ after.people.items()})
        for note in _person_notes(person_id, before, after)
    ]
    for what, old, new in (
        ("rejection", before.rejected, after.rejected),
        ("pair held apart", before.apart, after.apart),
        ("declined suggestion", before.declined.keys(), after.declined.keys()),
    ):
        plural = "pairs held apart" if what.startswith("pair") else f"{what}s"
        for count, verb in ((len(new - old), "added"), (len(old - new), "removed")):
            if count:
                are = "is" if count == 1 else "are"
                notes.append(f"{count} {what if count == 1 else plural} {are} {verb}")
    return notes + _consent_notes(before, after) + _picture_notes(before, after)


def _consent_notes(before: LibraryState, after: LibraryState) -> list[str]:
    """Answers that changed, and who was forgotten."""
    notes = []
    for target in sorted({*before.consents, *after.consents}, key=str):
        old, new = before.consents.get(target, {}), after.consents.get(target, {})
        for scope in CONSENT_SCOPES:
            if old.get(scope) == new.get(scope):
                continue
            now = new.get(scope)
            said = now.answer if now else "not said"
            notes.append(f"consent of {_target(after, target)} to {scope}: {said}")
    if gone := after.forgotten.people - before.forgotten.people:
        notes.append(f"{_count(len(gone), 'person id')} forgotten for good")
    if videos := after.forgotten.videos - before.forgotten.videos:
        notes.append(f"{_count(len(videos), 'ride or photo set')} forgotten for good")
    return notes


def _target(state: LibraryState, target: Target) -> str:
    if target.kind == "person":
        return state.display(target.id) if target.id in state.people else target.id
    seat = "all riders" if target.seat is None else f"rider {target.seat}"
    return f"{seat} of {target.id}"


def _picture_notes(before: LibraryState, after: LibraryState) -> list[str]:
    """Pictures by what changes of them, most of which is told in one clause."""
    told: dict[str, list[str]] = {}
    for face in sorted(before.pictures.keys() | after.pictures.keys()):
        old, new = before.pictures.get(face, Picture()), after.pictures.get(face, Picture())
        for text in _picture_changes(old, new) if old != new else ():
            told.setdefault(text, []).append(face)
    return [f"{_pictures(faces)} {text}" for text, faces in told.items()]


def _pictures(faces: list[str]) -> str:
    if len(faces) == 1:
        _, video_id, face_id, _ = ids.parse(faces[0])
        return f"picture {video_id}@{face_id}:"
    videos = len({ids.parse(face).video_id for face in faces})
    return f"{len(faces)} pictures of {_count(videos, 'video')}:"


def _picture_changes(old: Picture, new: Picture) -> Iterator[str]:
    if (old.verdict, old.fault) != (new.verdict, new.fault):
        yield _verdict(old, new)
    if old.anchor != new.anchor:
        yield "the first anchor" if new.anchor else "no chosen anchor any more"
    if old.instead_of != new.instead_of and new.instead_of:
        yield f"instead of {new.instead_of.removeprefix('face:').replace(':', '@')}"
    for axis in _different(old.bins, new.bins):
        yield f"{axis} {new.bins[axis]}" if axis in new.bins else f"{axis} as measured"
    for scope in _different(old.places, new.places):
        yield f"another place in the sets of the {scope}"


def _verdict(old: Picture, new: Picture) -> str:
    if new.verdict == "rejected":
        return f"rejected ({FAULTS[new.fault or 'other']}), in no set from now on"
    return new.verdict or f"no longer {old.verdict}"


def _different(old: Mapping[str, object], new: Mapping[str, object]) -> list[str]:
    return [key for key in sorted({*old, *new}) if old.get(key) != new.get(key)]


def _person_notes(person_id: str, before: LibraryState, after: LibraryState) -> list[str]:
    old, new = before.people.get(person_id), after.people.get(person_id)
    if old is None:
        return [f"{_person(after, person_id)} is new ({person_id})"]
    if new is None:
        return [f"{_person(before, person_id)} is no more ({person_id})"]
    notes = [f"{_person(before, person_id)} {text}" for text in _changes(old, new)]
    if old.merged_into != new.merged_into:
        into = new.merged_into or old.merged_into or ""
        verb = "is merged into" if new.merged_into else "is a person apart from"
        notes.append(f"{_person(after, person_id)} {verb} {_person(after, into)}")
    return notes


def _changes(old: Person, new: Person) -> list[str]:
    texts = []
    if old.name != new.name:
        texts.append(f"is renamed to {new.name}")
    if old.hidden != new.hidden:
        texts.append("is hidden" if new.hidden else "is listed again")
    if (old.cover, old.cover_face) != (new.cover, new.cover_face):
        texts.append(
            f"has the cover {new.cover_face or new.cover}" if new.cover else "has no cover"
        )
    return texts


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
