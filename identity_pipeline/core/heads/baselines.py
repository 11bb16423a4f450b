"""What a head must be better than: linear maps learned from the same faces in a second.

- `whitening`: the directions in which faces of one person differ are made small (within-class
  covariance normalisation, Hatch et al. 2006), with Ledoit and Wolf's shrinkage.
- `lda`: linear discriminants with the same shrinkage.
- `class_means`: only what tells the mean faces of the teaching people apart.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from identity_pipeline.core.heads.projection import OUTPUT, LinearMap
from identity_pipeline.core.heads.training_set import TeachingArrays


def baselines(data: TeachingArrays) -> dict[str, LinearMap]:
    """All of them, by name."""
    return {"whitening": whitening(data), "lda": lda(data), "class_means": class_means(data)}


def whitening(data: TeachingArrays) -> LinearMap:
    """X @ W^(-1/2), W the covariance of faces about their person's mean."""
    vectors = data.vectors.astype(np.float64)
    within = vectors - _means(data)[data.person]
    values, axes = np.linalg.eigh(LedoitWolf(assume_centered=True).fit(within).covariance_)
    scaled = axes / np.sqrt(np.maximum(values, 1e-12))
    return LinearMap(vectors.mean(axis=0), scaled @ axes.T)


def lda(data: TeachingArrays) -> LinearMap:
    """The discriminants, at most as many as a head has outputs."""
    fitted = LinearDiscriminantAnalysis(solver="eigen", shrinkage="auto").fit(
        data.vectors.astype(np.float64), data.person
    )
    most = min(OUTPUT, len(data.people) - 1)
    return LinearMap(np.asarray(fitted.xbar_ if hasattr(fitted, "xbar_") else _centre(data)),
                     np.asarray(fitted.scalings_[:, :most]))  # fmt: skip


def class_means(data: TeachingArrays) -> LinearMap:
    """An orthonormal basis of what the people's mean directions span."""
    means = _means(data)
    centre = means.mean(axis=0)
    _, sizes, axes = np.linalg.svd(means - centre, full_matrices=False)
    return LinearMap(centre, axes[sizes > 1e-9 * sizes.max()].T)


def _centre(data: TeachingArrays) -> NDArray[np.float64]:
    return _means(data).mean(axis=0)


def _means(data: TeachingArrays) -> NDArray[np.float64]:
    """(P, D) mean of each person's faces."""
    counts = np.bincount(data.person).astype(np.float64)
    sums = np.zeros((len(counts), data.vectors.shape[1]))
    np.add.at(sums, data.person, data.vectors.astype(np.float64))
    return sums / counts[:, None]
