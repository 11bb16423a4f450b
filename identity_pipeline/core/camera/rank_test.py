"""Whether the last of some rows of figures differ from those before, however they are spread.

The rank sum test (Mann and Whitney 1947), of several figures at once (Puri and Sen 1971): while
nothing changes, every order of the rows is as likely, so the rate of false alarms is what it is
said to be for any light, any weather and any camera whose videos could have come in another order.

What belongs here: the test, the point of change, and what is done with values that follow one
another too closely for it. What does not: what is tested (`core.camera.watch`).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, ndtr

from identity_pipeline.core.camera.robust import qn_scale

Floats = NDArray[np.float64]

EXACT_UP_TO: Final = 10
"""Rows up to which all orders of a single figure are counted. Beyond, and for several figures, chi
squared: by 1.5 million random orders of each of 14 sizes (3 and 5 figures, 5 to 20 rows of 25 to
325) the probability that it gives is at least five times the true one where that is below 1 in
10,000."""
ALIKE_BY_CHANCE: Final = 0.05
"""Share of series of independent rows that are taken for alike: blocks where none are needed cost
time, not truth."""
RESTLESS_BY_CHANCE: Final = 0.01
"""Share of cameras that stay where they are and are taken for restless until their videos have
doubled."""
CLIPPED: Final = 4.0
"""Standard deviations beyond which a value counts no more, to say where a change was."""
AFTER_LEAST: Final = 2
"""Values after a change that are needed to say where it was."""


def chance_of(last: int, rows: Floats) -> float:
    """Probability that chance alone sets the last rows as far apart from those before.

    The least one of each figure by itself and of all together, times how many these are: a gross
    change of one figure is told by few rows, a slight one of several by all figures.

    Args:
        last: how many rows are the last ones, 0 < last < N.
        rows: (N, D); NaN where a figure was not measured, which speaks neither way.
    """
    alone = [_of_one(last, rows[:, k]) for k in range(rows.shape[1])]
    if len(alone) == 1:
        return alone[0]
    return min(1.0, min(*alone, _of_all(last, rows)) * (len(alone) + 1))


def _of_one(last: int, values: Floats) -> float:
    counted = _counted(values, last) if last <= EXACT_UP_TO else None
    return _of_all(last, values[:, None]) if counted is None else counted


def _of_all(last: int, rows: Floats) -> float:
    scores = _scores(rows)
    n = len(rows)
    sums = scores[-last:].sum(axis=0)
    spread = last * (n - last) / (n * (n - 1)) * (scores.T @ scores)
    figures = np.linalg.matrix_rank(spread, hermitian=True)
    told = np.linalg.pinv(spread, hermitian=True)
    return float(chdtrc(figures, max(sums @ told @ sums, 0.0))) if figures else 1.0


def strongest(last: int, rows: Floats) -> int:
    """The figure by which the last rows differ most; arguments as of `chance_of`."""
    scores = _scores(rows)
    sums, spread = scores[-last:].sum(axis=0), (scores**2).sum(axis=0)
    return int(np.argmax(sums**2 / np.where(spread > 0, spread, np.inf)))


def _scores(rows: Floats) -> Floats:
    """Ranks about their mean; 0 where there is none."""
    scores = np.zeros_like(rows)
    for k in range(rows.shape[1]):
        known = ~np.isnan(rows[:, k])
        scores[known, k] = _ranks(rows[known, k]) - (known.sum() + 1) / 2
    return scores


def _ranks(values: Floats) -> Floats:
    from scipy.stats import rankdata  # half a second, which no other command should wait

    return rankdata(values)


def _counted(values: Floats, last: int) -> float | None:
    """The same of one figure, to either side, by counting orders; None where values are alike."""
    known, k = values[~np.isnan(values)], int((~np.isnan(values[-last:])).sum())
    ranks = _ranks(known)
    if not 0 < k < len(known) or len(np.unique(ranks)) < len(ranks):
        return None
    m = len(known) - k
    above = round(float(ranks[-k:].sum()) - k * (k + 1) / 2)
    return min(1.0, 2 * float(_cumulated(k, m)[min(above, k * m - above)]))


@lru_cache(maxsize=1024)
def _cumulated(k: int, m: int) -> Floats:
    """(k m + 1,): of the statistic; the coefficients of a Gaussian binomial are its counts."""
    counts = np.zeros(k * m + 1)
    counts[0] = 1.0
    for i in range(1, k + 1):
        step = m + i
        if step <= k * m:
            counts[step:] = counts[step:] - counts[:-step]
        for residue in range(i):
            counts[residue::i] = np.cumsum(counts[residue::i])
    total = np.cumsum(np.round(counts))
    return total / total[-1]


def change_point(rows: Floats, least: int) -> int:
    """The first row after the likeliest change of level.

    Least squares of values that are clipped to a few standard deviations of the first rows, so that
    one odd video is no change, and a gross change of one figure still outweighs the others.

    Args:
        rows: (N, D), N >= least + 2.
        least: so many rows at the beginning are before any change.
    """
    scores = np.zeros_like(rows)
    for k in range(rows.shape[1]):
        first = rows[:least, k][~np.isnan(rows[:least, k])]
        spread = qn_scale(first) if len(first) > 1 else 0.0
        if spread > 0:
            away = (rows[:, k] - np.median(first)) / spread
            scores[:, k] = np.nan_to_num(np.clip(away, -CLIPPED, CLIPPED))
    scores -= scores.mean(axis=0)
    before = np.arange(least, len(rows) - AFTER_LEAST + 1)
    sums = np.cumsum(scores, axis=0)[before - 1]
    return int(before[np.argmax((sums**2).sum(axis=1) / (before * (len(rows) - before)))])


def block_length(rows: Floats) -> int:
    """How many successive rows are one, for blocks of them to follow each other as by chance.

    Light follows the day and the weather; ranks of values that do so would be no ranks of chance.
    The medians of long enough blocks are independent, or nearly so (batch means, Conway 1963).

    Args:
        rows: (N, D) in the order of the videos.

    Returns:
        A power of two, the longest that one of the figures needs; that of fewer than eight blocks
        where no length is long enough.
    """
    length = 1
    while len(rows) // length >= 8 and alike(blocks(rows, length), ALIKE_BY_CHANCE):
        length *= 2
    return length


def blocks(rows: Floats, length: int) -> Floats:
    """(N // length, D): medians of whole blocks of successive rows, from the first on."""
    if length == 1:
        return rows
    whole = len(rows) // length
    parts = rows[: whole * length].reshape(whole, length, -1)
    nothing = np.asarray(np.isnan(parts).all(axis=1))
    return np.where(nothing, np.nan, np.nanmedian(np.where(nothing[:, None], 0.0, parts), axis=1))


def restless(rows: Floats) -> bool:
    """Whether most of what differs between videos differs from day to day: then the camera moves.

    Args:
        rows: (N, D) in the order of the videos; NaN where a figure was not measured.
    """
    return alike(rows, RESTLESS_BY_CHANCE, least=0.5)


def alike(rows: Floats, by_chance: float, least: float = 0.0) -> bool:
    """Whether successive values of one of the figures resemble each other.

    Their rank correlation is normal, with variance 1 / N (Wald and Wolfowitz 1943).

    Args:
        rows: (N, D) in the order of the videos.
        by_chance: share of series of independent rows that are taken for alike.
        least: correlation below which nothing is alike however surely.
    """
    scores = _scores(rows)
    spread = (scores**2).sum(axis=0)
    together = (scores[:-1] * scores[1:]).sum(axis=0)
    known = (~np.isnan(rows)).sum(axis=0)
    correlation = np.where(spread > 0, together / np.where(spread > 0, spread, 1.0), 0.0)
    chance = ndtr(-correlation * np.sqrt(known)) * rows.shape[1]
    return bool(((chance < by_chance) & (correlation >= least)).any())
