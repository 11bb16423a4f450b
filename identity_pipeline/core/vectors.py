"""Unit vectors: checks, means, cosines. The only arithmetic that embeddings see."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from identity_pipeline.errors import IdentityPipelineError

UNIT_TOLERANCE = 1e-3
Matrix = NDArray[np.float32]


class NotUnitNormError(IdentityPipelineError, ValueError):
    """An embedding at a boundary is not of unit length (or not finite)."""


class SpaceMismatchError(IdentityPipelineError, ValueError):
    """Vectors of two embedding spaces were about to be compared."""


def same_space(*keys: str) -> str:
    """The one space of all keys.

    Raises:
        SpaceMismatchError: there is more than one, or none.
    """
    spaces = sorted(set(keys))
    if len(spaces) != 1:
        raise SpaceMismatchError(f"expected vectors of one embedding space, got {spaces or 'none'}")
    return spaces[0]


def check_unit(vectors: NDArray[np.floating], what: str) -> Matrix:
    """The (N, D) vectors as float32, after asserting that each has norm 1 +- 1e-3.

    Raises:
        NotUnitNormError: naming the first offender.
    """
    matrix = np.asarray(vectors, dtype=np.float32)
    if matrix.size:
        norms = np.sqrt(np.einsum("ij,ij->i", matrix, matrix))  # with no matrix of squares
        wrong = np.flatnonzero(~(np.abs(norms - 1.0) <= UNIT_TOLERANCE))
        if wrong.size:
            i = int(wrong[0])
            raise NotUnitNormError(f"{what}: vector {i} has norm {norms[i]:.6f}, expected 1")
    return matrix


def normalise(vectors: NDArray[np.floating]) -> Matrix:
    """Each row of (N, D) divided by its norm.

    Raises:
        NotUnitNormError: a row is zero or not finite.
    """
    matrix = np.asarray(vectors, dtype=np.float64)
    norms = np.linalg.norm(matrix, axis=1, keepdims=True)
    if not np.all(np.isfinite(norms)) or np.any(norms == 0):
        raise NotUnitNormError("cannot normalise a zero or non-finite vector")
    return (matrix / norms).astype(np.float32)


def all_embeddings(witnesses: pl.DataFrame, of_moments: pl.DataFrame) -> pl.DataFrame:
    """Every identity vector of a video, in time order.

    Args:
        witnesses: table `face_embeddings`.
        of_moments: table `moment_embeddings`, of other faces.
    """
    return pl.concat([witnesses, of_moments]).sort("frame_idx", "face_id")


def mean_direction(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    """Unit vector (D,) along the mean of unit vectors (N, D); N >= 1."""
    return normalise(vectors.mean(axis=0, keepdims=True))[0]


def to_matrix(column: pl.Series) -> Matrix:
    """A list column of equal-length vectors as (N, D); (0, 0) when it is empty."""
    if len(column) == 0:
        return np.zeros((0, 0), dtype=np.float32)
    flat = column.explode(empty_as_null=True, keep_nulls=True).to_numpy()
    return np.ascontiguousarray(flat.reshape(len(column), -1), dtype=np.float32)


def to_series(name: str, matrix: NDArray[np.floating]) -> pl.Series:
    """An (N, D) matrix as a list column."""
    values = np.asarray(matrix, dtype=np.float32)
    if len(values) == 0:
        return pl.Series(name, [], dtype=pl.List(pl.Float32))
    return pl.Series(name, values, dtype=pl.Array(pl.Float32, values.shape[1])).cast(
        pl.List(pl.Float32)
    )
