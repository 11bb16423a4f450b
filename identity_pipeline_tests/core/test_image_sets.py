"""The four sets: what goes in, what stays out, and that they never overlap."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_pipeline.core.imagesets.image_sets import build_challenge_set, open_candidates
from identity_pipeline.core.imagesets.selection import select
from identity_pipeline.settings import SelectionSettings, Settings
from identity_pipeline.tables import conform
from identity_pipeline_tests.core.builders import (
    FEW,
    Row,
    Sets,
    axis,
    build_sets,
    candidate,
    candidates,
    detections_of,
    plane,
    random_candidates,
)


def sets_of(*rows: Row, **selection: Any) -> Sets:
    return build_sets(
        candidates(*rows), settings=Settings(selection=SelectionSettings(**selection))
    )


def at(frame: int, person: int = 0, **changes: Any) -> Row:
    """A candidate two seconds after the frame before it."""
    return candidate(frame, person, timestamp_ms=frame * 2000.0, **changes)


# --- anchors -----------------------------------------------------------------------------------


def test_anchors_are_the_best_and_at_most_five() -> None:
    sets = sets_of(*(at(i, quality_score=0.5 + i / 100) for i in range(8)))
    assert sets.faces("anchor") == [f"{i:06d}-0" for i in (7, 6, 5, 4, 3)]
    assert sets["anchor"]["image"].to_list() == [f"anchor_{i:03d}" for i in range(1, 6)]
    assert sets["anchor"]["rank"].to_list() == [1, 2, 3, 4, 5]


def test_a_frontal_face_is_preferred_to_a_slightly_better_turned_one() -> None:
    sets = sets_of(at(0, yaw=14, quality_score=0.8), at(1, yaw=0, quality_score=0.7))
    assert sets.faces("anchor") == ["000001-0", "000000-0"]


@pytest.mark.parametrize(("gap_ms", "count"), [(1500, 2), (1499, 1)])
def test_anchors_are_apart_in_time(gap_ms: int, count: int) -> None:
    rows = (candidate(i, timestamp_ms=float(i * gap_ms)) for i in range(2))
    assert sets_of(*rows)["anchor"].height == count


@pytest.mark.parametrize(("degrees", "count"), [(27.0, 2), (24.0, 1)])  # cosines 0.891, 0.914
def test_anchors_do_not_look_alike(degrees: float, count: int) -> None:
    assert sets_of(at(0, vis=plane(0)), at(1, vis=plane(degrees)))["anchor"].height == count


@pytest.mark.parametrize(
    "changes",
    [
        {"strict": False},
        {"yaw": 15.01},
        {"yaw": None},
        {"expression": "eyes_closed"},
        {"occlusion": 0.1},
        {"luma_mean": 59.0},
        {"luma_mean": 201.0},
        {"eyes": "closed"},
        {"eyes": "unknown"},
        {"eyes": "open", "wink": True},
    ],
)
def test_what_is_no_anchor(changes: dict[str, Any]) -> None:
    assert sets_of(at(0, **changes)).faces("anchor") == []


PORTRAIT = {"eyes": "open", "wink": False, "gaze_aside": False, "mouth_open": 0.0}


@pytest.mark.parametrize(
    "changes",
    [{"gaze_aside": True}, {"mouth_open": 0.4, "expression": "mouth_open"}],
)
def test_a_portrait_comes_before_a_better_picture_that_is_none(changes: dict[str, Any]) -> None:
    other = PORTRAIT | changes
    others = [at(i, quality_score=0.9, **other) for i in range(4)]
    sets = sets_of(*others, *(at(i, quality_score=0.5, **PORTRAIT) for i in (4, 5)))
    # Without three portraits there are three anchors, and not more.
    assert sets.faces("anchor") == ["000004-0", "000005-0", "000000-0"]
    sets = sets_of(*others, *(at(i, quality_score=0.5, **PORTRAIT) for i in range(4, 8)))
    assert sets.faces("anchor") == [f"{i:06d}-0" for i in range(4, 8)]


def test_the_level_face_with_a_calm_look_is_the_first_portrait() -> None:
    worse = ({"roll": 12.0}, {"gaze_offset": 0.08}, {"lid_ratio": 1.3}, {"mouth_open": 0.29})
    rows = [at(i, **PORTRAIT | change) for i, change in enumerate(worse)]
    calm = {"roll": 1.0, "gaze_offset": 0.01, "lid_ratio": 1.0}
    assert sets_of(*rows, at(4, **PORTRAIT | calm)).faces("anchor")[0] == "000004-0"


def test_a_shout_is_no_portrait_even_where_it_looks_like_a_smile() -> None:
    shout = PORTRAIT | {"mouth_open": 0.7, "expression": "smile", "quality_score": 0.9}
    rows = [at(i, **shout) for i in range(4)]
    assert sets_of(*rows, at(4, **PORTRAIT)).faces("anchor")[0] == "000004-0"


def test_an_open_mouth_that_smiles_is_a_portrait() -> None:
    grin = PORTRAIT | {"mouth_open": 0.45, "expression": "smile"}
    rows = [at(i, quality_score=0.5 + i / 10, **grin) for i in range(4)]
    assert sets_of(*rows)["anchor"].height == 4


@pytest.mark.parametrize("pitch", [-34.0, 29.0])
def test_a_face_that_looks_far_up_or_down_is_no_anchor(pitch: float) -> None:
    assert sets_of(at(0, pitch=pitch)).faces("anchor") == []


@pytest.mark.parametrize("changes", [{"yaw": -15.0}, {"occlusion": None}, {"expression": "smile"}])
def test_what_may_be_an_anchor(changes: dict[str, Any]) -> None:
    assert sets_of(at(0, **changes)).faces("anchor") == ["000000-0"]


# --- coverage ----------------------------------------------------------------------------------


def test_a_bucket_gives_at_most_two_images_and_no_anchor() -> None:
    sets = sets_of(*(at(i, yaw=20, quality_score=0.9 - i / 100) for i in range(5)))
    assert sets.faces("coverage") == ["000000-0", "000001-0"]
    names = sets["coverage"]["image"].to_list()
    assert names == ["cov_yaw30_pitch0_neutral", "cov_yaw30_pitch0_neutral_2"]


def test_what_the_anchors_took_is_replaced_by_the_next_best() -> None:
    rows = [at(0, quality_score=0.9), at(1, quality_score=0.5), at(2, quality_score=0.6)]
    sets = sets_of(*rows, anchor_max=1, bucket_max=1)
    assert sets.faces("anchor") == ["000000-0"]
    assert sets.faces("coverage") == ["000002-0"]


def test_the_next_best_is_no_copy_of_an_anchor() -> None:
    rows = [
        at(0, quality_score=0.9, vis=plane(0)),
        at(1, quality_score=0.8, vis=plane(5)),
        at(2, quality_score=0.5, vis=plane(40)),
    ]
    sets = sets_of(*rows, anchor_max=1, bucket_max=1)
    assert sets.faces("coverage") == ["000002-0"]


def test_a_hard_face_is_not_promoted() -> None:
    sets = sets_of(at(0), at(1, luma_mean=30.0), anchor_max=1, bucket_max=1)
    assert sets.faces("coverage") == []
    assert sets.faces("challenge") == ["000001-0"]


@pytest.mark.parametrize("occlusion", [0.21, 0.45])
def test_a_covered_face_is_in_no_coverage(occlusion: float) -> None:
    assert sets_of(at(0, yaw=20, occlusion=occlusion)).faces("coverage") == []
    promoted = sets_of(at(0), at(1, occlusion=occlusion), anchor_max=1, bucket_max=1)
    assert promoted.faces("coverage") == []


def test_the_same_pixels_are_exported_once_whatever_the_encoder_says() -> None:
    rows = [at(i, yaw=yaw, vis=axis(i), look=axis(9)) for i, yaw in enumerate((0, 20, 50))]
    assert sum(table.height for table in sets_of(*rows).tables.values()) == 1


def test_the_same_look_in_two_buckets_is_exported_once() -> None:
    sets = sets_of(at(0, yaw=20, vis=axis(0)), at(1, yaw=10, strict=False, vis=axis(0)))
    assert sets["coverage"].height == 1


# --- challenge ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"luma_mean": 30.0, "yaw": 50.0}, "dark"),
        ({"luma_mean": 215.0, "yaw": 50.0}, "overexposed"),
        ({"occlusion": 0.45, "yaw": 50.0}, "occluded"),
        ({"yaw": 50.0}, "pose"),
        ({"yaw": -60.0}, "pose"),
        ({"pitch": -34.0, "strict": False}, "pose"),
    ],
)
def test_each_kind_of_challenge(changes: dict[str, float], kind: str) -> None:
    sets = sets_of(at(0, **changes))
    assert sets["challenge"]["kind"].to_list() == [kind]
    assert sets["challenge"]["image"].to_list() == [f"chal_{kind}_001"]


@pytest.mark.parametrize(
    ("changes", "count"),
    [({"yaw": 46.0, "occlusion": 0.19}, 1), ({"yaw": 46.0, "occlusion": 0.4}, 0), ({}, 0)],
)
def test_an_ordinary_face_is_no_challenge(changes: dict[str, float], count: int) -> None:
    assert sets_of(at(0, strict=False, **changes))["challenge"].height == count


@pytest.mark.parametrize(("yaw", "pitch", "count"), [(30, 0, 1), (29.9, 19.9, 0), (0, -20, 1)])
def test_extreme_poses_begin_at_their_bounds(yaw: float, pitch: float, count: int) -> None:
    row = candidates(at(0, yaw=yaw, pitch=pitch))
    row = open_candidates(row, select(row, SelectionSettings()))
    assert build_challenge_set(row, [], SelectionSettings()).height == count


@pytest.mark.parametrize(("stable", "count"), [(0.5, 1), (0.49, 0)])
def test_a_challenge_face_is_surely_the_person(stable: float, count: int) -> None:
    sets = sets_of(at(0, yaw=50, stable_score=stable), challenge_stable_min=0.5)
    assert sets["challenge"].height == count


def test_challenges_are_picked_farthest_first_from_everything_exported() -> None:
    rows = [
        at(0, vis=plane(0)),  # the anchor
        *(at(i, yaw=50, vis=plane(a), quality_score=0.9) for i, a in ((1, 5), (2, 90), (3, 45))),
    ]
    sets = sets_of(*rows)
    assert sets.faces("challenge") == ["000002-0", "000003-0"]  # 5 degrees is a copy
    assert sets["challenge"]["novelty"].to_list() == pytest.approx([1.0, 1 - np.cos(np.pi / 4)])


def test_challenges_are_at_most_eight() -> None:
    assert sets_of(*(at(i, yaw=50) for i in range(12)))["challenge"].height == 8


# --- properties --------------------------------------------------------------------------------


@given(seed=st.integers(0, 10**6))
@FEW
def test_the_sets_are_disjoint_and_hold_no_near_duplicates(seed: int) -> None:
    faces = random_candidates(np.random.default_rng(seed), 60, 2)
    sets = build_sets(faces)
    exported = [face for table in sets.tables.values() for face in table["face_id"]]
    assert len(exported) == len(set(exported))
    # A pair asks for faces that are the riders', not for candidates.
    exported = [face for face in exported if face not in sets.faces("pair")]
    allowed = set(faces.filter(pl.col("standing") == "candidate")["face_id"])
    assert set(exported) <= allowed
    look = {f: np.array(v) for f, v in faces.select("face_id", "e_vis_face").iter_rows()}
    for person in (0, 1):
        ids = [
            face
            for name in ("anchor", "coverage", "challenge")
            for face in sets[name].filter(pl.col("person_id") == person)["face_id"]
        ]
        assert all(look[a] @ look[b] <= 0.97 + 1e-6 for a, b in combinations(ids, 2))
        anchors = sets["anchor"].filter(pl.col("person_id") == person)
        for a, b in combinations(anchors.to_dicts(), 2):
            assert abs(a["timestamp_ms"] - b["timestamp_ms"]) >= 1500
            assert look[a["face_id"]] @ look[b["face_id"]] <= 0.90 + 1e-6
    assert max(c for (c,) in sets["coverage"].group_by("person_id").len().select("len").rows()) > 0
    for name, table in sets.tables.items():
        conform(name, table)
        images = table.select("person_id", "image")
        assert images.is_unique().all()


@given(seed=st.integers(0, 10**6))
@FEW
def test_any_order_of_rows_gives_the_same_sets(seed: int) -> None:
    rng = np.random.default_rng(seed)
    faces = random_candidates(rng, 30, 2)
    again = faces[rng.permutation(faces.height).tolist()]
    seen = detections_of(faces)
    one, two = build_sets(faces, seen), build_sets(again, seen[::-1])
    assert all(one.tables[name].equals(two.tables[name]) for name in one.tables)


def test_no_candidate_gives_four_empty_sets() -> None:
    sets = build_sets(candidates())
    assert [table.height for table in sets.tables.values()] == [0, 0, 0, 0]
