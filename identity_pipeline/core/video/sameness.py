"""Whether two pictures show the same moment: how alike their pixels are.

What belongs here: comparing pixels of one place in two pictures. What does not: who is shown
(`core.vectors`), or whether two exports of a person resemble each other (`core.imagesets.novelty`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def correlation(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Normalised correlation of two pictures of equal shape, in [-1, 1]; light cancels out.

    Each colour counts by itself, so that the same shapes in other colours are unlike. Equal
    pictures give exactly 1, also flat ones; a flat picture and another one give 0.
    """
    if np.array_equal(one, other):
        return 1.0
    a = one.astype(np.float64) - one.mean(axis=(0, 1))
    b = other.astype(np.float64) - other.mean(axis=(0, 1))
    norm = float(np.sqrt((a**2).sum() * (b**2).sum()))
    # 1 is for equal pictures alone: rounding must not give it to others.
    return min(float((a * b).sum()) / norm, np.nextafter(1.0, 0.0)) if norm > 0 else 0.0
