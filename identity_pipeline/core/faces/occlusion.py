"""How much of a face is covered: first whether skin and eyes are there, then the usual look.

A net tells of 16 x 16 cells of a face's chip, and of each eye, whether something is before them
(`cover`). Inside the face's outline that counts as it is, so that a mask or goggles worn all the
ride are found. Beside it, where a mesh that is pushed aside by a post ends too early, a cell counts
when it is plain on the same person's faces of a like turn: where hair always falls it is not.
Spectacles with clear lenses cover nothing.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from identity_pipeline.core.faces.cover import (
    BROW_ROW,
    CHIP_CM,
    CHIP_MIDDLE_CM,
    GRID,
    CoverReading,
)

SOURCE: Final = "face_cover"
CELL_COLUMNS: Final = {"cover_cells": pl.Binary, "cover_inside": pl.Binary}
"""The cells of a face as bytes, until `with_occlusion` has made a number of them."""
COVERED_FROM: Final = 0.6
"""A cell is covered from this certainty on. Chosen with photographs and with eight labelled people
of ride clips in view, so no figure on these is held out for it;
`identity_pipeline_tests.benchmarks.covered_faces` prints how plain and how covered faces come out,
person by person."""
HIDDEN_FROM: Final = 0.5
"""An eye is hidden when that is likelier than not."""
EDGE: Final = 0.025
"""Added to the share of covered cells, a quarter of it at most, so that the limit between none and
partial lies between plain faces and those that a post covers least. Set with the same eight people
in view; the same command prints the most covered plain face and the least covered one of each."""
ONE_EYE: Final = 0.35
"""Least occlusion of a face with one eye hidden: partly covered, and no anchor."""
BOTH_EYES: Final = 0.5
"""Least occlusion of a face with both eyes hidden: heavily covered."""
MIN_REFERENCES: Final = 8
"""Strict faces of a like turn needed to know a person's usual look."""
LIKE_YAW: Final = 12.5
"""Heads are turned alike within so many degrees: beside a turned face lies the background."""
MEASURED_YAW: Final = 35.0
"""Beyond this turn the cells beside the outline are left out."""
FAR_EYE_YAW: Final = 30.0
"""Beyond this turn the eye beyond the nose is hidden by the head itself, which is no cover."""
BESIDE_COLUMNS: Final = 4
"""Columns of cells on each side of the chip that lie beside a face. Chosen."""
BESIDE_MORE: Final = 0.4
"""A cell is covered as it usually is not when it is surer by so much. Chosen."""
USUALLY_PLAIN: Final = 0.3
"""A cell is usually plain when nine in ten of a person's reference faces lie below this."""


def _front() -> NDArray[np.bool_]:
    """The cells on which a face seen from the front lies: an ellipse of 13.2 x 15.2 cm."""
    centres = (np.arange(GRID) + 0.5) / GRID * CHIP_CM - CHIP_CM / 2
    x, y = np.meshgrid(centres, centres)
    return (x / 6.6) ** 2 + ((y - CHIP_MIDDLE_CM) / 7.6) ** 2 <= 1


FRONT: Final = _front()


def cell_columns(reading: CoverReading) -> dict[str, bytes]:
    """A reading's cells as the values of `CELL_COLUMNS`."""
    return {
        "cover_cells": np.round(reading.cells * 255).astype(np.uint8).tobytes(),
        "cover_inside": reading.inside.astype(np.uint8).tobytes(),
    }


def with_occlusion(faces: pl.DataFrame) -> pl.DataFrame:
    """Adds `occlusion` and its source, null where no cover net read a face, and drops the cells.

    Adds `cover_beside` too: see `cover_beside`.

    Args:
        faces: person_id, strict, yaw, eye_left_there, eye_right_there and `CELL_COLUMNS`.
    """
    indexed = faces.with_row_index("row").filter(pl.col("cover_cells").is_not_null())
    values: dict[int, float | None] = {}
    beside: dict[int, float | None] = {}
    for _, person in indexed.group_by("person_id", maintain_order=True):
        values.update(zip(person["row"].to_list(), _covered(person), strict=True))
        beside.update(zip(person["row"].to_list(), cover_beside(person), strict=True))
    measured = pl.Series([values.get(i) for i in range(faces.height)], dtype=pl.Float32)
    next_to = pl.Series([beside.get(i) for i in range(faces.height)], dtype=pl.Float32)
    source = pl.when(measured.is_not_null()).then(pl.lit(SOURCE))
    return faces.with_columns(
        occlusion=measured, occlusion_source=source, cover_beside=next_to
    ).drop(CELL_COLUMNS)


