"""The compressed clock of a day, and when its videos arrive."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from typing import Final

OPENS: Final = 10.0
CLOSES: Final = 22.0
"""Hours of the simulated day."""
CROWDS: Final = ((10.0, 12.0, 1.5), (12.0, 14.0, 2.2), (14.0, 18.0, 0.8))
"""(from, to, videos per hour relative to each other): a queue builds up after noon."""


@dataclass(frozen=True)
class Clock:
    """Hours of the day, told from the minutes of the wall that the day takes."""

    minutes: float
    started: float = field(default_factory=time.monotonic)

    @property
    def hour(self) -> float:
        """Now."""
        return OPENS + (time.monotonic() - self.started) / self.seconds_an_hour

    @property
    def seconds_an_hour(self) -> float:
        """Of the wall."""
        return self.minutes * 60 / (CLOSES - OPENS)

    def until(self, hour: float) -> float:
        """Seconds of the wall until then; 0 when it is past."""
        return max(0.0, (hour - self.hour) * self.seconds_an_hour)


def shown(hour: float) -> str:
    """`12:05`."""
    return f"{int(hour):02d}:{int(hour % 1 * 60):02d}"


def arrivals(count: int, rng: random.Random) -> list[float]:
    """When so many videos arrive: a Poisson process of this many events, by the crowd's density."""
    weights = [(end - start) * rate for start, end, rate in CROWDS]
    spans = rng.choices(CROWDS, weights, k=count)
    return sorted(rng.uniform(start, end) for start, end, _ in spans)
