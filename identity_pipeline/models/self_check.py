"""What a faster or coarser way of running a network is compared on, before it takes over."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from identity_pipeline.core.vectors import Matrix
from identity_pipeline.media.crops import ImageBGR

LEAST_COSINE: Final = 0.999
"""Of the two vectors of one picture."""
_PHOTOS: Final = Path(__file__).parents[1] / "bundled" / "photos"


@cache
def photographs(which: str = "*") -> tuple[ImageBGR, ...]:
    """The bundled photographs of people.

    Args:
        which: the beginning of their names, as a pattern; each person has a folder of them.
    """
    paths = sorted(_PHOTOS.glob(f"*/{which}.jpg"))
    return tuple(np.asarray(cv2.imread(str(path)), np.uint8) for path in paths)


def least_cosine(one: Matrix, other: Matrix) -> float:
    """The least cosine of the rows of two (N, D) matrices of unit vectors; NaN where one is NaN."""
    return float(np.einsum("ij,ij->i", one, other).min())
