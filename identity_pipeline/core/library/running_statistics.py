"""Exact incremental statistics: count, mean and M2 per source, in float64.

A source is a video, named by the SHA-256 of its bytes. Every source keeps its own numbers and
the whole is always merged from them, so a source is withdrawn exactly, and the order of arrival
leaves no trace.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from identity_pipeline.core.vectors import check_unit
from identity_pipeline.errors import IdentityPipelineError

IDENTITY_TOLERANCE = 1e-9
Vector = NDArray[np.float64]


class MomentsError(IdentityPipelineError, ValueError):
    """Statistics that contradict each other or the vectors they are of."""


@dataclass(frozen=True, eq=False)
class Moments:
    """Count, mean (D,) and summed squared deviations M2 (D,) of some vectors."""

    count: int
    mean: Vector
    m2: Vector

    def __eq__(self, other: object) -> bool:
        """Equal to the last bit."""
        return (
            isinstance(other, Moments)
            and self.count == other.count
            and np.array_equal(self.mean, other.mean)
            and np.array_equal(self.m2, other.m2)
        )

    def __hash__(self) -> int:
        """Of the bytes."""
        return hash((self.count, self.mean.tobytes(), self.m2.tobytes()))


def moments_of(vectors: NDArray[np.floating]) -> Moments:
    """The moments of (N, D) unit vectors, N >= 1, scaled to unit length in float64 first.

    Raises:
        MomentsError: there is no vector, or the sum of variances is not 1 - |mean|^2.
        NotUnitNormError: a vector is not of unit length.
    """
    if len(vectors) == 0:
        raise MomentsError("no vectors, no moments")
    check_unit(vectors, "embedding")
    exact = np.asarray(vectors, dtype=np.float64)
    exact = exact / np.linalg.norm(exact, axis=1, keepdims=True)
    mean = exact.mean(axis=0)
    result = Moments(len(exact), mean, ((exact - mean) ** 2).sum(axis=0))
    check_identity(result)
    return result


def merge(a: Moments, b: Moments) -> Moments:
    """The moments of both sets together (Chan, Golub and LeVeque 1979).

    M2 = M2a + M2b + d^2 * na * nb / (na + nb), with d the difference of the means.

    Raises:
        MomentsError: the dimensions differ.
    """
    if a.mean.shape != b.mean.shape:
        raise MomentsError(f"cannot merge dimension {a.mean.size} with {b.mean.size}")
    count = a.count + b.count
    delta = b.mean - a.mean
    return Moments(
        count,
        a.mean + delta * (b.count / count),
        a.m2 + b.m2 + delta**2 * (a.count * b.count / count),
    )


def check_identity(moments: Moments) -> None:
    """Asserts that for unit vectors the variances sum to 1 - |mean|^2, within 1e-9.

    Raises:
        MomentsError: they do not, so the vectors were not of unit length or the numbers are broken.
    """
    total = float(moments.m2.sum()) / moments.count
    expected = 1.0 - float(moments.mean @ moments.mean)
    if not abs(total - expected) <= IDENTITY_TOLERANCE:
        raise MomentsError(
            f"the variances sum to {total:.12f}, 1 - |mean|^2 is {expected:.12f}; "
            "these are not the moments of unit vectors"
        )


def total(parts: Mapping[str, Moments]) -> Moments | None:
    """All sources together, merged in the order of their hashes; None without any."""
    merged: Moments | None = None
    for source in sorted(parts):
        merged = parts[source] if merged is None else merge(merged, parts[source])
    return merged
