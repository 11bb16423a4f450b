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

import numpy as np
from numpy.typing import NDArray

from identity_pipeline.core.geometry import Box

PAINTED: Final = 1.5
"""Sides of what is painted over those of a face's box: hair, ears and chin. Chosen."""
OVERLAP_MIN: Final = 0.5
"""A detection is hidden that shares this much of the smaller one's area with what is painted: what
is painted over is no face to keep. Chosen; a neighbour's box shares next to none."""

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
    head = painted_box(hidden)
    smaller = min(box.area, head.area)
    return smaller > 0 and box.intersection(head).area >= OVERLAP_MIN * smaller


def painted_box(hidden: Box) -> Box:
    """What is painted of a face: its box and what of the head is around it."""
    x, y = hidden.centre
    w, h = hidden.width * PAINTED / 2, hidden.height * PAINTED / 2
    return Box(x - w, y - h, x + w, y + h)