def cover_beside(person: pl.DataFrame) -> list[float | None]:
    """How much of one side of each face is covered as it usually is not: a post stands there.

    The outer columns of the chip lie beside the face, over hair and background, which look like a
    cover on many people all the ride. So the median of their strict faces of a like turn is taken
    off, and what is left is counted below the brows, on the worse side.

    Args:
        person: strict, yaw and `CELL_COLUMNS` of one person's faces.

    Returns:
        A share in [0, 1] for each; None where too few faces are turned alike.
    """
    cells = _grids(person["cover_cells"]).astype(np.int16)
    yaw = person["yaw"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    strict = person["strict"].fill_null(False).to_numpy()
    shares: list[float | None] = [None] * person.height
    turns = np.round(yaw / LIKE_YAW)
    for turn in np.unique(turns[np.isfinite(turns)]):
        alike = strict & (np.abs(yaw - turn * LIKE_YAW) <= LIKE_YAW)
        if alike.sum() < MIN_REFERENCES:
            continue
        own = np.flatnonzero(turns == turn)
        more = (cells[own] - np.median(cells[alike], axis=0) > BESIDE_MORE * 255)[:, BROW_ROW:]
        left, right = more[:, :, :BESIDE_COLUMNS], more[:, :, -BESIDE_COLUMNS:]
        worse = np.maximum(left.mean(axis=(1, 2)), right.mean(axis=(1, 2)))
        for row, share in zip(own.tolist(), worse.tolist(), strict=True):
            shares[row] = share
    return shares


def _covered(person: pl.DataFrame) -> list[float | None]:
    """Occlusion of each face of one person; None where no cell and no eye tells."""
    cells, inside = _grids(person["cover_cells"]), _grids(person["cover_inside"]) > 0
    yaw = person["yaw"].cast(pl.Float64).to_numpy()
    covered = cells > COVERED_FROM * 255
    beside = _usually_plain(cells, yaw, person["strict"].fill_null(False).to_numpy()) & ~inside
    share = np.maximum(_share(covered, inside), _share(covered, inside | beside))
    share = np.minimum(1.0, share + np.minimum(share / 4, EDGE))
    hidden = np.zeros(person.height, np.int64)
    # Of a head that is turned to the picture's left (yaw < 0) the left eye lies beyond the nose.
    for name, beyond in (
        ("eye_left_there", yaw < -FAR_EYE_YAW),
        ("eye_right_there", yaw > FAR_EYE_YAW),
    ):
        hidden += (person[name].fill_null(1.0) < 1 - HIDDEN_FROM).to_numpy() & ~beyond
    covers = np.maximum(share, np.array([0.0, ONE_EYE, BOTH_EYES])[hidden])
    told = (inside | beside).any(axis=(1, 2)) | (hidden > 0)
    return [float(value) if known else None for value, known in zip(covers, told, strict=True)]


def _usually_plain(
    cells: NDArray[np.uint8], yaw: NDArray[np.float64], strict: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Cells (n, 16, 16) that are plain on the person's strict faces of a like turn.

    None where too few of them tell, or the turn is unknown or large.
    """
    plain = np.zeros(cells.shape, np.bool_)
    turns = np.round(yaw / LIKE_YAW)
    for turn in np.unique(turns[np.abs(yaw) <= MEASURED_YAW]):
        alike = strict & (np.abs(yaw - turn * LIKE_YAW) <= LIKE_YAW)
        if alike.sum() >= MIN_REFERENCES:
            usual = np.quantile(cells[alike], 0.9, axis=0)
            plain[turns == turn] = FRONT & (usual < USUALLY_PLAIN * 255)
    plain[~(np.abs(yaw) <= MEASURED_YAW)] = False
    return plain


def _share(covered: NDArray[np.bool_], of: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Share of some cells that is covered, of each face; 0 where there are none."""
    return (covered & of).sum(axis=(1, 2)) / np.maximum(1, of.sum(axis=(1, 2)))


def _grids(column: pl.Series) -> NDArray[np.uint8]:
    joined = b"".join(column.to_list())
    return np.frombuffer(joined, np.uint8).reshape(len(column), GRID, GRID)
