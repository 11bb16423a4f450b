"""Riders: whether each true rider, and nobody else, became one person of the video."""

from __future__ import annotations

import polars as pl

from identity_pipeline.core.evaluation import figures
from identity_pipeline.core.evaluation.evidence import Evidence
from identity_pipeline.core.evaluation.report import Figure

NOTHING = "there is no true rider in these clips"


def rider_map(evidence: Evidence) -> pl.DataFrame:
    """Whom each `person_id` truly is: the person of most of its faces, first by name when equal.

    Returns:
        `video, person_id, truth_person, is_rider`; truth_person is null when none of its faces
        is anybody's.
    """
    held = evidence.faces.filter(pl.col("person_id").is_not_null())
    majority = (
        held.group_by("video", "person_id", "person", "rider")
        .len()
        .sort("len", "person", descending=[True, False])
        .unique(["video", "person_id"], keep="first", maintain_order=True)
        .select("video", "person_id", truth_person="person", is_rider="rider")
    )
    everyone = evidence.seats.select("video", "person_id").unique()
    return everyone.join(majority, on=["video", "person_id"], how="left").sort("video", "person_id")


def rider_figures(evidence: Evidence) -> list[Figure]:
    """Recall and precision of riders, and the share of videos with neither fault."""
    mapped = rider_map(evidence)
    scope = evidence.scope
    right = mapped.filter("is_rider").unique(["video", "truth_person"])
    true = sum(len(truth.people) for truth in evidence.truths.values())
    called = mapped.height
    whole = sum(
        _whole(mapped.filter(pl.col("video") == video), set(truth.people))
        for video, truth in evidence.truths.items()
    )
    rows = (
        ("recall", "True riders who became a person", right.height, true, "true riders"),
        ("precision", "Persons who are a true rider", right.height, called, "persons"),
        ("videos", "Videos with exactly their riders", whole, len(evidence.truths), "videos"),
    )
    return [
        figures.exact_share(f"riders.{name}", label, k, n, scope, counted, NOTHING)
        for name, label, k, n, counted in rows
    ]


def _whole(mapped: pl.DataFrame, people: set[str]) -> bool:
    return mapped.height == len(people) and set(mapped["truth_person"]) == people
