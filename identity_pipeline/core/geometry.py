"""Boxes and what is cut from a frame: overlaps, crop boxes, smoothing, alignment.

Pixels are cut in `media.crops`; here are only coordinates. Boxes are `x1, y1, x2, y2` in float
pixels of the source after its rotation, x to the right, y down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import product
from math import ceil, floor
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from identity_pipeline.core.box import Box

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


FrameSize = tuple[int, int] | Mapping[int, tuple[int, int]]
"""(width, height) of all frames of a video, or of each by its number: photographs differ."""


def size_of(frame_size: FrameSize, frame_idx: int) -> tuple[int, int]:
    """(width, height) of one frame."""
    return frame_size if isinstance(frame_size, tuple) else frame_size[frame_idx]


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
    return surest(boxes, scores, _nested)


def surest(
    boxes: NDArray[np.floating], scores: NDArray[np.floating], same: Callable[[Box, Box], bool]
) -> NDArray[np.int64]:
    """Which boxes are left when of those that are the same thing the surest is kept.

    Args:
        boxes: (N, 4) x1, y1, x2, y2 in pixels.
        scores: (N,) of the detector.
        same: whether two boxes are the same thing.

    Returns:
        Their indices, ascending.
    """
    found = [Box(*(float(v) for v in corners)) for corners in boxes]
    kept: list[int] = []
    for n in np.argsort(-np.asarray(scores), kind="stable").tolist():
        if not any(same(found[n], found[k]) for k in kept):
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


class CropLimits(NamedTuple):
    """What bounds the square to export.

    Attributes:
        expand: side over the face's longer side, where nothing hinders.
        expand_min: a square that would be smaller is none.
        expand_max: it never grows beyond this.
        min_side: px; a square that `expand` leaves smaller grows towards it.
    """

    expand: float
    expand_min: float
    expand_max: float
    min_side: int


HEAD: Final = (0.35, 0.35, 0.35, 0.25)
"""How far hair, ears and a raised hand reach beyond a face's box: left, top, right and bottom, in
longer sides. Chosen: heads are about 1.3 to 1.6 faces wide and 1.4 high."""
REACH: Final = (0.6, 0.35, 0.6, 0.8)
"""How far shoulders and hands reach, likewise. A square is laid where it has least of them; they
are no part of `neighbour_share`. Chosen: shoulders are about two faces wide or more."""
HEADROOM: Final = 1 / 3
"""Of what a square grows beyond `expand`, this share goes above the face: shoulders say more of a
person than air. Chosen."""
SHIFT_COST: Final = 0.25
"""What a shift by a whole side is worth in shares of a square that neighbours cover (it
grows with the square of the shift). Chosen: 4 % of neighbours are worth a shift by 40 % of a side,
1 % by 20 %."""


def head_box(face: Box) -> Box:
    """A face's box, widened for hair, ears and hands."""
    return _widened(face, HEAD)


def _widened(face: Box, by: tuple[float, float, float, float]) -> Box:
    left, top, right, bottom = (share * face.longer_side for share in by)
    return Box(face.x1 - left, face.y1 - top, face.x2 + right, face.y2 + bottom)


def _covered(square: Box, bodies: Sequence[Box]) -> float:
    """Share of a square that boxes cover, at most 1; where two overlap, the sum counts."""
    covered = sum(square.intersection(body).area for body in bodies)
    return min(1.0, covered / square.area) if square.area > 0 else 0.0


def neighbour_share(square: Box, others: Sequence[Box]) -> float:
    """Share of a crop that neighbours' heads cover, in [0, 1]; 0 without neighbours.

    Args:
        square: the crop.
        others: the boxes of the neighbours' faces. Where two heads overlap, the sum counts.
    """
    return _covered(square, [head_box(other) for other in others])


def export_crop_box(
    face: Box, frame_width: int, frame_height: int, others: Sequence[Box], limits: CropLimits
) -> Box | None:
    """The square to export for a face: inside the frame, with no other face in it.

    It is as large as possible up to `expand` x the face's longer side or, where that is less than
    `min_side`, up to that and at most `expand_max`. Where the frame's edge or a neighbour is near,
    it is shifted rather than made smaller, as long as the square of `expand_min` about the face is
    left in it. Another face counts as inside when any part of it is. Of all places it takes the one
    with the least of the neighbours, hair, shoulders and hands, weighed against the shift.

    Returns:
        The square in whole pixels, or None when less than `expand_min` is left.
    """
    return _export_crop_box(face, frame_width, frame_height, tuple(others), limits)


