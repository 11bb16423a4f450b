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
    look: NDArray[np.float32]
    """(N, 784) of `look_of`."""


LOOK_PX = 28


def look_of(aligned_luma: NDArray[np.floating]) -> NDArray[np.float32]:
    """The aligned face as 28 x 28 luma pixels, centred and of unit length.

    The inner product of two looks is their correlation: 1 for the same picture in any light. It
    needs no model, so it finds the same moment twice whatever the encoder thinks of backgrounds.

    Args:
        aligned_luma: (112, 112) luma of the aligned crop.
    """
    side = aligned_luma.shape[0] // LOOK_PX
    small = aligned_luma.reshape(LOOK_PX, side, LOOK_PX, side).mean(axis=(1, 3)).ravel()
    centred = small - small.mean()
    norm = float(np.linalg.norm(centred))
    if norm < 1e-6:
        return np.full(LOOK_PX**2, 1.0 / LOOK_PX, dtype=np.float32)
    return (centred / norm).astype(np.float32)


class Likeness(NamedTuple):
    """From which cosines on two faces count as the same picture."""

    vision: float
    look: float


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


def near_duplicate_of(views: Views, row: int, chosen: Sequence[int], limit: Likeness) -> int | None:
    """The first chosen row that the face looks the same as; the background does not count."""
    for other in chosen:
        vision, look = (float(v[other] @ v[row]) for v in (views.face, views.look))
        if vision > limit.vision or look > limit.look:
            return other
    return None


def is_near_duplicate(views: Views, row: int, chosen: Sequence[int], limit: Likeness) -> bool:
    """Whether the face looks the same as one already chosen."""
    return near_duplicate_of(views, row, chosen, limit) is not None


def farthest_of(
    views: Views, pool: Sequence[int], chosen: Sequence[int]
) -> tuple[int, float] | None:
    """The row of a pool that is the farthest in the face view from all that are chosen.

    Chosen one after another so, faces are at most twice as near as the best spread allows (Gonzalez
    1985, k-centre).

    Args:
        views: embeddings.
        pool: rows to choose from, in order of preference; ties go to the earlier.
        chosen: rows that are chosen already; with none, the first of the pool is picked.

    Returns:
        The row and its novelty, or None where the pool is empty.
    """
    if not pool:
        return None
    if not chosen:
        return pool[0], 1.0
    closeness = np.round((views.face[list(pool)] @ views.face[list(chosen)].T).max(axis=1), 6)
    best = int(np.argmin(closeness))
    return pool[best], float(1.0 - closeness[best])
