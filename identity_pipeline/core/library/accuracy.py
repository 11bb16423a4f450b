"""How right the library is: against known truth, and against its own labels held out.

What belongs here: counting. Where truth comes from: `stages.library.statistics`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import polars as pl

from identity_pipeline.core.clustering.metrics import ClusterMetrics, cluster_metrics
from identity_pipeline.core.matching.thresholds import Thresholds
from identity_pipeline.settings import MatchSettings


@dataclass(frozen=True)
class AgainstTruth:
    """The library against who each track truly is.

    Attributes:
        grouping: all tracks by person or cluster; noise is a group of its own.
        right: automatic assignments to the true person.
        wrong: to another one.
        unjudged: to a person none of whose confirmed tracks has a truth.
        human_right: confirmed tracks that are of the person's usual truth.
        human_wrong: the others.
    """

    grouping: ClusterMetrics
    right: int
    wrong: int
    unjudged: int
    human_right: int
    human_wrong: int


def against_truth(assignments: pl.DataFrame, truth: Mapping[str, str]) -> AgainstTruth:
    """Compares a library with the truth.

    Args:
        assignments: table `person_assignments`.
        truth: who each track is, by track_key; tracks may be missing.
    """
    counted = assignments.filter(~pl.col("state").is_in(["ignored", "not_a_face"]))
    rows = [_Track(*row) for row in counted.select(_Track._fields).iter_rows()]
    labels = [_label(row) for row in rows]
    grouping = cluster_metrics(labels, [truth.get(row.track_key) for row in rows])
    true = _usual_truth(rows, truth)
    judged = Counter(
        (
            "auto" if row.origin == "auto" else "human",
            None if row.person_id not in true else true[row.person_id] == truth[row.track_key],
        )
        for row in rows
        if row.state == "known" and row.track_key in truth
    )
    return AgainstTruth(
        grouping,
        right=judged["auto", True],
        wrong=judged["auto", False],
        unjudged=judged["auto", None],
        human_right=judged["human", True],
        human_wrong=judged["human", False],
    )


class _Track(NamedTuple):
    """Columns of `person_assignments`."""

    track_key: str
    state: str
    person_id: str | None
    cluster_id: int | None
    origin: str | None


def _usual_truth(rows: list[_Track], truth: Mapping[str, str]) -> dict[str | None, str]:
    """Who most of each person's confirmed tracks truly are; of equally many the first by name."""
    seen: dict[str | None, Counter[str]] = {}
    for row in rows:
        if row.origin not in (None, "auto") and row.track_key in truth:
            seen.setdefault(row.person_id, Counter())[truth[row.track_key]] += 1
    return {p: min(c, key=lambda name, c=c: (-c[name], name)) for p, c in seen.items()}


def _label(row: _Track) -> str | None:
    if row.state == "known":
        return f"person {row.person_id}"
    return None if row.cluster_id is None else f"cluster {row.cluster_id}"


@dataclass(frozen=True)
class HeldOut:
    """What the machine would say of each human label if it were not there.

    Attributes:
        tracks: labelled tracks of people with another one to be compared with.
        assigned: would be assigned to the right person.
        suggested: the right person would be suggested.
        missed: the right person would be neither.
        mistaken: another person would be nearer.
        alone: labelled tracks whose person has no other, so that nothing can be said.
    """

    tracks: int
    assigned: int
    suggested: int
    missed: int
    mistaken: int
    alone: int


def held_out(
    assignments: pl.DataFrame, thresholds: Thresholds, people: int, settings: MatchSettings
) -> HeldOut:
    """Leaves one label out at a time; a track's score never uses a reference made of itself.

    Args:
        assignments: table `person_assignments`.
        thresholds: of level `template`.
        people: number of known people.
        settings: the margin.
    """
    counts: Counter[str] = Counter()
    confirmed = assignments.filter(pl.col("rule") == "human_confirmed")
    for score, lead, references in confirmed.select(
        "score", "margin", "reference_count"
    ).iter_rows():
        counts[_outcome(score, lead, references, thresholds, people, settings)] += 1
    judged = ("assigned", "suggested", "missed", "mistaken")
    return HeldOut(
        tracks=sum(counts[name] for name in judged),
        alone=counts["alone"],
        **{name: counts[name] for name in judged},
    )


def _outcome(
    score: float | None,
    lead: float | None,
    references: int,
    thresholds: Thresholds,
    people: int,
    settings: MatchSettings,
) -> str:
    if score is None:
        return "alone"
    if score < thresholds.at("suggest", references, people):
        return "missed"
    if lead is not None and lead < 0:
        return "mistaken"
    sure = thresholds.unproven is None and score >= thresholds.at("assign", references, people)
    return "assigned" if sure and (lead is None or lead >= settings.margin_min) else "suggested"
