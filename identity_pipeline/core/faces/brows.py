"""How high the brows stand over the eyes: a frown lowers them, fright and surprise raise them.

What is high for a face is its owner's; see `core.imagesets.score_parts`.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

_BROWS: Final = np.array((55, 105, 285, 334))
"""Inner end and middle of the upper edge of each brow."""
_CORNERS: Final = np.array((33, 133, 362, 263))
"""Of the eyes; they do not move as lids do."""


def brow_height(front: NDArray[np.floating]) -> float:
    """Height of the brows over the line of the eyes, in distances of the outer eye corners.

    Args:
        front: (468, 3) the mesh seen from the front, by `core.faces.frontal.frontal_mesh`.
    """
    y = np.asarray(front, dtype=np.float64)[:, 1]
    return float(y[_CORNERS].mean() - y[_BROWS].mean())
