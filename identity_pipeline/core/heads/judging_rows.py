"""What a head is judged on: confirmed tracks, and some faces of each, in any space."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from identity_pipeline.core.heads.training_set import HELD_OUT
from identity_pipeline.core.matching.calibration_pairs import spread
from identity_pipeline.core.matching.templates import weighted_direction
from identity_pipeline.core.vectors import Matrix, to_matrix

Apply = Callable[[NDArray[np.floating]], Matrix]
"""From the recogniser's (N, D) unit vectors to (N, K) unit vectors of another space."""
FACES_MAX: Final = 3000
"""Faces that are compared in all: four and a half million pairs, resampled in some ten seconds."""


@dataclass(frozen=True)
class Labels:
    """Who and where N rows are, and which of them may judge."""

    person: list[str]
    video: list[str]
    judging: list[bool]

    def of(self, rows: NDArray[np.int64]) -> Labels:
        """Of some rows, also repeated ones."""
        return Labels(
            [self.person[i] for i in rows],
            [self.video[i] for i in rows],
            [self.judging[i] for i in rows],
        )


@dataclass(frozen=True)
class JudgingRows:
    """Confirmed tracks with their faces.

    Attributes:
        keys: of N tracks, ascending.
        tracks: their labels.
        owner: (M,) track of each face.
        quality: (M,) of each face.
        vectors: (M, D) of each face, in the recogniser's space.
        weight_floor: least weight of a face in its track.
    """

    keys: tuple[str, ...]
    tracks: Labels
    owner: NDArray[np.int64]
    quality: NDArray[np.float64]
    vectors: Matrix
    weight_floor: float

    def in_space(self, apply: Apply) -> Matrix:
        """(N, K) quality-weighted mean direction of each track's faces in another space."""
        mapped, count = apply(self.vectors), len(self.tracks.person)
        rows = [
            weighted_direction(mapped[own], self.quality[own], self.weight_floor)
            for own in (np.flatnonzero(self.owner == n) for n in range(count))
        ]
        return np.stack(rows)

    def some_faces(self, most: int) -> NDArray[np.int64]:
        """Rows of at most so many faces of each track, evenly spread; fewer in a large library."""
        count = len(self.tracks.person)
        each = max(1, min(most, FACES_MAX // max(count, 1)))
        rows = [spread(np.flatnonzero(self.owner == n), each) for n in range(count)]
        return np.concatenate(rows) if rows else np.zeros(0, dtype=np.int64)


def judging_rows(training_set: pl.DataFrame, weight_floor: float) -> JudgingRows:
    """The rows of the table `training_set`.

    Args:
        training_set: confirmed faces.
        weight_floor: `match.template_weight_floor`, for tracks as templates are made.
    """
    ordered = training_set.sort("track_key", "face_id")
    keys, owner = np.unique(ordered["track_key"].to_numpy(), return_inverse=True)
    first = ordered.unique("track_key", keep="first", maintain_order=True)
    return JudgingRows(
        tuple(str(key) for key in keys),
        Labels(
            first["person_id"].to_list(),
            first["video_id"].to_list(),
            (first["split"] == HELD_OUT).to_list(),
        ),
        owner.astype(np.int64),
        ordered["quality"].cast(pl.Float64).to_numpy(),
        to_matrix(ordered["e_id"]),
        weight_floor,
    )
