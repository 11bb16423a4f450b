"""Boxes and what is cut from a frame: the one box type, overlaps, crop boxes, smoothing, alignment.

Pixels are cut in `media.crops`; here are only coordinates. Boxes are `x1, y1, x2, y2` in float
pixels of the source after its rotation, x to the right, y down.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating]

ARCFACE_TEMPLATE_112 = np.array(
    [
        [38.2946, 51.6963],
        [73.5318, 51.5014],
        [56.0252, 71.7366],
        [41.5493, 92.3655],
        [70.7299, 92.2041],
    ]
)
"""Where the five key points lie in a 112 px aligned crop (ArcFace, Deng et al. 2019)."""


class Box(NamedTuple):
    """An axis-aligned box in pixels."""

    x1: float
    y1: float
    x2: float
    y2: float

    @property
    def width(self) -> float:
        """Width in pixels, never negative."""
        return max(0.0, self.x2 - self.x1)

    @property
    def height(self) -> float:
        """Height in pixels, never negative."""
        return max(0.0, self.y2 - self.y1)

    @property
    def area(self) -> float:
        """Area in square pixels."""
        return self.width * self.height

    @property
    def longer_side(self) -> float:
        """The longer of width and height."""
        return max(self.width, self.height)

    @property
    def centre(self) -> tuple[float, float]:
        """Centre (x, y)."""
        return (self.x1 + self.x2) / 2, (self.y1 + self.y2) / 2

    def intersection(self, other: Box) -> Box:
        """The common part; of zero area when the boxes are disjoint."""
        x1, y1 = max(self.x1, other.x1), max(self.y1, other.y1)
        return Box(x1, y1, max(x1, min(self.x2, other.x2)), max(y1, min(self.y2, other.y2)))

    def iou(self, other: Box) -> float:
        """Intersection over union; 0 for two empty boxes."""
        common = self.intersection(other).area
        union = self.area + other.area - common
        return common / union if union > 0 else 0.0

    def outside_share(self, width: float, height: float) -> float:
        """Share of the box's area outside a frame of the given size."""
        inside = self.intersection(Box(0, 0, width, height)).area
        return 1.0 - inside / self.area if self.area > 0 else 1.0

    @classmethod
    def around(cls, centre: tuple[float, float], width: float, height: float) -> Box:
        """The box of the given size about a centre."""
        x, y = centre
        return cls(x - width / 2, y - height / 2, x + width / 2, y + height / 2)


NESTED: Final = 0.7
"""Share of a face's box inside another one's from which both are one face. Chosen: parts of a face
that is close to the camera lie wholly within it, and two riders' faces hardly overlap."""


def without_nested(boxes: NDArray[np.floating], scores: NDArray[np.floating]) -> NDArray[np.int64]:
    """Which boxes are left when of two, one mostly inside the other, the surer one is kept.

    Overlap over union, by which detectors thin out their boxes, is small for a small box in a
    large one: a nose or an eye of a close-up is then a second face.

    Args:
        boxes: (N, 4) x1, y1, x2, y2 in pixels.
        scores: (N,) of the detector.

    Returns:
        Their indices, ascending.
    """
    found = [Box(*(float(v) for v in corners)) for corners in boxes]
    kept: list[int] = []
    for n in np.argsort(-np.asarray(scores), kind="stable").tolist():
        if not any(_nested(found[n], found[k]) for k in kept):
            kept.append(n)
    return np.array(sorted(kept), dtype=np.int64)


def _nested(a: Box, b: Box) -> bool:
    smaller = min(a.area, b.area)
    return smaller > 0 and a.intersection(b).area >= NESTED * smaller


def face_crop_box(box: Box, expand: float) -> Box:
    """Square about the face, side = `expand` x the longer side. May leave the frame."""
    side = expand * box.longer_side
    return Box.around(box.centre, side, side)


def body_crop_box(box: Box, widths: float, heights: float) -> Box:
    """Upper-body box: `widths` face widths by `heights` face heights, the face in the upper third.

    The face's centre lies at one third of the height minus half of what is left of the third, so
    that the whole face is inside the upper third when `heights` >= 3.
    """
    x, _ = box.centre
    width, height = widths * box.width, heights * box.height
    top = box.y1 - max(0.0, (height / 3 - box.height) / 2)
    return Box(x - width / 2, top, x + width / 2, top + height)


