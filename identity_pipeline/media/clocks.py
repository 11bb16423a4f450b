"""Two clocks of the pass: the time of each frame of a stream, and which frames are sampled."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Final

import numpy as np
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from identity_pipeline.core.video.highlights import Emphasis

JUMPED: Final = "clock jumped back"
REPEATED: Final = "time stamp not after the one before"
UNTIMED: Final = "no time stamp"
CLOCK_TROUBLES: Final = (JUMPED, REPEATED, UNTIMED)
"""With any of them, a pts of the video may stand for several frames, or for none."""
STANDSTILL_S: Final = 0.12
"""A step back of more than this (of more than three frames, where those are longer) lasts."""


class SamplingClock:
    """Decides which frames are sampled: the first at or after k / fps, for every k once.

    In a highlight the rate is a whole multiple of that: so the frames that are sampled without
    highlights are sampled with them too, and outside of them no other ones. Times are rounded to a
    microsecond first, so that 0.3000001 s counts as 0.3 s.
    """

    def __init__(self, fps: float, emphasis: Emphasis | None = None) -> None:
        self._fps, self._emphasis = fps, emphasis
        self._before_ms: float | None = None

    def takes(self, timestamp_ms: float) -> bool:
        """Whether the frame of this time is sampled; times must be given in ascending order."""
        if self._fps == 0:
            return True
        before_ms, self._before_ms = self._before_ms, timestamp_ms
        if before_ms is None:
            return True
        times = self._emphasis.times(timestamp_ms) if self._emphasis else 1
        rates = {self._fps, self._fps * times}
        return any(_step(timestamp_ms, rate) > _step(before_ms, rate) for rate in rates)


def _step(timestamp_ms: float, rate: float) -> int:
    """The k of the last k / rate up to a time."""
    return int(np.floor(round(timestamp_ms * rate / 1000, 6)))


class StreamClock:
    """The time of each frame of a stream, which never steps back.

    Decoders give frames in the order in which they are shown, so a stamp that is not after the
    latest is a fault of the clock, never of the order. A frame without a stamp follows its
    predecessor by 1 / fps. So does one whose stamp comes again or lies a little before the latest
    (`REPEATED`), until the stamps have passed the latest again. Where they lie farther back than
    `STANDSTILL_S`, or do not pass it within as many frames (the counter of a transport stream that
    started anew, two recordings in one file: `JUMPED`), all that follow keep their distance to the
    frame after the jump. A gap is a gap: a clock that jumps ahead is believed.
    """

    def __init__(self, stream: VideoStream) -> None:
        self._base = stream.time_base or Fraction(1, 1000)
        self._step = max(1, round(1 / (float(stream.average_rate or 30) * float(self._base))))
        self._standstill = max(3 * self._step, round(STANDSTILL_S / self._base))
        self._previous: int | None = None
        self._latest: int | None = None
        self._now = 0
        self._first: int | None = None
        self._standing = 0
        self._offset = 0

    @property
    def now_ms(self) -> float:
        """Time of the last frame that was read."""
        return self._ms(self._now)

    @property
    def first_ms(self) -> float:
        """Time of the first frame that was read; 0 before it."""
        return self._ms(self._first or 0)

    def _ms(self, pts: int) -> float:
        """A time in the stream's unit as ms: one division of whole numbers, exactly rounded."""
        return pts * self._base.numerator * 1000 / self._base.denominator

    def read(self, frame: VideoFrame) -> tuple[int, frozenset[str]]:
        """The frame's own pts, and what is wrong with it: any of `CLOCK_TROUBLES`."""
        troubles: set[str] = set()
        pts = frame.pts
        if pts is None:
            troubles.add(UNTIMED)
            pts = 0 if self._previous is None else self._previous + self._step
        self._previous = pts
        at = pts + self._offset
        self._first = at if self._first is None else self._first
        if self._latest is None or at > self._latest:
            # What stood still has run on meanwhile.
            self._now = at if self._latest is None else max(at, self._now)
            self._latest, self._standing = at, 0
            return pts, frozenset(troubles)
        self._standing += 1
        self._now += self._step
        farther = self._latest - at > self._standstill
        if farther or self._standing * self._step > self._standstill:
            self._offset = self._now - pts
            self._latest, self._standing = self._now, 0
            troubles.add(JUMPED)
        else:
            troubles.add(REPEATED)
        return pts, frozenset(troubles)


def stamps_are_keys(decode_errors: Iterable[str | None]) -> bool:
    """Whether a pts stands for one frame of a video: no frame's clock was in trouble.

    Args:
        decode_errors: of the sampled frames, see `media.video.SampledFrame`; each tells of the
            frames before it too.
    """
    told = (error for error in decode_errors if error)
    return not any(trouble in error for error in told for trouble in CLOCK_TROUBLES)
