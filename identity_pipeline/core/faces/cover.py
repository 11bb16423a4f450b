"""Where the views lie on which it is measured what covers a face: an eye's crop and the face's chip.

Both are cut by a similarity (turned, scaled, never squeezed), so that what lies beside the face
and across it keeps its shape. Coordinates are pixels of the picture the landmarks belong to, x to
the right, y down.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from identity_pipeline.core.geometry import similarity_transform

EYE_PX = 64
EYE_WIDTHS = 2.3
"""Side of an eye's crop in widths of the eye, as the iris net of MediaPipe was trained."""
CHIP_PX = 96
GRID = 16
"""Cells a side of the chip for which the cover net answers."""
CHIP_VERTICES = (33, 133, 362, 263, 168, 98, 2, 327)
"""Vertices of the face mesh that no expression moves: corners of the eyes, bridge, base of the nose."""


def eye_matrix(
    left: NDArray[np.floating], right: NDArray[np.floating], side: int = EYE_PX
) -> NDArray[np.float64]:
    """(2, 3) map from the picture to an eye's crop, the corners level and centred.

    Args:
        left, right: (2,) corner of the eye on the picture's left and right, px.
        side: px of the crop.
    """
    a, b = np.asarray(left, np.float64), np.asarray(right, np.float64)
    reach = EYE_WIDTHS * max(1e-6, float(np.linalg.norm(b - a)))
    cosine, sine = (b - a) / max(1e-6, float(np.linalg.norm(b - a)))
    linear = np.array([[cosine, sine], [-sine, cosine]]) * side / reach
    return np.hstack([linear, (side / 2 - linear @ ((a + b) / 2))[:, None]])


CHIP_CM = 19.0
"""What of a head is on the chip, at the depth of the face: from the hairline to below the chin."""
_PLACES = np.array(
    [[-4.46, 3.43], [-1.84, 3.25], [1.84, 3.25], [4.46, 3.43], [0, 3.74], [-1.25, -1.14], [0, -1.2], [1.25, -1.14]]
)  # fmt: skip
"""Where `CHIP_VERTICES` lie on the mean head of the ICT face model: cm, y up."""
_TARGET = (_PLACES - [0.0, 0.3]) * [1, -1] / CHIP_CM + 0.5


def chip_matrix(points: NDArray[np.floating], side: int = CHIP_PX) -> NDArray[np.float64]:
    """(2, 3) map from the picture to the face's chip.

    Args:
        points: (8, 2) where `CHIP_VERTICES` lie, px.
        side: px of the chip.
    """
    return similarity_transform(np.asarray(points, np.float64), _TARGET * side)
