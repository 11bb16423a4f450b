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
"""Sides of a detector's input for a tight crop: 640 is the default of InsightFace and of those who
build on it (InstantID, IP-Adapter FaceID), which go down to smaller ones where no face is found."""
TIGHT: Final = 1.25
"""Side of a tight crop over the longer side of the face, as tools cut that want the face alone."""
STEP: Final = 128
"""The picture at its own scale is padded to a multiple, in px: a detector opens a session a size,
and some need multiples of 128."""


def look(
    pack: FacePack, picture: ImageBGR, faces: Sequence[Box], checks: Sequence[str]
) -> list[View]:
    """What the detector finds in a picture, view by view; a tight crop is of a sole face only.

    Args:
        pack: of the run.
        picture: (H, W, 3), as it is read back from its file.
        faces: boxes of the riders' faces in pixels of the picture.
        checks: names of views, as in `export.checks`.
    """
    views: list[View] = []
    for check in checks:
        if check == "tight":
            views += _tight(pack, picture, faces[0]) if len(faces) == 1 else []
        elif check == "native":
            views.append(View(check, _at_its_scale(pack, picture)))
        else:
            views.append(View(check, _finds(pack, picture, int(check))))
    return views


def _tight(pack: FacePack, picture: ImageBGR, face: Box) -> list[View]:
    """What is found in the face alone."""
    height, width = picture.shape[:2]
    around = face_crop_box(face, TIGHT).intersection(Box(0, 0, width, height))
    corners = (np.floor(around.x1), np.floor(around.y1), np.ceil(around.x2), np.ceil(around.y2))
    whole = Box(*(float(v) for v in corners))
    tight = cut_native(picture, whole)
    return [
        View(f"tight {side}", _finds(pack, tight, side, (whole.x1, whole.y1))) for side in INPUTS
    ]


def _at_its_scale(pack: FacePack, picture: ImageBGR) -> tuple[Find, ...]:
    """What is found in the picture with black below and to the right of it."""
    below, right = (-side % STEP for side in picture.shape[:2])
    padded = np.pad(picture, ((0, below), (0, right), (0, 0)))
    height, width = padded.shape[:2]
    return _finds(pack, padded, (width, height))


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
