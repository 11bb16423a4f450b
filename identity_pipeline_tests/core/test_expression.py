"""Eyes, mouth and smile from landmarks, and against the person's own neutral."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from identity_pipeline.core.faces.expression import (
    SMILE_FULL_STRETCH,
    expression_ratios,
    relative_to_neutral,
)
from identity_pipeline.core.faces.head_model import HEAD_68
from identity_pipeline.settings import BucketSettings
from identity_pipeline_tests.core.builders import MODEST

S = BucketSettings()
UPPER_LIDS, LOWER_LIDS = [37, 38, 43, 44], [41, 40, 47, 46]


def face_68() -> NDArray[np.float64]:
    """The generic head seen from the front, in pixels, y down."""
    return HEAD_68[:, :2] * [10, -10] + 300


def with_lids(opening: float) -> NDArray[np.float64]:
    """Lids at `opening` times their distance."""
    points = face_68()
    middle = (points[UPPER_LIDS] + points[LOWER_LIDS]) / 2
    half = (points[UPPER_LIDS] - points[LOWER_LIDS]) / 2 * opening
    points[UPPER_LIDS], points[LOWER_LIDS] = middle + half, middle - half
    return points


def ratios(points: NDArray[np.float64], source: str = "landmark_2d_68") -> Any:
    found = expression_ratios(points, source)
    assert found is not None
    return found


@pytest.mark.parametrize("opening", [0.0, 0.25, 0.5, 2.0])
def test_the_eye_ratio_follows_the_lids(opening: float) -> None:
    neutral, other = ratios(face_68()), ratios(with_lids(opening))
    assert 0.1 < neutral.eye_ratio < 0.5
    assert other.eye_ratio == pytest.approx(neutral.eye_ratio * opening, abs=0.03)
    assert other[1:] == neutral[1:]


def test_one_closed_eye_counts_half() -> None:
    points, closed = face_68(), with_lids(0)
    points[36:42] = closed[36:42]
    both, none = ratios(closed).eye_ratio, ratios(face_68()).eye_ratio
    assert ratios(points).eye_ratio == pytest.approx((both + none) / 2, abs=0.01)


def test_the_mouth_ratio_follows_the_jaw() -> None:
    points = face_68()
    width = np.linalg.norm(points[60] - points[64])
    points[66, 1] = points[62, 1] + 0.5 * width
    points[66, 0] = points[62, 0]
    assert ratios(points).mouth_ratio == pytest.approx(0.5)
    assert ratios(face_68()).mouth_ratio < 0.05


def test_the_mouth_width_follows_its_corners() -> None:
    points = face_68()
    points[[48, 54]] = (points[[48, 54]] - 300) * [1.4, 1] + 300
    assert ratios(points).mouth_width == pytest.approx(1.4 * ratios(face_68()).mouth_width)


@given(st.floats(-180, 180), st.floats(0.05, 20), st.floats(-900, 900), st.floats(0, 2))
@MODEST
def test_ratios_do_not_change_with_scale_place_and_roll(
    degrees: float, scale: float, shift: float, opening: float
) -> None:
    c, s = np.cos(np.radians(degrees)) * scale, np.sin(np.radians(degrees)) * scale
    points = with_lids(opening)
    moved = points @ np.array([[c, s], [-s, c]]) + shift
    assert ratios(moved) == pytest.approx(tuple(ratios(points)), abs=1e-6)


def test_depth_is_ignored_and_five_points_tell_nothing() -> None:
    deep = np.hstack([face_68(), np.full((68, 1), 77.0)])
    assert ratios(deep, "landmark_3d_68") == ratios(face_68())
    assert expression_ratios(np.zeros((5, 2)), "key_points_5") is None


def test_the_106_points_have_eyes_and_mouth_of_their_own() -> None:
    points = np.zeros((106, 2))
    for corners, lids in (((35, 39), (40, 33)), ((89, 93), (94, 87))):
        points[[*corners]] = [[0, 0], [40, 0]] if corners[0] == 35 else [[60, 0], [100, 0]]
        points[[*lids]] = points[corners[0]] + [[20, -6], [20, 6]]
    points[[52, 61]] = [[20, 60], [80, 60]]
    points[[65, 69]] = [[25, 60], [75, 60]]
    points[[62, 60]] = [[50, 55], [50, 65]]
    assert ratios(points, "landmark_2d_106") == pytest.approx((0.3, 0.2, 0.6))


def test_collapsed_points_give_zero_not_infinity() -> None:
    assert ratios(np.ones((68, 2))) == (0, 0, 0)


# --- relative to the own neutral ---------------------------------------------------------------


def frontal(**changes: float | None) -> dict[str, Any]:
    base = {"person_id": 0, "yaw": 0.0, "eye_ratio": 0.3, "mouth_ratio": 0.05, "mouth_width": 0.8}
    return {**base, **changes}


def relative(*rows: dict[str, Any]) -> list[dict[str, Any]]:
    schema = {"person_id": pl.Int64} | dict.fromkeys(
        ("yaw", "eye_ratio", "mouth_ratio", "mouth_width", "eye_open", "mouth_open", "smile"),
        pl.Float64,
    )
    return relative_to_neutral(pl.DataFrame(list(rows), schema=schema), S).to_dicts()


NEUTRAL = [frontal()] * 9


def test_a_neutral_face_is_open_closed_and_unsmiling() -> None:
    row = relative(*NEUTRAL)[0]
    assert (row["eye_open"], row["mouth_open"], row["smile"]) == (1, 0, 0)


@pytest.mark.parametrize(
    ("change", "column", "value"),
    [
        ({"eye_ratio": 0.06}, "eye_open", 0.2),
        ({"eye_ratio": 0.9}, "eye_open", 1.5),
        ({"mouth_ratio": 0.45}, "mouth_open", 0.4),
        ({"mouth_ratio": 0.0}, "mouth_open", 0.0),
        ({"mouth_ratio": 2.0}, "mouth_open", 1.0),
        ({"mouth_width": 0.8 * (1 + SMILE_FULL_STRETCH / 2)}, "smile", 0.5),
        ({"mouth_width": 0.5}, "smile", 0.0),
    ],
)
def test_values_are_relative_to_the_neutral_and_clipped(
    change: dict[str, float], column: str, value: float
) -> None:
    assert relative(frontal(**change), *NEUTRAL)[0][column] == pytest.approx(value)


def test_a_person_who_mostly_shouts_still_has_a_closed_neutral_mouth() -> None:
    rows = relative(*[frontal()] * 4, *[frontal(mouth_ratio=0.6)] * 6)
    assert rows[0]["mouth_open"] == 0
    assert rows[-1]["mouth_open"] == pytest.approx(0.55)


def test_each_person_has_a_neutral_of_their_own() -> None:
    narrow = [frontal(person_id=1, eye_ratio=0.1)] * 5
    rows = relative(*NEUTRAL, *narrow)
    assert {row["eye_open"] for row in rows} == {1.0}


@pytest.mark.parametrize(("count", "known"), [(5, True), (4, False)])
def test_too_few_frontal_faces_leave_the_expression_unmeasured(count: int, known: bool) -> None:
    rows = relative(*[frontal(yaw=20.0)] * count, *[frontal(yaw=20.1)] * 9)
    assert [row["eye_open"] is not None for row in rows] == [known] * (count + 9)


@pytest.mark.parametrize(
    ("row", "known"),
    [
        (frontal(yaw=45.0), True),
        (frontal(yaw=-45.1), False),
        (frontal(yaw=None), False),
        (frontal(eye_ratio=None, mouth_ratio=None, mouth_width=None), False),
    ],
)
def test_what_cannot_be_told_is_null(row: dict[str, Any], known: bool) -> None:
    first = relative(row, *NEUTRAL)[0]
    assert [first[c] is not None for c in ("eye_open", "mouth_open", "smile")] == [known] * 3
