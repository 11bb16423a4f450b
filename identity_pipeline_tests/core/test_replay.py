"""The replay in time order: each decision on small tables whose outcome is known by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_pipeline.core.imagesets.faces import coverage_counts
from identity_pipeline.core.imagesets.selection import select
from identity_pipeline.settings import SelectionSettings
from identity_pipeline.tables import conform, empty
from identity_pipeline_tests.core.builders import (
    FEW,
    Row,
    axis,
    candidate,
    candidates,
    plane,
    random_candidates,
)

S = SelectionSettings(stop="cut")
NONE = empty("image_set")


def decide(*rows: Row, settings: SelectionSettings = S) -> list[dict[str, Any]]:
    """Rows of the selection in time order."""
    return select(candidates(*rows), NONE, NONE, settings).to_dicts()


def decisions(rows: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(row["decision"], row["reason"]) for row in rows]


def test_an_empty_bucket_saves_whatever_comes() -> None:
    (row,) = decide(candidate(0, quality_score=0.01))
    assert decisions([row]) == [("save", "bucket_empty")]
    assert row["kept"]
    assert row["novelty"] == 1.0
    assert row["rival_face_id"] is None


@pytest.mark.parametrize(
    ("quality", "expected"),
    [
        (0.75, ("reject", "near_duplicate")),  # exactly the gain is not better by more than it
        (0.7500001, ("replace", "better_quality")),
        (0.2, ("reject", "near_duplicate")),
    ],
)
def test_a_face_replaces_the_best_only_by_more_than_the_gain(
    quality: float, expected: tuple[str, str]
) -> None:
    settings = SelectionSettings(stop="cut", replace_gain=0.25)
    rows = decide(
        candidate(0, quality_score=0.5, vis=axis(0)),
        candidate(1, quality_score=quality, vis=axis(0)),
        settings=settings,
    )
    assert decisions(rows)[1] == expected
    assert rows[1]["rival_face_id"] == "000000-0"
    assert rows[1]["rival_quality"] == 0.5
    replaced = expected[0] == "replace"
    assert [row["kept"] for row in rows] == [not replaced, replaced]


def test_the_best_of_the_bucket_is_the_one_replaced() -> None:
    rows = decide(
        candidate(0, quality_score=0.5, vis=axis(0)),
        candidate(1, quality_score=0.3, vis=axis(1)),
        candidate(2, quality_score=0.6, vis=axis(2)),
    )
    assert decisions(rows)[1:] == [("add", "novel"), ("replace", "better_quality")]
    assert rows[2]["rival_face_id"] == "000000-0"
    assert [row["kept"] for row in rows] == [False, True, True]


@pytest.mark.parametrize(("new", "reason"), [(0.25, "novel"), (0.2499, "too_similar")])
def test_a_face_is_added_from_the_novelty_on(new: float, reason: str) -> None:
    angle = float(np.degrees(np.arccos(1 - new)))
    settings = SelectionSettings(stop="cut", novelty_min=0.25 - 1e-6)
    rows = decide(candidate(0, vis=plane(0)), candidate(1, vis=plane(angle)), settings=settings)
    assert rows[1]["reason"] == reason
    assert rows[1]["novelty"] == pytest.approx(new, abs=1e-6)


def test_a_full_bucket_rejects_what_is_new_but_no_better() -> None:
    rows = decide(*(candidate(i, vis=axis(i)) for i in range(3)))
    assert decisions(rows) == [
        ("save", "bucket_empty"),
        ("add", "novel"),
        ("reject", "beaten_in_bucket"),
    ]
    assert rows[2]["rival_face_id"] == "000000-0"


def test_the_size_of_a_bucket_is_a_setting() -> None:
    rows = decide(
        *(candidate(i, vis=axis(i)) for i in range(4)),
        settings=SelectionSettings(stop="cut", bucket_max=3),
    )
    assert [row["decision"] for row in rows] == ["save", "add", "add", "reject"]


def test_the_resembled_face_is_named_even_in_another_bucket() -> None:
    rows = decide(
        candidate(0, yaw=20, vis=axis(1)), candidate(1, vis=axis(0)), candidate(2, vis=axis(1))
    )
    assert rows[2]["reason"] == "near_duplicate"
    assert rows[2]["rival_face_id"] == "000000-0"


def test_what_was_replaced_is_no_longer_a_reason_to_be_old() -> None:
    rows = decide(
        candidate(0, quality_score=0.1, vis=axis(0)),
        candidate(1, quality_score=0.9, vis=axis(1)),
        candidate(2, quality_score=0.5, vis=axis(0)),
    )
    assert decisions(rows)[1:] == [("replace", "better_quality"), ("add", "novel")]


@pytest.mark.parametrize(
    ("degrees", "look", "expected"),
    [
        (20, axis(1), ("add", "novel")),  # the face has hardly changed, the body has
        (10, axis(1), ("reject", "near_duplicate")),  # the same face again
        (20, axis(0), ("reject", "near_duplicate")),  # the same pixels again
    ],
)
def test_a_new_body_makes_a_face_new_unless_it_is_the_same_picture(
    degrees: float, look: list[float], expected: tuple[str, str]
) -> None:
    face = plane(degrees, 64)
    rows = decide(
        candidate(0, e_vis_face=axis(0), e_vis_body=axis(0), look=axis(0)),
        candidate(1, e_vis_face=face, e_vis_body=axis(1), look=look),
    )
    assert decisions(rows)[1] == expected
    assert rows[1]["novelty"] == 1.0


@pytest.mark.parametrize("occlusion", [0.25, 0.45])
def test_a_covered_face_fills_no_bucket(occlusion: float) -> None:
    settings = SelectionSettings(stop="cut", covered_from=0.25)
    rows = decide(
        candidate(0, occlusion=occlusion), candidate(1, quality_score=0.1), settings=settings
    )
    assert decisions(rows) == [("reject", "covered"), ("save", "bucket_empty")]


@pytest.mark.parametrize("occlusion", [0.2499, 0.0, None])
def test_a_face_in_view_or_unmeasured_is_not_covered(occlusion: float | None) -> None:
    rows = decide(
        candidate(0, occlusion=occlusion), settings=SelectionSettings(stop="cut", covered_from=0.25)
    )
    assert decisions(rows) == [("save", "bucket_empty")]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"yaw": 45.1}, "beyond_bins"),
        ({"pitch": -30.1}, "beyond_bins"),
        ({"yaw": None}, "pose_unknown"),
        ({"yaw": None, "pitch": 40.0}, "beyond_bins"),
    ],
)
def test_a_pose_without_a_bucket_is_rejected(changes: dict[str, Any], reason: str) -> None:
    (row,) = decide(candidate(0, **changes))
    assert decisions([row]) == [("reject", reason)]
    assert row["bucket_key"] is None
    assert not row["kept"]


@pytest.mark.parametrize(
    "hard", [{"luma_mean": 30.0}, {"luma_mean": 215.0}, {"clipped_share": 0.3}]
)
def test_a_dark_or_blown_face_fills_no_bucket(hard: dict[str, float]) -> None:
    rows = decide(
        candidate(0, quality_score=0.9, **hard), candidate(1, quality_score=0.1, vis=axis(3))
    )
    assert decisions(rows) == [("reject", "hard_condition"), ("save", "bucket_empty")]


def test_only_candidates_are_decided_on() -> None:
    rows = decide(candidate(0), candidate(1, standing="gate"), candidate(2, standing="no_vision"))
    assert [row["face_id"] for row in rows] == ["000000-0"]


def test_two_riders_do_not_compete() -> None:
    rows = decide(candidate(0, 0, vis=axis(0)), candidate(0, 1, vis=axis(0)))
    assert decisions(rows) == [("save", "bucket_empty")] * 2


def test_running_coverage_counts_each_bin_once() -> None:
    rows = decide(
        candidate(0, yaw=0, vis=axis(0)),
        candidate(1, yaw=20, vis=axis(1)),
        candidate(2, yaw=20, pitch=7, vis=axis(2), expression="smile"),
        candidate(3, yaw=60, vis=axis(3)),
        candidate(4, yaw=20, pitch=20, vis=axis(4), expression="unknown"),
    )
    assert [row["yaw_bins_filled"] for row in rows] == [1, 2, 2, 2, 2]
    assert [row["pitch_bins_filled"] for row in rows] == [1, 1, 2, 2, 3]
    assert [row["expression_bins_filled"] for row in rows] == [1, 1, 2, 2, 2]


def test_coverage_counts_neither_null_nor_unknown() -> None:
    faces = candidates(
        candidate(0, yaw=None, expression="unknown"), candidate(1, yaw=40, expression="smile")
    )
    assert coverage_counts(faces.to_dicts()) == (1, 1, 1)


# --- the stop ----------------------------------------------------------------------------------

YAWS, PITCHES = (-40, -20, -10, 0, 10, 20), (-20, -7, 0, 7)
EXPRESSIONS = ("neutral", "smile", "mouth_open")
WINDOW = SelectionSettings(stop="cut", stop_window=4)


def full_coverage() -> list[Row]:
    """Frames 0..11, 2 s apart: 6 yaw bins, 4 pitch bins, 3 expressions, 6 possible anchors."""
    faces = [candidate(i, yaw=yaw) for i, yaw in enumerate(YAWS)]
    faces += [candidate(6 + i, pitch=pitch, yaw=0.5) for i, pitch in enumerate(PITCHES)]
    faces += [candidate(10 + i, expression=e) for i, e in enumerate(EXPRESSIONS[1:])]
    return [
        {**face, "timestamp_ms": i * 2000.0, "e_vis_face": axis(i), "e_vis_body": axis(i)}
        for i, face in enumerate(faces)
    ]


def repeats(count: int, start: int = 12) -> list[Row]:
    return [candidate(i, vis=axis(3), timestamp_ms=i * 2000.0) for i in range(start, start + count)]


def test_full_coverage_without_news_stops() -> None:
    rows = decide(*full_coverage(), *repeats(6), settings=WINDOW)
    assert [row["reason"] for row in rows].count("after_stop") == 2
    assert all(row["reason"] == "after_stop" for row in rows[16:])
    assert {row["stop_reason"] for row in rows} == {"coverage_satisfied"}
    assert all(row["novelty"] is None and not row["kept"] for row in rows[16:])
    assert (rows[-1]["yaw_bins_filled"], rows[-1]["pitch_bins_filled"]) == (6, 4)


def test_no_stop_before_the_window_is_full() -> None:
    rows = decide(*full_coverage(), *repeats(3), settings=WINDOW)
    assert "after_stop" not in {row["reason"] for row in rows}
    assert rows[2]["recent_novelty"] is None
    assert rows[3]["recent_novelty"] == 1.0
    assert rows[-1]["recent_novelty"] == pytest.approx(0.25)
    assert {row["stop_reason"] for row in rows} == {"end_of_video"}


@pytest.mark.parametrize(
    ("missing", "short"),
    [
        (lambda f: f["yaw_key"] != -45, {"stop_yaw_bins": 6}),
        (lambda f: f["pitch_key"] != -30, {"stop_pitch_bins": 4}),
        (lambda f: f["expression_bin"] != "smile", {"stop_expression_bins": 3}),
        (lambda f: True, {"anchor_min": 99}),
    ],
)
def test_a_plateau_without_the_coverage_is_recorded_and_does_not_stop(
    missing: Any, short: dict[str, int]
) -> None:
    settings = SelectionSettings(stop="cut", stop_window=4, **short)  # type: ignore[arg-type]
    rows = decide(*filter(missing, full_coverage()), *repeats(8), settings=settings)
    assert {row["stop_reason"] for row in rows} == {"novelty_plateau"}
    assert "after_stop" not in {row["reason"] for row in rows}


def test_mean_novelty_at_the_bound_is_not_below_it() -> None:
    settings = SelectionSettings(stop="cut", stop_window=4, stop_novelty=0.25)
    assert {r["stop_reason"] for r in decide(*full_coverage(), *repeats(3), settings=settings)} == {
        "end_of_video"
    }
    settings = SelectionSettings(stop="cut", stop_window=4, stop_novelty=0.2501)
    assert "coverage_satisfied" in {
        r["stop_reason"] for r in decide(*full_coverage(), *repeats(3), settings=settings)
    }


def test_the_stop_of_one_rider_does_not_stop_the_other() -> None:
    other = [candidate(i, 1, vis=axis(40 + i)) for i in range(20)]
    table = select(candidates(*full_coverage(), *repeats(8), *other), NONE, NONE, WINDOW)
    reasons = dict(table.select("person_id", "stop_reason").unique().iter_rows())
    assert reasons == {0: "coverage_satisfied", 1: "end_of_video"}


# --- properties --------------------------------------------------------------------------------


@given(seed=st.integers(0, 10**6))
@FEW
def test_any_order_of_rows_gives_the_same_decisions(seed: int) -> None:
    rng = np.random.default_rng(seed)
    faces = random_candidates(rng, 25, 2)
    again = faces[rng.permutation(faces.height).tolist()]
    assert select(faces, NONE, NONE, S).equals(select(again, NONE, NONE, S))


@given(seed=st.integers(0, 10**6), bucket_max=st.integers(1, 3))
@FEW
def test_every_candidate_has_one_decision_and_no_bucket_overflows(
    seed: int, bucket_max: int
) -> None:
    faces = random_candidates(np.random.default_rng(seed), 30, 2)
    table = select(faces, NONE, NONE, SelectionSettings(stop="cut", bucket_max=bucket_max))
    conform("selection", table)
    eligible = faces.filter(pl.col("standing") == "candidate")["face_id"]
    assert sorted(table["face_id"]) == sorted(eligible)
    kept = table.filter("kept").group_by("person_id", "bucket_key").len()
    assert kept["len"].max() <= bucket_max
    saved = table.filter(pl.col("decision").is_in(["save", "add", "replace"]))
    assert set(table.filter("kept")["face_id"]) <= set(saved["face_id"])
    gone = set(table.filter(pl.col("decision") == "replace")["rival_face_id"])
    assert set(saved["face_id"]) - gone == set(table.filter("kept")["face_id"])


@given(seed=st.integers(0, 10**6))
@FEW
def test_coverage_never_shrinks_as_the_video_goes_on(seed: int) -> None:
    table = select(random_candidates(np.random.default_rng(seed), 30, 1), NONE, NONE, S)
    for column in ("yaw_bins_filled", "pitch_bins_filled", "expression_bins_filled"):
        assert table[column].is_sorted()
