"""Which subject is called what after videos were processed anew; pure, and never loses one.

Two old subjects may turn out to be one new track. When what was decided on them agrees, they become
one; when it does not, each is kept under a `lost:` name, with its decisions, and reported.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from identity_pipeline.ledger import pictures
from identity_pipeline.ledger import subjects as ids
from identity_pipeline.ledger.state import LibraryState


@dataclass(frozen=True)
class Conflict:
    """Old subjects that are one new subject although decisions hold them apart.

    Attributes:
        subject: the new subject.
        old: the subjects that claim it, sorted.
    """

    subject: str
    old: tuple[str, ...]


@dataclass(frozen=True)
class Renaming:
    """New names of all subjects of a state.

    Attributes:
        names: old → new, for every subject about which anything was decided.
        conflicts: what could not be made one, sorted by the new subject.
    """

    names: Mapping[str, str]
    conflicts: tuple[Conflict, ...]


def new_names(
    state: LibraryState, renames: Mapping[str, str], not_found: Collection[str], seq: int
) -> Renaming:
    """Names under which the decisions of a state live on.

    Args:
        state: before.
        renames: old → new subjects; the others keep their names.
        not_found: subjects to keep under a `lost:` name.
        seq: number of the event, part of the `lost:` names so that they are unique.
    """
    parked, conflicts = set(not_found), []
    while True:
        names = {
            subject: ids.lost(subject, seq) if subject in parked else renames.get(subject, subject)
            for subject in sorted(state.subjects)
        }
        claims: dict[str, list[str]] = {}
        for old, new in names.items():
            claims.setdefault(new, []).append(old)
        shared = {new for new, olds in claims.items() if len(olds) > 1}
        bad = sorted(shared & _contradicted(state, names)) if shared else []
        if not bad:
            return Renaming(names, tuple(sorted(conflicts, key=lambda c: c.subject)))
        for new in bad:
            conflicts.append(Conflict(new, tuple(claims[new])))
            parked.update(claims[new])


def _contradicted(state: LibraryState, names: Mapping[str, str]) -> set[str]:
    """New subjects with two places, a place that is forbidden to them, or two kinds of picture."""
    bad: set[str] = set()
    places: dict[str, str] = {}
    for place, members in (("ignored", state.ignored), ("not a face", state.not_faces)):
        for old in members:
            if places.setdefault(names[old], place) != place:
                bad.add(names[old])
    for old, person_id in state.assigned.items():
        if places.setdefault(names[old], person_id) != person_id:
            bad.add(names[old])
    bad |= {names[old] for old, person_id in state.rejected if places.get(names[old]) == person_id}
    return bad | _together(state, names) | pictures.contradicted(state.pictures, names)


def _together(state: LibraryState, names: Mapping[str, str]) -> set[str]:
    """New subjects that were split apart and would be one, or one person's."""
    bad: set[str] = set()
    assigned = {names[old]: person_id for old, person_id in state.assigned.items()}
    for a, b in state.apart:
        one, other = names[a], names[b]
        if one == other or (one in assigned and assigned[one] == assigned.get(other)):
            bad |= {one, other}
    return bad
