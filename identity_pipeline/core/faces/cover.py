"""Where it is measured what covers a face, and what was read there: eye crops and the face's chip.

Both are cut by a similarity (turned, scaled, never squeezed), so that what lies beside the face
and across it keeps its shape. Coordinates are pixels of the picture the landmarks belong to, x to
the right, y down. What is concluded from a reading stands in `occlusion`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from identity_pipeline.core.geometry import similarity_transform

EYE_PX: Final = 64
EYE_WIDTHS: Final = 2.3
"""Side of an eye's crop in widths of the eye: the crop of the iris net."""
CHIP_PX: Final = 96
GRID: Final = 16
"""Cells a side of the chip for which the cover net answers."""
CHIP_VERTICES: Final = (33, 133, 362, 263, 168, 98, 2, 327)
"""Vertices of the face mesh that no expression moves: the eyes' corners, bridge and base of the
nose."""
OVAL_VERTICES: Final = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
"""The outline of the face mesh."""
BROW_ROW: Final = 4
"""First row of cells below the brows: what falls over a forehead is mostly hair, and no cover."""
CHIP_CM: Final = 19.0
"""What of a head is on the chip, at the depth of the face: from the hairline to below the chin."""
CHIP_MIDDLE_CM: Final = 0.3
"""Height of the chip's middle in the space of `_PLACES`."""
_PLACES = np.array(
    [
        *([-4.46, 3.43], [-1.84, 3.25], [1.84, 3.25], [4.46, 3.43]),
        *([0, 3.74], [-1.25, -1.14], [0, -1.2], [1.25, -1.14]),
    ]
)
"""Where `CHIP_VERTICES` lie on the mean head of the ICT face model: cm, y up."""
_TARGET = (_PLACES - [0.0, CHIP_MIDDLE_CM]) * [1, -1] / CHIP_CM + 0.5


@dataclass(frozen=True)
class CoverReading:
    """What the cover nets read of one face.

    Attributes:
        cells: (16, 16) in [0, 1], how surely each cell of the chip is covered.
        inside: (16, 16) the cells that lie well inside the face's outline.
        left_there: in [0, 1], how surely the eye on the picture's left is seen, open or closed.
        right_there: the same of the other one.
    """

    cells: NDArray[np.float32]
    inside: NDArray[np.bool_]
    left_there: float
    right_there: float


def eye_matrix(
    left: NDArray[np.floating], right: NDArray[np.floating], side: int = EYE_PX
) -> NDArray[np.float64]:
    """(2, 3) map from the picture to an eye's crop, the corners level and centred.

    Args:
        left: (2,) px, the eye's corner on the picture's left.
        right: (2,) px, the other one.
        side: px of the crop.
    """
    a, b = np.asarray(left, np.float64), np.asarray(right, np.float64)
    width = max(1e-6, float(np.linalg.norm(b - a)))
    cosine, sine = (b - a) / width
    linear = np.array([[cosine, sine], [-sine, cosine]]) * side / (EYE_WIDTHS * width)
    return np.hstack([linear, (side / 2 - linear @ ((a + b) / 2))[:, None]])


def chip_matrix(points: NDArray[np.floating], side: int = CHIP_PX) -> NDArray[np.float64]:
    """(2, 3) map from the picture to the face's chip.

    Args:
        points: (8, 2) where `CHIP_VERTICES` lie, px.
        side: px of the chip.

    Raises:
        ValueError: all points coincide.
    """
    return similarity_transform(np.asarray(points, np.float64), _TARGET * side)


def cells_inside(outline: NDArray[np.floating]) -> NDArray[np.bool_]:
    """The cells of the chip that lie inside a face's outline, do not touch it, and no forehead.

    Hair falls along the sides of many faces, and over many foreheads: the outermost cell of each
    row is left out, and so are the rows above the brows.

    Args:
        outline: (n, 2) the face's outline on the chip, in pixels of it.
    """
    corners = np.arange(GRID + 1) * CHIP_PX / GRID
    within = _within(corners, outline)
    whole = within[:-1, :-1] & within[1:, :-1] & within[:-1, 1:] & within[1:, 1:]
    whole[:BROW_ROW] = False
    beside = np.pad(whole, ((0, 0), (1, 1)))
    return np.asarray(whole & beside[:, :-2] & beside[:, 2:])


def _within(marks: NDArray[np.floating], outline: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which crossings (m, m), rows first, of level and upright lines lie in a polygon.

    Those whose ray to the right crosses it oddly often; where, is the same for a whole row.

    Args:
        marks: (m,) where the lines lie, on either axis.
        outline: (n, 2) the polygon.
    """
    a, b = outline, np.roll(outline, -1, axis=0)
    y = marks[:, None]
    spans = (a[:, 1] > y) != (b[:, 1] > y)
    rise = np.where(b[:, 1] == a[:, 1], 1.0, b[:, 1] - a[:, 1])
    crossing = a[:, 0] + (y - a[:, 1]) / rise * (b[:, 0] - a[:, 0])
    beyond = spans[:, None] & (marks[None, :, None] < crossing[:, None])
    return np.asarray(beyond.sum(axis=2) % 2 == 1)