def region_box(
    box: Box, frame_width: int, frame_height: int, *, widths: float, heights: float
) -> Box:
    """The part of the frame that holds every crop cut from a face later, in whole pixels.

    A tenth is added on each side because later crops follow the smoothed box, not this one.
    """
    body = body_crop_box(box, widths, heights)
    face = face_crop_box(box, 2.0)
    margin = 0.1 * box.longer_side
    x1 = max(0.0, np.floor(min(body.x1, face.x1) - margin))
    y1 = max(0.0, np.floor(min(body.y1, face.y1) - margin))
    x2 = min(float(frame_width), np.ceil(max(body.x2, face.x2) + margin))
    y2 = min(float(frame_height), np.ceil(max(body.y2, face.y2) + margin))
    return Box(float(x1), float(y1), float(max(x1 + 1, x2)), float(max(y1 + 1, y2)))


def export_crop_box(
    face: Box,
    frame_width: int,
    frame_height: int,
    others: Sequence[Box],
    *,
    expand: float,
    expand_min: float,
) -> Box | None:
    """The square to export for a face: inside the frame, with no other face in it.

    The square is as large as possible up to `expand` x the face's longer side and, where the
    frame's edge is near, shifted inwards. Another face counts as inside when any part of it is.

    Returns:
        The square in whole pixels, or None when less than `expand_min` is left.
    """
    for scale in np.linspace(expand, expand_min, 13):
        side = float(np.floor(scale * face.longer_side))
        if side > min(frame_width, frame_height):
            continue
        x, y = face.centre
        x1 = float(np.clip(np.round(x - side / 2), 0, frame_width - side))
        y1 = float(np.clip(np.round(y - side / 2), 0, frame_height - side))
        square = Box(x1, y1, x1 + side, y1 + side)
        whole = square.intersection(face).area >= 0.98 * face.area
        if whole and not any(square.intersection(other).area > 0 for other in others):
            return square
    return None


def pair_crop_box(first: Box, second: Box, frame_width: int, frame_height: int) -> Box:
    """The box about two faces with one face side of air all round, clipped to the frame."""
    air = max(first.longer_side, second.longer_side)
    return Box(
        float(max(0, np.floor(min(first.x1, second.x1) - air))),
        float(max(0, np.floor(min(first.y1, second.y1) - air))),
        float(min(frame_width, np.ceil(max(first.x2, second.x2) + air))),
        float(min(frame_height, np.ceil(max(first.y2, second.y2) + air))),
    )


def smooth_boxes(
    boxes: FloatArray, timestamps_ms: FloatArray, *, alpha: float, gap_ms: float
) -> NDArray[np.float64]:
    """Exponential moving average of one track's boxes; the state is reset after a gap.

    Args:
        boxes: (N, 4) in time order.
        timestamps_ms: (N,) ascending.
        alpha: weight of the new box; 1 returns the boxes unchanged.
        gap_ms: a longer time between two rows resets the average to the new box.

    Returns:
        (N, 4) smoothed boxes.
    """
    smoothed = np.array(boxes, dtype=np.float64)
    for i in range(1, len(smoothed)):
        if timestamps_ms[i] - timestamps_ms[i - 1] <= gap_ms:
            smoothed[i] = alpha * smoothed[i] + (1 - alpha) * smoothed[i - 1]
    return smoothed


def similarity_transform(source: FloatArray, target: FloatArray) -> NDArray[np.float64]:
    """Least-squares rotation, uniform scale and shift of 2-D points (Umeyama 1991).

    Args:
        source: (N, 2) points.
        target: (N, 2) where they should go.

    Returns:
        (2, 3) affine matrix M with target ~ M @ [x, y, 1].

    Raises:
        ValueError: all source points coincide.
    """
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    a, b = source - source_mean, target - target_mean
    spread = float((a**2).sum())
    if spread <= 0:
        raise ValueError("cannot align key points that all coincide")
    # In 2-D the optimal similarity has a closed form without a decomposition.
    cos = float((a * b).sum()) / spread
    sin = float((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum()) / spread
    rotation = np.array([[cos, -sin], [sin, cos]])
    return np.hstack([rotation, (target_mean - rotation @ source_mean)[:, None]])
