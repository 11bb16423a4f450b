"""How right the library is: against known truth, and against its own labels held out.

What belongs here: counting. Where truth comes from: `stages.library.statistics`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import polars as pl

from identity_pipeline.core.clustering.metrics import ClusterMetrics, cluster_metrics
from identity_pipeline.core.matching.gallery import Gallery, raised
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
    assignments: pl.DataFrame, gallery: Gallery, thresholds: Thresholds, settings: MatchSettings
) -> HeldOut:
    """Leaves one label out at a time; a track's score never uses a reference made of itself.

    Args:
        assignments: table `person_assignments`.
        gallery: the known people.
        thresholds: of level `template`.
        settings: the margins.
    """
    limits = _limits(gallery, thresholds, settings)
    counts: Counter[str] = Counter()
    confirmed = assignments.filter(pl.col("rule") == "human_confirmed")
    for person, score, lead in confirmed.select("person_id", "score", "margin").iter_rows():
        if score is None:
            counts["alone"] += 1
        else:
            counts[_outcome(score, lead, limits[person], settings)] += 1
    judged = ("assigned", "suggested", "missed", "mistaken")
    return HeldOut(
        tracks=sum(counts[name] for name in judged),
        alone=counts["alone"],
        **{name: counts[name] for name in judged},
    )


class _Limits(NamedTuple):
    """From which score a person is suggested, and named; infinite where nobody is named."""

    suggest: float
    assign: float


def _limits(
    gallery: Gallery, thresholds: Thresholds, settings: MatchSettings
) -> dict[str, _Limits]:
    people, counts = len(gallery.people), gallery.counts.tolist()
    of_count = {
        n: _Limits(thresholds.at("suggest", n, people), thresholds.at("assign", n, people))
        for n in set(counts)
    }
    by_rate = np.array([of_count[n].assign for n in counts])
    assign = raised(by_rate, gallery, thresholds, settings).tolist() if people else []
    proven = thresholds.unproven is None
    return {
        person: _Limits(of_count[n].suggest, limit if proven else np.inf)
        for person, n, limit in zip(gallery.people, counts, assign, strict=True)
    }


def _outcome(score: float, lead: float | None, limits: _Limits, settings: MatchSettings) -> str:
    if score < limits.suggest:
        return "missed"
    if lead is not None and lead < 0:
        return "mistaken"
    clear = lead is None or lead >= settings.margin_min
    return "assigned" if score >= limits.assign and clear else "suggested"
