"""Measurements of pictures: light, sharpness, scene cuts, whether two show the same moment.

Luma is 0-255. Nothing here knows faces: who is shown is for `core.vectors`, whether two exports of
a person resemble each other for `core.imagesets.novelty`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

CLIPPED_ABOVE = 250
CRUSHED_BELOW = 5
FLAT_STD = 1.0
"""A thumbnail with a smaller standard deviation (black or blown frame) has nothing to correlate."""


class FrameLight(NamedTuple):
    """Distribution of the luma of a picture."""

    mean: float
    p05: float
    p50: float
    p95: float
    clipped_share: float
    crushed_share: float


def measure_light(histogram: NDArray[np.integer]) -> FrameLight:
    """Mean, percentiles, and the shares of blown and crushed pixels of a luma picture.

    Args:
        histogram: (256,) how many pixels have each value.
    """
    pixels = int(histogram.sum())
    cumulative = np.cumsum(histogram) / pixels
    levels = np.arange(256)
    p05, p50, p95 = (float(np.searchsorted(cumulative, q)) for q in (0.05, 0.5, 0.95))
    return FrameLight(
        mean=float((histogram * levels).sum() / pixels),
        p05=p05,
        p50=p50,
        p95=p95,
        clipped_share=float(histogram[CLIPPED_ABOVE + 1 :].sum() / pixels),
        crushed_share=float(histogram[:CRUSHED_BELOW].sum() / pixels),
    )


def laplacian_variance(luma: NDArray[np.floating] | NDArray[np.uint8]) -> float:
    """Variance of the 4-neighbour Laplacian inside the border (Pech-Pacheco et al. 2000)."""
    # Whole numbers are added exactly in either type, and in half the memory.
    values = np.asarray(luma, dtype=np.int16 if luma.dtype == np.uint8 else np.float32)
    laplacian = values[:-2, 1:-1] + values[2:, 1:-1]
    laplacian += values[1:-1, :-2]
    laplacian += values[1:-1, 2:]
    laplacian -= 4 * values[1:-1, 1:-1]
    return float(laplacian.astype(np.float32, copy=False).var())


def scene_correlation(previous: NDArray[np.uint8], current: NDArray[np.uint8]) -> float | None:
    """Correlation of two luma thumbnails of equal shape; light cancels out.

    Returns:
        Pearson's correlation in [-1, 1], or None when one of them is flat: a black or blown frame
        is no evidence of a cut.
    """
    a = previous.astype(np.float64) - previous.mean()
    b = current.astype(np.float64) - current.mean()
    if a.std() < FLAT_STD or b.std() < FLAT_STD:
        return None
    return float((a * b).sum() / np.sqrt((a**2).sum() * (b**2).sum()))


def correlation(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Normalised correlation of two pictures of equal shape, in [-1, 1]; light cancels out.

    Each colour counts by itself, so that the same shapes in other colours are unlike. Equal
    pictures give exactly 1, also flat ones; a flat picture and another one give 0.
    """
    if np.array_equal(one, other):
        return 1.0
    a = one.astype(np.float64) - one.mean(axis=(0, 1))
    b = other.astype(np.float64) - other.mean(axis=(0, 1))
    norm = float(np.sqrt((a**2).sum() * (b**2).sum()))
    # 1 is for equal pictures alone: rounding must not give it to others.
    return min(float((a * b).sum()) / norm, np.nextafter(1.0, 0.0)) if norm > 0 else 0.0
