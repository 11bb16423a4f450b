"""How many faces two detectors both missed: capture and recapture.

Two detectors of unlike making look at the same frames. What both find, beside what each finds
alone, tells how many there are (Chapman, "Some properties of the hypergeometric distribution",
Univ. California Publ. Stat. 1, 1951). The interval is exact: of how many faces are there, those
numbers are in it of which so many in common, or so few, have a chance of 2.5 % (the hypergeometric
distribution, as Clopper and Pearson do with the binomial one).

That holds where one detector misses a face as often whether or not the other one finds it. It is
not so: what is blurred, dark or turned away is hard for both. So the number is too small, the share
that is found too large, and the sentence says that it is at most that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import inf
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import hypergeom

from identity_pipeline.core.evaluation.matching import assign, ious

TAIL: Final = 0.025
"""Of an interval of 95 %, at either end."""
SAME_FACE: Final = 0.3
"""Overlap (IoU) from which two detectors mean one face: their boxes are of other proportions."""
MANY: Final = 1 << 40
"""More faces than there are: where as many may be, the number has no upper bound."""


@dataclass(frozen=True)
class Recapture:
    """What two detectors say of how many faces there are.

    Attributes:
        found: faces that at least one of them found.
        total: how many there are, at least `found`.
        low, high: interval of 95 %, at least `found`; infinite where the two have none in common.
        by_first: faces that the first one found.
    """

    found: int
    total: float
    low: float
    high: float
    by_first: int

    @property
    def share(self) -> float | None:
        """Of all faces, those that the first detector found; None where none found any."""
        return self.by_first / self.total if self.found else None

    @property
    def sentence(self) -> str:
        """For people."""
        if self.share is None:
            return "How many faces no detector found was not measured: neither found any."
        if self.found == self.by_first:
            return (
                f"A second detector of another making found none of the faces that the first one "
                f"missed, which found {self.found}; what is hard for one is hard for the other."
            )
        shares = (self.by_first / n for n in (self.total, self.high, self.low))
        share, least, most = (f"{100 * share:.1f}" for share in shares)
        return (
            f"The detector found at most {share} % ({least}-{most} %) of the faces, by a second "
            f"one of another making; on {self.found} faces. What is hard for one is hard for the "
            "other, so there are more than the two tell."
        )


def recapture(both: int, first: int, second: int) -> Recapture:
    """How many faces there are.

    Args:
        both: faces that both detectors found.
        first: that the first one found, these among them.
        second: the same of the second one.

    Raises:
        ValueError: counts that cannot be.
    """
    alone, other = first - both, second - both
    if min(both, alone, other) < 0:
        raise ValueError(f"{both} faces of both cannot be among {first} and {second}")
    found = both + alone + other
    missed = alone * other / (both + 1)
    low = _first_from(found, lambda total: bool(hypergeom.cdf(both, total, first, second) >= TAIL))
    many = _first_from(
        found, lambda total: bool(hypergeom.sf(both - 1, total, first, second) < TAIL)
    )
    high = inf if many >= MANY else float(max(many - 1, found))
    least, most = min(low - found, missed), max(high - found, missed)
    return Recapture(found, found + missed, found + least, found + most, first)


def _first_from(found: int, holds: Callable[[int], bool]) -> int:
    """The least number from `found` on for which something holds that holds of all larger ones."""
    below, step = found - 1, 1
    while below + step < MANY and not holds(below + step):
        below, step = below + step, 2 * step
    above = below + step
    if above >= MANY:
        return MANY
    while above - below > 1:
        middle = (above + below) // 2
        below, above = (below, middle) if holds(middle) else (middle, above)
    return above


def in_common(
    first: Iterable[NDArray[np.float64]], second: Iterable[NDArray[np.float64]]
) -> tuple[int, int, int]:
    """How many faces both detectors found, the first one, and the second one.

    Args:
        first: (N, 4) boxes of each frame, x1, y1, x2, y2.
        second: (M, 4) of the other detector in the same frames.
    """
    both = by_first = by_second = 0
    for one, other in zip(first, second, strict=True):
        both += len(assign(ious(one, other), SAME_FACE))
        by_first += len(one)
        by_second += len(other)
    return both, by_first, by_second
