"""Pairs of people: which rows may be compared to say how well a space tells people apart.

A genuine pair is one person in two different videos; an impostor pair is two people, also of one
video. Two rows of one person and one video are no pair: they resemble each other too much to prove
anything. No row is paired with itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from identity_pipeline.core.evaluation.rates import index_pairs
from identity_pipeline.core.evaluation.roc import Scores
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
