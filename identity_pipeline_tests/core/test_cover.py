"""Where the eye crops and the chip of a face lie."""

from __future__ import annotations

import numpy as np
import pytest

from identity_pipeline.core.faces.cover import (
    _TARGET,
    BROW_ROW,
    CHIP_PX,
    EYE_PX,
    EYE_WIDTHS,
    GRID,
    cells_inside,
    chip_matrix,
    eye_matrix,
)


@pytest.mark.parametrize("turn", [0.0, 0.4, -1.0])
def test_an_eyes_corners_lie_level_about_the_middle_of_its_crop(turn: float) -> None:
    along = np.array([np.cos(turn), np.sin(turn)]) * 30
    centre = np.array([140.0, 90.0])
    matrix = eye_matrix(centre - along, centre + along)
    for sign in (-1, 1):
        x, y = matrix @ [*(centre + sign * along), 1]
        assert x == pytest.approx(EYE_PX / 2 + sign * EYE_PX / EYE_WIDTHS / 2)
        assert y == pytest.approx(EYE_PX / 2)


def test_the_chip_undoes_place_size_and_turn() -> None:
    turn = np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]]) * 2.5
    seen = _TARGET * CHIP_PX @ turn.T + [300, 120]
    matrix = chip_matrix(seen)
    assert np.allclose(seen @ matrix[:, :2].T + matrix[:, 2], _TARGET * CHIP_PX)


def test_cells_inside_an_outline_leave_out_what_touches_it_at_the_sides() -> None:
    cell = CHIP_PX / GRID
    low, high = 3 * cell - 1, 12 * cell + 1
    square = np.array([[low, low], [high, low], [high, high], [low, high]])
    inside = cells_inside(square)
    assert inside[BROW_ROW:12, 4:11].all()
    assert inside.sum() == (12 - BROW_ROW) * 7  # the forehead is hair more often than a cover


def test_no_cell_is_inside_a_face_that_lies_elsewhere() -> None:
    assert not cells_inside(np.array([[200.0, 200], [300, 200], [250, 300]])).any()
