"""The four sets: what goes in, what stays out, and that they never overlap."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_pipeline.core.imagesets.challenge import build_challenge_set
from identity_pipeline.core.imagesets.selection import open_candidates
from identity_pipeline.settings import SelectionSettings, Settings
from identity_pipeline.tables import conform, empty
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


def test_the_first_anchor_is_the_best_portrait() -> None:
    rows = [at(i, portrait_score=score) for i, score in enumerate((0.6, 0.8, 0.7))]
    assert sets_of(*rows).faces("anchor") == ["000001-0", "000002-0", "000000-0"]


def anchors_of(*scores: float) -> list[str]:
    """Of portraits a second apart."""
    rows = [
        candidate(i, portrait_score=score, timestamp_ms=i * 1000.0)
        for i, score in enumerate(scores)
    ]
    return sets_of(*rows, anchor_score_min=0.0).faces("anchor")


def test_a_good_portrait_does_not_cost_two_others_that_are_wanted() -> None:
    """Best first would take the middle one, and then be short of one."""
    assert anchors_of(0.8, 0.9, 0.8, 0.1, 0.7) == ["000000-0", "000002-0", "000004-0"]


def test_the_best_portrait_stays_where_enough_keep_apart_from_it() -> None:
    anchors = anchors_of(0.8, 0.9, 0.8, 0.1, 0.7, 0.1, 0.6)
    assert anchors == ["000001-0", "000004-0", "000006-0"]


def test_more_than_are_wanted_come_where_the_sum_is_larger() -> None:
    assert len(anchors_of(0.9, 0.0, 0.8, 0.0, 0.7, 0.0, 0.2)) == 4
    # Two poor ones are no better than the good one between them.
    anchors = anchors_of(0.9, 0.0, 0.8, 0.0, 0.2, 0.7, 0.3)
    assert anchors == ["000000-0", "000002-0", "000005-0"]


def possible_anchors(faces: pl.DataFrame, settings: SelectionSettings) -> list[tuple[int, float]]:
    """How many of the wanted, and the sum of scores, of every set that keeps apart."""
    table = faces.to_dicts()

    def apart(a: int, b: int) -> bool:
        return abs(table[a]["timestamp_ms"] - table[b]["timestamp_ms"]) >= 1500

    sizes = range(settings.anchor_max + 1)
    subsets = (subset for size in sizes for subset in combinations(range(len(table)), size))
    return [
        (min(len(s), settings.anchor_min), sum(table[i]["portrait_score"] for i in s))
        for s in subsets
        if all(apart(a, b) for a, b in combinations(s, 2))
    ]


@given(seed=st.integers(0, 10**6))
@FEW
def test_no_set_of_portraits_has_more_of_the_wanted(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = [
        candidate(
            i,
            portrait_score=float(np.round(rng.random(), 2)),
            timestamp_ms=float(at),
        )
        for i, at in enumerate(np.sort(rng.uniform(0, 8000, 9)))
    ]
    faces, settings = candidates(*rows), SelectionSettings()
    chosen = sets_of(*rows, anchor_score_min=0.0)["anchor"]
    told = (min(chosen.height, settings.anchor_min), chosen["portrait_score"].sum())
    best = max(possible_anchors(faces, settings))
    assert told[0] == best[0]
    if faces["portrait_score"].max() not in chosen["portrait_score"]:
        assert told[1] == pytest.approx(best[1], abs=1e-3)
    assert chosen["portrait_score"].is_sorted(descending=True)


@pytest.mark.parametrize(("gap_ms", "count"), [(1500, 2), (1499, 1)])
def test_anchors_are_apart_in_time(gap_ms: int, count: int) -> None:
    rows = (candidate(i, timestamp_ms=float(i * gap_ms)) for i in range(2))
    assert sets_of(*rows)["anchor"].height == count


@pytest.mark.parametrize(("degrees", "count"), [(15.0, 2), (13.0, 1)])  # cosines 0.966, 0.974
def test_anchors_are_not_the_same_picture(degrees: float, count: int) -> None:
    sets = sets_of(at(0, vis=plane(0)), at(1, vis=plane(degrees)), anchor_min=1)
    assert sets["anchor"].height == count


def test_a_calm_face_once_more_is_better_than_a_grimace() -> None:
    still = [at(i, vis=axis(0), **PORTRAIT) for i in range(5)]
    grimace = at(9, vis=axis(1), **PORTRAIT | {"mouth_open": 0.6, "expression": "mouth_open"})
    faces = sets_of(*still, grimace).faces("anchor")
    assert len(faces) == 3
    assert "000009-0" not in faces


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


def test_a_face_that_something_passes_is_in_no_coverage() -> None:
    rows = (at(0, yaw=20, score_view=0.4), at(1, yaw=20, score_view=0.5, quality_score=0.5))
    assert sets_of(*rows).faces("coverage") == ["000001-0"]


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
        ({"occlusion": 0.2}, "occluded"),
        ({"yaw": 50.0}, "pose"),
        ({"yaw": -60.0}, "pose"),
        ({"pitch": -34.0, "strict": False}, "pose"),
        ({"yaw": None, "strict": False, "strict_fails": ["blurred"]}, "motion"),
        ({"yaw": None, "strict_fails": ["area_small", "blurred_for_person"]}, "motion"),
        ({"strict": False, "strict_fails": ["blurred"], "yaw": 50.0}, "pose"),
    ],
)
def test_each_kind_of_challenge(changes: dict[str, float], kind: str) -> None:
    sets = sets_of(at(0, **changes))
    assert sets["challenge"]["kind"].to_list() == [kind]
    assert sets["challenge"]["image"].to_list() == [f"chal_{kind}_001"]


@pytest.mark.parametrize(
    ("changes", "count"),
    [
        ({"yaw": 46.0, "occlusion": 0.19}, 1),
        ({"occlusion": 0.19}, 0),
        ({"strict_fails": ["area_small"]}, 0),
        ({}, 0),
    ],
)
def test_an_ordinary_face_is_no_challenge(changes: dict[str, float], count: int) -> None:
    assert sets_of(at(0, strict=False, **changes))["challenge"].height == count


@pytest.mark.parametrize(("yaw", "pitch", "count"), [(30, 0, 1), (29.9, 19.9, 0), (0, -20, 1)])
def test_extreme_poses_begin_at_their_bounds(yaw: float, pitch: float, count: int) -> None:
    row = candidates(at(0, yaw=yaw, pitch=pitch))
    row = open_candidates(row, SelectionSettings())
    assert build_challenge_set(row, [], empty("image_set"), SelectionSettings()).height == count


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


def kinds(*rows: Row, **settings: Any) -> list[str]:
    return sets_of(*rows, **settings)["challenge"]["kind"].to_list()


def several(first: int, count: int, **changes: Any) -> list[Row]:
    return [at(first + i, strict=False, **changes) for i in range(count)]


def test_challenges_are_of_every_kind_the_rarest_first_in_each_round() -> None:
    dark, turned = several(0, 12, luma_mean=30.0), several(20, 2, yaw=50.0)
    covered = several(30, 6, occlusion=0.45)
    found = kinds(*dark, *turned, *covered)
    assert found == ["pose", "occluded", "dark"] * 2 + ["occluded", "dark"]


def test_of_a_single_kind_there_are_no_more_than_wanted() -> None:
    assert kinds(*several(0, 12, luma_mean=30.0)) == ["dark"] * 5
    assert kinds(*several(0, 12, luma_mean=30.0), challenge_min=2) == ["dark"] * 3
    assert kinds(*several(0, 12, luma_mean=30.0), challenge_max=4) == ["dark"] * 4
    mixed = kinds(*several(0, 12, luma_mean=30.0), *several(20, 1, yaw=50.0))
    assert mixed == ["pose", *["dark"] * 4]


def test_a_challenge_keeps_its_gap_to_every_image() -> None:
    turned = candidate(9, yaw=50, timestamp_ms=300.0)
    assert sets_of(at(0), turned)["challenge"].height == 0
    assert sets_of(at(0), turned, min_gap_s=0.3)["challenge"].height == 1


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
        still = set(sets.faces("anchor"))  # these may, where there are no others
        twos = [two for two in combinations(ids, 2) if not still.issuperset(two)]
        assert all(look[a] @ look[b] <= 0.97 + 1e-6 for a, b in twos)
        anchors = sets["anchor"].filter(pl.col("person_id") == person)
        for a, b in combinations(anchors.to_dicts(), 2):
            assert abs(a["timestamp_ms"] - b["timestamp_ms"]) >= 1500
        times = [
            time
            for table in sets.tables.values()
            for time in table.filter(pl.col("person_id") == person)["timestamp_ms"]
        ]
        assert all(abs(a - b) >= 400 for a, b in combinations(times, 2))
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
