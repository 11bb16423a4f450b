"""An exported picture detected again, as those do who load it.

What belongs here: the views, and running the run's own detector on them. What does not: the verdict
(`core.imagesets.one_face`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from identity_pipeline.core.geometry import Box, face_crop_box
from identity_pipeline.core.imagesets.one_face import HINT, Find, View
from identity_pipeline.media.crops import ImageBGR, cut_native
from identity_pipeline.models.face_pack import FacePack

INPUTS: Final = (640, 320, 160)
"""Sides of a detector's input: 640 is the default of InsightFace and of those who build on it
(InstantID, IP-Adapter FaceID), which go down to smaller ones where no face is found."""
NATIVE: Final = "native"
"""The picture at its own scale."""
TIGHT: Final = 1.25
"""Side of a tight crop over the longer side of the face, as tools cut that want the face alone."""
STEP: Final = 128
"""The picture at its own scale is padded to a multiple, in px: a detector opens a session a size,
and some need multiples of 128."""


def look(pack: FacePack, picture: ImageBGR, faces: Sequence[Box]) -> list[View]:
    """What the detector finds in a picture, view by view; a tight crop is of a sole face only.

    Args:
        pack: of the run.
        picture: (H, W, 3), as it is read back from its file.
        faces: boxes of the riders' faces in pixels of the picture.
    """
    views = [View(str(side), _finds(pack, picture, side)) for side in INPUTS]
    padded = _padded(picture)
    height, width = padded.shape[:2]
    views.append(View(NATIVE, _finds(pack, padded, (width, height))))
    if len(faces) == 1:
        height, width = picture.shape[:2]
        around = face_crop_box(faces[0], TIGHT).intersection(Box(0, 0, width, height))
        corners = (np.floor(around.x1), np.floor(around.y1), np.ceil(around.x2), np.ceil(around.y2))
        whole = Box(*(float(v) for v in corners))
        tight = cut_native(picture, whole)
        views += [
            View(f"tight {side}", _finds(pack, tight, side, (whole.x1, whole.y1)))
            for side in INPUTS
        ]
    return views


def _finds(
    pack: FacePack,
    picture: ImageBGR,
    size: int | tuple[int, int],
    corner: tuple[float, float] = (0.0, 0.0),
) -> tuple[Find, ...]:
    found = pack.detect(picture, size=size, score_min=HINT)
    x, y = corner
    return tuple(
        Find(Box(x1 + x, y1 + y, x2 + x, y2 + y), score)
        for (x1, y1, x2, y2), score in zip(found.boxes.tolist(), found.scores.tolist(), strict=True)
    )


def _padded(picture: ImageBGR) -> ImageBGR:
    """The picture with black below and to the right of it."""
    below, right = (-side % STEP for side in picture.shape[:2])
    return np.pad(picture, ((0, below), (0, right), (0, 0)))
