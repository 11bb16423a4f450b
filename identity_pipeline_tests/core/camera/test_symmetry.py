"""Symmetric faces: whatever the pose, and never only those that look into the camera."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from identity_pipeline.core.camera.symmetry import PAIRS, asymmetry, symmetric_faces
from identity_pipeline.settings import BucketSettings
from identity_pipeline_tests.core.builders import MODEST

S = BucketSettings()


def face(seed: int = 0) -> np.ndarray:
    """(68, 3): a symmetric face of made-up points, x across."""
    points = np.random.default_rng(seed).normal(0, 1, (68, 3))
    points[:, 0] = 0.0
    for left, right in PAIRS[68]:
        points[right] = points[left]
        points[left, 0], points[right, 0] = -1.0 - left % 5 / 5, 1.0 + left % 5 / 5
    return points


@MODEST
@given(
    angles=st.tuples(*[st.floats(-80, 80)] * 3),
    size=st.floats(0.1, 500),
    shift=st.floats(-1e3, 1e3),
    seed=st.integers(0, 99),
)
def test_no_pose_makes_a_symmetric_face_less_symmetric(
    angles: tuple[float, float, float], size: float, shift: float, seed: int
) -> None:
    turned = Rotation.from_euler("xyz", angles, degrees=True).apply(face(seed)) * size + shift
    told = asymmetry(turned[None])
    assert told is not None and told[0] == pytest.approx(0, abs=1e-6)


@MODEST
@given(angles=st.tuples(*[st.floats(-80, 80)] * 3), pull=st.floats(0.05, 1.0))
def test_a_mouth_drawn_aside_is_as_asymmetric_in_any_pose(
    angles: tuple[float, float, float], pull: float
) -> None:
    drawn = face()
    drawn[48:68, 0] += pull
    turned = Rotation.from_euler("xyz", angles, degrees=True).apply(drawn)
    straight, aside = asymmetry(np.stack([drawn, turned]))  # pyright: ignore[reportGeneralTypeIssues]
    assert straight > 0.01
    assert aside == pytest.approx(straight, rel=1e-6)


def test_points_whose_counterparts_are_not_known_tell_nothing() -> None:
    assert asymmetry(np.zeros((1, 106, 2))) is None


def faces(*rows: dict[str, object]) -> pl.DataFrame:
    usual = {
        "person_id": 0, "yaw": 0.0, "landmarks": face().ravel().tolist(), "loose": True,
        "occlusion": 0.0, "gaze_aside": False, "wink": False,
    }  # fmt: skip
    return pl.DataFrame(
        [{"face_id": str(k), **usual, **row} for k, row in enumerate(rows)],
        schema_overrides={"yaw": pl.Float64, "wink": pl.Boolean, "gaze_aside": pl.Boolean},
    )


@pytest.mark.parametrize(
    "unreadable",
    [
        {"loose": False}, {"occlusion": 0.3}, {"occlusion": None}, {"gaze_aside": True},
        {"gaze_aside": None}, {"wink": True}, {"landmarks": None}, {"yaw": None},
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_left_out(unreadable: dict[str, object]) -> None:
    kept = symmetric_faces(faces({}, unreadable, {}), S)
    assert kept["face_id"].to_list() == ["0", "2"]


def test_where_no_eye_of_a_video_was_read_none_is_asked_for() -> None:
    assert symmetric_faces(faces(*[{"gaze_aside": None, "wink": None}] * 4), S).height == 4


@MODEST
@given(ahead=st.floats(-25, 25), seed=st.integers(0, 50))
def test_faces_that_look_into_the_camera_are_not_preferred(ahead: float, seed: int) -> None:
    """A mesh is less symmetric the more a head is turned: half of each turn stays all the same."""
    rng = np.random.default_rng(seed)
    yaws = rng.normal(ahead, 6, 300)
    rows = []
    for yaw in yaws:
        bent = face()
        bent[48:68, 0] += abs(yaw) / 30 + abs(rng.normal(0, 0.13))
        rows.append({"yaw": yaw, "landmarks": bent.ravel().tolist()})
    kept = symmetric_faces(faces(*rows), S)
    assert 0.3 * len(yaws) < kept.height < 0.7 * len(yaws)
    assert kept["yaw"].median() == pytest.approx(float(np.median(yaws)), abs=1.5)
