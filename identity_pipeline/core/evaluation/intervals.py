"""How sure a figure is: exact binomial bounds, and resampling of whole tracks or videos.

Faces of one track resemble each other, so a binomial interval over faces is too narrow; tracks (or
videos) are drawn with replacement instead. A share of 0 or 1 has no spread to resample, so an
interval is never made narrower than the exact binomial one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

CONFIDENCE = 0.95
DRAWS = 1000
SEED = 20_240_501
MIN_UNITS = 4
"""With fewer tracks or videos a percentile of resamples means nothing."""

Interval = tuple[float, float]


def _any_of(successes: int, n: int) -> bool:
    """Whether anything was counted; counts that cannot be are refused."""
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n} cannot be")
    return n > 0


def _beta_quantile(share: float, a: float, b: float) -> float:
    """The inverse of the beta distribution."""
    # Imported here: SciPy's statistics take a third of a second, and few who import this measure.
    from scipy.stats import beta

    return float(beta.ppf(share, a, b))


def clopper_pearson(successes: int, n: int, confidence: float = CONFIDENCE) -> Interval | None:
    """Exact two-sided interval of a share (Clopper and Pearson 1934); None for n = 0.

    Raises:
        ValueError: the counts are impossible.
    """
    if not _any_of(successes, n):
        return None
    tail = (1 - confidence) / 2
    low = _beta_quantile(tail, successes, n - successes + 1) if successes else 0.0
    high = _beta_quantile(1 - tail, successes + 1, n - successes) if successes < n else 1.0
    return low, high


def wilson(successes: int, n: int, confidence: float = CONFIDENCE) -> Interval | None:
    """Score interval of a share (Wilson 1927), for small counts; None for n = 0.

    Raises:
        ValueError: the counts are impossible.
    """
    if not _any_of(successes, n):
        return None
    from scipy.stats import binomtest

    found = binomtest(successes, n).proportion_ci(confidence, method="wilson")
    return float(found.low), float(found.high)


def for_each_of(intervals: int) -> float:
    """Confidence of each of some intervals, so that all hold at `CONFIDENCE` (Bonferroni)."""
    return 1 - (1 - CONFIDENCE) / intervals


def upper_bound(events: int, n: int, confidence: float = CONFIDENCE) -> float | None:
    """Exact one-sided upper bound of a rate; 1 - 0.05^(1/n) when nothing happened.

    Raises:
        ValueError: the counts are impossible.
    """
    if not 0 <= events <= n:
        raise ValueError(f"{events} events of {n} cannot be")
    if n == 0:
        return None
    return 1.0 if events == n else _beta_quantile(confidence, events + 1, n - events)


def resamples(units: int, draws: int = DRAWS, seed: int = SEED) -> NDArray[np.int64]:
    """(draws, units): how often each unit is drawn, with replacement, seeded."""
    return np.random.default_rng(seed).multinomial(units, np.full(units, 1 / units), size=draws)


def percentiles(values: ArrayLike, confidence: float = CONFIDENCE) -> Interval | None:
    """The central share of resampled values; None when too few of them could be measured."""
    finite = np.asarray(values, dtype=np.float64)
    finite = finite[np.isfinite(finite)]
    if len(finite) < DRAWS // 10:
        return None
    tail = 100 * (1 - confidence) / 2
    low, high = np.percentile(finite, [tail, 100 - tail])
    return float(low), float(high)


def bootstrap_ratio(
    units: Sequence[str], numerator: ArrayLike, denominator: ArrayLike | None = None
) -> Interval | None:
    """Interval of sum(numerator) / sum(denominator) when whole units are drawn again.

    Args:
        units: the track or video of each row.
        numerator: (N,) of each row.
        denominator: (N,) of each row; ones by default, which makes the ratio a mean.

    Returns:
        None for fewer than `MIN_UNITS` units.
    """
    names, codes = np.unique(np.asarray(units, dtype=str), return_inverse=True)
    if len(names) < MIN_UNITS:
        return None
    over = np.asarray(numerator, dtype=np.float64)
    under = np.ones(len(over)) if denominator is None else np.asarray(denominator, np.float64)
    sums = [np.bincount(codes, weights=w, minlength=len(names)) for w in (over, under)]
    counts = resamples(len(names))
    top, bottom = counts @ sums[0], counts @ sums[1]
    return percentiles(np.divide(top, bottom, out=np.full(len(top), np.nan), where=bottom > 0))
