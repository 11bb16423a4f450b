"""What is new: distances between vision embeddings. Identity embeddings never come here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Views(NamedTuple):
    """Vision embeddings of N faces, each row of unit length."""

    face: NDArray[np.float32]
    """(N, D) of the face crops."""
    body: NDArray[np.float32]
    """(N, D) of the upper-body crops."""


def nearest_cosine(vectors: NDArray[np.float32], row: int, saved: Sequence[int]) -> float:
    """Largest cosine of one row to the saved rows; `saved` is not empty."""
    return float(np.max(vectors[list(saved)] @ vectors[row]))


def novelty(views: Views, row: int, saved: Sequence[int]) -> float:
    """1 - the largest cosine to what is saved; of face and body the larger; 1 when nothing is."""
    if not saved:
        return 1.0
    return max(
        1.0 - nearest_cosine(views.face, row, saved), 1.0 - nearest_cosine(views.body, row, saved)
    )


def is_near_duplicate(views: Views, row: int, chosen: Sequence[int], cos_max: float) -> bool:
    """Whether the face looks the same as one already chosen; the background does not count."""
    return bool(chosen) and nearest_cosine(views.face, row, chosen) > cos_max


def farthest_first(
    views: Views, pool: Sequence[int], start: Sequence[int], count: int, cos_max: float
) -> list[tuple[int, float]]:
    """Greedy k-centre in the face view: each pick is the farthest from all chosen before it.

    A two-approximation of the best spread (Gonzalez 1985).

    Args:
        views: embeddings.
        pool: rows to choose from, in order of preference; ties go to the earlier.
        start: rows that are chosen already; with none, the first of the pool is picked first.
        count: picks at most.
        cos_max: a row closer than this to a chosen one is never picked.

    Returns:
        Picked rows with their novelty at the time, in order.
    """
    chosen = list(start)
    left = list(pool)
    picks: list[tuple[int, float]] = []
    while left and len(picks) < count:
        if chosen:
            closeness = (views.face[left] @ views.face[chosen].T).max(axis=1)
        else:
            closeness = np.concatenate([[-1.0], np.ones(len(left) - 1)])
        best = int(np.argmin(np.round(closeness, 6)))
        if chosen and closeness[best] > cos_max:
            break
        row = left.pop(best)
        picks.append((row, float(1.0 - closeness[best]) if chosen else 1.0))
        chosen.append(row)
    return picks
