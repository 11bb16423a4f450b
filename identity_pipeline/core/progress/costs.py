"""What work costs: seconds per unit, from what it cost before.

The price of a step is the median over its last computations: one that swapped, or opened its models
first, does not move it. Where nothing was measured, a bundled price stands in, and says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

LAST: Final = 15
"""Samples that count; chosen: enough for a median, few enough to follow a change of the host."""


@dataclass(frozen=True)
class Sample:
    """What one computation of a step took.

    Attributes:
        seconds: wall time.
        units: units of its work (rows of the table that counts it).
        frames: sampled frames of the video; None for a step of the library.
    """

    seconds: float
    units: int
    frames: int | None


@dataclass(frozen=True)
class Price:
    """What a step costs.

    Attributes:
        per_unit: seconds per unit of its work; None when unknown.
        per_frame: seconds per sampled frame of the video, for work whose units are not counted
            yet; None when unknown.
        samples: computations it was learnt from; 0 for a bundled price.
        frames: sampled frames of a usual video among them; None when unknown.
    """

    per_unit: float | None
    per_frame: float | None
    samples: int
    frames: int | None = None

    @property
    def measured(self) -> bool:
        """Whether it was learnt from work on this machine."""
        return self.samples > 0

    def expected(self, units: int | None, frames: int | None) -> float | None:
        """Seconds that the work will take; None when that cannot be said.

        Args:
            units: of the work; None when they are not counted yet.
            frames: sampled frames of the video, measured or expected; None when unknown.
        """
        if units is not None and self.per_unit is not None:
            return units * self.per_unit
        if frames is not None and self.per_frame is not None:
            return frames * self.per_frame
        return None


def price(samples: Sequence[Sample], bundled: Price) -> Price:
    """The price by the last samples, oldest first; the bundled one where there are none."""
    last = samples[-LAST:]
    if not last:
        return bundled
    frames = _median(s.frames for s in last if s.frames)
    return Price(
        _median(s.seconds / s.units for s in last if s.units),
        _median(s.seconds / s.frames for s in last if s.frames),
        len(last),
        None if frames is None else round(frames),
    )


def _median(values: Iterable[float]) -> float | None:
    listed = list(values)
    return median(listed) if listed else None
