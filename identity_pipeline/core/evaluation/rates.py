"""What rates of errors and draws of pairs have in common, wherever pairs are counted."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from identity_pipeline.core.evaluation.intervals import SEED

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
