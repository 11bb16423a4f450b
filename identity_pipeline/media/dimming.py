"""A whole picture in which one face stands out: all else is darker and paler.

What belongs here: reducing, dimming and outlining. What does not: where the picture comes from
(`stages.desk.frames`). The same input gives the same bytes.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from identity_pipeline.core.geometry import Box
from identity_pipeline.media.crops import ImageBGR, resized

GROWN: Final = 0.25
"""Of the face's longer side: so much around its box stays as it is; chosen by eye."""
SOFT: Final = 0.2
"""Of the face's longer side: over so much more it grows dim; chosen by eye."""
LIGHT_LEFT: Final = 0.4
"""Share of the light that is left far from the face; chosen by eye: a scene can still be told."""
COLOUR_LEFT: Final = 0.55
"""Share of the colour that is left there; chosen by eye."""
LEAST_PX: Final = 12.0
"""Half a side of what stays as it is, at least: a face of few pixels is to be found at a glance."""
INNER, OUTER = (245, 245, 245), (24, 24, 24)
"""The outline is a light line with a dark one around it: one of both is seen on any ground."""


def dimmed(picture: ImageBGR, face: Box, longest_side: int) -> ImageBGR:
    """The picture with everything but a face dimmed, and a thin line around the face.

    Args:
        picture: (H, W, 3).
        face: its box in pixels of the picture; it may leave it.
        longest_side: of the result, px; a smaller picture is not enlarged.

    Returns:
        (h, w, 3).
    """
    height, width = picture.shape[:2]
    scale = min(1.0, longest_side / max(height, width))
    if scale < 1.0:
        picture = resized(picture, max(1, round(width * scale)), max(1, round(height * scale)))
    box = Box(*(value * scale for value in face))
    kept = _kept(picture.shape[:2], box)[..., None]
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)[..., None].astype(np.float32)
    colour = picture.astype(np.float32)
    pale = (grey + (colour - grey) * COLOUR_LEFT) * LIGHT_LEFT
    mixed = np.rint(pale + (colour - pale) * kept).astype(np.uint8)
    return outlined(mixed, box)


def outlined(picture: ImageBGR, face: Box) -> ImageBGR:
    """The picture with a thin line around a face, as far as it lies inside."""
    drawn = np.array(picture, dtype=np.uint8)
    margin = GROWN / 2 * face.longer_side
    spots = (face.x1 - margin, face.y1 - margin, face.x2 + margin, face.y2 + margin)
    x1, y1, x2, y2 = (round(v) for v in spots)
    cv2.rectangle(drawn, (x1 - 1, y1 - 1), (x2 + 1, y2 + 1), OUTER, 1)
    cv2.rectangle(drawn, (x1, y1), (x2, y2), INNER, 1)
    return drawn


def _kept(shape: tuple[int, ...], face: Box) -> NDArray[np.float32]:
    """(h, w) how much of each pixel stays: 1 around the face, 0 far from it, smooth between.

    By the distance to a rectangle with round corners about the face.
    """
    size = face.longer_side
    round_px = size * GROWN + 1e-6
    x, y = face.centre
    half = [max(LEAST_PX, side / 2 + size * GROWN) - round_px for side in (face.width, face.height)]
    rows = np.arange(shape[0], dtype=np.float32)[:, None] + 0.5
    columns = np.arange(shape[1], dtype=np.float32)[None, :] + 0.5
    across = np.maximum(np.abs(columns - x) - half[0], 0)
    down = np.maximum(np.abs(rows - y) - half[1], 0)
    away = np.hypot(across, down) - round_px
    share = np.clip(1 - away / max(size * SOFT, 2.0), 0, 1)
    return (share * share * (3 - 2 * share)).astype(np.float32)
