"""Eyes, mouth and smile from a mesh: what of a face the measures see, and what they conclude."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from identity_pipeline.core.faces.brows import brow_height
from identity_pipeline.core.faces.eyes import measure_eyes
from identity_pipeline.core.faces.frontal import RIGID, RIGID_PLACES, frontal_mesh
from identity_pipeline.core.faces.mesh import EyeReading, landmarks_68
from identity_pipeline.core.faces.mesh_expression import FITTED, mesh_expression
from identity_pipeline.core.faces.mouth import dark_of_mouth, measure_mouth
from identity_pipeline.settings import BucketSettings
from identity_pipeline_tests.core.builders import MODEST

S = BucketSettings()
MOUTH = {61: (-0.28, 0.62), 291: (0.28, 0.62), 0: (0.0, 0.55), 13: (0.0, 0.62), 14: (0.0, 0.62)}
INNER = {82: (-0.1, 0.62), 312: (0.1, 0.62), 87: (-0.1, 0.62), 317: (0.1, 0.62)}
REST = {17: (0.0, 0.73), 78: (-0.25, 0.62), 308: (0.25, 0.62)}


def mesh(**moved: tuple[float, float]) -> NDArray[np.float64]:
    """The mean face with a closed mouth, 100 px between the eyes' corners; `v14=(x, y)` moves."""
    points = np.tile([0.0, 0.3, 0.2], (468, 1))
    points[RIGID] = RIGID_PLACES
    places = MOUTH | INNER | REST | {int(name[1:]): place for name, place in moved.items()}
    for vertex, (x, y) in places.items():
        points[vertex] = x, y, 0.25
    return points * 100


