"""Rides and libraries of rides. What draws needs the face model (see `test_renderer`)."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("numba")

from tools.bundled_models import facekit, identity, library, ride, traits, truth
from tools.bundled_models.cast import FIRST_SEED, MOST_RIDES, plan_library, seats_of
from tools.bundled_models.choreography import DEMO, perform
from tools.bundled_models.course import RidePlan, course_of
from tools.bundled_models.moments import rotation
from tools.bundled_models.test_renderer import ARRAYS, needs_arrays

YAW_EDGES, PITCH_EDGES = (-45, -30, -15, -5, 5, 15, 30, 45), (-30, -10, -5, 5, 10, 30)


@pytest.fixture(scope="module")
def kit() -> facekit.FaceKit:
    return facekit.load(ARRAYS)


# Plans: nothing is drawn.


@given(st.integers(2, 80), st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_everybody_rides_and_nobody_sits_beside_themselves(rides: int, seed: int) -> None:
    cast = plan_library(rides, seed)
    count = Counter(rider for plan in cast.rides for rider in plan.riders)
    assert len(cast.rides) == rides and set(count) <= set(cast.people)
    assert all(len(set(plan.riders)) == len(plan.riders) for plan in cast.rides)
    assert max(count.values()) <= MOST_RIDES + 1
    if rides >= 8:
        assert set(count) == set(cast.people)


def test_a_library_of_64_rides_holds_what_it_promises() -> None:
    cast = plan_library(64, 0)
    assert cast == plan_library(64, 0) and cast != plan_library(64, 1)
    document = cast.document()
    seats = {
        name: [place["seat"] for place in person["rides"]]
        for name, person in document["people"].items()
    }
    assert len(seats) >= 40 and min(cast.people) >= FIRST_SEED
    assert sum(2 <= len(places) <= MOST_RIDES for places in seats.values()) >= 20
    assert sum({"left", "right"} <= set(places) for places in seats.values()) >= 10
    assert len(cast.twins) >= 2 and sum(p["child"] for p in document["people"].values()) >= 4
    together = [set(plan.riders) for plan in cast.rides]
    assert all(set(pair) in together for pair in cast.twins)
    solo = sum(len(plan.riders) == 1 for plan in cast.rides)
    assert 12 <= solo <= 32 and any(plan.takes == 2 for plan in cast.rides)
    assert len({course_of(plan).weather for plan in cast.rides}) >= 3


def test_a_library_of_one_ride_is_refused() -> None:
    with pytest.raises(ValueError, match="at least two rides"):
        plan_library(1, 0)


def test_another_plan_does_not_overwrite_a_folder(tmp_path: Path) -> None:
    library.write_cast(plan_library(4, 0), tmp_path)
    library.write_cast(plan_library(4, 0), tmp_path)
    with pytest.raises(FileExistsError, match="another plan"):
        library.write_cast(plan_library(4, 1), tmp_path)


@pytest.mark.parametrize("seed", range(6))
def test_a_course_boards_first_and_cuts_where_it_says(seed: int) -> None:
    course = course_of(RidePlan("x", (1, 2), seed, takes=2))
    (boarded, second) = np.flatnonzero(course.cut)
    assert course.kind[0] == "board" and course.kind[boarded - 1] == "board" != course.kind[boarded]
    assert course.framing[second] != course.framing[second - 1]
    assert {"tunnel", "drop", "brake"} <= set(course.kind)
    assert course.blur.max() > 0 and course.occluder.any()
    assert course.exposure.min() < 0.3 and course.exposure.max() > 3


# People.


def test_twins_share_what_is_born_with_them_and_strangers_do_not() -> None:
    one, twin, stranger = (
        traits.ride_traits(seed) for seed in (FIRST_SEED, FIRST_SEED + traits.TWIN, FIRST_SEED + 1)
    )
    assert np.linalg.norm(one.shape - twin.shape) < 0.3 * np.linalg.norm(one.shape - stranger.shape)
    assert (one.shape != twin.shape).any()
    assert (one.hair == twin.hair).all() and (one.iris == twin.iris).all()
    assert one.female == twin.female and one.detail_seed == twin.detail_seed


def test_a_rider_is_the_same_person_in_every_ride() -> None:
    seed = FIRST_SEED + 3
    first, again = traits.ride_traits(seed), traits.traits_of(seed)
    assert (first.shape == again.shape).all() and (first.skin == again.skin).all()


def test_no_child_is_grey() -> None:
    young = [t for t in map(traits.ride_traits, range(FIRST_SEED, FIRST_SEED + 200)) if t.child]
    assert young
    assert all(t.hair.max() < 0.2 or t.hair.min() < 0.85 * t.hair.max() for t in young)


@needs_arrays
@pytest.mark.parametrize("plan", DEMO, ids=lambda plan: plan.name)
def test_every_rider_turns_smiles_shouts_and_closes_the_eyes(
    kit: facekit.FaceKit, plan: RidePlan
) -> None:
    for seat in range(len(plan.riders)):
        acted = perform(kit, plan, seat)
        inside = (acted.yaw > YAW_EDGES[0]) & (acted.yaw < YAW_EDGES[-1])
        assert len(set(np.digitize(acted.yaw[inside], YAW_EDGES))) == 7
        assert len(set(np.digitize(acted.pitch, PITCH_EDGES[1:-1]))) == 5
        assert acted.smile.max() > 0.6 and acted.jaw.max() > 0.6 and acted.blink.max() > 0.9
        assert max(acted.hands.max(), acted.cover.max()) > 0.8


# The truth.


@pytest.fixture(scope="module")
def short(kit: facekit.FaceKit, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A ride of eight frames with twins; the first is in the station."""
    folder = tmp_path_factory.mktemp("short")
    plan = RidePlan("short", (400_021, 400_021 + traits.TWIN), 3, seconds=0.8, fps=10)
    ride.write(kit, plan, folder)
    video, facts = ride.files_of(plan, folder)
    assert video.exists() and not list(folder.glob("*.part*"))
    return json.loads(facts.read_text(encoding="utf-8"))


