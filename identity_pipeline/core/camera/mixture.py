"""A mixture of normal distributions, and of what may be anywhere, fitted to few points.

Greedy expectation maximisation (Vlassis and Likas 2002): parts are added one by one where the
points that no part explains lie densest, so that the result depends on no seed. What may be
anywhere is a part of constant density (Fraley and Raftery 1998). All parts have one covariance,
each in units of its own. It is drawn towards an expected one, as if that had been seen on a few
points more (Fraley and Raftery 2007), and its standard deviations stay between the expected ones
and not much more: of few points a part is not too narrow for the next one, and of many it does not
spread until it holds two heaps. How many parts there are says the integrated completed likelihood
(Biernacki, Celeux and Govaert 2000): it counts heaps, where the likelihood alone would describe one
odd heap by several parts.

What belongs here: the fit. What does not: what the points are (`core.camera.seats`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

Floats = NDArray[np.float64]
Units = Callable[[Floats], Floats]
"""(N, D) points to the (N, D) units in which parts there spread alike."""

PRIOR_POINTS: Final = 5.0
"""How many points the expected covariance counts as: one per free direction and two, the least with
which the mean of an inverse Wishart distribution exists in three dimensions."""
WIDER: Final = 1.5
"""Times the expected standard deviations that a part may spread."""
ELSEWHERE_POINTS: Final = 1.0
"""As if so many points more had been seen that belong to no part: among any number of riders the
next one may be a passer-by."""
STEPS: Final = 200
TOLERANCE: Final = 1e-8
"""Change of the mean log likelihood at which the fit has ended."""
NEAR: Final = 7.814727903251179
"""Squared distance within which 95 % of a normal distribution in three dimensions lies (chi
squared)."""


@dataclass(frozen=True)
class Mixture:
    """K normal parts of D dimensions and one of constant density.

    Attributes:
        weights: (K + 1,), sum 1; the last is that of anywhere.
        means: (K, D).
        covariances: (K, D, D).
        anywhere: density of the last part.
        counts: (K,) on how many points each part was seen; None: the parts are taken as known.
    """

    weights: Floats
    means: Floats
    covariances: Floats
    anywhere: float
    counts: Floats | None = None

    @property
    def parts(self) -> int:
        """K."""
        return len(self.means)


def log_densities(mixture: Mixture, points: Floats) -> Floats:
    """(N, K + 1): logarithm of weight times density of each part at each point.

    Of a part that was seen on few points a next point is spread more widely than they: by Student's
    t, the predictive distribution of a normal one whose mean and covariance are not known.
    """
    with np.errstate(divide="ignore"):
        weights = np.log(mixture.weights)
    density = _log_normal if mixture.counts is None else _log_student
    columns = [weights[k] + density(mixture, k, points) for k in range(mixture.parts)]
    columns.append(np.full(len(points), weights[-1] + np.log(mixture.anywhere)))
    return np.stack(columns, axis=1)


def shares(mixture: Mixture, points: Floats) -> Floats:
    """(N, K + 1): how probably each point comes of each part."""
    told = log_densities(mixture, points)
    return np.exp(told - _log_sum(told)[:, None])


def fit(points: Floats, expected: Floats, units: Units, anywhere: float, parts_max: int) -> Mixture:
    """The mixture with the number of parts that tells heaps apart best.

    Args:
        points: (N, D).
        expected: (D, D) covariance that is expected of a part, in the units of its mean.
        units: see `Units`.
        anywhere: density of what may be anywhere.
        parts_max: bound of the number of parts.

    Returns:
        Without parts for fewer than two points.
    """
    dimensions = points.shape[1]
    nothing = np.empty((0, dimensions)), np.empty((0, dimensions, dimensions))
    mixture = Mixture(np.ones(1), *nothing, anywhere)
    own = _scaled(expected, units(points))
    near = [_squared(points, p, c) <= NEAR for p, c in zip(points, own, strict=True)]
    best, best_worth = mixture, _worth(mixture, points)
    for _ in range(min(parts_max, len(points) // 2)):
        begun = _with_part(mixture, points, own, np.array(near, dtype=np.float64))
        mixture = _climb(begun, points, expected, units)
        worth = _worth(mixture, points)
        if worth > best_worth:
            best, best_worth = mixture, worth
    return best


def _scaled(covariance: Floats, units: Floats) -> Floats:
    """(N, D, D): a covariance in the units of N places."""
    return units[:, :, None] * covariance * units[:, None, :]


def _with_part(mixture: Mixture, points: Floats, own: Floats, near: Floats) -> Mixture:
    """One part more, around the point near which most is unexplained."""
    mass = near @ shares(mixture, points)[:, -1] / len(points)
    seed = int(mass.argmax())
    rest = max(mixture.weights[-1] - mass[seed], ELSEWHERE_POINTS / len(points) / 2)
    weights = np.array([*mixture.weights[:-1], mass[seed], rest])
    return Mixture(
        weights / weights.sum(),
        np.vstack([mixture.means, points[seed]]),
        np.concatenate([mixture.covariances, own[seed][None]]),
        mixture.anywhere,
    )


def _climb(mixture: Mixture, points: Floats, expected: Floats, units: Units) -> Mixture:
    """Expectation maximisation from there, until it ends."""
    before = -np.inf
    for _ in range(STEPS):
        told = log_densities(mixture, points)
        total = _log_sum(told)
        likelihood = float(total.mean())
        if likelihood - before < TOLERANCE:
            break
        before = likelihood
        mixture = _maximised(mixture, np.exp(told - total[:, None]), points, expected, units)
    return mixture


def _maximised(
    mixture: Mixture, share: Floats, points: Floats, expected: Floats, units: Units
) -> Mixture:
    counts = share.sum(axis=0)
    means = (share.T @ points)[:-1] / np.maximum(counts[:-1, None], np.finfo(float).tiny)
    means = np.where(counts[:-1, None] > 0, means, mixture.means)
    measures = units(means)
    scatter = PRIOR_POINTS * expected
    for k in range(mixture.parts):
        off = (points - means[k]) / measures[k]
        scatter = scatter + (off * share[:, k, None]).T @ off
    common = _within(scatter / (counts[:-1].sum() + PRIOR_POINTS), expected)
    weights = counts + np.append(np.zeros(mixture.parts), ELSEWHERE_POINTS)
    covariances = _scaled(common, measures)
    return replace(mixture, weights=weights / weights.sum(), means=means, covariances=covariances)


def _within(covariance: Floats, expected: Floats) -> Floats:
    """The covariance with standard deviations from the expected ones to `WIDER` times these."""
    least, own = np.sqrt(np.diag(expected)), np.sqrt(np.diag(covariance))
    change = np.clip(own, least, WIDER * least) / own
    return covariance * np.outer(change, change)


def _worth(mixture: Mixture, points: Floats) -> float:
    """The integrated completed likelihood, twice, as the Bayesian criterion is written."""
    if not len(points):
        return 0.0
    told = log_densities(mixture, points)
    total = _log_sum(told)
    share = np.exp(told - total[:, None])
    sure = float(np.where(share > 0, share * (told - total[:, None]), 0.0).sum())
    dimensions = points.shape[1]
    free = mixture.parts * (1 + dimensions) + dimensions * (dimensions + 1) // 2
    return 2 * float(total.sum()) - free * float(np.log(len(points))) + 2 * sure


def _log_normal(mixture: Mixture, k: int, points: Floats) -> Floats:
    mean, covariance = mixture.means[k], mixture.covariances[k]
    _, log_volume = np.linalg.slogdet(covariance)
    constant = len(mean) * np.log(2 * np.pi) + log_volume
    return -0.5 * (constant + _squared(points, mean, covariance))


def _log_student(mixture: Mixture, k: int, points: Floats) -> Floats:
    """Gelman et al. 2013, Bayesian Data Analysis, 3.6."""
    mean, dimensions = mixture.means[k], mixture.means.shape[1]
    counts = np.ones(mixture.parts) if mixture.counts is None else mixture.counts
    freedom = float(counts.sum()) + PRIOR_POINTS - dimensions + 1
    scale = mixture.covariances[k] * (1 + 1 / max(float(counts[k]), 1.0))
    _, log_volume = np.linalg.slogdet(scale)
    constant = gammaln((freedom + dimensions) / 2) - gammaln(freedom / 2)
    constant -= 0.5 * (dimensions * np.log(freedom * np.pi) + log_volume)
    away = np.log1p(_squared(points, mean, scale) / freedom)
    return constant - (freedom + dimensions) / 2 * away


def _squared(points: Floats, mean: Floats, covariance: Floats) -> Floats:
    """Squared Mahalanobis distances."""
    off = points - mean
    return np.einsum("ni,ni->n", off, np.linalg.solve(covariance, off.T).T)


def _log_sum(told: Floats) -> Floats:
    top = told.max(axis=1)
    return top + np.log(np.exp(told - top[:, None]).sum(axis=1))
