"""How far a training is, as plain arrays and numbers: what a checkpoint holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True)
class Epoch:
    """What an epoch gave.

    Attributes:
        number: counts from 1.
        loss: mean over its batches.
        active: mean share of pairs within the margin (triplet), or of faces nearest to a wrong
            proxy (arcface).
    """

    number: int
    loss: float
    active: float


@dataclass(frozen=True)
class TrainerState:
    """All that the next epoch depends on.

    Attributes:
        tensors: weights and the optimiser's moments, by name.
        rng: state of the sampler's generator, of plain integers and strings.
        epochs: those that are done.
    """

    tensors: dict[str, NDArray[Any]]
    rng: dict[str, Any]
    epochs: tuple[Epoch, ...]
