"""What a head is: a map from the recogniser's unit vectors to unit vectors of another space.

Belongs here: heads and the linear maps they are compared with, as plain arrays. Does not belong
here: the network as torch trains it (`network`), or how heads are stored (`storage.library.heads`).

`base_share` keeps that share of the recogniser's own cosine beside the network's: the output is
concatenated from both, each weighted by the root of its share, so that its cosine is exactly
`share * cos(e_id) + (1 - share) * cos(network)`. What the recogniser knows of people whom nobody
labelled is then not lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from identity_pipeline.core.vectors import Matrix, check_unit, normalise
from identity_pipeline.errors import IdentityPipelineError

HIDDEN: Final = 256
OUTPUT: Final = 128
WEIGHTS: Final = ("first.weight", "first.bias", "second.weight", "second.bias")
Tensors = Mapping[str, NDArray[np.float32]]


class HeadShapeError(IdentityPipelineError, ValueError):
    """Arrays that are no head, or a head that is given vectors of another length."""


@dataclass(frozen=True)
class Head:
    """A trained projection.

    Attributes:
        tensors: `first.weight` (256, D), `first.bias` (256,), `second.weight` (128, 256),
            `second.bias` (128,).
        base_share: weight of the recogniser's own cosine in [0, 1).
    """

    tensors: Tensors
    base_share: float = 0.0

    def __post_init__(self) -> None:
        """Checks the shapes.

        Raises:
            HeadShapeError: an array is missing, of another shape, or not finite.
        """
        wanted = {
            "first.weight": (HIDDEN, self.tensors["first.weight"].shape[-1]),
            "first.bias": (HIDDEN,),
            "second.weight": (OUTPUT, HIDDEN),
            "second.bias": (OUTPUT,),
        } if set(self.tensors) == set(WEIGHTS) else {}  # fmt: skip
        if not wanted or any(self.tensors[n].shape != shape for n, shape in wanted.items()):
            shapes = {name: tuple(array.shape) for name, array in self.tensors.items()}
            raise HeadShapeError(f"these arrays are no projection head: {shapes}")
        if not all(np.isfinite(array).all() for array in self.tensors.values()):
            raise HeadShapeError("a projection head holds numbers that are not finite")
        if not 0.0 <= self.base_share < 1.0:
            raise HeadShapeError(f"base_share must lie in [0, 1), not {self.base_share}")

    @property
    def input_dimension(self) -> int:
        """Length of the vectors it takes."""
        return int(self.tensors["first.weight"].shape[1])

    @property
    def dimension(self) -> int:
        """Length of the vectors it gives."""
        return OUTPUT + (self.input_dimension if self.base_share else 0)

    def apply(self, vectors: NDArray[np.floating]) -> Matrix:
        """The (N, D) unit vectors in the head's space, (N, `dimension`) unit vectors.

        Raises:
            HeadShapeError: they are of another length than the head takes.
            NotUnitNormError: they are not of unit length.
        """
        given = check_unit(vectors, "e_id")
        if not len(given):
            return np.zeros((0, self.dimension), dtype=np.float32)
        if given.shape[1] != self.input_dimension:
            raise HeadShapeError(
                f"the head takes vectors of {self.input_dimension} numbers, got {given.shape[1]}"
            )
        inner = given @ self.tensors["first.weight"].T + self.tensors["first.bias"]
        projected = normalise(
            np.maximum(inner, 0.0) @ self.tensors["second.weight"].T + self.tensors["second.bias"]
        )
        return joined(given, projected, self.base_share)


@dataclass(frozen=True)
class LinearMap:
    """A baseline: L2((x - mean) @ matrix).

    Attributes:
        mean: (D,).
        matrix: (D, K).
    """

    mean: NDArray[np.float64]
    matrix: NDArray[np.float64]

    def apply(self, vectors: NDArray[np.floating]) -> Matrix:
        """The (N, D) vectors mapped, (N, K) unit vectors."""
        return normalise((np.asarray(vectors, np.float64) - self.mean) @ self.matrix)


def joined(base: Matrix, projected: Matrix, base_share: float) -> Matrix:
    """Base and projection side by side, so that cosines are their weighted mean."""
    if not base_share:
        return projected
    parts = [
        base * np.float32(np.sqrt(base_share)),
        projected * np.float32(np.sqrt(1 - base_share)),
    ]
    return normalise(np.concatenate(parts, axis=1))
