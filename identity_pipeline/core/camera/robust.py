"""Middle, spread and mode of a few values of which some are not of the kind.

What belongs here: estimators that one value in three cannot move far. What does not: what is
estimated with them.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

NORMAL_QUARTILE: Final = 0.674489750196082
"""Of the standard normal distribution: half of it lies within."""
QN: Final = 2.21914
"""Makes Qn the standard deviation of a normal distribution (Rousseeuw and Croux 1993)."""
QN_SMALL: Final = (0.399, 0.994, 0.512, 0.844, 0.611, 0.857, 0.669, 0.872)
"""Qn of two to nine values is too large by these: Croux and Rousseeuw (1992), table 1."""
QN_EFFICIENCY: Final = 0.82
"""Of Qn beside the standard deviation, for normal values (Rousseeuw and Croux 1993)."""
STEPS: Final = 8
"""Points of the grid a bandwidth, on which a mode is looked for before it is refined."""


def shorth_scale(values: ArrayLike) -> float:
    """Spread of the densest half of the values, as a standard deviation.

    Half the shortest interval that holds half of them, over the normal quartile: the scale of the
    least median of squares (Rousseeuw and Leroy 1987). A second heap aside does not widen it.

    Args:
        values: (N,), N >= 1.
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    half = len(ordered) // 2 + 1
    widths = ordered[half - 1 :] - ordered[: len(ordered) - half + 1]
    return float(widths.min()) / 2 / NORMAL_QUARTILE


def qn_scale(values: ArrayLike) -> float:
    """Qn: a standard deviation that half of the values cannot spoil, of efficiency 0.82.

    Args:
        values: (N,), N >= 2.
    """
    known = np.asarray(values, dtype=np.float64)
    n = len(known)
    rows, columns = np.triu_indices(n, 1)
    apart = np.abs(known[rows] - known[columns])
    half = n // 2 + 1
    kth = half * (half - 1) // 2 - 1
    raw = float(np.partition(apart, kth)[kth])
    small = QN_SMALL[n - 2] if n <= len(QN_SMALL) + 1 else n / (n + (1.4 if n % 2 else 3.8))
    return QN * small * raw


def modes(values: ArrayLike, weights: ArrayLike, bandwidth: float) -> Floats:
    """Where a Gaussian kernel density of the values is highest, for each set of weights.

    With the spread of the values as bandwidth this is a redescending estimate of location (Welsch):
    nearly as sharp as the mean where there is one heap, and unmoved by another one that is smaller.

    Args:
        values: (N,), N >= 1.
        weights: (D, N), not negative; a row of zeros has no mode.
        bandwidth: of the kernel, > 0.

    Returns:
        (D,); NaN where there is no mode.
    """
    known = np.asarray(values, dtype=np.float64)
    counts = np.asarray(weights, dtype=np.float64)
    step = bandwidth / STEPS
    grid = np.arange(known.min() - step, known.max() + 2 * step, step)
    kernel = np.exp(-0.5 * ((known[:, None] - grid[None, :]) / bandwidth) ** 2)
    density = counts @ kernel
    top = np.clip(density.argmax(axis=1), 1, len(grid) - 2)
    rows = np.arange(len(counts))
    before, peak, after = (density[rows, top + k] for k in (-1, 0, 1))
    bend = before - 2 * peak + after
    with np.errstate(divide="ignore", invalid="ignore"):
        aside = np.where(bend < 0, 0.5 * (before - after) / bend, 0.0)
    found = grid[top] + step * np.clip(aside, -1.0, 1.0)
    return np.where(counts.sum(axis=1) > 0, found, np.nan)


def mode(values: ArrayLike, floor: float) -> float:
    """The mode of some values, in which another heap may be nearly as high.

    The bandwidth is Silverman's (1986, 3.31) with the spread of the densest half: a wider one would
    draw the mode towards the other heap.

    Args:
        values: (N,), N >= 1.
        floor: the bandwidth is at least so large.
    """
    known = np.asarray(values, dtype=np.float64)
    bandwidth = max(floor, 0.9 * shorth_scale(known) * len(known) ** -0.2)
    return float(modes(known, np.ones((1, len(known))), bandwidth)[0])
