"""What a face mesh says of the mouth: how far it is open, and how it is drawn.

All but the inner ratio and the dark of the mouth are measured on the frontal mesh, in distances of
the outer eye corners, and are absolute: who smiles or shouts all the ride has no neutral of their
own to compare with.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

_UPPER_LIP: Final = np.array((191, 80, 81, 82, 13, 312, 311, 310, 415))
_LOWER_LIP: Final = np.array((95, 88, 178, 87, 14, 317, 402, 318, 324))
"""The inner edges of the lips, each from image-left to image-right, one vertex above the other."""
_SKIN: Final = np.array((205, 425, 50, 280, 117, 346))
"""Cheeks, whose light tells what is dark."""
_ROWS: Final = 12
"""Samples from lip to lip."""
DARK: Final = 0.5
"""Share of the cheeks' luma below which the inside of a mouth is dark. Chosen."""


class MouthMeasures(NamedTuple):
    """What the mouth of a face says.

    Attributes:
        mouth_ratio: gap of the inner lips over the width of the inner mouth, mean of three places.
        mouth_height: from the upper edge of the upper lip to the lower edge of the lower one.
        mouth_width: between the corners.
        mouth_lift: how far the corners lie above the middle of the lips.
        mouth_drop: how far the corners lie below the base of the nose.
        mouth_tilt: how far the image-left corner lies below the other one.
        mouth_shift: how far the middle of the corners lies to the image's right of the middle of
            the eyes.
    """

    mouth_ratio: float
    mouth_height: float
    mouth_width: float
    mouth_lift: float
    mouth_drop: float
    mouth_tilt: float
    mouth_shift: float


def dark_of_mouth(luma: NDArray[np.floating], points: NDArray[np.floating]) -> float:
    """The dark area between the lips: an open mouth has one, bared teeth have none.

    Args:
        luma: (H, W) of a picture, 0-255.
        points: (468, 2 or more) the mesh in pixels of that picture, counted from its edge.

    Returns:
        Area of what is darker than `DARK` of the cheeks, over the square of the distance of the
        outer eye corners.
    """
    p = np.asarray(points, dtype=np.float64)[:, :2]
    upper, lower = p[_UPPER_LIP], p[_LOWER_LIP]
    share = (np.arange(_ROWS) + 0.5) / _ROWS
    inside = upper[:, None] + share[None, :, None] * (lower - upper)[:, None]

    def seen(places: NDArray[np.float64]) -> NDArray[np.floating]:
        high = np.array([luma.shape[1] - 1, luma.shape[0] - 1])
        x, y = np.clip(np.floor(places), 0, high).astype(int).reshape(-1, 2).T
        return luma[y, x].reshape(places.shape[:-1])

    dark = (seen(inside) < DARK * np.median(seen(p[_SKIN]))).mean(axis=1)
    middle = (upper + lower) / 2
    width = np.linalg.norm(np.gradient(middle, axis=0), axis=1)
    height = np.linalg.norm(lower - upper, axis=1)
    unit = max(float(np.linalg.norm(p[263] - p[33])), 1e-6)
    return float((dark * width * height).sum()) / unit**2


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
    x, y = front[:, 0], front[:, 1]
    corners = (y[61] + y[291]) / 2
    return MouthMeasures(
        mouth_ratio=gap / max(distance(78, 308), 1e-6),
        mouth_height=float(y[17] - y[0]),
        mouth_width=float(np.linalg.norm(front[61] - front[291])),
        mouth_lift=float((y[13] + y[14]) / 2 - corners),
        mouth_drop=float(corners - y[2]),
        mouth_tilt=float(y[61] - y[291]),
        mouth_shift=float(x[61] + x[291] - x[33] - x[263]) / 2,
    )
