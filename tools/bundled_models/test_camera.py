"""Libraries of one camera: what changes from ride to ride, and what the truth says of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("numba")

from tools.bundled_models import library, ride
from tools.bundled_models.camera import change_of, document, mount_at, plan_camera
from tools.bundled_models.course import Mount, course_of
from tools.bundled_models.test_renderer import ARRAYS, needs_arrays
from tools.bundled_models.traits import traits_of

MOUNT = Mount(3, yaw=12, pitch=-8)


def test_a_change_holds_from_its_ride_on_and_another_track_for_one_ride() -> None:
    changes = [change_of(text) for text in ("bump@2:40,-9,6,-3", "lens@4:1.6", "foreign@1")]
    mounts = [mount_at(MOUNT, changes, number) for number in range(5)]
    assert mounts[0] == MOUNT and mounts[2].seed == mounts[0].seed != mounts[1].seed
    assert (mounts[2].shift, mounts[2].yaw, mounts[2].pitch) == ((40, -9), 18, -11)
    assert mounts[3] == mounts[2] and mounts[4].lens == 1.6
    plans = plan_camera(MOUNT, 5, changes, 6.0, 10, 0.1)
    told = document(plans, changes)
    assert (told["yaw"], told["pitch"]) == (12, -8) and told["changes"][0]["ride"] == 2
    assert course_of(plans[2]).framing[0].shift == course_of(plans[0]).framing[0].shift + 40


@pytest.mark.parametrize("text", ["bump@2:1,2", "fog@3", "lens@x:1", "lens"])
def test_what_is_no_change_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match="is no change"):
        change_of(text)


def test_every_ride_of_a_camera_has_one_route_and_another_pace() -> None:
    plans = plan_camera(MOUNT, 12, [], 12.0, 10, 0.15)
    courses = [course_of(plan) for plan in plans]
    assert len({tuple(s.kind for s in course.segments) for course in courses}) == 1
    assert len({course.framing[0] for course in courses}) == 1
    assert len({plan.seconds for plan in plans}) == 12
    assert any(traits_of(seed).child for seed in plans[0].riders)
    assert {plan.seats for plan in plans} == {(0, 1, 2), (0, 1, 3), (0, 1, 2, 3)}


@needs_arrays
def test_staff_is_no_rider_and_the_same_plan_gives_the_same_bytes(tmp_path: Path) -> None:
    plan = plan_camera(MOUNT, 2, [], 2.0, 5, 0.1)[1]
    for folder in ("one", "other"):
        assert list(library.render(ARRAYS, [plan], tmp_path / folder)) == [plan]
    one, other = (
        [path.read_bytes() for path in ride.files_of(plan, tmp_path / folder)]
        for folder in ("one", "other")
    )
    assert one == other
    truth = json.loads(one[1])
    assert truth["camera"]["yaw"] == 12 and truth["frames"][0]["phase"] == "boarding"
    faces = [face for frame in truth["frames"] for face in frame["faces"]]
    assert {face["seat"] for face in faces if face["rider"]} == set(plan.seats)
    staff = [face for face in faces if face["role"] == "staff"]
    assert staff and not any(face["rider"] or face["row"] is not None for face in staff)
    looks = [face["pose"][1] for face in faces if face["rider"]]
    assert abs(float(np.median(looks)) - 12) < 25