@needs_arrays
def test_a_ride_has_the_truth_of_every_frame(short: dict[str, Any]) -> None:
    assert short["people"] == ["rider_400021", "rider_1400021"] == short["children"]
    assert short["twins"] == [short["people"]] and short["rendered"] is True
    assert [row["frame_idx"] for row in short["frames"]] == list(range(8))
    assert sum(row["scene_cut"] for row in short["frames"]) == 1
    for row in short["frames"]:
        left, right = (face for face in row["faces"] if face["rider"])
        assert [left["person"], right["person"]] == short["people"]
        assert left["box"][0] < right["box"][0]
        assert (row["blur_px"] > 0) == row["motion_blur"]
        for face in row["faces"]:
            assert face["lighting"] in ("dark", "normal", "overexposed")
            assert len(face["expression"]) == len(short["expression_names"]) == 57
            assert 0 <= face["occlusion"] <= 1
    bystanders = {f["person"] for f in short["frames"][0]["faces"] if not f["rider"]}
    assert len(bystanders) == 3 and all(name.startswith("bystander") for name in bystanders)


@needs_arrays
def test_landmarks_lie_in_the_box_and_agree_with_a_reprojection(
    kit: facekit.FaceKit, short: dict[str, Any]
) -> None:
    """The head, turned by the true pose and seen from 70 cm, has the true landmarks."""
    person = identity.rider_of(kit, 400_021)
    middle = np.array([0, 1.0, 4.0])
    for row in short["frames"][::3]:
        face = next(f for f in row["faces"] if f["person"] == "rider_400021")
        marks, box = np.array(face["landmarks"]), np.array(face["box"])
        size = np.sqrt(np.prod(box[2:] - box[:2]))
        inner = marks[17:, :2]  # without the jaw, which the box cuts at wide turns
        assert (inner > box[:2] - 0.08 * size).all() and (inner < box[2:] + 0.08 * size).all()
        weights = np.array(face["expression"])
        moved = person.vertices + (weights @ kit.expression).reshape(-1, 3)
        turned = rotation(*face["pose"]) @ (moved[kit.landmarks] - middle).T
        seen = turned[:2] * 70 / (70 - turned[2])
        got = np.stack([seen[0], -seen[1]], 1)
        wanted = marks[:, :2]
        scale = np.linalg.norm(wanted - wanted.mean(0)) / np.linalg.norm(got - got.mean(0))
        placed = (got - got.mean(0)) * scale + wanted.mean(0)
        assert np.abs(placed - wanted).max() < 0.015 * size
        depth = turned[2] * scale
        assert (
            np.abs((depth - depth.mean()) - (marks[:, 2] - marks[:, 2].mean())).max() < 0.03 * size
        )


def test_the_light_is_named_as_the_pipeline_names_it() -> None:
    def face(luma: float, clipped: float = 0.0, rider: bool = True) -> dict[str, Any]:
        return {"person": f"r{rider}", "rider": rider, "luma": luma, "clipped": clipped}

    lumas = [150.0, 150, 150, 55, 35, 230]
    rows = [{"faces": [face(luma), face(90, rider=False)], "lighting": ""} for luma in lumas]
    truth.name_the_light(rows)
    assert [row["lighting"] for row in rows] == [*["normal"] * 3, "dark", "dark", "overexposed"]
    dusky = [{"faces": [face(luma)], "lighting": ""} for luma in (55, 56, 57)]
    truth.name_the_light(dusky)  # dark skin is not darkness
    assert {row["lighting"] for row in dusky} == {"normal"}


# A library on disk.


@needs_arrays
def test_a_stopped_library_goes_on_where_it_was(tmp_path: Path) -> None:
    cast = plan_library(2, 0, fps=10, seconds=0.2)
    library.write_cast(cast, tmp_path)
    assert library.missing(cast.rides, tmp_path) == list(cast.rides)
    first, second = cast.rides
    rendered = library.render(ARRAYS, list(cast.rides), tmp_path)
    assert next(rendered) == first
    rendered.close()  # type: ignore[attr-defined]
    (tmp_path / f"{second.name}.part.mp4").write_bytes(b"half a ride")
    assert library.missing(cast.rides, tmp_path) == [second]
    before = ride.files_of(first, tmp_path)[0].read_bytes()
    assert list(library.render(ARRAYS, library.missing(cast.rides, tmp_path), tmp_path)) == [second]
    assert library.missing(cast.rides, tmp_path) == []
    assert ride.files_of(first, tmp_path)[0].read_bytes() == before
    assert sorted(path.name for path in tmp_path.glob("*.part*")) == []
    assert seats_of(first) in (("solo",), ("left", "right"))


@needs_arrays
def test_the_same_plan_gives_the_same_pixels_and_truth(
    kit: facekit.FaceKit, tmp_path: Path
) -> None:
    plan = RidePlan("again", (FIRST_SEED,), 5, seconds=0.2, fps=10)
    for name in ("one", "two"):
        ride.write(kit, plan, tmp_path / name)
    for one, two in zip(*(ride.files_of(plan, tmp_path / n) for n in ("one", "two")), strict=True):
        assert one.read_bytes() == two.read_bytes()
