"""What all decisions together amount to: the state of the library, frozen, with its digest.

Only the result; how it comes about is in `working` and `replay`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from identity_pipeline.ledger import subjects as ids
from identity_pipeline.ledger.events import Answer, ConsentScope, Fault, Origin, name_key
from identity_pipeline.storage.files.hashing import sha256_of_value


@dataclass(frozen=True)
class Person:
    """One person.

    Attributes:
        name: None for a part that was split off without a name.
        cover: the subject that stands for the person, or None.
        cover_face: which face of it, or None for its best one.
        hidden: not to be listed.
        merged_into: the person who this one turned out to be, or None.
    """

    name: str | None
    cover: str | None = None
    cover_face: str | None = None
    hidden: bool = False
    merged_into: str | None = None


@dataclass(frozen=True)
class Picture:
    """What is decided on one face as a picture.

    Attributes:
        verdict: `accepted` or `rejected`, or None: neither.
        fault: what is wrong with it; None unless it is rejected.
        anchor: number of the event that made it the better anchor, or None; the newest of a rider
            or person is their first anchor.
        instead_of: the face that is no anchor while this one is, or None.
        bins: axis → the right bin, of those that were said, sorted.
        places: scope → (number of the event that ordered it, place from 0), sorted.
    """

    verdict: Literal["accepted", "rejected"] | None = None
    fault: Fault | None = None
    anchor: int | None = None
    instead_of: str | None = None
    bins: Mapping[str, str] = field(default_factory=dict)
    places: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def as_json(self) -> list[Any]:
        """The fields as plain lists and dicts."""
        places = {scope: list(place) for scope, place in self.places.items()}
        return [
            *(self.verdict, self.fault, self.anchor, self.instead_of),
            *(dict(self.bins), places),
        ]

    @classmethod
    def from_json(cls, value: list[Any]) -> Picture:
        """What `as_json` gave."""
        verdict, fault, anchor, instead_of, bins, places = value
        there = {scope: (seq, place) for scope, (seq, place) in places.items()}
        return cls(verdict, fault, anchor, instead_of, bins, there)


class Target(NamedTuple):
    """Whom an answer is about.

    Attributes:
        kind: `person` or `video`; a set of photographs is a video here.
        id: of it.
        seat: the rider of a video from the left; None: all of it.
    """

    kind: Literal["person", "video"]
    id: str
    seat: int | None = None


@dataclass(frozen=True)
class Consent:
    """What was answered for one scope.

    Attributes:
        answer: what they said.
        event_id: of the event that says so; evidence and words are there.
        until: the last day on which a grant holds, ISO 8601, or None.
        minor: whether they are under age, or None: not said.
    """

    answer: Answer
    event_id: str
    until: str | None = None
    minor: bool | None = None


@dataclass(frozen=True)
class Forgotten:
    """Who and what nothing may be known of any more.

    Attributes:
        people: ids.
        videos: rides and sets of photographs that went as a whole.
        subjects: track or face -> number of the event that forgot it. The numbers of tracks are
            given anew where a ride is processed anew, so a later event may mean somebody else.
    """

    people: frozenset[str] = frozenset()
    videos: frozenset[str] = frozenset()
    subjects: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))

    def and_also(self, other: Forgotten) -> Forgotten:
        """Both."""
        return Forgotten(
            self.people | other.people,
            self.videos | other.videos,
            MappingProxyType(
                {
                    subject: max(self.subjects.get(subject, 0), other.subjects.get(subject, 0))
                    for subject in sorted({*self.subjects, *other.subjects})
                }
            ),
        )

    def as_json(self) -> dict[str, Any]:
        """The fields as plain lists and dicts; empty for nobody."""
        if not self.people and not self.videos and not self.subjects:
            return {}
        return {
            "people": sorted(self.people),
            "videos": sorted(self.videos),
            "subjects": dict(self.subjects),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Forgotten:
        """What `as_json` gave."""
        if not value:
            return cls()
        people, videos = frozenset(value["people"]), frozenset(value["videos"])
        return cls(people, videos, read_only(value["subjects"]))


Consents = Mapping[Target, Mapping[ConsentScope, Consent]]


@dataclass(frozen=True)
class LibraryState:
    """Every human decision in force. Mappings are read-only and sorted by key.

    Attributes:
        people: person_id → person, with those who were merged away.
        assigned: subject → person_id, only of people who were not merged away (must-links).
        origin: subject → `human` or `suggestion_accepted`, for the same subjects.
        rejected: (subject, person_id) that must never come together.
        declined: (subject, person_id) → score at which a suggestion was declined.
        ignored: subjects nobody wants to know about.
        not_faces: subjects that are no faces.
        apart: pairs of subjects, (a, b) with a < b, that must never be one person.
        pictures: face subject → what is decided on it as a picture; says nothing about who it is.
        consents: target -> scope -> the newest answer.
        forgotten: of whom and what nothing else is in the state.
    """

    people: Mapping[str, Person]
    assigned: Mapping[str, str]
    origin: Mapping[str, Origin]
    rejected: frozenset[tuple[str, str]]
    declined: Mapping[tuple[str, str], float]
    ignored: frozenset[str]
    not_faces: frozenset[str]
    apart: frozenset[tuple[str, str]]
    pictures: Mapping[str, Picture] = field(default_factory=lambda: MappingProxyType({}))
    consents: Consents = field(default_factory=lambda: MappingProxyType({}))
    forgotten: Forgotten = Forgotten()

    @cached_property
    def state_hash(self) -> str:
        """SHA-256 over the whole state in canonical JSON; no time goes into it."""
        return sha256_of_value(self.as_json())

    @cached_property
    def people_hash(self) -> str:
        """SHA-256 over what is decided about who is who; no picture goes into it."""
        return sha256_of_value(self._people_json())

    @cached_property
    def turned_down(self) -> frozenset[tuple[str, str]]:
        """(subject, person_id) of which somebody said that they are not one, for now or ever."""
        return self.rejected | self.declined.keys()

    @cached_property
    def members(self) -> Mapping[str, tuple[str, ...]]:
        """person_id → subjects assigned to them, sorted; people without subjects are left out."""
        found: dict[str, list[str]] = {}
        for subject, person_id in self.assigned.items():
            found.setdefault(person_id, []).append(subject)
        return MappingProxyType({key: tuple(found[key]) for key in sorted(found)})

    @property
    def active(self) -> tuple[str, ...]:
        """People who were not merged away, sorted by id."""
        return tuple(key for key, person in self.people.items() if person.merged_into is None)

    @property
    def lost(self) -> tuple[str, ...]:
        """Subjects with a decision about who they are that the present tables do not show, sorted.

        See `anchors`.
        """
        return tuple(subject for subject in sorted(self.people_subjects) if ids.parse(subject).lost)

    @property
    def lost_pictures(self) -> tuple[str, ...]:
        """Faces with a decision on their picture that the present tables do not show, sorted."""
        return tuple(face for face in self.pictures if ids.parse(face).lost)

    @cached_property
    def subjects(self) -> frozenset[str]:
        """All subjects about which anything was decided."""
        instead = {p.instead_of for p in self.pictures.values() if p.instead_of}
        return self.people_subjects | self.pictures.keys() | instead

    @cached_property
    def people_subjects(self) -> frozenset[str]:
        """Subjects about which was decided who they are, or are not."""
        pairs = {subject for subject, _ in (*self.rejected, *self.declined)}
        apart = {subject for pair in self.apart for subject in pair}
        covers = {person.cover for person in self.people.values() if person.cover}
        return frozenset({*self.assigned, *self.ignored, *self.not_faces}) | pairs | apart | covers

    def survivor(self, person_id: str) -> str:
        """Who a person is after all merges.

        Raises:
            KeyError: there never was such a person.
        """
        while (into := self.people[person_id].merged_into) is not None:
            person_id = into
        return person_id

    def named(self, name: str) -> tuple[str, ...]:
        """People in force who bear a name, whatever its case, sorted by id."""
        return self._bearers.get(name_key(name), ())

    @cached_property
    def _bearers(self) -> Mapping[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for person_id, person in self.people.items():
            if person.merged_into is None and person.name is not None:
                key = name_key(person.name)
                found[key] = (*found.get(key, ()), person_id)
        return found

    def display(self, person_id: str) -> str:
        """How a person is called in texts: the name, with the id when others bear it too."""
        name = self.people[person_id].name
        if name is None:
            return f"person_{person_id}"
        return name if self.named(name) in ((), (person_id,)) else f"{name} ({person_id})"

    def as_json(self) -> dict[str, Any]:
        """The state as plain lists and dicts; equal states give equal values."""
        # What there is nothing of is left out, so that a ledger without it amounts to what it did.
        pictures = {face: picture.as_json() for face, picture in self.pictures.items()}
        more = {
            "pictures": pictures,
            "consents": consents_json(self.consents),
            "forgotten": self.forgotten.as_json(),
        }
        return self._people_json() | {name: value for name, value in more.items() if value}

    def _people_json(self) -> dict[str, Any]:
        return {
            "people": {
                person_id: [p.name, p.cover, p.cover_face, p.hidden, p.merged_into]
                for person_id, p in self.people.items()
            },
            "assigned": {s: [p, self.origin[s]] for s, p in self.assigned.items()},
            "rejected": sorted(map(list, self.rejected)),
            "declined": sorted([*pair, score] for pair, score in self.declined.items()),
            "ignored": sorted(self.ignored),
            "not_faces": sorted(self.not_faces),
            "apart": sorted(map(list, self.apart)),
        }


def consents_json(consents: Consents) -> list[Any]:
    """Answers as plain lists, sorted."""
    return [
        [*target, scope, c.answer, c.event_id, c.until, c.minor]
        for target in sorted(consents, key=str)
        for scope, c in sorted(consents[target].items())
    ]


def consents_of(rows: Iterable[Sequence[Any]]) -> dict[Target, dict[ConsentScope, Consent]]:
    """What `consents_json` gave."""
    found: dict[Target, dict[ConsentScope, Consent]] = {}
    for kind, name, seat, scope, *answer in rows:
        found.setdefault(Target(kind, name, seat), {})[scope] = Consent(*answer)
    return found


def read_only(values: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """A read-only copy of a mapping, sorted by key."""
    return MappingProxyType({key: values[key] for key in sorted(values)})
