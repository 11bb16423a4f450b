"""The luma of frames at fixed sizes, so that what is measured does not depend on the resolution."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

FRAME_WIDTH = 640
THUMBNAIL = (32, 18)


def frame_luma(bgr: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Luma of a frame, 640 px wide."""
    height, width = bgr.shape[:2]
    size = (FRAME_WIDTH, max(1, round(height * FRAME_WIDTH / width)))
    small = cv2.resize(bgr, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), dtype=np.uint8)


def thumbnail(luma: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A luma picture as 32 x 18 pixels."""
    return np.asarray(cv2.resize(luma, THUMBNAIL, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def histogram(luma: NDArray[np.uint8]) -> NDArray[np.int64]:
    """(256,) how many pixels of a luma picture have each value."""
    counts = cv2.calcHist([luma], [0], None, [256], [0, 256])  # as 32-bit floats, exact to 2^24
    return counts.ravel().astype(np.int64)