def turned(points: NDArray[np.float64], yaw: float, roll: float) -> NDArray[np.float64]:
    a, b = np.radians([yaw, roll])
    turn = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    tilt = np.array([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
    return points @ turn.T @ tilt.T * 3 + [700, 300, 0]


@given(st.floats(-40, 40), st.floats(-180, 180))
@MODEST
def test_a_turned_head_has_the_mouth_of_a_frontal_one(yaw: float, roll: float) -> None:
    face = mesh(v17=(0.0, 0.95), v14=(0.0, 0.8))
    straight = measure_mouth(face, frontal_mesh(face))
    seen = turned(face, yaw, roll)
    other = measure_mouth(seen, frontal_mesh(seen))
    assert other[1:] == pytest.approx(straight[1:], abs=1e-6)


def test_lips_that_part_are_higher_and_corners_that_rise_are_lifted() -> None:
    shut = measure_mouth(mesh(), frontal_mesh(mesh()))
    face = mesh(v17=(0.0, 1.0), v14=(0.0, 0.9))
    gaping = measure_mouth(face, frontal_mesh(face))
    assert gaping.mouth_height > 2 * shut.mouth_height and gaping.mouth_ratio > 0.1
    face = mesh(v61=(-0.34, 0.56), v291=(0.34, 0.56))
    grin = measure_mouth(face, frontal_mesh(face))
    assert grin.mouth_width > shut.mouth_width and grin.mouth_lift > 0.05
    assert grin.mouth_drop < shut.mouth_drop


def test_a_one_sided_grin_is_tilted_and_shifted() -> None:
    straight = measure_mouth(mesh(), frontal_mesh(mesh()))
    assert (straight.mouth_tilt, straight.mouth_shift) == pytest.approx((0.0, 0.0), abs=1e-9)
    face = mesh(v291=(0.34, 0.56))
    grin = measure_mouth(face, frontal_mesh(face))
    assert grin.mouth_tilt == pytest.approx(0.06) and grin.mouth_shift == pytest.approx(0.03)


@given(st.floats(-40, 40), st.floats(-180, 180))
@MODEST
def test_brows_stand_as_high_over_a_turned_face(yaw: float, roll: float) -> None:
    brows = {v: (x, y) for v, x, y in ((55, -0.1, -0.3), (285, 0.1, -0.3))}
    brows |= {105: (-0.3, -0.4), 334: (0.3, -0.4)}
    face = mesh(**{f"v{v}": place for v, place in brows.items()})
    height = brow_height(frontal_mesh(face))
    assert height == pytest.approx(0.35 - 0.1235)
    assert brow_height(frontal_mesh(turned(face, yaw, roll))) == pytest.approx(height)


def test_an_open_mouth_is_dark_inside_and_teeth_are_not() -> None:
    places = (-0.2, -0.15, -0.1, -0.05, 0.0, 0.05, 0.1, 0.15, 0.2)
    upper = (191, 80, 81, 82, 13, 312, 311, 310, 415)
    lower = (95, 88, 178, 87, 14, 317, 402, 318, 324)
    lips = {f"v{v}": (x, 0.6) for v, x in zip(upper, places, strict=True)}
    lips |= {f"v{v}": (x, 0.8) for v, x in zip(lower, places, strict=True)}
    face = mesh(**lips) + np.array([150.0, 100.0, 0.0])
    luma = np.full((300, 300), 160, np.float32)
    assert dark_of_mouth(luma, face) == 0
    luma[160:180] = 30
    # The mouth is 0.4 eye distances wide, and 0.2 high.
    assert dark_of_mouth(luma, face) == pytest.approx(0.4 * 0.2, rel=0.15)
    assert dark_of_mouth(luma / 4, face) == pytest.approx(0.4 * 0.2, rel=0.15)
    luma[160:170] = 200
    assert dark_of_mouth(luma, face) == pytest.approx(0.4 * 0.1, rel=0.15)


def eye(upper: float, lower: float, iris: float = 0.0, *, mirrored: bool = False) -> EyeReading:
    """An eye of 40 px; lids in eye widths above its corners, the iris from its middle."""
    contour = np.zeros((71, 2), np.float32)
    across = np.linspace(-0.5, 0.5, 9)
    contour[:9, 0] = across
    contour[9:16, 0] = across[1:8]
    contour[1:8, 1] = -lower
    contour[9:16, 1] = -upper
    rim = np.zeros((5, 2), np.float32)
    rim[:, 0] = iris
    side = np.array([-1, 1] if mirrored else [1, 1])
    place = np.array([260, 200]) if mirrored else np.array([200, 200])
    crop = np.zeros((64, 64, 3), np.uint8)
    return EyeReading(contour * side * 40 + place, rim * 40 + place, crop)


def eyes(upper: float, lower: float, iris: float = 0.0) -> tuple[EyeReading, EyeReading]:
    return eye(upper, lower, iris), eye(upper, lower, iris, mirrored=True)


def test_lids_are_measured_in_eye_widths_and_alike_on_both_sides() -> None:
    found = measure_eyes(eyes(0.2, -0.1))
    assert (found.lid_gap_left, found.lid_gap_right) == pytest.approx((0.3, 0.3), abs=1e-6)
    assert (found.lid_height_left, found.lid_height_right) == pytest.approx((0.2, 0.2), abs=1e-6)
    assert found.eye_px == pytest.approx(40, abs=1e-4)


def test_a_lid_that_sinks_is_lower_than_one_that_a_laugh_lifts() -> None:
    shut, laughing = measure_eyes(eyes(-0.03, -0.1)), measure_eyes(eyes(0.15, 0.08))
    assert shut.lid_gap == pytest.approx(laughing.lid_gap, abs=1e-6)
    assert shut.lid_height_left < 0 < laughing.lid_height_left


@pytest.mark.parametrize("iris", [-0.2, 0.0, 0.15])
def test_both_irises_aside_are_a_gaze_and_crossed_ones_are_none(iris: float) -> None:
    assert measure_eyes(eyes(0.2, -0.1, iris)).gaze_offset == pytest.approx(iris, abs=1e-6)
    crossed = eye(0.2, -0.1, iris), eye(0.2, -0.1, -iris, mirrored=True)
    assert measure_eyes(crossed).gaze_offset == pytest.approx(0, abs=1e-6)


def test_landmarks_of_a_mesh_are_in_the_usual_order() -> None:
    points = landmarks_68(mesh())
    assert points.shape == (68, 3)
    assert points[36, 0] < points[39, 0] < points[42, 0] < points[45, 0]
    assert points[48, 0] < points[54, 0] and points[30, 1] < points[33, 1] < points[62, 1]


# --- conclusions --------------------------------------------------------------------------------

OPEN = {
    **{"person_id": 0, "yaw": 0.0, "relative_sharpness": 1.0, "eye_ratio": 0.30},
    **{"lid_gap_left": 0.32, "lid_gap_right": 0.32, "lid_gap": 0.32},
    **{"lid_height_left": 0.21, "lid_height_right": 0.21},
    **{"eye_left_there": 1.0, "eye_right_there": 1.0},
    **{"gaze_offset": 0.0, "eye_px": 40.0, "mouth_ratio": 0.02, "mouth_height": 0.19},
    "mouth_dark": 0.0,
    **{"mouth_width": 0.52, "mouth_lift": 0.0, "mouth_drop": 0.25},
}
SHUT = {
    **{"eye_ratio": 0.16, "lid_gap_left": 0.1, "lid_gap_right": 0.1, "lid_gap": 0.1},
    **{"lid_height_left": -0.02, "lid_height_right": -0.02},
}
NARROW = {
    **{"eye_ratio": 0.22, "lid_gap_left": 0.23, "lid_gap_right": 0.23, "lid_gap": 0.23},
    **{"lid_height_left": 0.148, "lid_height_right": 0.148},
}


def read(*rows: dict[str, Any]) -> list[dict[str, Any]]:
    schema = {name: pl.Int64 if name == "person_id" else pl.Float64 for name in OPEN}
    faces = pl.DataFrame([OPEN | row for row in rows], schema=schema)
    return mesh_expression(faces, S).to_dicts()


def first(**changes: Any) -> dict[str, Any]:
    """A face of somebody with nine faces whose eyes are open."""
    return read(changes, *[{}] * 9)[0]


def test_a_plain_face_is_plain() -> None:
    face = first()
    assert (face["eyes"], face["wink"], face["gaze_aside"]) == ("open", False, False)
    assert face["eye_open"] > 0.9 and face["mouth_open"] < 0.1 and face["smile"] < 0.1
    assert face["lid_ratio"] == pytest.approx(1)


def test_closed_eyes_are_below_the_limit_whoever_the_person_is() -> None:
    assert first(**SHUT)["eye_open"] < 0.1 and first(**SHUT)["eyes"] == "closed"
    narrow = read({**NARROW, **SHUT}, *[NARROW] * 9)
    assert [face["eyes"] for face in narrow[:2]] == ["closed", "open"]


def test_lids_that_sink_in_a_laugh_are_no_closed_eyes_and_lids_that_meet_are() -> None:
    laugh = {"mouth_width": 0.65, "mouth_lift": 0.06, "mouth_drop": 0.17}
    sunk = {"eye_ratio": 0.2, "lid_height_left": 0.125, "lid_height_right": 0.125}
    assert first(**sunk)["eyes"] == "closed"
    assert first(**sunk, **laugh)["eyes"] == "lowered"
    assert first(**SHUT, **laugh)["eyes"] == "closed"


def test_narrow_eyes_are_open_and_the_same_lids_of_wide_eyes_are_not() -> None:
    assert {face["eyes"] for face in read(*[NARROW] * 9)} == {"open"}
    assert first(**NARROW)["eyes"] != "open"


def test_who_smiles_or_gapes_all_the_ride_does_so_on_every_face() -> None:
    grin = {"mouth_width": 0.65, "mouth_lift": 0.06, "mouth_drop": 0.17}
    assert min(face["smile"] for face in read(*[grin] * 9)) >= S.smile_from
    gape = {"mouth_height": 0.45, "mouth_ratio": 0.5}
    assert min(face["mouth_open"] for face in read(*[gape] * 9)) > 0.6


@pytest.mark.parametrize(
    "blind",
    [
        {"relative_sharpness": 0.1},
        {"relative_sharpness": float("nan")},
        {"yaw": 46.0},
        {"yaw": None},
        {"yaw": float("nan")},
        {"eye_px": 5.0},
    ],
    ids=["blurred", "unknown blur", "turned", "unknown pose", "no number", "small"],
)
def test_what_cannot_be_seen_is_unknown_and_never_open(blind: dict[str, float | None]) -> None:
    face = first(**blind)
    assert (face["eyes"], face["eye_open"]) == ("unknown", None)
    assert (face["wink"], face["gaze_aside"]) == (None, None)


def test_what_is_not_a_number_is_neither_a_pass_nor_a_fault() -> None:
    broken = ("eye_ratio", "lid_height_left", "lid_height_right", "lid_gap_left", "gaze_offset")
    face = first(**dict.fromkeys((*broken, "mouth_lift", "mouth_height"), float("nan")))
    assert (face["eyes"], face["eye_open"]) == ("unknown", None)
    assert (face["wink"], face["gaze_aside"]) == (None, None)
    assert (face["smile"], face["mouth_open"]) == (None, None)


@pytest.mark.parametrize(("height", "grade"), [(0.0, "closed"), (0.13, "unknown"), (0.21, "open")])
def test_a_face_without_a_track_is_told_by_its_lids_alone(height: float, grade: str) -> None:
    face = read({"lid_height_left": height, "lid_height_right": height})[0]
    assert face["eyes"] == grade and face["lid_ratio"] is None
    assert not face["wink"]


def test_of_an_eye_that_is_hidden_the_other_one_tells_and_of_two_nothing() -> None:
    hidden = {"eye_left_there": 0.1, "lid_height_left": -0.1, "lid_gap_left": 0.05}
    face = first(**hidden)
    assert (face["eyes"], face["wink"], face["gaze_aside"]) == ("open", None, None)
    face = first(**hidden, eye_right_there=0.2)
    assert (face["eyes"], face["eye_open"]) == ("unknown", None)


def test_without_an_iris_net_the_mesh_tells_the_eyes() -> None:
    blind: dict[str, Any] = dict.fromkeys(
        ("lid_gap_left", "lid_gap_right", "lid_gap", "lid_height_left", "lid_height_right")
    )
    blind |= dict.fromkeys(("gaze_offset", "eye_px"))
    rows = read(blind | {"eye_ratio": 0.15}, *[blind] * 9)
    assert [face["eyes"] for face in rows[:2]] == ["closed", "open"]
    assert rows[1]["gaze_aside"] is None and rows[1]["wink"] is None


def test_one_lid_down_is_a_wink_and_both_irises_aside_a_gaze() -> None:
    assert first(lid_gap_left=0.2)["wink"] is True
    assert first(lid_gap_left=0.2, yaw=20.0)["wink"] is None
    assert first(gaze_offset=-0.15)["gaze_aside"] is True


def test_the_limit_is_where_the_odds_are_even() -> None:
    weights = FITTED.smiling.weights
    width = -FITTED.smiling.constant / weights["mouth_width"]
    face = first(mouth_width=width, mouth_lift=0.0, mouth_drop=0.0)
    assert face["smile"] == pytest.approx(S.smile_from)
    height = first(mouth_height=FITTED.mouth_open, mouth_ratio=0.0)
    assert height["mouth_open"] == pytest.approx(S.mouth_open_from)
