"""What is left of a state when people and rides are forgotten: as if they had never been.

Pure functions. What others decided about themselves stays; what connects them with the forgotten
(rejections, pairs held apart, pictures) goes with these.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TypeVar

from identity_pipeline.ledger import events as ev
from identity_pipeline.ledger import subjects as ids
from identity_pipeline.ledger.state import Consent, Forgotten, Picture, Target

Value = TypeVar("Value")


def forgotten_by(event: ev.Forgotten) -> Forgotten:
    """Who and what one event forgets."""
    numbers = dict.fromkeys(event.subjects, event.seq)
    return Forgotten(
        frozenset(event.person_ids), frozenset(event.videos), MappingProxyType(numbers)
    )


def rides_of(event: ev.Forgotten) -> set[str]:
    """Rides that go, and those from which somebody does: their answers by seat change, too."""
    return {*event.videos, *(ids.parse(subject).video_id for subject in event.subjects)}


def reaches(gone: Forgotten) -> Callable[[str], bool]:
    """A function that says whether a person, a track or a face goes with a forgetting."""

    def goes(name: str) -> bool:
        if ":" not in name:
            return name in gone.people
        return name in gone.subjects or ids.parse(name).video_id in gone.videos

    return goes


def without(values: Mapping[str, Value], goes: Callable[[str], bool]) -> dict[str, Value]:
    """What is known of others, by person or subject."""
    return {name: value for name, value in values.items() if not goes(name)}


def links_without(
    groups: Mapping[str, Mapping[str, str]], goes: Callable[[str], bool]
) -> dict[str, dict[str, str]]:
    """What holds those apart who stay."""
    left = {key: without(group, goes) for key, group in groups.items() if not goes(key)}
    return {key: group for key, group in left.items() if group}


def pictures_without(
    pictures: Mapping[str, Picture], goes: Callable[[str], bool]
) -> dict[str, Picture]:
    """What is decided on pictures of others."""
    return {
        face: replace(p, instead_of=None) if p.instead_of and goes(p.instead_of) else p
        for face, p in without(pictures, goes).items()
    }


def consents_without(
    consents: Mapping[Target, Mapping[ev.ConsentScope, Consent]], gone: Forgotten
) -> dict[Target, dict[ev.ConsentScope, Consent]]:
    """What others answered when asked for consent.

    Seats are counted from the left. Where somebody goes from a ride in which others stay, they may
    be counted anew, and nobody can tell whose an answer by seat is: so a no among them holds for
    the whole ride, and every other one lapses until somebody is asked again.
    """
    left = {
        target: dict(answers)
        for target, answers in consents.items()
        if target.id not in (gone.people if target.kind == "person" else gone.videos)
    }
    return _without_seats(left, {ids.parse(subject).video_id for subject in gone.subjects})


def _without_seats(
    consents: dict[Target, dict[ev.ConsentScope, Consent]], rides: Collection[str]
) -> dict[Target, dict[ev.ConsentScope, Consent]]:
    """Answers without those by seat in some rides; a no among them holds for the whole ride."""
    left = dict(consents)
    for target in sorted(consents, key=str):
        if target.kind == "person" or target.seat is None or target.id not in rides:
            continue
        told = left.pop(target)
        against: dict[ev.ConsentScope, Consent] = {
            scope: one for scope, one in told.items() if one.answer in ev.AGAINST
        }
        if against:
            whole = Target("video", target.id, None)
            left[whole] = left.get(whole, {}) | against
    return left


def is_about(event: ev.Event, names: Collection[str], forgotten: Forgotten) -> bool:
    """Whether a decision is about somebody who was forgotten after it, or about nobody else.

    Args:
        event: the decision.
        names: the people and subjects that it names.
        forgotten: who was, up to now.
    """
    if isinstance(event, ev.ConsentRecorded):
        return event.person_id in forgotten.people or event.video_id in forgotten.videos
    if any(name in forgotten.people for name in names):
        return True
    subjects = [name for name in names if ":" in name]
    return bool(subjects) and all(
        forgotten.subjects.get(name, 0) > event.seq or ids.parse(name).video_id in forgotten.videos
        for name in subjects
    )
