"""The display matrix of a frame: how a camera was held, as turning and mirroring of its pictures.

What belongs here: reading the matrix and applying it. What does not: the shape of the pixels and
everything else that makes a picture of a frame (`media.presentation`).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

ImageBGR = NDArray[np.uint8]
ALMOST_DEG = 1.0
"""A turn that is nearer to a multiple of 90 degrees is one, as for ffmpeg's autorotate."""
SHEAR_MAX = 0.02
"""Cosine between the two axes, and their relative length, from which a matrix is no turn."""


class DistortingMatrixError(ValueError):
    """The matrix shears or flattens the picture: no camera is held like that."""


@dataclass(frozen=True)
class Orientation:
    """How a picture is brought upright: mirrored left to right first, then turned.

    Attributes:
        mirrored: whether left and right are exchanged before the turn.
        rotation: the turn, degrees counter-clockwise, 0 <= rotation < 360.
    """

    mirrored: bool = False
    rotation: float = 0.0

    @property
    def is_right_angled(self) -> bool:
        """Whether the turn is a multiple of 90 degrees, so that no pixel is computed anew."""
        return self.rotation % 90 == 0

    @property
    def swaps_axes(self) -> bool:
        """Whether width and height change places."""
        return self.is_right_angled and self.rotation % 180 == 90

    def apply(self, bgr: ImageBGR) -> ImageBGR:
        """The picture upright.

        At other angles than multiples of 90 degrees the size stays and the corners are cut off, as
        ffmpeg's autorotate does it.
        """
        image = np.asarray(cv2.flip(bgr, 1), np.uint8) if self.mirrored else bgr
        if self.is_right_angled:
            turns = round(self.rotation / 90) % 4
            return np.ascontiguousarray(np.rot90(image, k=turns)) if turns else image
        height, width = image.shape[:2]
        turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), self.rotation, 1.0)
        return np.asarray(cv2.warpAffine(image, turn, (width, height)), np.uint8)


UPRIGHT = Orientation()


def orientation_of(matrix: bytes) -> Orientation:
    """The orientation that a display matrix asks for.

    Args:
        matrix: nine 32-bit integers in the order a, b, u, c, d, v, x, y, w, by which a point is
            shown at (a x + c y, b x + d y), y down. A matrix of zeros says nothing: upright.

    Raises:
        DistortingMatrixError: it does not turn and mirror only.
    """
    a, b, _, c, d = np.frombuffer(matrix, np.int32, count=9)[:5].astype(np.float64)
    if not (a or b or c or d):
        return UPRIGHT
    across, down = np.array([a, b]), np.array([c, d])
    lengths = float(np.hypot(a, b)), float(np.hypot(c, d))
    # Unequal lengths are the container's way to say that pixels are not square; it counts as that.
    if not all(lengths) or abs(across @ down) > SHEAR_MAX * lengths[0] * lengths[1]:
        raise DistortingMatrixError
    mirrored = bool(a * d - b * c < 0)
    axis = -across if mirrored else across  # where the unmirrored picture's x axis points to
    rotation = float(-np.degrees(np.arctan2(axis[1], axis[0]))) % 360
    nearest = round(rotation / 90) * 90
    if abs(rotation - nearest) < ALMOST_DEG:
        rotation = float(nearest % 360)
    return Orientation(mirrored, rotation)
