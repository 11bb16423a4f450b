"""How well a space tells the same person from another: the measure of learned heads.

A genuine pair is one person in two different videos; an impostor pair is two people, also of one
video. Two rows of one person and one video are no pair: they resemble each other too much to prove
anything. No row is paired with itself. Numbers that the rows cannot give are null.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from identity_pipeline.core.evaluation.intervals import (
    DRAWS,
    MIN_UNITS,
    SEED,
    percentiles,
    resamples,
)
from identity_pipeline.core.evaluation.roc import (
    Ranked,
    Scores,
    area,
    at_most,
    enough_impostors,
    equal_errors,
    index_pairs,
    tar_at,
)
from identity_pipeline.core.vectors import Matrix, check_unit

PAIRS_MAX = 8_000_000
"""All pairs of up to 4,000 rows; a seeded draw of the pairs of more rows."""
BLOCK = 1024


@dataclass(frozen=True)
class PersonPairs:
    """Pairs of rows that say something: cosine, whether genuine, and the people of both.

    Attributes:
        names: P people, ascending.
        cosine: (M,).
        genuine: (M,).
        a, b: (M,) places in `names`; the same one where genuine.
        videos: how many there are.
        rows: how many the pairs are made of.
    """

    names: tuple[str, ...]
    cosine: Scores
    genuine: NDArray[np.bool_]
    a: NDArray[np.int64]
    b: NDArray[np.int64]
    videos: int
    rows: int

    @property
    def testable(self) -> int:
        """People with a genuine pair."""
        return len(np.unique(self.a[self.genuine]))


def person_pairs(
    vectors: Matrix,
    person: Sequence[str],
    video: Sequence[str],
    judging: Sequence[bool] | None = None,
) -> PersonPairs:
    """The pairs of (N, D) unit vectors.

    Args:
        vectors: of tracks or faces, of one space.
        person: N people.
        video: N videos.
        judging: N; only pairs with at least one such row count (default: all).

    Raises:
        NotUnitNormError: a vector is not of unit length.
        ValueError: not as many people or videos as vectors.
    """
    if not len(vectors) == len(person) == len(video):
        raise ValueError(f"{len(vectors)} vectors, {len(person)} people, {len(video)} videos")
    unit = check_unit(vectors, "row").astype(np.float64)
    names, who = np.unique(np.asarray(person, dtype=str), return_inverse=True)
    clips, where = np.unique(np.asarray(video, dtype=str), return_inverse=True)
    i, j = index_pairs(len(unit), PAIRS_MAX)
    kept = (who[i] != who[j]) | (where[i] != where[j])
    if judging is not None:
        held = np.asarray(judging, dtype=bool)
        kept &= held[i] | held[j]
    i, j = i[kept], j[kept]
    return PersonPairs(
        tuple(names.tolist()),
        _cosines(unit, i, j),
        who[i] == who[j],
        who[i],
        who[j],
        len(clips),
        len(unit),
    )


def _cosines(unit: Scores, i: NDArray[np.int64], j: NDArray[np.int64]) -> Scores:
    """Of rows i (ascending) with rows j, by blocks of the whole matrix of cosines."""
    cosines = np.empty(len(i))
    for start in range(0, len(unit), BLOCK):
        first, last = np.searchsorted(i, [start, start + BLOCK])
        block = unit[start : start + BLOCK] @ unit.T
        cosines[first:last] = block[i[first:last] - start, j[first:last]]
    return cosines


FARS = (1e-2, 1e-3)
RESAMPLED_MAX = 300_000
"""Impostor pairs that are weighed again in each resample: a seeded draw when there are more."""


@dataclass(frozen=True)
class AtFar:
    """What is accepted while at most a share of the impostors is.

    Attributes:
        far: that share.
        threshold: the smallest cosine that keeps it; null where too few impostors could say.
        tar: share of the genuine pairs at or above it; null likewise, or without a genuine pair.
    """

    far: float
    threshold: float | None
    tar: float | None


@dataclass(frozen=True)
class Verification:
    """The numbers of one space.

    Attributes:
        people: among the rows.
        testable: of them, people with a genuine pair.
        videos: among the rows.
        rows: vectors.
        genuine: pairs of one person in two videos.
        impostor: pairs of two people.
        intra: mean cosine of genuine pairs.
        inter: mean cosine of impostor pairs.
        gap: intra - inter.
        d_prime: gap over the root of the mean of both variances; null without any variance.
        discrimination: (1 - inter) / (1 - intra), by how much farther (in squared distance, which
            is 2 - 2 cos) two people are from each other than one person is from herself: 1 says
            nothing, and it depends neither on how many people there are nor on the sign of a
            cosine. Null when genuine pairs have no distance at all.
        auc: area under the ROC curve: the share of (genuine, impostor) that are in order.
        eer: error rate where false accepts are as frequent as false rejects.
        at: acceptance at fixed rates of false accepts.
    """

    people: int
    testable: int
    videos: int
    rows: int
    genuine: int
    impostor: int
    intra: float | None
    inter: float | None
    gap: float | None
    d_prime: float | None
    discrimination: float | None
    auc: float | None
    eer: float | None
    at: tuple[AtFar, ...]

    def at_far(self, far: float) -> AtFar:
        """The operating point of a rate that was asked for.

        Raises:
            KeyError: it was not.
        """
        for point in self.at:
            if point.far == far:
                return point
        raise KeyError(f"FAR {far:g} was not measured, only {[p.far for p in self.at]}")

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self)


def verification(
    vectors: Matrix,
    person: Sequence[str],
    video: Sequence[str],
    fars: Sequence[float] = FARS,
    judging: Sequence[bool] | None = None,
) -> Verification:
    """How well the space of (N, D) unit vectors tells people apart.

    Args:
        vectors: of tracks or faces, of one space.
        person: N people.
        video: N videos.
        fars: rates of false accepts; a rate is null where fewer than `rates.ACCEPTS_MIN` impostor
            pairs would be accepted at it.
        judging: as in `person_pairs`.

    Raises:
        NotUnitNormError: a vector is not of unit length.
        ValueError: not as many people or videos as vectors.
    """
    return verification_of(person_pairs(vectors, person, video, judging), fars)


def verification_of(pairs: PersonPairs, fars: Sequence[float] = FARS) -> Verification:
    """The numbers of given pairs, see `verification`."""
    genuine, impostor = pairs.cosine[pairs.genuine], pairs.cosine[~pairs.genuine]
    intra = float(genuine.mean()) if len(genuine) else None
    inter = float(impostor.mean()) if len(impostor) else None
    gap = auc = eer = None
    if intra is not None and inter is not None:
        gap = intra - inter
        far, tar = Ranked.of(genuine, impostor).curve()
        auc, eer = area(far, tar), equal_errors(far, tar)
    return Verification(
        people=len(pairs.names),
        testable=pairs.testable,
        videos=pairs.videos,
        rows=pairs.rows,
        genuine=len(genuine),
        impostor=len(impostor),
        intra=intra,
        inter=inter,
        gap=gap,
        d_prime=_d_prime(genuine, impostor),
        discrimination=_discrimination(intra, inter),
        auc=auc,
        eer=eer,
        at=tuple(_at(genuine, impostor, limit) for limit in fars),
    )


def _d_prime(genuine: Scores, impostor: Scores) -> float | None:
    if min(len(genuine), len(impostor)) < 2:
        return None
    spread = np.sqrt((genuine.var(ddof=1) + impostor.var(ddof=1)) / 2)
    return float((genuine.mean() - impostor.mean()) / spread) if spread > 0 else None


def _discrimination(intra: float | None, inter: float | None) -> float | None:
    if intra is None or inter is None or 1.0 - intra < np.finfo(np.float32).eps:
        return None
    return (1.0 - inter) / (1.0 - intra)


def _at(genuine: Scores, impostor: Scores, far: float) -> AtFar:
    if not enough_impostors(len(impostor), far):
        return AtFar(far, None, None)
    allowed = int(np.floor(far * len(impostor) + 1e-9))
    place = len(impostor) - 1 - allowed
    threshold = float(np.nextafter(np.partition(impostor, place)[place], np.inf))
    tar = float((genuine >= threshold).mean()) if len(genuine) else None
    return AtFar(far, threshold, tar)


@dataclass(frozen=True)
class Change:
    """One measure of two spaces.

    Attributes:
        measure: `auc`, or `tar_` and the rate.
        before: of the first space; null where it cannot be measured.
        after: of the second.
        difference: after - before.
        low, high: 95 % percentile interval of the difference when people are drawn again; null
            with fewer than four people who have a genuine pair.
    """

    measure: str
    before: float | None
    after: float | None
    difference: float | None
    low: float | None
    high: float | None


def bootstrap_difference(
    before: Matrix,
    after: Matrix,
    person: Sequence[str],
    video: Sequence[str],
    fars: Sequence[float] = FARS,
    draws: int = DRAWS,
    seed: int = SEED,
    judging: Sequence[bool] | None = None,
) -> tuple[Change, ...]:
    """AUC and TAR at FAR of two spaces of the same rows, compared on the same resampled people.

    People are drawn with replacement, with all their videos. A genuine pair weighs as often as its
    person was drawn, an impostor pair as often as both of its people.

    Args:
        before: (N, D) unit vectors.
        after: (N, E) unit vectors of the same rows in the other space.
        person: N people.
        video: N videos.
        fars: as in `verification`.
        draws: resamples, at least a hundred.
        seed: of the draws.
        judging: as in `person_pairs`.

    Raises:
        NotUnitNormError: a vector is not of unit length.
        ValueError: the two spaces, people and videos have different numbers of rows.
    """
    spaces = [person_pairs(vectors, person, video, judging) for vectors in (before, after)]
    numbers = [_measures(verification_of(pairs, fars)) for pairs in spaces]
    drawn = _resampled(spaces, fars, draws, seed)
    changes = []
    for measure, first in numbers[0].items():
        second = numbers[1][measure]
        if first is None or second is None:
            changes.append(Change(measure, first, second, None, None, None))
            continue
        low, high = percentiles(drawn.get(measure, [])) or (None, None)
        changes.append(Change(measure, first, second, second - first, low, high))
    return tuple(changes)


def _measures(result: Verification) -> dict[str, float | None]:
    return {"auc": result.auc} | {f"tar_{point.far:g}": point.tar for point in result.at}


def _resampled(
    spaces: Sequence[PersonPairs], fars: Sequence[float], draws: int, seed: int
) -> dict[str, list[float]]:
    """Differences of each measure, one of each draw that has both kinds of pairs."""
    pairs = spaces[0]  # the rows are the same, so the pairs of all spaces are
    if pairs.testable < MIN_UNITS:
        return {}
    own = np.flatnonzero(pairs.genuine)
    others = np.sort(at_most(~pairs.genuine, RESAMPLED_MAX, np.random.default_rng(seed)))
    ranked = [Ranked.of(space.cosine[own], space.cosine[others]) for space in spaces]
    drawn: dict[str, list[float]] = {name: [] for name in ("auc", *(f"tar_{f:g}" for f in fars))}
    for counts in resamples(len(pairs.names), draws, seed):
        genuine = counts[pairs.a[own]].astype(np.float64)
        impostor = (counts[pairs.a[others]] * counts[pairs.b[others]]).astype(np.float64)
        if not genuine.any() or not impostor.any():
            continue
        (far_0, tar_0), (far_1, tar_1) = (ranks.curve(genuine, impostor) for ranks in ranked)
        drawn["auc"].append(area(far_1, tar_1) - area(far_0, tar_0))
        for limit in fars:
            gain = tar_at(far_1, tar_1, limit) - tar_at(far_0, tar_0, limit)
            drawn[f"tar_{limit:g}"].append(gain)
    return drawn


@dataclass(frozen=True)
class Recall:
    """How many of a person's genuine pairs are accepted.

    Attributes:
        accepted: at or above the threshold.
        pairs: all of them.
    """

    accepted: int
    pairs: int

    @property
    def share(self) -> float:
        """Accepted ones of all."""
        return self.accepted / self.pairs


def recall_by_person(
    vectors: Matrix,
    person: Sequence[str],
    video: Sequence[str],
    threshold: float,
    judging: Sequence[bool] | None = None,
) -> dict[str, Recall]:
    """The recall of each person who is in two videos; others have none to speak of.

    Args:
        vectors: (N, D) unit vectors.
        person: N people.
        video: N videos.
        threshold: of the space, see `AtFar`.
        judging: as in `person_pairs`.

    Raises:
        NotUnitNormError: a vector is not of unit length.
        ValueError: not as many people or videos as vectors.
    """
    pairs = person_pairs(vectors, person, video, judging)
    own, accepted = pairs.a[pairs.genuine], pairs.cosine[pairs.genuine] >= threshold
    number = np.bincount(own, minlength=len(pairs.names))
    right = np.bincount(own[accepted], minlength=len(pairs.names))
    return {
        name: Recall(int(right[place]), int(number[place]))
        for place, name in enumerate(pairs.names)
        if number[place]
    }
