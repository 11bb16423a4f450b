"""How much of a face is covered: what counts as it is, and what only against the usual look."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from identity_pipeline.core.faces.cover import GRID, CoverReading
from identity_pipeline.core.faces.occlusion import (
    BOTH_EYES,
    CELL_COLUMNS,
    EDGE,
    FRONT,
    MIN_REFERENCES,
    ONE_EYE,
    cell_columns,
    cover_beside,
    with_occlusion,
)

INSIDE = np.zeros((GRID, GRID), np.bool_)
INSIDE[4:14, 5:11] = True


def cells(*covered: tuple[slice, slice]) -> NDArray[np.float32]:
    out = np.full((GRID, GRID), 0.05, np.float32)
    for place in covered:
        out[place] = 0.95
    return out


def row(read: NDArray[np.float32] | None, **changes: Any) -> dict[str, Any]:
    base = {"person_id": 0, "strict": True, "yaw": 0.0}
    base |= {"eye_left_there": 0.98, "eye_right_there": 0.98}
    columns = dict.fromkeys(CELL_COLUMNS)
    if read is not None:
        columns = cell_columns(CoverReading(read, INSIDE, 0.98, 0.98))
    return {**base, **columns, **changes}


def usual(read: NDArray[np.float32], count: int = MIN_REFERENCES, **changes: Any) -> list[Any]:
    return [row(read, **changes) for _ in range(count)]


def measured(*rows: dict[str, Any]) -> list[float | None]:
    schema = {"person_id": pl.Int64, "strict": pl.Boolean, "occlusion_source": pl.String}
    numbers = ("yaw", "occlusion", "eye_left_there", "eye_right_there")
    table = with_occlusion(
        pl.DataFrame(list(rows), schema=schema | dict.fromkeys(numbers, pl.Float32) | CELL_COLUMNS)
    )
    assert not set(CELL_COLUMNS) & set(table.columns)
    sourced = table["occlusion_source"].is_not_null() == table["occlusion"].is_not_null()
    assert sourced.all(), "a measured occlusion says by what"
    return table["occlusion"].to_list()


LOWER_HALF = (slice(9, 16), slice(0, 16))
SIDE = (slice(0, 16), slice(11, 16))


def test_what_is_inside_the_outline_counts_without_any_usual_look() -> None:
    assert measured(row(cells(LOWER_HALF))) == [pytest.approx(0.5 + EDGE)]


def test_a_few_cells_count_a_quarter_more() -> None:
    few = (slice(5, 6), slice(5, 8))
    assert measured(row(cells(few))) == [pytest.approx(1.25 * 3 / INSIDE.sum())]


def test_a_mask_worn_all_the_ride_is_no_usual_look() -> None:
    assert measured(*usual(cells(LOWER_HALF), 30)) == [pytest.approx(0.5 + EDGE)] * 30


def test_a_post_beside_the_outline_counts_where_the_person_is_usually_plain() -> None:
    post = row(cells(SIDE), strict=False)
    assert measured(post) == [0.0]
    *_, found = measured(*usual(cells()), post)
    share = (FRONT & ~INSIDE)[SIDE].sum() / (FRONT | INSIDE).sum()
    assert found == pytest.approx(share + EDGE)
    assert found > 0.1


def test_hair_that_always_falls_there_covers_nothing() -> None:
    assert measured(*usual(cells(SIDE), 20)) == [0.0] * 20


@pytest.mark.parametrize(
    "changes",
    [{"strict": False}, {"yaw": 15.0}, {"yaw": None}, {"person_id": 1}],
)
def test_only_strict_faces_of_the_person_turned_alike_tell_the_usual_look(
    changes: dict[str, Any],
) -> None:
    post = row(cells(SIDE), strict=False)
    assert measured(*usual(cells(), 20, **changes), post)[-1] == 0.0
    assert measured(*usual(cells(), MIN_REFERENCES - 1), post)[-1] == 0.0


@pytest.mark.parametrize("yaw", [35.5, -36.0, None])
def test_of_a_turned_head_what_is_beside_the_outline_is_background(yaw: float | None) -> None:
    post = row(cells(SIDE), strict=False, yaw=yaw)
    assert measured(*usual(cells()), post)[-1] == 0.0


@pytest.mark.parametrize(
    ("left", "right", "least"), [(0.1, 0.9, ONE_EYE), (0.9, 0.4, ONE_EYE), (0.1, 0.1, BOTH_EYES)]
)
def test_hidden_eyes_cover_whatever_the_share(left: float, right: float, least: float) -> None:
    changes = {"eye_left_there": left, "eye_right_there": right}
    assert measured(row(cells(), **changes)) == [pytest.approx(least)]
    everything = (slice(0, 16), slice(0, 16))
    assert measured(row(cells(everything), **changes)) == [pytest.approx(1.0)]


@pytest.mark.parametrize(
    ("yaw", "left", "right", "least"),
    [(50.0, 0.9, 0.1, 0.0), (50.0, 0.1, 0.1, ONE_EYE), (-50.0, 0.1, 0.9, 0.0)],
)
def test_the_eye_beyond_the_nose_of_a_turned_head_is_not_covered(
    yaw: float, left: float, right: float, least: float
) -> None:
    face = row(cells(), yaw=yaw, eye_left_there=left, eye_right_there=right)
    assert measured(face) == [pytest.approx(least)]


def test_where_no_cell_lies_inside_the_outline_nothing_is_told_but_a_hidden_eye() -> None:
    nowhere = cell_columns(CoverReading(cells(), np.zeros_like(INSIDE), 0.98, 0.98))
    rows = [row(None, **nowhere), row(None, **nowhere, eye_left_there=0.1), row(cells())]
    assert measured(*rows) == [None, pytest.approx(ONE_EYE), 0.0]


def test_a_face_that_no_net_read_is_unknown() -> None:
    assert measured(row(None), row(cells())) == [None, 0.0]


def beside(*rows: dict[str, Any]) -> list[float | None]:
    """`cover_beside` of one person's faces."""
    schema = {"yaw": pl.Float32, **CELL_COLUMNS}
    return cover_beside(pl.DataFrame(list(rows), schema_overrides=schema))


def test_a_post_stands_beside_a_face_where_hair_usually_does_not() -> None:
    below = slice(4, 16)
    hair, post = cells((below, slice(0, 4))), cells((below, slice(12, 16)))
    both = cells((below, slice(0, 4)), (below, slice(12, 16)))
    found = beside(*usual(hair), row(hair), row(both), row(post), row(both, yaw=60.0))
    assert found[MIN_REFERENCES:] == [0.0, 1.0, 1.0, None]
    assert beside(*usual(hair, MIN_REFERENCES - 1), row(both, strict=False))[-1] is None
