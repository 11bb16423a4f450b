"""Pose of a mesh: signs, heads that are turned far, and a person's own level."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from identity_pipeline.core.faces.frontal import RIGID, RIGID_PLACES
from identity_pipeline.core.faces.mesh import MESH_POINTS
from identity_pipeline.core.faces.mesh_pose import (
    USUAL_LEVEL,
    mesh_pose,
    turned_yaw,
    with_own_level,
)
from identity_pipeline.settings import BucketSettings

SETTINGS = BucketSettings()


def mesh(yaw: float, pitch: float, roll: float, bent: float = 0.0) -> np.ndarray:
    """A mean face so turned, 200 px wide, in px of the source; `bent` narrows its far half."""
    y, p, r = np.radians([yaw, -pitch, -roll])
    turn = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    nod = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    tilt = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    head = RIGID_PLACES * [1, -1, 1]
    head = np.where(head * [np.sign(yaw), 0, 0] > 0, head * (1 - bent), head)
    points = np.zeros((MESH_POINTS, 3))
    points[RIGID] = head @ (turn @ nod @ tilt).T * [200, -200, 200] + [400, 300, 0]
    return points


@pytest.mark.parametrize("pose", [(10, 0, 0), (-12, 8, 3), (0, -20, 0), (5, 5, -30), (-14, -9, 0)])
def test_a_rigid_face_is_posed_exactly(pose: tuple[float, float, float]) -> None:
    found, raw, misfit = mesh_pose(mesh(*pose))
    assert found == pytest.approx(pose, abs=0.01) and found == raw
    assert misfit == pytest.approx(0.0, abs=1e-6)


def test_points_without_extent_have_no_pose() -> None:
    with pytest.raises(ValueError, match="no extent"):
        mesh_pose(np.zeros((MESH_POINTS, 3)))


@settings(deadline=None)
@given(st.floats(-90, 90), st.floats(0, 0.3), st.floats(0, 20), st.floats(0, 0.1))
def test_a_mended_yaw_grows_with_turn_and_misfit(
    yaw: float, misfit: float, more_yaw: float, more_misfit: float
) -> None:
    found = abs(turned_yaw(yaw, misfit))
    assert abs(yaw) - 1e-9 <= found <= 90
    assert turned_yaw(-yaw, misfit) == -turned_yaw(yaw, misfit)
    farther = np.copysign(min(abs(yaw) + more_yaw, 90), yaw)
    assert abs(turned_yaw(farther, misfit + more_misfit)) >= found - 1e-9


def test_a_profile_that_is_drawn_bent_is_beyond_and_a_plain_turn_is_not() -> None:
    # What the rotation gives of real profiles, whose misfit is 0.08 to 0.12.
    assert all(abs(turned_yaw(y, m)) > 50 for y, m in ((-45, 0.105), (45, 0.083), (56, 0.095)))
    assert turned_yaw(33, 0.057) == pytest.approx(35, abs=2)
    assert turned_yaw(10, 0.09) == 10
    found, raw, misfit = mesh_pose(mesh(50, 0, 0, bent=0.5))
    assert misfit > 0.03 and found.yaw > raw.yaw


def faces(person: int, pitches: list[float | None], yaw: float = 0.0) -> pl.DataFrame:
    schema = {"person_id": pl.Int64, "yaw": pl.Float32, "pitch": pl.Float32,
              "pitch_raw": pl.Float32}  # fmt: skip
    rows = [{"person_id": person, "yaw": yaw, "pitch": -7.0, "pitch_raw": p} for p in pitches]
    return pl.DataFrame(rows, schema=schema)


def test_the_own_level_is_that_of_faces_that_look_into_the_camera() -> None:
    ahead, aside = faces(0, [8.0, 10.0, 9.0, 20.0, 8.5]), faces(0, [-30.0] * 9, yaw=25.0)
    found = with_own_level(pl.concat([ahead, aside]), SETTINGS)
    assert found["pitch_level"].unique().to_list() == [9.0]
    assert found["pitch"].to_list()[:4] == [-1.0, 1.0, 0.0, 11.0]


def test_too_few_faces_and_an_odd_level_are_not_believed() -> None:
    few, odd = faces(0, [14.0] * (SETTINGS.neutral_min_faces - 1)), faces(1, [-40.0] * 9)
    found = with_own_level(pl.concat([few, odd]), SETTINGS)
    levels = dict(found.select("person_id", "pitch_level").unique().rows())
    assert levels == {0: USUAL_LEVEL, 1: USUAL_LEVEL - SETTINGS.own_level_max}
    flat = SETTINGS.model_copy(update={"own_level_max": 0.0})
    assert with_own_level(odd, flat)["pitch_level"].unique().to_list() == [USUAL_LEVEL]


def test_a_pose_that_no_mesh_gave_stays() -> None:
    found = with_own_level(faces(0, [None] * 9), SETTINGS)
    assert found["pitch"].unique().to_list() == [-7.0]
    assert found["pitch_level"].null_count() == 9
