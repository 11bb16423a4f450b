"""Human decisions that a new space, left to itself, would contradict: listed, never changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from identity_pipeline.core.library.recompute import HumanFacts
from identity_pipeline.core.matching.gallery import Gallery, gallery_of
from identity_pipeline.core.matching.templates import template_matrix
from identity_pipeline.core.matching.thresholds import Thresholds
from identity_pipeline.core.vectors import Matrix
from identity_pipeline.settings import MatchSettings


@dataclass(frozen=True)
class Contradiction:
    """One decision.

    Attributes:
        track_key: the track.
        kind: `confirmed` (the machine would say another person), `rejected` (it would say the
            person whom a human ruled out), `apart` (it would take two tracks for one person that
            a human told apart).
        person_id: whom the human named; for `apart` null.
        other: the person, or for `apart` the track, that the machine would have said.
        score: in the new space.
        threshold: from which it would have.
    """

    track_key: str
    kind: str
    person_id: str | None
    other: str
    score: float
    threshold: float


def contradictions(
    templates: pl.DataFrame,
    references: pl.DataFrame,
    assignments: pl.DataFrame,
    human: HumanFacts,
    thresholds: Thresholds,
    settings: MatchSettings,
) -> tuple[Contradiction, ...]:
    """The decisions that are contradicted, by kind and track.

    A confirmed track is compared with references that are not made of itself.

    Args:
        templates: table `track_templates` in the new space.
        references: table `person_references` in the new space.
        assignments: table `person_assignments` in the new space.
        human: the decisions.
        thresholds: of level `template` in the new space.
        settings: the margin.
    """
    if not templates.height:
        return ()
    ordered = templates.sort("track_key")
    keys = ordered["track_key"].to_list()
    matrix, row_of = template_matrix(ordered), {key: row for row, key in enumerate(keys)}
    gallery = gallery_of(references)
    found = _confirmed(assignments, dict(zip(gallery.people, gallery.counts, strict=True)),
                       thresholds, settings)  # fmt: skip
    if gallery.people:
        scores = gallery.person_scores(gallery.reference_scores(matrix, keys))
        found += _rejected(human, gallery, scores, row_of, thresholds)
    limit = thresholds.at("assign")
    for one, other in sorted(human.apart):
        if one in row_of and other in row_of:
            score = float(matrix[row_of[one]] @ matrix[row_of[other]])
            if score >= limit:
                found.append(Contradiction(one, "apart", None, other, score, limit))
    return tuple(sorted(found, key=lambda c: (c.kind, c.track_key, c.other)))


def _rejected(
    human: HumanFacts,
    gallery: Gallery,
    scores: Matrix,
    row_of: dict[str, int],
    thresholds: Thresholds,
) -> Iterator[Contradiction]:
    """People who were ruled out for ever and would be assigned."""
    place = {person: column for column, person in enumerate(gallery.people)}
    for (key, person), evidence in sorted(human.decisions.rejected.items()):
        if evidence is not None or key not in row_of or person not in place:
            continue
        limit = thresholds.at("assign", int(gallery.counts[place[person]]), len(place))
        score = float(scores[row_of[key], place[person]])
        if score >= limit:
            yield Contradiction(key, "rejected", person, person, score, limit)


def _confirmed(
    assignments: pl.DataFrame,
    counts: dict[str, int],
    thresholds: Thresholds,
    settings: MatchSettings,
) -> list[Contradiction]:
    found = []
    rows = assignments.filter(pl.col("rule") == "human_confirmed").drop_nulls(
        ["runner_up", "margin"]
    )
    for row in rows.iter_rows(named=True):
        rival, score = row["runner_up"], row["score"] - row["margin"]
        limit = thresholds.at("assign", int(counts[rival]), len(counts))
        if -row["margin"] >= settings.margin_min and score >= limit:
            found.append(
                Contradiction(row["track_key"], "confirmed", row["person_id"], rival, score, limit)
            )
    return found
