"""Where in a ride the face of somebody forgotten is: nothing of it is looked at, and it is painted.

A redaction is positions alone: for each track of the forgotten the boxes of its faces. Between two
of them the face is taken to move in a straight line, however long it was not seen, for a rider
keeps their seat; before the first and after the last it stays, for as long as the track spans. So
another detector, another sampling rate, and short tracks that nobody had a name for are caught too.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from identity_pipeline.core.geometry import Box

OVERLAP_MIN: Final = 0.5
"""A detection lies on a region that it shares this much of the smaller one's area with: another
detector's box of a face shares most of it, a neighbour's next to none. Chosen."""
PAINTED: Final = 1.5
"""Sides of what is painted over those of a face's box: hair, ears and chin. Chosen."""
COLOUR: Final = 128

Region = tuple[int, float, float, float, float]
"""Frame, and the box in pixels of the source."""


@dataclass(frozen=True)
class Path:
    """Where one face is over time.

    Attributes:
        regions: at least one, of ascending frames.
    """

    regions: tuple[Region, ...]

    @cached_property
    def _frames(self) -> list[int]:
        return [region[0] for region in self.regions]

    def at(self, frame_idx: int) -> Box | None:
        """The box at a frame; None where the face is not taken to be there."""
        first, last = self._frames[0], self._frames[-1]
        stays = max(last - first, 1)
        if not first - stays <= frame_idx <= last + stays:
            return None
        after = bisect_right(self._frames, frame_idx)
        before, behind = self.regions[max(after - 1, 0)], self.regions[min(after, self._end)]
        if before[0] == behind[0] or frame_idx <= before[0]:
            return Box(*before[1:])
        share = (frame_idx - before[0]) / (behind[0] - before[0])
        ends = zip(before[1:], behind[1:], strict=True)
        return Box(*(a + min(share, 1.0) * (b - a) for a, b in ends))

    @property
    def _end(self) -> int:
        return len(self.regions) - 1


@dataclass(frozen=True)
class Redaction:
    """All paths of a ride; none is no redaction.

    Attributes:
        paths: sorted, each once.
    """

    paths: tuple[Path, ...] = ()

    def __bool__(self) -> bool:
        """Whether anything is hidden."""
        return bool(self.paths)

    def and_also(self, more: Iterable[Path]) -> Redaction:
        """With further paths; saying one twice changes nothing."""
        return Redaction(tuple(sorted({*self.paths, *more}, key=lambda path: path.regions)))

    def at(self, frame_idx: int) -> list[Box]:
        """The hidden boxes of a frame."""
        return [box for path in self.paths if (box := path.at(frame_idx)) is not None]


def path_of(faces: Iterable[tuple[int, Sequence[float]]]) -> Path:
    """The path of one track; of several faces of a frame the first one counts.

    Args:
        faces: frame and box (x1, y1, x2, y2) of each, in any order.
    """
    found: dict[int, Region] = {}
    for frame_idx, box in sorted(faces, key=lambda one: one[0]):
        x1, y1, x2, y2 = (round(float(value), 2) for value in box)
        found.setdefault(frame_idx, (frame_idx, x1, y1, x2, y2))
    return Path(tuple(found.values()))


def lie_on(boxes: NDArray[np.floating], hidden: Sequence[Box]) -> NDArray[np.bool_]:
    """Which detections of a frame lie on hidden boxes: (N, 4) corners to (N,) answers."""
    found = (any(_on(Box(*map(float, box)), other) for other in hidden) for box in boxes)
    return np.fromiter(found, dtype=bool, count=len(boxes))


def _on(box: Box, hidden: Box) -> bool:
    smaller = min(box.area, hidden.area)
    return smaller > 0 and box.intersection(hidden).area >= OVERLAP_MIN * smaller


def painted_box(hidden: Box) -> Box:
    """What is painted of a face: its box and what of the head is around it."""
    x, y = hidden.centre
    w, h = hidden.width * PAINTED / 2, hidden.height * PAINTED / 2
    return Box(x - w, y - h, x + w, y + h)


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
