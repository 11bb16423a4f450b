"""What all decisions together amount to: the state of the library, frozen, with its digest.

Only the result; how it comes about is in `working` and `replay`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

from identity_pipeline.ledger import subjects as ids
from identity_pipeline.ledger.events import Origin, name_key
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
    """

    people: Mapping[str, Person]
    assigned: Mapping[str, str]
    origin: Mapping[str, Origin]
    rejected: frozenset[tuple[str, str]]
    declined: Mapping[tuple[str, str], float]
    ignored: frozenset[str]
    not_faces: frozenset[str]
    apart: frozenset[tuple[str, str]]

    @cached_property
    def state_hash(self) -> str:
        """SHA-256 over the whole state in canonical JSON; no event, time or order goes into it."""
        return sha256_of_value(self.as_json())

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
        """Subjects with a decision that the present tables do not show (see `anchors`), sorted."""
        return tuple(subject for subject in sorted(self.subjects) if ids.parse(subject).lost)

    @cached_property
    def subjects(self) -> frozenset[str]:
        """All subjects about which anything was decided."""
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


def read_only(values: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """A read-only copy of a mapping, sorted by key."""
    return MappingProxyType({key: values[key] for key in sorted(values)})
