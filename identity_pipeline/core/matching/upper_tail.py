"""The safe end of what is known of impostor cosines: how often two people may come so near at most.

A point estimate of a threshold is wrong to either side, and the fewer pairs it comes from, the
farther. Here the doubt is taken to the strict side: of mean and scale of Fisher z their upper
confidence ends, and of what was resampled or seen the largest. So a rate read here is an upper
bound, and a threshold read here keeps its rate with the stated confidence, for strangers who
compare as the pairs did.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import bdtr, gammaincinv, ndtr, ndtri, stdtrit

MEDIAN_EFFICIENCY: Final = 2 / np.pi
"""Of the median against the mean of a normal sample: what a pair is worth where it is used."""
MAD_EFFICIENCY: Final = 0.37
"""Of the median absolute deviation against the standard deviation."""
TINY: Final = 1e-12


@dataclass(frozen=True)
class UpperTail:
    """Normal upper bound of Fisher z of two people.

    Attributes:
        mean: upper confidence end of the mean.
        scale: upper confidence end of the standard deviation.
    """

    mean: float
    scale: float

    def threshold(self, rate: float) -> float:
        """The smallest cosine that at most this share of impostor comparisons reaches."""
        return float(np.tanh(self.mean - self.scale * ndtri(rate)))

    def rate(self, cosine: float) -> float:
        """At most this share of impostor comparisons reaches the cosine."""
        away = _fisher_z(cosine) - self.mean
        return float(ndtr(-away / max(self.scale, TINY)))

    def at_least(self, threshold: float, rate: float) -> UpperTail:
        """Widened so that the threshold of a rate is no lower than a given one."""
        needed = (self.mean - _fisher_z(threshold)) / float(ndtri(rate))
        return UpperTail(self.mean, max(self.scale, needed))


def upper_tail(
    mean: float, scale: float, groups: int, *, robust: bool, confidence: float
) -> UpperTail:
    """Upper confidence ends of mean and scale together (Bonferroni), by t and chi-squared.

    Args:
        mean: of Fisher z.
        scale: standard deviation of the same.
        groups: independent pairs that they come from, >= 2.
        robust: they are median and MAD, which tell less of as many pairs.
        confidence: that both hold, one-sided.
    """
    doubt = (1.0 - confidence) / 2
    worth = (MEDIAN_EFFICIENCY, MAD_EFFICIENCY) if robust else (1.0, 1.0)
    dof = max(1.0, (groups - 1) * worth[1])
    away = -float(stdtrit(dof, doubt)) * scale / float(np.sqrt(groups * worth[0]))
    chi_squared = 2 * float(gammaincinv(dof / 2, doubt))
    wide = scale * float(np.sqrt(dof / chi_squared))
    return UpperTail(mean + away, wide)


def may_exceed(pairs: int, rate: float, doubt: float) -> int:
    """How many of so many comparisons may reach a threshold without denying its rate.

    The largest k with P(k or more) > doubt where each reaches it at the rate.
    """
    most = 0
    while bdtr(most, pairs, rate) < 1.0 - doubt:
        most += 1
    return most


def best_of(rate: float, comparisons: int) -> float:
    """Share of strangers that the best of so many comparisons lets in, each at a rate."""
    return float(-np.expm1(comparisons * np.log1p(-min(rate, 1.0 - TINY))))


def _fisher_z(cosine: float) -> float:
    bound = 1.0 - TINY
    return float(np.arctanh(np.clip(cosine, -bound, bound)))
