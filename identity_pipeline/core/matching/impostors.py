"""How cosines of two people are distributed: told by known pairs of them, with its doubt.

Tracks are what is resampled, for the pairs of one track hang together: a pair of tracks counts as
often as both are drawn (Owen, "The pigeonhole bootstrap", Ann. Appl. Stat. 1, 2007). All pairs of
the same two tracks count alike, so each round adds up the sums of those two rather than the pairs
themselves.

What belongs here: the model that pairs give, and those of resampled pairs. What does not: which
pairs, and thresholds (`core.matching.calibration`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import ndtri

from identity_pipeline.core.matching.thresholds import ImpostorModel, fisher_z
from identity_pipeline.settings import MatchSettings

MAD_TO_SIGMA: Final = 1.4826
Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Impostors:
    """Scores of two people, largest first.

    Attributes:
        scores: (n,) cosines.
        z: (n,) their Fisher z.
        of: (n,) which two tracks each is of.
        left, right: (m,) those tracks, by number.
        units: how many tracks there are.
        groups: independent pairs.
        robust: whether some of them may be of one person.
    """

    scores: Floats
    z: Floats
    of: Numbers
    left: Numbers
    right: Numbers
    units: int
    groups: int
    robust: bool

    @classmethod
    def among(cls, pairs: pl.DataFrame, groups: int, *, robust: bool) -> Impostors:
        """Of pairs.

        Args:
            pairs: `score`, and `left` and `right` of one Enum in the order of the names.
            groups: independent pairs of them.
            robust: whether some of them may be of one person.
        """
        ordered = pairs.sort(["score", "left", "right"], descending=[True, False, False])
        sides = np.stack([ordered[side].to_physical().to_numpy() for side in ("left", "right")])
        there = np.zeros(int(sides.max()) + 1, dtype=bool)
        there[sides] = True
        left, right = (np.cumsum(there) - 1)[sides]
        units = int(there.sum())
        both, of = np.unique(left * units + right, return_inverse=True)
        scores = ordered["score"].to_numpy()
        left, right = both // units, both % units
        return cls(scores, fisher_z(scores), of, left, right, units, groups, robust)

    @cached_property
    def sums(self) -> Floats:
        """(3, m) by two tracks: how many scores, and the sums of z and its square less the mean."""
        z = self.z - self.z.mean()
        sums = [np.bincount(self.of, each).astype(np.float64) for each in (None, z, z**2)]
        return np.stack(sums)

    def drawn(self, often: Numbers) -> Numbers:
        """(m,) how often each two tracks count where tracks are drawn so often."""
        one = often[self.left]
        return np.where(self.left == self.right, one, one * often[self.right])


def fit(impostors: Impostors, settings: MatchSettings) -> ImpostorModel:
    """The model of impostor scores, each of which counts once."""
    z = impostors.z
    if impostors.robust:
        return _robust(impostors, z, settings)
    scale = float(z.std(ddof=1)) if len(z) > 1 else 0.0
    kept = _kept(len(z), settings)
    return _tailed(
        impostors, len(z), float(z.mean()), scale, np.arange(min(kept, len(z))), settings
    )


def resampled(impostors: Impostors, settings: MatchSettings) -> Iterator[ImpostorModel]:
    """Models of resampled tracks."""
    rng = np.random.default_rng(settings.bootstrap_seed)
    for _ in range(settings.bootstrap_rounds):
        taken = rng.integers(impostors.units, size=impostors.units)
        weights = impostors.drawn(np.bincount(taken, minlength=impostors.units))
        counted, total, squares = (impostors.sums @ weights.astype(np.float64)).tolist()
        count = round(counted)
        if count < 2:
            continue
        if impostors.robust:
            yield _robust(impostors, np.repeat(impostors.z, weights[impostors.of]), settings)
            continue
        mean = float(impostors.z.mean()) + total / count
        scale = (max(squares - total**2 / count, 0.0) / (count - 1)) ** 0.5
        rows = _largest(impostors.of, weights, _kept(count, settings))
        yield _tailed(impostors, count, mean, scale, rows, settings)


def _robust(impostors: Impostors, z: Floats, settings: MatchSettings) -> ImpostorModel:
    """By median and median deviation; the largest may be of one person, so none is kept."""
    mean = float(np.median(z))
    scale = MAD_TO_SIGMA * float(np.median(np.abs(z - mean)))
    groups, least = impostors.groups, settings.counted_exceedances
    return ImpostorModel(len(z), groups, mean, scale, groups - 1, (), least)


def _kept(count: int, settings: MatchSettings) -> int:
    """So many of the largest scores are kept: what the laxest rate counts, and a few more."""
    return int(np.ceil(settings.far_exclude * count)) + settings.counted_exceedances + 1


def _tailed(
    impostors: Impostors,
    count: int,
    mean: float,
    scale: float,
    rows: Numbers,
    settings: MatchSettings,
) -> ImpostorModel:
    """A tail heavier than normal shows at the last pair that can be counted.

    Args:
        impostors: the scores.
        count: how many count.
        mean: of their z.
        scale: likewise.
        rows: of the largest of them.
        settings: how many exceedances can be counted.
    """
    least, groups = settings.counted_exceedances, impostors.groups
    if count >= 4 * least:
        reach = -float(ndtri(least / count))
        scale = max(scale, (float(impostors.z[rows[least]]) - mean) / reach)
    top = tuple(impostors.scores[rows].tolist())
    return ImpostorModel(count, groups, mean, scale, groups - 1, top, least)


def _largest(of: Numbers, weights: Numbers, number: int) -> Numbers:
    """(number,) rows of the largest scores, each as often as its two tracks count."""
    looked = number
    while True:
        often = weights[of[:looked]]
        if looked >= len(of) or often.sum() >= number:
            return np.repeat(np.arange(len(often)), often)[:number]
        looked *= 2
