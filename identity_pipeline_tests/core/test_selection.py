"""The selection over the whole ride: what is chosen, and what is said of all that is not."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_pipeline.core.imagesets.selection import open_candidates, select
from identity_pipeline.settings import SelectionSettings
from identity_pipeline.tables import TABLES, conform, empty
from identity_pipeline_tests.core.builders import (
    FEW,
    Row,
    axis,
    candidate,
    candidates,
    plane,
    random_candidates,
)
from identity_pipeline_tests.core.test_replay import full_coverage, repeats

S = SelectionSettings()
NONE = empty("image_set")


def at(second: float, **changes: Any) -> Row:
    """A candidate of a second of the ride."""
    return candidate(round(second * 10), timestamp_ms=second * 1000.0, **changes)


def decide(*rows: Row, settings: SelectionSettings = S, taken: tuple[Row, ...] = ()) -> list[Row]:
    """Rows of the selection in time order; `taken` are images already."""
    return select(candidates(*rows), images(*taken), NONE, settings).to_dicts()


def images(*rows: Row) -> pl.DataFrame:
    schema = TABLES["image_set"]
    told = [{name: row.get(name) for name in schema} for row in rows]
    return pl.DataFrame(told, schema=schema)


def reasons(rows: list[Row]) -> list[str]:
    return [row["reason"] for row in rows]


def test_the_best_picture_of_a_bucket_is_chosen_wherever_it_comes() -> None:
    rows = [at(i, picture_score=score, vis=axis(0)) for i, score in enumerate((0.4, 0.5, 0.9))]
    told = decide(*rows)
    assert [row["kept"] for row in told] == [False, False, True]
    assert (told[2]["decision"], told[2]["reason"]) == ("save", "bucket_empty")
    assert told[2]["gain"] > 0
    assert told[0]["rival_face_id"] == told[2]["face_id"]
    assert told[0]["rival_picture"] == pytest.approx(0.9)


def test_a_second_image_of_a_bucket_must_be_new_and_the_third_finds_it_full() -> None:
    told = decide(
        at(0, picture_score=0.9, vis=plane(0)),
        at(1, picture_score=0.8, vis=plane(26)),  # novelty 0.1
        at(2, picture_score=0.7, vis=plane(60)),
        at(3, picture_score=0.6, vis=plane(90)),
    )
    assert reasons(told) == ["bucket_empty", "too_similar", "novel", "beaten_in_bucket"]
    assert told[1]["rival_face_id"] == told[0]["face_id"]
    assert told[3]["rival_face_id"] == told[0]["face_id"]


def test_of_a_bucket_that_an_anchor_shows_only_what_is_new_is_chosen() -> None:
    rows = (at(0, vis=plane(0)), at(1, vis=plane(26)), at(2, vis=plane(60)))
    told = decide(*rows, taken=(rows[0],))
    assert reasons(told) == ["taken", "too_similar", "novel"]
    assert [row["decision"] for row in told] == ["reject", "reject", "add"]
    apart = select(candidates(*rows), NONE, images(rows[0]), S)["reason"].to_list()
    assert apart == ["taken", "bucket_empty", "novel"]


def test_the_same_picture_is_chosen_once() -> None:
    told = decide(at(0, vis=axis(0)), at(1, yaw=20, vis=axis(0), picture_score=0.9))
    assert reasons(told) == ["near_duplicate", "bucket_empty"]


@pytest.mark.parametrize(("gap", "reason"), [(0.39, "too_close_in_time"), (0.4, "bucket_empty")])
def test_images_keep_their_gap_in_time_whatever_their_bins(gap: float, reason: str) -> None:
    told = decide(
        at(1, picture_score=0.9),
        candidate(99, yaw=20, timestamp_ms=1000 + gap * 1000, picture_score=0.5),
    )
    assert reasons(told) == ["bucket_empty", reason]
    assert told[1]["rival_face_id"] == (told[0]["face_id"] if gap < 0.4 else None)


def test_pairs_keep_others_off_in_time_though_they_are_no_candidates() -> None:
    anchor, pair, elsewhere = at(0, vis=axis(0)), at(3, pitch=20, vis=axis(1)), at(5)
    rows = (
        *(anchor, at(0.2, yaw=20, vis=axis(5)), at(1, yaw=-20, vis=axis(0))),
        *(pair, at(4, yaw=30, vis=axis(1)), at(5.1, pitch=7, vis=axis(9))),
    )
    told = select(candidates(*rows), images(anchor), images(pair, elsewhere), S).to_dicts()
    assert reasons(told) == [
        *("taken", "too_close_in_time", "near_duplicate"),
        *("taken", "bucket_empty", "too_close_in_time"),  # it only looks as in a picture of both
    ]
    assert [row["rival_face_id"] for row in told] == [
        *(None, anchor["face_id"], anchor["face_id"], None, None, elsewhere["face_id"])
    ]


def test_a_poor_picture_beside_a_good_one_of_its_bucket_adds_nothing() -> None:
    told = decide(at(0, picture_score=0.9, vis=plane(0)), at(1, picture_score=0.2, vis=plane(35)))
    assert reasons(told) == ["bucket_empty", "beaten_in_bucket"]


def test_the_images_of_one_rider_do_not_keep_the_other_off() -> None:
    faces = candidates(candidate(0, 0), candidate(0, 1))
    other = faces.filter(pl.col("person_id") == 1)["face_id"][0]
    told = select(faces, images(candidate(0, 0)), NONE, S)
    assert told.filter(pl.col("face_id") == other)["reason"].to_list() == ["bucket_empty"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"luma_mean": 30.0}, "hard_condition"),
        ({"luma_mean": 215.0}, "hard_condition"),
        ({"occlusion": 0.3}, "covered"),
        ({"yaw": 50.0}, "beyond_bins"),
        ({"yaw": None}, "pose_unknown"),
    ],
)
def test_what_stands_for_no_bucket_not_even_for_an_empty_one(
    changes: dict[str, Any], reason: str
) -> None:
    (row,) = decide(at(0, **changes))
    assert (row["decision"], row["reason"], row["kept"]) == ("reject", reason, False)


def test_a_rider_of_whom_no_bin_is_known_has_decisions() -> None:
    blind = {"yaw": None, "pitch": None, "expression": "unknown"}
    assert reasons(decide(at(0, **blind), at(1, **blind))) == ["pose_unknown"] * 2


def test_a_bin_that_few_faces_reach_is_not_given_up_for_one_that_many_do() -> None:
    """Three faces within the gap: the middle one stands in the way of both, and is a bit better."""
    many = [at(10 + i, vis=axis(i)) for i in range(6)]
    told = decide(
        *(at(0, vis=axis(20), picture_score=0.75), at(0.3, yaw=40, vis=axis(21))),
        *many,
    )
    assert reasons(told)[:2] == ["too_close_in_time", "bucket_empty"]


GROWN = SelectionSettings(stop_window=4)


def test_growth_ends_and_a_better_picture_may_still_come() -> None:
    late = [
        at(60, picture_score=0.95, vis=axis(40)),  # of a bucket that is held
        at(70, yaw=40, pitch=20, picture_score=0.95, vis=axis(41)),  # of one that is not
    ]
    told = decide(*full_coverage(), *repeats(6), *late, settings=GROWN)
    assert {row["stop_reason"] for row in told} == {"coverage_satisfied"}
    assert {row["stop_ms"] for row in told} == {30000.0}
    assert reasons(told)[-2:] == ["bucket_empty", "after_stop"]
    assert told[-1]["yaw_bins_filled"] == told[-3]["yaw_bins_filled"]


def test_what_is_cut_is_not_looked_at() -> None:
    cut = SelectionSettings(stop="cut", stop_window=4)
    faces = candidates(*full_coverage(), *repeats(6), at(60, picture_score=0.95))
    assert select(faces, NONE, NONE, cut)["reason"][-1] == "after_stop"
    assert open_candidates(faces, cut)["timestamp_ms"].max() == 30000.0
    assert open_candidates(faces, GROWN).height == faces.height


@given(seed=st.integers(0, 10**6))
@FEW
def test_any_order_of_rows_gives_the_same_decisions(seed: int) -> None:
    rng = np.random.default_rng(seed)
    faces = random_candidates(rng, 40, 2)
    again = faces[rng.permutation(faces.height).tolist()]
    taken = images(*faces.filter(pl.col("strict"))[:2].to_dicts())
    assert select(faces, taken, NONE, S).equals(select(again, taken, NONE, S))


@given(seed=st.integers(0, 10**6), bucket_max=st.integers(1, 3), gap=st.sampled_from([0.0, 0.7]))
@FEW
def test_caps_and_gaps_are_kept_and_every_candidate_has_its_decision(
    seed: int, bucket_max: int, gap: float
) -> None:
    settings = SelectionSettings(bucket_max=bucket_max, min_gap_s=gap)
    faces = random_candidates(np.random.default_rng(seed), 40, 2)
    taken = faces.filter(pl.col("standing") == "candidate")[::9]
    table = select(faces, NONE, images(*taken.to_dicts()), settings)
    conform("selection", table)
    eligible = faces.filter(pl.col("standing") == "candidate")["face_id"]
    assert sorted(table["face_id"]) == sorted(eligible)
    kept = table.filter("kept")
    assert (kept.group_by("person_id", "bucket_key").len()["len"] <= bucket_max).all()
    assert set(kept["decision"]) <= {"save", "add"}
    assert kept["gain"].is_not_null().all()
    rivals = {"beaten_in_bucket", "too_similar", "near_duplicate", "too_close_in_time"}
    named = table.filter(pl.col("reason").is_in(rivals))
    assert set(named["rival_face_id"]) <= set(kept["face_id"]) | set(taken["face_id"])
    for person in (0, 1):
        mine = pl.concat([t.filter(person_id=person)["timestamp_ms"] for t in (kept, taken)])
        apart = [abs(a - b) for a, b in combinations(mine, 2)]
        own = taken.filter(person_id=person)["timestamp_ms"].to_list()
        allowed = [abs(a - b) for a, b in combinations(own, 2)]  # what was taken is as it is
        assert sum(a < gap * 1000 for a in apart) == sum(a < gap * 1000 for a in allowed)


@given(seed=st.integers(0, 10**6))
@FEW
def test_with_more_room_no_bucket_is_lost(seed: int) -> None:
    faces = random_candidates(np.random.default_rng(seed), 40, 1)
    counts = [
        select(faces, NONE, NONE, settings).filter("kept")["bucket_key"].n_unique()
        for settings in (S, SelectionSettings(min_gap_s=0.0))
    ]
    assert counts[0] <= counts[1]
