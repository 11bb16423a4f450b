"""The known people as a gallery: scores of probes against the best of each person's references.

Also the open-set question of one probe: a name, probably a name, two names, or none.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from identity_pipeline.core.matching.thresholds import Thresholds
from identity_pipeline.core.vectors import Matrix, check_unit, same_space, to_matrix
from identity_pipeline.settings import MatchSettings

NEVER = -np.inf
"""Score where there is nothing to compare."""
STEPS = 2.0**26
"""Steps of 1 to which numbers are rounded before they are multiplied, see `exact_products`."""
ROWS_AT_ONCE = 1024
"""Probes multiplied at once: 4 MB of float64 at 512 dimensions."""


@dataclass(frozen=True)
class Gallery:
    """References of all known people, of one space, ordered by person.

    Attributes:
        space: key of the space; null without any reference.
        people: P person ids, ascending.
        owner: (R,) place in `people` of each reference.
        vectors: (R, D) unit vectors times their strength.
        names: R names: track keys of exemplars, "centre:{n}".
        sources: what each reference is made of.
    """

    space: str | None
    people: tuple[str, ...]
    owner: NDArray[np.int64]
    vectors: Matrix
    names: tuple[str, ...]
    sources: tuple[tuple[str, ...], ...]

    @property
    def counts(self) -> NDArray[np.int64]:
        """References of each person."""
        return np.bincount(self.owner, minlength=len(self.people))

    def reference_scores(self, probes: Matrix, keys: list[str] | None = None) -> Matrix:
        """(N, R) score of each probe against each reference: cosine times strength.

        Args:
            probes: (N, D) unit vectors.
            keys: their track keys; a probe is not compared with a reference made of itself.
        """
        scores = exact_products(probes, self.vectors)
        if keys is not None:
            row_of = {key: row for row, key in enumerate(keys)}
            for column, made_of in enumerate(self.sources):
                for key in made_of:
                    if key in row_of:
                        scores[row_of[key], column] = NEVER
        return scores

    def person_scores(self, reference_scores: Matrix) -> Matrix:
        """(N, P) the best of each person's references."""
        if not self.people:
            return np.zeros((len(reference_scores), 0), dtype=np.float32)
        starts = np.searchsorted(self.owner, np.arange(len(self.people)))
        return np.maximum.reduceat(reference_scores, starts, axis=1)

    def nearest_of_many(self, reference_scores: Matrix, person: int, most: int) -> list[list[str]]:
        """Track keys of a person's exemplars nearest to each of some probes, of (N, R) scores."""
        places, owner = self.exemplars
        own = places[owner == person]
        scores = reference_scores[:, own]
        order = np.argsort(-scores, axis=1, kind="stable")[:, :most]
        names = [self.names[place] for place in own.tolist()]
        counted = np.minimum((scores > NEVER).sum(axis=1), most).tolist()
        rows = zip(order.tolist(), counted, strict=True)
        return [[names[i] for i in row[:count]] for row, count in rows]

    @cached_property
    def exemplars(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Places of the references that are one track, and whose each is."""
        single = [n for n, name in enumerate(self.names) if self.sources[n] == (name,)]
        places = np.array(single, dtype=np.int64)
        return places, self.owner[places]

    def nearest_other(self) -> NDArray[np.float64]:
        """(P,) largest score of an exemplar of anybody else with a reference of each person."""
        places, owner = self.exemplars
        if not len(places):
            return np.full(len(self.people), NEVER)
        scores = self.person_scores(self.vectors[places] @ self.vectors.T)
        scores[np.arange(len(owner)), owner] = NEVER
        return scores.max(axis=0).astype(np.float64)


def exact_products(rows: Matrix, columns: Matrix) -> Matrix:
    """(N, R) products of vectors (N, D) and (R, D) of norms up to 1.001, the nearest float32.

    Numbers are rounded to whole steps first. Then every product of two is whole, and every sum of
    such products is at most the product of the norms (Cauchy-Schwarz), less than 2^53 square
    steps: float64 holds them all exactly. So a score is the same to the last bit whatever else is
    multiplied with it, in which order and by how many threads. Rounding moves a product by less
    than 2^-21 at 512 dimensions, and by about 2^-27 as a rule, less than float32 can tell.
    """
    whole = _in_steps(columns).T / STEPS**2  # a power of two: exact as well
    found = np.empty((len(rows), len(columns)), dtype=np.float32)
    for start in range(0, len(rows), ROWS_AT_ONCE):
        part = slice(start, start + ROWS_AT_ONCE)
        found[part] = _in_steps(rows[part]) @ whole
    return found


def _in_steps(vectors: Matrix) -> NDArray[np.float64]:
    return np.rint(vectors.astype(np.float64) * STEPS)


def raised(
    limits: NDArray[np.float64], gallery: Gallery, thresholds: Thresholds, settings: MatchSettings
) -> NDArray[np.float64]:
    """`assign` of each known person, no lower than the nearest other known person and a margin.

    A rate over all pairs hides that some people are taken for each other, so it does not speak for
    them. A pin is the word of whoever set it and stays as it is.

    Args:
        limits: (P,) by rate.
        gallery: the known people.
        thresholds: that the limits come from.
        settings: `worst_pair_margin`.
    """
    if thresholds.points["assign"].pinned is not None:
        return limits
    return np.maximum(limits, gallery.nearest_other() + settings.worst_pair_margin)


def gallery_of(references: pl.DataFrame) -> Gallery:
    """The gallery of the table `PERSON_REFERENCES`.

    Raises:
        SpaceMismatchError: the references are of more than one space.
    """
    ordered = references.sort("person_id", "reference")
    space = same_space(*ordered["space"].unique().to_list()) if ordered.height else None
    people = tuple(sorted(set(ordered["person_id"].to_list())))
    place = {person: i for i, person in enumerate(people)}
    strength = ordered["strength"].to_numpy()[:, None]
    vectors = check_unit(to_matrix(ordered["vector"]), "reference")
    return Gallery(
        space,
        people,
        np.array([place[p] for p in ordered["person_id"].to_list()], dtype=np.int64),
        vectors * strength if ordered.height else vectors,
        tuple(ordered["reference"].to_list()),
        tuple(tuple(keys) for keys in ordered["track_keys"].to_list()),
    )


Answer = Literal["known", "probably", "ambiguous", "unknown", "not_calibrated"]


@dataclass(frozen=True)
class Standing:
    """How a probe compares with one person.

    Attributes:
        person_id: the person.
        score: of the best reference.
        assign: threshold from which the probe is this person; null where none was measured.
        suggest: threshold from which it may be; null likewise.
        references: how many the person has.
    """

    person_id: str
    score: float
    assign: float | None
    suggest: float | None
    references: int


@dataclass(frozen=True)
class Identification:
    """The answer to "who is this?".

    Attributes:
        answer: `known`; `probably` (one person, but not surely enough to say so); `ambiguous`
            (two people are about equally near); `unknown`; `not_calibrated` (nothing was measured
            by which to tell, and it does not resemble anybody as one's own faces usually do).
        person_id: only when known.
        probable_id: only when probably.
        margin: lead of the first over the second person; null without a second.
        people: all people that were compared, the best first.
        reason: one stable code, as in `core.matching.assignment`.
    """

    answer: Answer
    person_id: str | None
    probable_id: str | None
    margin: float | None
    people: tuple[Standing, ...]
    reason: str


def identify(
    probe: NDArray[np.floating],
    space: str,
    gallery: Gallery,
    thresholds: Thresholds,
    settings: MatchSettings,
) -> Identification:
    """Who a face or template is, among the known people or none of them.

    Args:
        probe: (D,) unit vector.
        space: key of its space.
        gallery: the known people.
        thresholds: of level `probe` for a single face, `template` for a template.
        settings: the margin.

    Raises:
        SpaceMismatchError: probe, gallery and thresholds are not of one space.
    """
    same_space(space, thresholds.space, *([gallery.space] if gallery.space else []))
    if not gallery.people:
        return Identification("unknown", None, None, None, (), "no_people")
    unit = check_unit(np.asarray(probe)[None], "probe")
    scores = gallery.person_scores(gallery.reference_scores(unit))[0]
    people = _standings(scores, gallery, thresholds, settings)
    people.sort(key=lambda standing: (-standing.score, standing.person_id))
    first = people[0]
    margin = first.score - people[1].score if len(people) > 1 else None
    close = margin is not None and margin < settings.margin_min
    answer, reason = _answer(first, close, thresholds)
    return Identification(
        answer,
        first.person_id if answer == "known" else None,
        first.person_id if answer == "probably" else None,
        margin,
        tuple(people),
        reason,
    )


def _standings(
    scores: NDArray[np.floating], gallery: Gallery, thresholds: Thresholds, settings: MatchSettings
) -> list[Standing]:
    """How a probe with these (P,) scores compares with each person."""
    number, counts = len(gallery.people), gallery.counts.tolist()
    of_person = zip(gallery.people, scores.tolist(), counts, strict=True)
    if not thresholds.measured:
        return [Standing(who, score, None, None, count) for who, score, count in of_person]
    # People with as many references share their thresholds, which take long to compute.
    assign, suggest = (
        {count: thresholds.at(name, count, number) for count in set(counts)}
        for name in ("assign", "suggest")
    )
    by_rate = np.array([assign[count] for count in counts])
    limits = raised(by_rate, gallery, thresholds, settings).tolist()
    return [
        Standing(who, score, limit, suggest[count], count)
        for (who, score, count), limit in zip(of_person, limits, strict=True)
    ]


def _answer(first: Standing, close: bool, thresholds: Thresholds) -> tuple[Answer, str]:
    """What is said of the best person, and by which rule; `close`: the second is about as near."""
    if first.suggest is None or first.assign is None:
        # Without a threshold there is still what faces of one person usually are to each other.
        if thresholds.usual is None or first.score < thresholds.usual:
            return "not_calibrated", "not_calibrated"
        answer, reason = "probably", "not_calibrated"
    elif first.score < first.suggest:
        return "unknown", "below_suggest"
    elif first.score < first.assign:
        answer, reason = "probably", "below_assign_above_suggest"
    elif thresholds.unproven is not None:
        answer, reason = "probably", "assign_not_proven"
    else:
        answer, reason = "known", "best_reference_above_assign"
    return ("ambiguous", "margin_too_small") if close else (answer, reason)
