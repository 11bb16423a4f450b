"""Whether two ways through a video find the same faces in the same frames."""

from __future__ import annotations

from collections.abc import Sequence

from identity_pipeline.core.geometry import Box

Boxes = dict[int, list[Box]]
"""The faces of each frame, by its number in the video."""
SAME_IOU = 0.5


def found_by_both(ones: Boxes, others: Boxes) -> int:
    """How many faces of the one way the other has too: the same frame, boxes that overlap."""
    return sum(_shared(boxes, others.get(frame, [])) for frame, boxes in ones.items())


def count(boxes: Boxes) -> int:
    """Number of faces."""
    return sum(map(len, boxes.values()))


def _shared(ones: Sequence[Box], others: Sequence[Box]) -> int:
    left, shared = list(others), 0
    for one in ones:
        near = [other for other in left if _iou(one, other) >= SAME_IOU]
        if near:
            left.remove(near[0])
            shared += 1
    return shared


def _iou(one: Box, other: Box) -> float:
    common = one.intersection(other).area
    return common / (one.area + other.area - common)
