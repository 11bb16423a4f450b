"""Whether somebody consents, from all that was answered about them: a verdict with its reason.

What belongs here: the policy. What does not: whose answers they are, and what a verdict forbids
(`stages.curation.consents`).

The answers about a person and those about their visit are taken together. One `refused` or
`withdrawn` among them outweighs every grant, for whoever says no means it wherever they said it. A
grant that has ended says nothing. Whoever is under age for one of the answers is under age.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from identity_pipeline.settings import ConsentSettings

Code = Literal[
    "not_tracked",
    "granted",
    "allowed",
    "refused",
    "withdrawn",
    "minor",
    "age_unknown",
    "ended",
    "unknown",
]
"""Stable reasons; the first three allow."""
NOT_TRACKED_WORDS: Final = "consent is not tracked here"
NOT_TRACKED_SENTENCE: Final = f"{NOT_TRACKED_WORDS.capitalize()}."


class Said(NamedTuple):
    """One answer in force.

    Attributes:
        answer: `granted`, `refused`, `withdrawn` or `unknown`.
        evidence: id of the event that records it.
        until: the last day on which a grant holds, ISO 8601; None: until it is withdrawn.
        minor: whether they are under age; None: not said.
    """

    answer: str
    evidence: str
    until: str | None = None
    minor: bool | None = None


@dataclass(frozen=True)
class Verdict:
    """Whether something may be done with somebody's pictures, and why.

    Attributes:
        allowed: whether it may.
        code: stable reason.
        reason: the same in words, to follow a name and a colon.
        evidence: ids of the events that it rests on, sorted.
    """

    allowed: bool
    code: Code
    reason: str
    evidence: tuple[str, ...] = ()


NOT_TRACKED: Final = Verdict(True, "not_tracked", NOT_TRACKED_WORDS)
"""While consent is not required."""
NOT_ASKED: Final = Verdict(False, "unknown", "nobody said whether they consent")
"""Of somebody about whom nobody could be asked."""


def judge(
    said: Iterable[Said], minors: Iterable[bool | None], settings: ConsentSettings, today: str
) -> Verdict:
    """The verdict for one scope.

    Args:
        said: answers in force for that scope, about the person and about the visit.
        minors: whether they are under age, by every answer about them for whatever scope.
        settings: of consent.
        today: ISO date.

    Returns:
        What refuses comes before what allows: a refusal, a withdrawal, their age, an ended grant,
        silence.
    """
    if not settings.required:
        return NOT_TRACKED
    said = tuple(said)
    granted = [one for one in said if one.answer == "granted"]
    in_force = [one for one in granted if one.until is None or one.until >= today]
    return (
        _against(said)
        or _of_age(minors, settings, in_force)
        or (_granted(in_force) if in_force else _silent(granted, settings))
    )


def _against(said: Iterable[Said]) -> Verdict | None:
    """The no among some answers; None where there is none."""
    said = tuple(said)
    for answer, words in _NO.items():
        if against := [one for one in said if one.answer == answer]:
            return Verdict(False, answer, words, _evidence(against))
    return None


def _granted(grants: list[Said]) -> Verdict:
    """Where a grant is in force; the last of several says until when."""
    ends = [one.until for one in grants if one.until is not None]
    last = f" until {max(ends)}" if len(ends) == len(grants) else ""
    return Verdict(True, "granted", f"consent was granted{last}", _evidence(grants))


_NO: Final[dict[Literal["refused", "withdrawn"], str]] = {
    "refused": "consent was refused",
    "withdrawn": "consent was withdrawn",
}


def _of_age(
    minors: Iterable[bool | None], settings: ConsentSettings, granted: list[Said]
) -> Verdict | None:
    """Why their age forbids it; None where it does not."""
    known = {minor for minor in minors if minor is not None}
    if settings.minors == "allow" or known == {False}:
        return None
    if True in known:
        reason = "they are under age (consent.minors)"
        return Verdict(False, "minor", reason, _evidence(granted))
    if not granted and settings.unknown == "block":
        return None  # nobody asked them anything, which says more
    reason = "nobody said that they are of age (consent.minors)"
    return Verdict(False, "age_unknown", reason, _evidence(granted))


def _silent(ended: list[Said], settings: ConsentSettings) -> Verdict:
    """Where no answer is in force."""
    days = [one.until for one in ended if one.until is not None]
    reason = f"the consent ended on {max(days)}" if days else "nobody said whether they consent"
    if settings.unknown == "allow":
        return Verdict(
            True, "allowed", f"{reason}, which is allowed (consent.unknown)", _evidence(ended)
        )
    return Verdict(False, "ended" if days else "unknown", reason, _evidence(ended))


def together(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict on something that shows several people or needs several scopes.

    Args:
        verdicts: at least one; the first that forbids decides.
    """
    several = tuple(verdicts)
    against = next((one for one in several if not one.allowed), None)
    if against is not None:
        return against
    evidence = tuple(sorted({name for one in several for name in one.evidence}))
    first = several[0]
    return Verdict(True, first.code, first.reason, evidence)


def _evidence(said: Iterable[Said]) -> tuple[str, ...]:
    return tuple(sorted({one.evidence for one in said}))
