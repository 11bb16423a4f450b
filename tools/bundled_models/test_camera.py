"""Libraries of one camera: what changes from ride to ride, and what the truth says of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("numba")

from tools.bundled_models import library, ride
from tools.bundled_models.camera import change_of, document, mount_at, plan_camera
from tools.bundled_models.course import Mount, course_of, tunnel_of
from tools.bundled_models.test_renderer import ARRAYS, needs_arrays
from tools.bundled_models.traits import traits_of
from tools.bundled_models.truth import name_the_usable

MOUNT = Mount(3, yaw=12, pitch=-8)


def test_a_change_holds_from_its_ride_on_and_another_track_for_one_ride() -> None:
    changes = [change_of(text) for text in ("bump@2:40,-9,6,-3", "lens@4:1.6", "foreign@1")]
    mounts = [mount_at(MOUNT, changes, number) for number in range(5)]
    assert mounts[0] == MOUNT and mounts[2].seed == mounts[0].seed
    assert tunnel_of(mounts[1].seed) != tunnel_of(mounts[0].seed)
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


def test_a_size_of_which_bytes_differ_is_refused() -> None:
    with pytest.raises(ValueError, match="multiples of 8"):
        plan_camera(Mount(3, size=(320, 180)), 2, [], 6.0, 10, 0.1)


def test_every_ride_of_a_camera_has_one_route_and_another_pace() -> None:
    plans = plan_camera(MOUNT, 12, [], 12.0, 10, 0.15)
    courses = [course_of(plan) for plan in plans]
    assert len({tuple(s.kind for s in course.segments) for course in courses}) == 1
    assert len({course.framing[0] for course in courses}) == 1
    assert len({plan.seconds for plan in plans}) == 12
    assert any(traits_of(seed).child for seed in plans[0].riders)
    assert {plan.seats for plan in plans} == {(0, 1, 2), (0, 1, 3), (0, 1, 2, 3)}


def test_a_train_brakes_until_it_stands_and_the_photograph_takes_as_long_in_every_ride() -> None:
    plans = plan_camera(MOUNT, 3, [], 20.0, 10, 0.15)
    for plan in plans:
        course = course_of(plan)
        kind, flash = np.array(course.kind), np.flatnonzero(course.flash)
        braking = course.speed[kind == "brake"]
        assert (np.diff(braking) < 0).all() and not course.speed[kind == "end"].any()
        assert len(flash) == 3 and set(kind[flash]) == {"drop"}
        assert (course.exposure[flash] > 3).all()
    assert not course_of(replace(plans[0], mount=None)).flash.any()


def test_a_moment_is_usable_where_a_face_in_it_is_sharp_whole_and_not_covered() -> None:
    sharp = {
        "person": "a",
        "rider": True,
        "occlusion": 0.1,
        "sharpness": 90.0,
        "box": [9, 9, 40, 50],
    }
    unlike = (
        {},
        {"occlusion": 0.9},
        {"sharpness": 30.0},
        {"box": [-20, 9, 40, 50]},
        {"sharpness": 44},
    )
    frames = [
        {"frame_idx": k, "faces": [sharp | other]} for k, other in enumerate(map(dict, unlike))
    ]
    assert name_the_usable(frames, 2, (64, 64)) == {"a": [True, False, False, False, False]}
    assert [row["faces"][0]["usable"] for row in frames] == [True, False, False, False, False]
    both = [{"frame_idx": k, "faces": frames[k]["faces"]} for k in (0, 1)]
    assert name_the_usable(both, 4, (64, 64)) == {"a": [True]}


@needs_arrays
def test_staff_is_no_rider_and_the_same_plan_gives_the_same_bytes(tmp_path: Path) -> None:
    plan = replace(plan_camera(MOUNT, 2, [], 1.2, 5, 0.1)[1], seconds=1.4, wait_s=0.8, cut_s=(0, 0))
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
    assert len(truth["usable"]) == len(plan.riders) and truth["moment_s"] == 0.5
    staff = [face for face in faces if face["role"] == "staff"]
    assert staff and not any(face["rider"] or face["row"] is not None for face in staff)
    begin = [face["pose"][1] for face in truth["frames"][0]["faces"] if face["rider"]]
    assert np.abs(np.array(begin) - 12).max() < 10  # heads begin straight ahead, and sway
