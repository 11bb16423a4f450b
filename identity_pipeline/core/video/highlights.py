"""Highlights of a video: windows of time that count for more, in sampling and in the selection.

What belongs here: what a weight means. What does not: the file that says them
(`storage.video.highlights`). Times are seconds since the first frame of the video. A window holds
from its start up to, but not including, its end; where windows overlap, the larger weight holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import floor
from typing import Final, NamedTuple

from identity_pipeline.settings import HighlightSettings

USUAL: Final = 1.0
"""The weight outside all windows."""


class Window(NamedTuple):
    """One window: s since the first frame, and its weight, at least 1."""

    start_s: float
    end_s: float
    weight: float


@dataclass(frozen=True)
class Emphasis:
    """How much each moment of a video counts.

    Attributes:
        windows: of the video.
        settings: what a weight may do.
    """

    windows: tuple[Window, ...]
    settings: HighlightSettings

    def weight(self, elapsed_ms: float) -> float:
        """The weight at a time since the first frame; 1 outside all windows."""
        at = elapsed_ms / 1000
        return max((w.weight for w in self.windows if w.start_s <= at < w.end_s), default=USUAL)

    def times(self, elapsed_ms: float) -> int:
        """How many times the usual sampling rate holds there: the weight as a whole number.

        Whole, so that every frame that is sampled without highlights is sampled with them too.
        """
        return min(self.settings.rate_times_max, floor(self.weight(elapsed_ms) + 0.5))

    def bonus(self, elapsed_ms: float) -> float:
        """What the quality of a face counts for more there: `quality_bonus` x (1 - 1 / weight).

        Nothing at weight 1, half of the bonus at 2, and never the whole of it: no weight makes a
        picture of a poor one.
        """
        return self.settings.quality_bonus * (1 - 1 / self.weight(elapsed_ms))

    def expected_frames(self, duration_ms: float, fps: float) -> int:
        """How many frames are about to be sampled of a video of this length."""
        edges = sorted(
            {0.0, duration_ms / 1000}
            | {min(e * 1000, duration_ms) / 1000 for w in self.windows for e in w[:2]}
        )
        spans = pairwise(edges)
        return round(sum((b - a) * fps * self.times((a + b) / 2 * 1000) for a, b in spans))


def overview(windows: Sequence[Window]) -> str:
    """The windows in words, such as `3-5 s x 2; 20-25.5 s x 4`."""
    return "; ".join(f"{w.start_s:g}-{w.end_s:g} s x {w.weight:g}" for w in windows)