@lru_cache(maxsize=1 << 14)
def _export_crop_box(
    face: Box, frame_width: int, frame_height: int, others: tuple[Box, ...], limits: CropLimits
) -> Box | None:
    """Remembered: moments, what is to be seen of them, and candidates ask the same of each face."""
    frame = Box(0, 0, frame_width, frame_height)
    if face.intersection(frame).area < WHOLE * face.area or face.area <= 0:
        return None
    bodies = tuple(_widened(other, REACH) for other in others)
    placing = _Placing(face, frame, others, bodies, limits)
    least = int(np.floor(limits.expand_min * face.longer_side))
    grown = min(float(limits.min_side), limits.expand_max * face.longer_side)
    most = int(min(np.floor(max(limits.expand * face.longer_side, grown)), frame.x2, frame.y2))
    if most < least or not placing.fits(least):
        return None
    # Within a square that fits lies one of each smaller side that fits too, so the largest is found
    # by halving.
    while least < most:
        middle = (least + most + 1) // 2
        least, most = (middle, most) if placing.fits(middle) else (least, middle - 1)
    return placing.best(least)


WHOLE: Final = 0.98
"""Share of a face's box inside the frame from which the face is whole: boxes are not exact."""


class _Placing(NamedTuple):
    """Where squares about one face may lie.

    Attributes:
        face: in the middle of it all.
        frame: in which they lie.
        others: faces that must not be in them.
        bodies: what hair, shoulders and hands of the others reach.
        limits: of their size.
    """

    face: Box
    frame: Box
    others: tuple[Box, ...]
    bodies: tuple[Box, ...]
    limits: CropLimits

    def fits(self, side: int) -> bool:
        """Whether there is a place for a square of this side."""
        return next(self._places(side), None) is not None

    def best(self, side: int) -> Box:
        """The best place of a side that fits."""
        wanted = self._wanted(side)

        def cost(corner: tuple[float, float]) -> tuple[float, float, tuple[float, float]]:
            # Up or down counts three times as far: shoulders and hair would go.
            across, up = (now - then for now, then in zip(corner, wanted, strict=True))
            shift = (across**2 + (3 * up) ** 2) / side**2
            square = Box(*corner, corner[0] + side, corner[1] + side)
            share = _covered(square, self.bodies)
            return share + SHIFT_COST * shift, shift, corner

        x, y = min(self._places(side), key=cost)
        return Box(x, y, x + side, y + side)

    def _wanted(self, side: int) -> tuple[float, float]:
        """The corner of the square that would be cut from an endless frame."""
        x, y = self.face.centre
        grown = max(0.0, side - self.limits.expand * self.face.longer_side)
        up = (side - grown) / 2 + HEADROOM * grown
        return float(round(x - side / 2)), float(round(y - up))

    def _ranges(self, side: int) -> list[tuple[float, float]]:
        """Where the corner may lie in x and y: in the frame, and the least square in it."""
        about = face_crop_box(self.face, self.limits.expand_min).intersection(self.frame)
        ends = ((about.x1, about.x2, self.frame.x2), (about.y1, about.y2, self.frame.y2))
        # A pixel of play, as sides and corners are whole.
        return [
            (max(0.0, float(floor(high - side))), min(float(ceil(low)), edge - side))
            for low, high, edge in ends
        ]

    def _places(self, side: int) -> Iterator[tuple[float, float]]:
        """Corners without another face: the wanted one, and those at the ends of what is allowed.

        A square that has a place can be slid left and up until it touches another face or the end
        of its range, so that if there is any place, one of these is.
        """
        in_x, in_y = self._ranges(side)
        wanted = self._wanted(side)
        near = (*self.others, *self.bodies)
        xs = _stops(in_x, wanted[0], [(b.x1, b.x2) for b in near], side)
        ys = _stops(in_y, wanted[1], [(b.y1, b.y2) for b in near], side)
        for x, y in product(xs, ys):
            if not any(_overlap(other, x, y, side) for other in self.others):
                yield x, y


def _overlap(box: Box, x: float, y: float, side: float) -> bool:
    return box.x1 < x + side and x < box.x2 and box.y1 < y + side and y < box.y2


def _stops(
    allowed: tuple[float, float], wanted: float, obstacles: Sequence[tuple[float, float]], side: int
) -> list[float]:
    """Whole positions of one axis that are worth a look, those within what is allowed."""
    low, high = allowed
    if low > high:
        return []
    stops = {low, high, min(max(wanted, low), high)}
    stops |= {float(ceil(end)) for _, end in obstacles}
    stops |= {float(floor(start - side)) for start, _ in obstacles}
    return sorted(stop for stop in stops if low <= stop <= high)


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
