"""Rates of errors and ROC curves, wherever pairs are counted.

Scores are ranked once and weighed often, as resampling does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from identity_pipeline.core.evaluation.intervals import SEED

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Ranked:
    """Where each score stands among the distinct genuine ones: all that a ROC curve needs.

    Attributes:
        distinct: U, how many they are.
        genuine: (G,) place of each genuine score.
        impostor: (I,) 2k + 1 for an impostor score equal to the k-th one, 2k for one below it.
    """

    distinct: int
    genuine: NDArray[np.int64]
    impostor: NDArray[np.int64]

    @classmethod
    def of(cls, genuine: Scores, impostor: Scores) -> Ranked:
        """Ranks scores once, however often they are weighed afterwards."""
        values, places = np.unique(genuine, return_inverse=True)
        below = np.searchsorted(values, impostor, side="left")
        return cls(len(values), places, below + np.searchsorted(values, impostor, side="right"))

    def curve(
        self, genuine: Scores | None = None, impostor: Scores | None = None
    ) -> tuple[Scores, Scores]:
        """The vertices (FAR, TAR) of the ROC curve, from (0, 0) to (1, 1).

        Args:
            genuine: (G,) weights, not all zero; ones by default.
            impostor: (I,) weights, likewise.
        """
        own = np.bincount(self.genuine, genuine, minlength=self.distinct)
        others = np.bincount(self.impostor, impostor, minlength=2 * self.distinct + 1)
        # From above the highest genuine score down: each score is passed in two steps, first the
        # impostors between it and the one before, then it together with those equal to it.
        accepted = np.cumsum(others[::-1]) / others.sum()
        far = np.concatenate([[0.0], accepted])
        tar = np.cumsum(own[::-1]) / own.sum()
        return far, np.repeat(np.concatenate([[0.0], tar]), 2)


def area(far: Scores, tar: Scores) -> float:
    """Area under the ROC curve of these vertices, by the trapezoidal rule."""
    return float(np.trapezoid(tar, far))


def equal_errors(far: Scores, tar: Scores) -> float:
    """The equal error rate: where the curve crosses FAR = 1 - TAR."""
    return float(np.interp(1.0, far + tar, far))


ACCEPTS_MIN = 10
"""A rate of false accepts says something once as many impostors would be accepted at it."""


def enough_impostors(impostors: int, far: float) -> bool:
    """Whether so many impostor pairs can say anything at a rate of false accepts."""
    return impostors * far >= ACCEPTS_MIN


def impostors_needed(far: float) -> int:
    """How many impostor pairs a rate of false accepts needs."""
    return round(ACCEPTS_MIN / far)


def tar_at(far: NDArray[np.float64], tar: NDArray[np.float64], limit: float) -> float:
    """The largest share of genuine pairs accepted while at most `limit` of the impostors are."""
    return float(tar[far <= limit].max(initial=0.0))


def index_pairs(n: int, most: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All pairs i < j of n rows, sorted; a seeded draw of at most so many when there are more."""
    if n * (n - 1) // 2 <= most:
        i, j = np.triu_indices(n, k=1)
        return i.astype(np.int64), j.astype(np.int64)
    drawn = np.random.default_rng(SEED).integers(0, n, size=(most, 2))
    ordered = np.unique(np.sort(drawn[drawn[:, 0] != drawn[:, 1]], axis=1), axis=0)
    return ordered[:, 0], ordered[:, 1]


def at_most(mask: NDArray[np.bool_], limit: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Places of the true values; a draw of them when there are more than the limit."""
    places = np.flatnonzero(mask)
    return rng.choice(places, limit, replace=False) if len(places) > limit else places
