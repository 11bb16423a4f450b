"""The answers to the question for consent as a list for people, with what follows from each."""

from __future__ import annotations

from typing import TypedDict

from identity_pipeline.ledger import events as ev
from identity_pipeline.ledger.state import Target
from identity_pipeline.settings import Settings
from identity_pipeline.stages.curation.consent_files import target_called
from identity_pipeline.stages.curation.consents import Consents, today
from identity_pipeline.stages.curation.snapshot import LibrarySnapshot


class ConsentRow(TypedDict):
    """An answer in force.

    Attributes:
        whom: in words.
        kind, id, seat: whom, for machines.
        scope: for what.
        answer: what they said.
        until: the last day of a grant, or None.
        minor: whether they are under age, or None.
        evidence, by: as they were noted.
        event_id: of the event that says so.
        allowed, reason: what follows today for whoever is meant.
    """

    whom: str
    kind: str
    id: str
    seat: int | None
    scope: str
    answer: str
    until: str | None
    minor: bool | None
    evidence: str
    by: str
    event_id: str
    allowed: bool
    reason: str


def consent_rows(
    library: LibrarySnapshot, settings: Settings, whom: str | None = None
) -> list[ConsentRow]:
    """Every answer in force, people first.

    Args:
        library: as it is now.
        settings: of consent.
        whom: a person, a ride or a rider of a ride; None: all.

    Raises:
        CurationError: `whom` means nobody.
    """
    state, asked = library.state, Consents(library.state, settings.consent, today())
    only = target_called(library, whom) if whom is not None else None
    rows = list[ConsentRow]()
    for target, answers in state.consents.items():
        if only is not None and not _is_meant(target, only):
            continue
        for scope, one in answers.items():
            event = library.history.event(one.event_id)
            words = event if isinstance(event, ev.ConsentRecorded) else None
            if target.kind == "person":
                verdict = asked.of_person(target.id, scope)
            else:
                verdict = asked.of_visit(target.id, target.seat, scope)
            rows.append(
                ConsentRow(
                    whom=called(library, target),
                    kind=target.kind,
                    id=target.id,
                    seat=target.seat,
                    scope=scope,
                    answer=one.answer,
                    until=one.until,
                    minor=one.minor,
                    evidence=words.evidence if words else "",
                    by=words.by if words else "",
                    event_id=one.event_id,
                    allowed=verdict.allowed,
                    reason=verdict.reason,
                )
            )
    return rows


def called(library: LibrarySnapshot, target: Target) -> str:
    """A target in words."""
    if target.kind == "person":
        return library.called(target.id)
    return target.id if target.seat is None else f"{target.id}/{target.seat}"


def _is_meant(target: Target, only: Target) -> bool:
    same = (target.kind, target.id) == (only.kind, only.id)
    return same and (only.seat is None or target.seat in (None, only.seat))
