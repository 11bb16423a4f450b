"""What a face mesh and an eye contour are: their points, and which of them is what.

What belongs here: the vertices of the 468-point mesh and of the 71-point eye contour that the
measures use, and the structure in which a face's points travel. What does not: the networks that
find them (`models.face_mesh`), and what is concluded (`core.faces.expression`, `eyes`, `mouth`).

The topology is that of MediaPipe's canonical face model (Kartynnik et al. 2019, "Real-time facial
surface geometry from monocular video on mobile GPUs") and of its iris model (Ablavatski et al.
2020, "Real-time pupil tracking from monocular video for digital puppetry"). Image-left is the
person's right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

MESH_POINTS: Final = 468
CONTOUR_POINTS: Final = 71
IRIS_POINTS: Final = 5
EYE_PX: Final = 64
"""Side of the eye crops."""
EYE_CORNERS: Final = ((33, 133), (362, 263))
"""Mesh vertices of both eyes' corners, each from image-left to image-right."""

_JAW = (127, 234, 93, 132, 58, 136, 150, 176, 152, 400, 379, 365, 288, 361, 323, 454, 356)
_UPPER_BROW = (70, 63, 105, 66, 107, 336, 296, 334, 293, 300)
_LOWER_BROW = (46, 53, 52, 65, 55, 285, 295, 282, 283, 276)
_NOSE = (168, 197, 5, 4, 98, 97, 2, 326, 327)
_EYES = (33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380)
_MOUTH = (
    *(61, 40, 37, 0, 267, 270, 291, 321, 314, 17, 84, 91),
    *(78, 81, 13, 311, 308, 402, 14, 178),
)
_OUTER = np.array((*_JAW, *_UPPER_BROW, *_NOSE, *_EYES, *_MOUTH))
_OTHER = np.array((*_JAW, *_LOWER_BROW, *_NOSE, *_EYES, *_MOUTH))


@dataclass(frozen=True)
class EyeReading:
    """One eye as the iris net reads it.

    Attributes:
        contour: (71, 2) px of the source: 0 and 8 are the corners, from the outer to the inner
            one, 1-7 the lower lid, 9-15 the upper one, both from the outer corner inwards; then
            the brow.
        iris: (5, 2) px of the source: the centre, then four points of the rim.
        crop: (64, 64, 3) BGR, level, 2.3 eye widths wide; that of the image-right eye is
            mirrored, so that both look alike. As it was filmed: see `brightened`.
    """

    contour: NDArray[np.float32]
    iris: NDArray[np.float32]
    crop: NDArray[np.uint8]


@dataclass(frozen=True)
class MeshFace:
    """One face as the mesh net reads it.

    Attributes:
        points: (468, 3) in px of the source, x to the right, y down, z towards the viewer.
        presence: in [0, 1], the net's own word on whether the crop shows a face.
        eyes: image-left and image-right; None where no iris net was there.
    """

    points: NDArray[np.float32]
    presence: float
    eyes: tuple[EyeReading, EyeReading] | None = None


def landmarks_68(points: NDArray[np.floating]) -> NDArray[np.float32]:
    """The 68 Multi-PIE landmarks of a mesh.

    The brows of that convention run along the middle of the hair: the mean of its two edges here.

    Args:
        points: (468, D).

    Returns:
        (68, D).
    """
    return ((points[_OUTER] + points[_OTHER]) / 2).astype(np.float32)


def brightened(crop: NDArray[np.uint8], mean: float = 110.0) -> NDArray[np.uint8]:
    """The crop scaled to a mean of 110: the iris net loses the lids of dark faces otherwise."""
    gain = mean / max(float(crop.mean()), 1.0)
    return np.clip(crop.astype(np.float32) * gain, 0, 255).astype(np.uint8)


def eye_line(points: NDArray[np.floating]) -> NDArray[np.float64]:
    """The vector from the outer corner of the image-left eye to that of the image-right one, px."""
    return np.asarray(points[263, :2] - points[33, :2], dtype=np.float64)
