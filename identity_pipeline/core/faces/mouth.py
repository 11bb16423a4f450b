"""What a face mesh says of the mouth: how far it is open, and how it is drawn.

All but the inner ratio are measured on the frontal mesh, in distances of the outer eye corners, and
are absolute: who smiles or shouts all the ride has no neutral of their own to compare with.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class MouthMeasures(NamedTuple):
    """What the mouth of a face says.

    Attributes:
        mouth_ratio: gap of the inner lips over the width of the inner mouth, mean of three places.
        mouth_height: from the upper edge of the upper lip to the lower edge of the lower one.
        mouth_width: between the corners.
        mouth_lift: how far the corners lie above the middle of the lips.
        mouth_drop: how far the corners lie below the base of the nose.
    """

    mouth_ratio: float
    mouth_height: float
    mouth_width: float
    mouth_lift: float
    mouth_drop: float


def measure_mouth(points: NDArray[np.floating], front: NDArray[np.floating]) -> MouthMeasures:
    """Measures of the mouth.

    Args:
        points: (468, 3) the mesh in px of the source.
        front: (468, 3) the same, by `core.faces.frontal.frontal_mesh`.
    """
    p = np.asarray(points, dtype=np.float64)[:, :2]

    def distance(a: int, b: int) -> float:
        return float(np.linalg.norm(p[a] - p[b]))

    gap = (distance(13, 14) + distance(82, 87) + distance(312, 317)) / 3
    y = front[:, 1]
    corners = (y[61] + y[291]) / 2
    return MouthMeasures(
        mouth_ratio=gap / max(distance(78, 308), 1e-6),
        mouth_height=float(y[17] - y[0]),
        mouth_width=float(np.linalg.norm(front[61] - front[291])),
        mouth_lift=float((y[13] + y[14]) / 2 - corners),
        mouth_drop=float(corners - y[2]),
    )
