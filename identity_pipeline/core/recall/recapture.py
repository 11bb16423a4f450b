"""How many faces two detectors both missed: capture and recapture.

Two detectors of unlike making look at the same frames. What both find, beside what each finds
alone, tells how many there are (Chapman, "Some properties of the hypergeometric distribution",
Univ. California Publ. Stat. 1, 1951). The interval is exact: of how many faces are there, those
numbers are in it of which so many in common, or so few, have a chance of 2.5 % (the hypergeometric
distribution, as Clopper and Pearson do with the binomial one).

That holds where one detector misses a face as often whether or not the other one finds it. It is
not so: what is blurred, dark or turned away is hard for both. So the number is too small, the share
that is found too large, and every sentence says that it is at most that. How dependent the two are
is an odds ratio, 1 for independent; `odds_ratio` measures it where somebody has counted what both
missed, and `recapture` takes it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Final

from scipy.stats import hypergeom

TAIL: Final = 0.025
"""Of an interval of 95 %, at either end."""
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
        odds_ratio: by which their finds are taken to depend on each other.
    """

    found: int
    total: float
    low: float
    high: float
    by_first: int
    odds_ratio: float

    @property
    def share(self) -> float | None:
        """Of all faces, those that the first detector found; None where none found any."""
        return self.by_first / self.total if self.found else None

    @property
    def sentence(self) -> str:
        """For people."""
        if self.share is None:
            return "How many faces no detector found was not measured: neither found any."
        bounds = f"{self.by_first / self.high:.0%}-{self.by_first / self.low:.0%}"
        if self.odds_ratio > 1:
            return (
                f"The detector found {self.share:.0%} ({bounds}) of the faces, by a second one of "
                f"another making, where the two miss the same faces {self.odds_ratio:.2g} times as "
                f"often as by chance; on {self.found} faces."
            )
        return (
            f"The detector found at most {self.share:.0%} ({bounds}) of the faces, by a second "
            f"one of another making; on {self.found} faces. What is hard for one is hard for the "
            "other, so there are more than the two tell."
        )


def recapture(both: int, first: int, second: int, odds_ratio: float = 1.0) -> Recapture:
    """How many faces there are.

    Args:
        both: faces that both detectors found.
        first: that the first one found, these among them.
        second: the same of the second one.
        odds_ratio: how many times as likely, in odds, a face is missed by one that the other one
            misses; at least 1.

    Raises:
        ValueError: counts that cannot be, or an odds ratio below 1.
    """
    alone, other = first - both, second - both
    if min(both, alone, other) < 0:
        raise ValueError(f"{both} faces of both cannot be among {first} and {second}")
    if odds_ratio < 1:
        raise ValueError(f"an odds ratio of {odds_ratio:g} would be of detectors that help out")
    found = both + alone + other
    missed = alone * other / (both + 1)
    low = _first_from(found, lambda total: bool(hypergeom.cdf(both, total, first, second) >= TAIL))
    many = _first_from(
        found, lambda total: bool(hypergeom.sf(both - 1, total, first, second) < TAIL)
    )
    high = inf if many >= MANY else float(max(many - 1, found))
    least, most = min(low - found, missed), max(high - found, missed)
    return Recapture(
        found,
        found + odds_ratio * missed,
        found + odds_ratio * least,
        found + odds_ratio * most,
        first,
        odds_ratio,
    )


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


def odds_ratio(both: int, first_alone: int, second_alone: int, neither: float) -> float:
    """How dependent two detectors are, where it was counted what neither found.

    With half a face added to each (Haldane 1956), so that none of them need be seen; at least 1.
    """
    ratio = (both + 0.5) * (neither + 0.5) / ((first_alone + 0.5) * (second_alone + 0.5))
    return max(ratio, 1.0)
