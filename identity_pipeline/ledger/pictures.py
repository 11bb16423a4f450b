"""What is decided on pictures: the record of a face under one event more, or under another name.

Pure functions; which events there are is in `events`, what a record holds in `state`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import get_args

from identity_pipeline.ledger import events as ev
from identity_pipeline.ledger.state import Picture

PictureEvent = (
    ev.PictureAccepted
    | ev.PictureRejected
    | ev.PictureAnchored
    | ev.PictureBinned
    | ev.PictureOrdered
)
PICTURE_EVENTS: tuple[type[PictureEvent], ...] = get_args(PictureEvent)


def decided(pictures: Mapping[str, Picture], event: PictureEvent) -> dict[str, Picture]:
    """The records that an event changes; of two decisions on a face the later one wins."""
    records = {face: pictures.get(face, Picture()) for face in event.named_subjects}
    if isinstance(event, ev.PictureAnchored):
        return _anchored(pictures, records, event)
    return {
        face: _changed(records[face], place, event) for place, face in enumerate(event.subjects)
    }


def _changed(
    record: Picture,
    place: int,
    event: ev.PictureAccepted | ev.PictureRejected | ev.PictureBinned | ev.PictureOrdered,
) -> Picture:
    match event:
        case ev.PictureAccepted():
            return replace(record, verdict="accepted", fault=None)
        case ev.PictureRejected():
            return _rejected(record, event.fault)
        case ev.PictureBinned():
            return replace(record, bins=dict(sorted({**record.bins, **event.bins}.items())))
        case ev.PictureOrdered():
            return _placed(record, event.scope, (event.seq, place))


def _rejected(record: Picture, fault: ev.Fault) -> Picture:
    return replace(record, verdict="rejected", fault=fault, anchor=None, instead_of=None)


def _anchored(
    pictures: Mapping[str, Picture], records: Mapping[str, Picture], event: ev.PictureAnchored
) -> dict[str, Picture]:
    face, other = event.subjects[0], event.instead_of
    chosen = replace(
        records[face],
        verdict="accepted",
        fault=None,
        anchor=event.seq,
        instead_of=other or records[face].instead_of,
    )
    if other is None or other not in pictures:
        return {face: chosen}
    return {face: chosen, other: replace(records[other], anchor=None, instead_of=None)}


def _placed(record: Picture, scope: ev.Scope, place: tuple[int, int]) -> Picture:
    return replace(record, places=dict(sorted({**record.places, scope: place}.items())))


def renamed(pictures: Mapping[str, Picture], names: Mapping[str, str]) -> dict[str, Picture]:
    """The records under the new names of their faces; those that become one face are one."""
    found: dict[str, Picture] = {}
    for old, record in sorted(pictures.items()):
        new, other = names[old], record.instead_of and names[record.instead_of]
        moved = replace(record, instead_of=None if other == new else other)
        found[new] = _united(found[new], moved) if new in found else moved
    return found


def contradicted(pictures: Mapping[str, Picture], names: Mapping[str, str]) -> set[str]:
    """New faces of which one old face was accepted and one rejected, or that have two bins."""
    bad: set[str] = set()
    first: dict[str, Picture] = {}
    for old, record in sorted(pictures.items()):
        known = first.setdefault(names[old], record)
        if known is not record:
            bad |= {names[old]} if _contradict(known, record) else set()
            first[names[old]] = _united(known, record)
    return bad


def _contradict(one: Picture, other: Picture) -> bool:
    verdicts = {one.verdict, other.verdict} - {None}
    return len(verdicts) > 1 or any(
        one.bins[a] != other.bins[a] for a in one.bins if a in other.bins
    )


def _united(one: Picture, other: Picture) -> Picture:
    """One record of two that do not contradict; of what cannot be both, the newer."""
    newer = max(one, other, key=lambda record: record.anchor or 0)
    scopes = sorted({*one.places, *other.places})
    nowhere = (0, 0)
    return Picture(
        verdict=one.verdict or other.verdict,
        fault=one.fault or other.fault,
        anchor=newer.anchor,
        instead_of=newer.instead_of,
        bins=dict(sorted({**one.bins, **other.bins}.items())),
        places={s: max(one.places.get(s, nowhere), other.places.get(s, nowhere)) for s in scopes},
    )
