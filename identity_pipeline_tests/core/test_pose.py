"""Head pose: round trips and the signs of the 3-D landmark source."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from identity_pipeline.core.faces.head_model import HEAD_5, HEAD_68, five_points
from identity_pipeline.core.faces.pose import (
    HeadPose,
    fit_rotation,
    pose_from_landmarks_3d,
    pose_from_rotation,
)
from identity_pipeline_tests.core.builders import MODEST, rotation_from_pose

NOSE, LEFT_EYE, RIGHT_EYE, CHIN, BROW = 30, 36, 45, 8, 19


def landmarks(pose: HeadPose, scale: float = 12.0) -> NDArray[np.float64]:
    """Landmarks as a 3-D model gives them: px, y down, z towards the viewer."""
    view = HEAD_68 @ rotation_from_pose(pose).T
    return view * np.array([scale, -scale, scale]) + np.array([640, 360, 55])


@given(st.floats(-80, 80), st.floats(-60, 60), st.floats(-60, 60))
@MODEST
def test_a_pose_survives_its_rotation(yaw: float, pitch: float, roll: float) -> None:
    rotation = rotation_from_pose(HeadPose(yaw, pitch, roll))
    assert rotation @ rotation.T == pytest.approx(np.eye(3), abs=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1)
    assert pose_from_rotation(rotation) == pytest.approx((yaw, pitch, roll), abs=1e-8)


@given(
    st.floats(-80, 80), st.floats(-60, 60), st.floats(-60, 60), st.floats(0.1, 50), st.integers(0)
)
@MODEST
def test_landmarks_in_space_give_the_pose_back(
    yaw: float, pitch: float, roll: float, scale: float, seed: int
) -> None:
    shift = np.random.default_rng(seed % 2**32).uniform(-2000, 2000, 3)
    points = landmarks(HeadPose(yaw, pitch, roll), scale) + shift
    pose, residual = pose_from_landmarks_3d(HEAD_68, points)
    assert pose == pytest.approx((yaw, pitch, roll), abs=1e-6)
    assert residual == pytest.approx(0, abs=1e-6)


def test_the_head_looks_straight_into_the_camera_with_its_nose_in_front() -> None:
    assert pose_from_rotation(np.eye(3)) == pytest.approx((0, 0, 0))
    assert HEAD_68[NOSE, 2] == HEAD_68[:, 2].max()
    assert HEAD_68[LEFT_EYE, 0] < 0 < HEAD_68[RIGHT_EYE, 0]
    assert HEAD_68[CHIN, 1] < HEAD_68[BROW, 1]


@pytest.mark.parametrize(("axis", "pose"), [("yaw", (25, 0, 0)), ("pitch", (0, 25, 0))])
def test_the_nose_tells_the_sign_of_yaw_and_pitch(axis: str, pose: tuple[int, int, int]) -> None:
    """Right in the image for yaw, up in the image (smaller y) for pitch."""
    straight, turned = landmarks(HeadPose(0, 0, 0)), landmarks(HeadPose(*pose))
    moved = (turned - straight)[NOSE]
    assert (moved[0] > 5) if axis == "yaw" else (moved[1] < -5)
    assert pose_from_landmarks_3d(HEAD_68, turned)[0] == pytest.approx(pose, abs=1e-6)


def test_roll_is_clockwise_in_the_image() -> None:
    turned = landmarks(HeadPose(0, 0, 25))
    assert turned[RIGHT_EYE, 1] > turned[LEFT_EYE, 1] + 20  # image y is down
    assert turned[CHIN, 0] < turned[BROW, 0]


@pytest.mark.parametrize(
    "pose", [HeadPose(*p) for p in product((-70, -20, 20, 70), (-40, 40), (-30, 30))]
)
def test_the_nose_points_where_yaw_and_pitch_say_whatever_the_roll(pose: HeadPose) -> None:
    x, y, _ = rotation_from_pose(pose)[:, 2]
    assert np.sign(x) == np.sign(pose.yaw)
    assert np.sign(y) == np.sign(pose.pitch)
    assert y == pytest.approx(np.sin(np.radians(pose.pitch)))


def test_a_mirrored_head_is_not_fitted_by_a_reflection() -> None:
    rotation, residual = fit_rotation(HEAD_68, HEAD_68 * np.array([1.0, 1.0, -1.0]))
    assert np.linalg.det(rotation) == pytest.approx(1)
    assert residual > 0.05


def test_the_residual_is_relative_to_the_size() -> None:
    noise = np.random.default_rng(0).normal(size=HEAD_68.shape) * 0.2
    _, small = fit_rotation(HEAD_68, HEAD_68 + noise)
    _, large = fit_rotation(HEAD_68, (HEAD_68 + noise) * 40)
    assert small == pytest.approx(large)
    assert 0.01 < small < 0.1


@pytest.mark.parametrize("observed", [np.ones((68, 3)), np.full((68, 3), np.nan)])
def test_points_without_extent_have_no_pose(observed: NDArray[np.float64]) -> None:
    with pytest.raises(ValueError, match="extent"):
        fit_rotation(HEAD_68, observed)


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="expected two"):
        fit_rotation(HEAD_68, HEAD_68[:5])


def test_five_points_are_eyes_nose_and_mouth_corners() -> None:
    left, right, nose, mouth_left, mouth_right = HEAD_5
    assert left[0] < 0 < right[0]
    assert mouth_left[0] < 0 < mouth_right[0]
    assert nose[2] == HEAD_5[:, 2].max()
    assert min(left[1], right[1]) > nose[1] > max(mouth_left[1], mouth_right[1])
    assert np.array_equal(five_points(HEAD_68), HEAD_5)
