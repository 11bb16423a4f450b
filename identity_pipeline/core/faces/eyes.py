"""What the contours of two eyes say: how far the lids are apart, and where the eyes look.

Every measure is a share of the eye's own width, so that it changes neither with the size of the
face nor with its roll. Which of them means that an eye is closed is said in
`core.faces.mesh_expression`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from identity_pipeline.core.faces.mesh import EyeReading

_OUTER, _INNER = 0, 8
_LOWER, _UPPER = slice(2, 7), slice(10, 15)
"""Five contour points each, one above the other, without those next to the corners."""


class EyeMeasures(NamedTuple):
    """What both eyes of a face say; left is the image's left.

    Attributes:
        lid_gap_left: mean distance of the lids over the eye's width.
        lid_gap_right: the same of the other eye.
        lid_gap: the larger of both.
        lid_height_left: how far the upper lid lies above the line through the eye's corners, in
            eye widths. A lid that closes sinks below it, whatever the width of the eye and however
            high a laugh lifts the lower lid.
        lid_height_right: the same of the other eye.
        gaze_offset: how far both irises are to the image's right of the middle of their eyes, in
            eye widths; a squint, which moves them against each other, cancels.
        eye_px: mean width of the eyes in pixels of the source.
    """

    lid_gap_left: float
    lid_gap_right: float
    lid_gap: float
    lid_height_left: float
    lid_height_right: float
    gaze_offset: float
    eye_px: float


class _Eye(NamedTuple):
    width: float
    gap: float
    height: float
    iris: float


def _measure(eye: EyeReading, *, mirrored: bool) -> _Eye:
    contour = np.asarray(eye.contour, dtype=np.float64)
    left, right = contour[[_INNER, _OUTER] if mirrored else [_OUTER, _INNER]]
    along = right - left
    width = max(float(np.hypot(*along)), 1e-6)
    unit = along / width
    down = np.array([-unit[1], unit[0]])
    middle = (left + right) / 2
    gaps = np.linalg.norm(contour[_UPPER] - contour[_LOWER], axis=1)
    return _Eye(
        width=width,
        gap=float(gaps.mean()) / width,
        height=-float(((contour[_UPPER] - middle) @ down).mean()) / width,
        iris=float((eye.iris[0] - middle) @ unit) / width,
    )


def measure_eyes(eyes: tuple[EyeReading, EyeReading]) -> EyeMeasures:
    """Measures of both eyes, image-left first."""
    left, right = _measure(eyes[0], mirrored=False), _measure(eyes[1], mirrored=True)
    return EyeMeasures(
        lid_gap_left=left.gap,
        lid_gap_right=right.gap,
        lid_gap=max(left.gap, right.gap),
        lid_height_left=left.height,
        lid_height_right=right.height,
        gaze_offset=(left.iris + right.iris) / 2,
        eye_px=(left.width + right.width) / 2,
    )
