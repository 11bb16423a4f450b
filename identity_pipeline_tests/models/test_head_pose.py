"""Head pose from points in the picture: signs and angles on a rendered head."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from identity_pipeline.core.faces.head_model import HEAD_5, HEAD_68
from identity_pipeline.core.faces.pose import HeadPose
from identity_pipeline.core.geometry import Box
from identity_pipeline.models.head_pose import pose_from_points
from identity_pipeline_tests.core.builders import FEW, render

HEADS = {68: HEAD_68, 5: HEAD_5}
Points = NDArray[np.float64]


def face_box(distance: float = 75.0) -> Box:
    """The box of the upright head, as a detector would give it."""
    pixels = render(HEAD_68, HeadPose(0, 0, 0), distance=distance)
    return Box(*pixels.min(axis=0), *pixels.max(axis=0))


def pose_of(points: Points, box: Box | None = None) -> NDArray[np.float64]:
    return np.array(pose_from_points(points, box or face_box()).pose)


@pytest.mark.parametrize("count", HEADS)
def test_every_pose_of_a_grid_is_recovered(count: int) -> None:
    """Within 1.5 degrees."""
    for pose in product((-60, -30, 0, 30, 60), (-40, -15, 0, 15, 40), (-45, 0, 45)):
        points = render(HEADS[count], HeadPose(*pose))
        assert pose_of(points) == pytest.approx(pose, abs=1.5), pose


@pytest.mark.parametrize("count", HEADS)
def test_yaw_is_positive_when_the_nose_moves_right_in_the_image(count: int) -> None:
    nose = 30 if count == 68 else 2
    straight, turned = (render(HEADS[count], HeadPose(y, 0, 0)) for y in (0, 20))
    assert (turned - straight)[nose, 0] > 3  # the picture itself, not the code under test
    assert pose_of(turned)[0] == pytest.approx(20, abs=1)


@pytest.mark.parametrize("count", HEADS)
def test_pitch_is_positive_when_the_nose_moves_up_in_the_image(count: int) -> None:
    nose = 30 if count == 68 else 2
    straight, raised = (render(HEADS[count], HeadPose(0, p, 0)) for p in (0, 20))
    assert (raised - straight)[nose, 1] < -3
    assert pose_of(raised)[1] == pytest.approx(20, abs=1)


@pytest.mark.parametrize("count", HEADS)
def test_roll_is_positive_when_the_face_turns_clockwise(count: int) -> None:
    """Points turned by hand in the image, x right and y down: right goes down."""
    straight = render(HEADS[count], HeadPose(0, 0, 0))
    angle = np.radians(20)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    centre = straight.mean(axis=0)
    clockwise = (straight - centre) @ turn.T + centre
    left_eye, right_eye = (36, 45) if count == 68 else (0, 1)
    assert clockwise[right_eye, 1] > clockwise[left_eye, 1] + 10
    assert pose_of(clockwise)[2] == pytest.approx(20, abs=0.5)


@given(
    yaw=st.floats(-60, 60),
    pitch=st.floats(-35, 35),
    roll=st.floats(-40, 40),
    shift=st.tuples(st.floats(-3000, 3000), st.floats(-3000, 3000)),
    scale=st.floats(0.2, 5),
    count=st.sampled_from([68, 5]),
)
@FEW
def test_place_in_the_frame_and_scale_do_not_matter(
    yaw: float,
    pitch: float,
    roll: float,
    shift: tuple[float, float],
    scale: float,
    count: int,
) -> None:
    points = render(HEADS[count], HeadPose(yaw, pitch, roll))
    box = face_box()
    moved = points * scale + np.array(shift)
    grown = Box(*(v * scale + s for v, s in zip(box, (*shift, *shift), strict=True)))
    assert pose_of(moved, grown) == pytest.approx(pose_of(points, box), abs=0.2)


@pytest.mark.parametrize("distance", [45, 150])
@pytest.mark.parametrize("count", HEADS)
def test_the_guess_of_the_focal_length_costs_little(count: int, distance: float) -> None:
    """A head much nearer or farther than assumed is off by less than two degrees."""
    for pose in product((-45, 0, 45), (-30, 0, 30), (-20, 20)):
        points = render(HEADS[count], HeadPose(*pose), distance=distance)
        assert pose_of(points, face_box(distance)) == pytest.approx(pose, abs=2), pose


def test_the_error_grows_with_points_that_fit_no_head() -> None:
    points = render(HEAD_68, HeadPose(10, 0, 0))
    noise = np.random.default_rng(1).normal(scale=8, size=points.shape)
    clean, torn = (pose_from_points(p, face_box()).error for p in (points, points + noise))
    assert clean < 0.002
    assert torn > 10 * clean


@pytest.mark.parametrize("count", [0, 4, 67, 106])
def test_another_number_of_points_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match="68 or 5"):
        pose_from_points(np.zeros((count, 2)) + 1.0, Box(0, 0, 10, 10))
