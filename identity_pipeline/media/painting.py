"""Heads painted over: what is not to be seen in a picture any more."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from identity_pipeline.core.geometry import Box
from identity_pipeline.core.privacy.redaction import painted_box

COLOUR: Final = 128


def painted(image: NDArray[np.uint8], hidden: Iterable[Box]) -> NDArray[np.uint8]:
    """A picture in which heads are flat grey; the same picture where there are none.

    Args:
        image: (h, w, 3) pixels.
        hidden: boxes of faces in pixels of the picture; they may leave it.
    """
    boxes = [painted_box(box) for box in hidden]
    if not boxes:
        return image
    copy = image.copy()
    for x1, y1, x2, y2 in boxes:
        left, top = max(0, int(np.floor(x1))), max(0, int(np.floor(y1)))
        copy[top : max(top, int(np.ceil(y2))), left : max(left, int(np.ceil(x2)))] = COLOUR
    return copy


def painted_under(
    image: NDArray[np.uint8], hidden: Iterable[Box], matrix: NDArray[np.floating]
) -> NDArray[np.uint8]:
    """The same of a picture that was turned.

    Args:
        image: (h, w, 3) pixels.
        hidden: boxes of faces in pixels of the source.
        matrix: (2, 3), from pixels of the source to those of the picture.
    """
    copy = image.copy()
    for box in hidden:
        x1, y1, x2, y2 = painted_box(box)
        corners = np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]]) @ matrix[:, :2].T
        spots = np.round(corners + matrix[:, 2]).astype(np.int32)
        cv2.fillConvexPoly(copy, spots, (COLOUR, COLOUR, COLOUR))
    return copy
