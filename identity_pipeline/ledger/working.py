"""The state while events are applied to it: one method a kind, each checks before it changes.

A method that raises has changed nothing of consequence: the caller throws the state away. Nothing
here knows of undo, which is a replay without the undone events (`replay`), nor of names being
taken, which is a question to whoever decides (`commands`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from copy import copy
from dataclasses import astuple, replace
from types import MappingProxyType
from typing import Any, Self, TypeVar

from identity_pipeline.ledger import events as ev
from identity_pipeline.ledger import forgetting
from identity_pipeline.ledger import pictures as shown
from identity_pipeline.ledger.errors import RefusedError
from identity_pipeline.ledger.renaming import new_names
from identity_pipeline.ledger.state import (
    Consent,
    Forgotten,
    LibraryState,
    Person,
    Picture,
    Target,
    consents_json,
    consents_of,
    read_only,
)

Group = TypeVar("Group", set[str], dict[str, str])
UNKNOWN_CAUSE = "the event that decided it"


def target_of(event: ev.ConsentRecorded) -> Target:
    """Whom an answer is about."""
    if event.person_id is not None:
        return Target("person", event.person_id)
    return Target("video", str(event.video_id), event.seat)


def consent_name(target: Target) -> str:
    """Under which name the events about a target are found again."""
    return target.id if target.kind == "person" else visit(target.id)


def visit(video_id: str) -> str:
    """Under which name the answers of the riders of a video are found again."""
    return f"visit:{video_id}"


class WorkingState:
    """Mutable counterpart of `LibraryState`; remembers which event made each cannot-link."""

    def __init__(self) -> None:
        self.people: dict[str, Person] = {}
        self.assigned: dict[str, str] = {}
        self.origin: dict[str, ev.Origin] = {}
        self.members: dict[str, set[str]] = {}
        self.rejected: dict[str, dict[str, str]] = {}
        self.declined: dict[tuple[str, str], float] = {}
        self.ignored: dict[str, str] = {}
        self.not_faces: dict[str, str] = {}
        self.apart: dict[str, dict[str, str]] = {}
        self.pictures: dict[str, Picture] = {}
        self.consents: dict[Target, dict[ev.ConsentScope, Consent]] = {}
        self.forgotten = Forgotten()
        self._owned: set[tuple[int, str]] = set()
        self._apply: dict[type, Callable[..., None]] = {
            ev.Created: self._create,
            ev.Renamed: self._rename,
            ev.Confirmed: self._confirm,
            ev.Rejected: self._reject,
            ev.SuggestionRejected: self._decline,
            ev.Merged: self._merge,
            ev.Split: self._split,
            ev.Moved: self._move,
            ev.Hidden: self._hide,
            ev.Unhidden: self._hide,
            ev.NotAFace: self._set_aside,
            ev.Ignored: self._set_aside,
            ev.CoverSet: self._set_cover,
            **dict.fromkeys(shown.PICTURE_EVENTS, self._decide_picture),
            ev.ConsentRecorded: self._answer,
            ev.Forgotten: self._forget,
            ev.Renumbered: self._renumber,
        }

    def apply(self, event: ev.Event) -> None:
        """Applies one event that is no undo.

        Raises:
            RefusedError: it contradicts what was applied before.
        """
        self._apply[type(event)](event)

    def freeze(self) -> LibraryState:
        """The state as it is now."""
        return LibraryState(
            people=read_only(self.people),
            assigned=read_only(self.assigned),
            origin=read_only(self.origin),
            rejected=frozenset((s, p) for s, people in self.rejected.items() for p in people),
            declined=read_only(self.declined),
            ignored=frozenset(self.ignored),
            not_faces=frozenset(self.not_faces),
            apart=frozenset((a, b) for a, others in self.apart.items() for b in others if a < b),
            pictures=read_only(self.pictures),
            consents=MappingProxyType(
                {t: read_only(self.consents[t]) for t in sorted(self.consents, key=str)}
            ),
            forgotten=self.forgotten,
        )

    @classmethod
    def of(cls, state: LibraryState) -> Self:
        """A state to work on; which events made its cannot-links is not known."""
        working = cls()
        working.people = dict(state.people)
        working.origin = dict(state.origin)
        for subject, person_id in state.assigned.items():
            working.assigned[subject] = person_id
            working._own(working.members, person_id, set).add(subject)
        for subject, person_id in state.rejected:
            working._own(working.rejected, subject, dict)[person_id] = UNKNOWN_CAUSE
        working.declined = dict(state.declined)
        working.ignored = dict.fromkeys(state.ignored, UNKNOWN_CAUSE)
        working.not_faces = dict.fromkeys(state.not_faces, UNKNOWN_CAUSE)
        for pair in state.apart:
            working._set_apart(*pair, UNKNOWN_CAUSE)
        working.pictures = dict(state.pictures)
        working.consents = {target: dict(answers) for target, answers in state.consents.items()}
        working.forgotten = state.forgotten
        return working

    def copy(self) -> WorkingState:
        """Another state to work on; what is done to one of the two does not show in the other."""
        other = WorkingState()
        other.people, other.origin = self.people.copy(), self.origin.copy()
        other.assigned, other.declined = self.assigned.copy(), self.declined.copy()
        other.ignored, other.not_faces = self.ignored.copy(), self.not_faces.copy()
        # What lies in these is copied when it changes, for most of it never does.
        other.members, other.rejected = self.members.copy(), self.rejected.copy()
        other.apart, other.pictures = self.apart.copy(), self.pictures.copy()
        other.consents = {target: dict(answers) for target, answers in self.consents.items()}
        other.forgotten = self.forgotten
        self._owned, other._owned = set(), set()
        return other

    def _own(self, groups: dict[str, Group], key: str, new: Callable[[], Group]) -> Group:
        """The group of a key, which no other state shares; an empty one where there is none."""
        mark = id(groups), key
        if mark not in self._owned:
            groups[key] = copy(groups[key]) if key in groups else new()
            self._owned.add(mark)
        return groups.setdefault(key, new())

    def put(self, part: WorkingState, named: Collection[str]) -> None:
        """Exchanges all that is known of some people and subjects.

        Args:
            part: what is now known of them, and of nobody else.
            named: the people and subjects; with each all that decisions connect with it.
        """
        ours: list[dict[str, Any]] = self._by_entity()
        theirs: list[dict[str, Any]] = part._by_entity()
        for mine, new in zip(ours, theirs, strict=True):
            for name in named:
                mine.pop(name, None)
            mine.update(new)
        self.declined = {k: v for k, v in self.declined.items() if k[0] not in named}
        self.declined.update(part.declined)
        self.consents = {t: a for t, a in self.consents.items() if consent_name(t) not in named}
        self.consents.update(part.consents)
        self.forgotten = self.forgotten.and_also(part.forgotten)

    def _by_entity(self) -> list[dict[str, Any]]:
        return [
            *(self.people, self.assigned, self.origin, self.members, self.rejected),
            *(self.ignored, self.not_faces, self.apart, self.pictures),
        ]

    def as_json(self) -> dict[str, Any]:
        """Everything, as plain lists and dicts."""
        return {
            "people": {person_id: astuple(person) for person_id, person in self.people.items()},
            "members": {person_id: sorted(members) for person_id, members in self.members.items()},
            "accepted": sorted(s for s, origin in self.origin.items() if origin != "human"),
            "rejected": self.rejected,
            "declined": sorted([*pair, score] for pair, score in self.declined.items()),
            "ignored": self.ignored,
            "not_faces": self.not_faces,
            "apart": self.apart,
            "pictures": {face: picture.as_json() for face, picture in self.pictures.items()},
            "consents": consents_json(self.consents),
            "forgotten": self.forgotten.as_json(),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """What `as_json` gave, as a state to work on."""
        working = cls()
        working.people = {key: Person(*fields) for key, fields in value["people"].items()}
        working.members = {key: set(members) for key, members in value["members"].items()}
        working.assigned = {s: key for key, several in value["members"].items() for s in several}
        working.origin = dict.fromkeys(working.assigned, "human")
        working.origin.update(dict.fromkeys(value["accepted"], "suggestion_accepted"))
        working.rejected = value["rejected"]
        working.declined = {(s, person_id): score for s, person_id, score in value["declined"]}
        working.ignored, working.not_faces = value["ignored"], value["not_faces"]
        working.apart = value["apart"]
        pictures = value["pictures"].items()
        working.pictures = {face: Picture.from_json(fields) for face, fields in pictures}
        working.consents = consents_of(value["consents"])
        working.forgotten = Forgotten.from_json(value["forgotten"])
        return working

    def rename(self, names: Mapping[str, str]) -> None:
        """Gives subjects other names; `names` has all of them (see `renaming`)."""
        self.people = {
            person_id: replace(person, cover=names[person.cover]) if person.cover else person
            for person_id, person in self.people.items()
        }
        self._rename_origins(names)
        self.assigned = {names[s]: person_id for s, person_id in self.assigned.items()}
        self.members = {p: {names[s] for s in members} for p, members in self.members.items()}
        self._rename_rejections(names)
        self.ignored = {names[s]: cause for s, cause in sorted(self.ignored.items())}
        self.not_faces = {names[s]: cause for s, cause in sorted(self.not_faces.items())}
        self.pictures = shown.renamed(self.pictures, names)
        apart, self.apart = self.apart, {}
        for subject, causes in sorted(apart.items()):
            for other, cause in sorted(causes.items()):
                self._set_apart(names[subject], names[other], cause)

    def _rename_origins(self, names: Mapping[str, str]) -> None:
        origin: dict[str, ev.Origin] = {}
        for subject, value in sorted(self.origin.items()):
            known = origin.setdefault(names[subject], value)
            origin[names[subject]] = "human" if "human" in (known, value) else value
        self.origin = origin

    def _rename_rejections(self, names: Mapping[str, str]) -> None:
        rejected, self.rejected = self.rejected, {}
        for subject, causes in sorted(rejected.items()):
            self._own(self.rejected, names[subject], dict).update(causes)
        declined, self.declined = self.declined, {}
        for (subject, person_id), score in declined.items():
            pair = names[subject], person_id
            self.declined[pair] = max(score, self.declined.get(pair, score))

    # one method a kind -------------------------------------------------------------------------

    def _create(self, event: ev.Created) -> None:
        self._add_person(event.person_id, event.name)
        for subject in event.subjects:
            self._assign(subject, event.person_id, "human")

    def _rename(self, event: ev.Renamed) -> None:
        self._change(event.person_id, name=event.name)

    def _confirm(self, event: ev.Confirmed) -> None:
        self._person(event.person_id)
        for subject in event.subjects:
            self._assign(subject, event.person_id, event.origin)

    def _reject(self, event: ev.Rejected) -> None:
        self._person(event.person_id)
        for subject in event.subjects:
            if self.assigned.get(subject) == event.person_id:
                self._release(subject)
            self._own(self.rejected, subject, dict).setdefault(event.person_id, event.id)

    def _decline(self, event: ev.SuggestionRejected) -> None:
        self._person(event.person_id)
        for subject in event.subjects:
            if self.assigned.get(subject) == event.person_id:
                raise RefusedError(
                    f"{subject} was confirmed as {self._called(event.person_id)}; reject it "
                    "instead of declining a suggestion."
                )
            self.declined[subject, event.person_id] = event.evidence

    def _merge(self, event: ev.Merged) -> None:
        gone, into = event.person_id, event.into
        self._person(gone)
        self._person(into)
        if gone == into:
            raise RefusedError(f"{self._called(gone)} cannot be merged into themselves.")
        self._check_merge(gone, into)
        for subject in self.members.pop(gone, set()):
            self.assigned[subject] = into
            self._own(self.members, into, set).add(subject)
        for subject in [s for s, people in self.rejected.items() if gone in people]:
            people = self._own(self.rejected, subject, dict)
            people.setdefault(into, people.pop(gone))
        for subject, person_id in [pair for pair in self.declined if pair[1] == gone]:
            score = self.declined.pop((subject, person_id))
            self.declined[subject, into] = max(score, self.declined.get((subject, into), score))
        self._change(gone, merged_into=into, cover=None, cover_face=None)

    def _check_merge(self, gone: str, into: str) -> None:
        refused = f"{self._called(gone)} cannot be merged into {self._called(into)}"
        for one, other in ((gone, into), (into, gone)):
            for subject in sorted(self.members.get(one, ())):
                if cause := self.rejected.get(subject, {}).get(other):
                    raise RefusedError(
                        f"{refused}: {subject} was rejected from {self._called(other)}; undo "
                        f"{cause} first."
                    )
                for partner, cause in sorted(self.apart.get(subject, {}).items()):
                    if self.assigned.get(partner) == other:
                        raise RefusedError(
                            f"{refused}: {subject} and {partner} were split apart; undo "
                            f"{cause} first."
                        )

    def _split(self, event: ev.Split) -> None:
        self._check_members(event.subjects, event.person_id)
        self._add_person(event.new_person_id, event.new_name)
        staying = self.members[event.person_id] - set(event.subjects)
        for subject in event.subjects:
            origin = self._release(subject)
            self._assign(subject, event.new_person_id, origin)
            for other in staying:
                self._set_apart(subject, other, event.id)

    def _move(self, event: ev.Moved) -> None:
        self._person(event.to)
        if event.person_id == event.to:
            raise RefusedError(f"{self._called(event.to)} is both ends of the move.")
        self._check_members(event.subjects, event.person_id)
        for subject in event.subjects:
            self._release(subject)
        for subject in event.subjects:
            self._assign(subject, event.to, "human")

    def _hide(self, event: ev.Hidden | ev.Unhidden) -> None:
        self._change(event.person_id, hidden=event.kind == "hide")

    def _set_aside(self, event: ev.NotAFace | ev.Ignored) -> None:
        here, there, other = (
            (self.not_faces, self.ignored, "ignored")
            if event.kind == "not_a_face"
            else (self.ignored, self.not_faces, "marked as not a face")
        )
        for subject in event.subjects:
            if cause := there.get(subject):
                raise RefusedError(f"{subject} was {other}; undo {cause} first.")
            if subject in self.assigned:
                self._release(subject)
            here.setdefault(subject, event.id)

    def _set_cover(self, event: ev.CoverSet) -> None:
        self._check_members(event.subjects, event.person_id)
        self._change(event.person_id, cover=event.subjects[0], cover_face=event.face_id)

    def _decide_picture(self, event: shown.PictureEvent) -> None:
        self.pictures.update(shown.decided(self.pictures, event))

    def _answer(self, event: ev.ConsentRecorded) -> None:
        if event.person_id is not None:
            self._person(event.person_id)
        elif event.video_id in self.forgotten.videos:
            raise RefusedError(f"{event.video_id} was forgotten; no consent can be noted of it.")
        answers = self.consents.setdefault(target_of(event), {})
        for scope in event.scopes:
            answers[scope] = Consent(event.answer, event.id, event.until, event.minor)

    def _forget(self, event: ev.Forgotten) -> None:
        gone = forgetting.forgotten_by(event)
        goes = forgetting.reaches(gone)
        for subject in [s for s, p in self.assigned.items() if goes(s) or goes(p)]:
            self._release(subject)
        self.people = forgetting.without(self.people, goes)
        self.members = forgetting.without(self.members, goes)
        self.rejected = forgetting.links_without(self.rejected, goes)
        self.apart = forgetting.links_without(self.apart, goes)
        self.declined = {p: score for p, score in self.declined.items() if not any(map(goes, p))}
        self.ignored = forgetting.without(self.ignored, goes)
        self.not_faces = forgetting.without(self.not_faces, goes)
        self.pictures = forgetting.pictures_without(self.pictures, goes)
        self.consents = forgetting.consents_without(self.consents, gone)
        self.forgotten = self.forgotten.and_also(gone)
        self._owned.clear()  # the groups are others now

    def _renumber(self, event: ev.Renumbered) -> None:
        before = self.freeze()
        self.rename(new_names(before, dict(event.renames), event.not_found, event.seq).names)

    # what several kinds need -------------------------------------------------------------------

    def _person(self, person_id: str) -> Person:
        person = self.people.get(person_id)
        if person is None:
            raise RefusedError(f"There is no person {person_id}; list them with `people`.")
        if person.merged_into is not None:
            into = person.merged_into
            raise RefusedError(f"Person {person_id} was merged into {into}; use that one.")
        return person

    def _called(self, person_id: str) -> str:
        return self.people[person_id].name or f"person_{person_id}"

    def _change(self, person_id: str, **changes: object) -> None:
        self.people[person_id] = replace(self._person(person_id), **changes)  # type: ignore[arg-type]

    def _add_person(self, person_id: str, name: str | None) -> None:
        if person_id in self.people:
            raise RefusedError(f"There already is a person {person_id}; a new one needs a new id.")
        self.people[person_id] = Person(name)

    def _assign(self, subject: str, person_id: str, origin: ev.Origin) -> None:
        whose = self.assigned.get(subject)
        if whose == person_id:
            self.origin[subject] = "human" if origin == "human" else self.origin[subject]
            return
        self._check_assignable(subject, person_id, whose)
        self.assigned[subject] = person_id
        self.origin[subject] = origin
        self._own(self.members, person_id, set).add(subject)

    def _check_assignable(self, subject: str, person_id: str, whose: str | None) -> None:
        called = self._called(person_id)
        if whose is not None:
            raise RefusedError(
                f"{subject} belongs to {self._called(whose)} ({whose}); use `move` to give it to "
                f"{called}."
            )
        for aside, what in ((self.not_faces, "marked as not a face"), (self.ignored, "ignored")):
            if cause := aside.get(subject):
                raise RefusedError(f"{subject} was {what}; undo {cause} first.")
        if cause := self.rejected.get(subject, {}).get(person_id):
            raise RefusedError(f"{subject} was rejected from {called}; undo {cause} first.")
        for partner, cause in sorted(self.apart.get(subject, {}).items()):
            if self.assigned.get(partner) == person_id:
                raise RefusedError(
                    f"{subject} was split apart from {partner}, who is {called}; undo {cause} "
                    "first."
                )

    def _release(self, subject: str) -> ev.Origin:
        """Takes a subject off its person, and off the cover; returns how it had come there."""
        person_id = self.assigned.pop(subject)
        self._own(self.members, person_id, set).discard(subject)
        if self.people[person_id].cover == subject:
            self._change(person_id, cover=None, cover_face=None)
        return self.origin.pop(subject)

    def _check_members(self, subjects: Iterable[str], person_id: str) -> None:
        self._person(person_id)
        if others := [s for s in subjects if self.assigned.get(s) != person_id]:
            raise RefusedError(
                f"{', '.join(others)} was not confirmed as {self._called(person_id)}; confirm it "
                "first, or name the person who it belongs to."
            )

    def _set_apart(self, one: str, other: str, cause: str) -> None:
        self._own(self.apart, one, dict).setdefault(other, cause)
        self._own(self.apart, other, dict).setdefault(one, cause)
