"""Two clocks of the pass: the time of each frame of a stream, and which frames are sampled."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

REORDERING_S = 1.0
"""Frames may come this much out of order."""


class SamplingClock:
    """Decides which frames are sampled: the first at or after k / fps, for every k once.

    Times are rounded to a microsecond first, so that 0.3000001 s counts as 0.3 s.
    """

    def __init__(self, fps: float) -> None:
        self._fps = fps
        self._next_k = 0

    def takes(self, timestamp_ms: float) -> bool:
        """Whether the frame of this time is sampled; times must be given in ascending order."""
        if self._fps == 0:
            return True
        position = round(timestamp_ms * self._fps / 1000, 6)
        if position < self._next_k:
            return False
        self._next_k = int(np.floor(position)) + 1
        return True


class StreamClock:
    """The time of each frame of a stream, which never jumps back.

    A frame without a time stamp follows its predecessor by 1 / fps. So does one whose stamp lies
    more than `REORDERING_S` before the latest (the counter of a transport stream that started
    anew, two recordings in one file), and all that follow keep their distance to it.
    """

    def __init__(self, stream: VideoStream) -> None:
        self._base = stream.time_base or Fraction(1, 1000)
        self._step = max(1, round(1 / (float(stream.average_rate or 30) * float(self._base))))
        self._reordering = round(REORDERING_S / self._base)
        self._previous: int | None = None
        self._latest: int | None = None
        self._offset = 0
        self.now_ms = 0.0

    def read(self, frame: VideoFrame) -> tuple[int, bool]:
        """The frame's own pts, and whether the clock jumped back before it; sets `now_ms`."""
        pts = frame.pts
        if pts is None:
            pts = 0 if self._previous is None else self._previous + self._step
        self._previous = pts
        at = pts + self._offset
        jumped = self._latest is not None and at < self._latest - self._reordering
        if jumped and self._latest is not None:
            at = self._latest + self._step
            self._offset = at - pts
        self._latest = at if self._latest is None else max(at, self._latest)
        self.now_ms = float(at * self._base * 1000)
        return pts, jumped
