"""The account of every face: each state can be reached, says why, and the sums are right."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_pipeline.core.imagesets.frame_ledger import SET_NAMES, STATES, conservation_errors
from identity_pipeline.settings import SelectionSettings, Settings
from identity_pipeline.tables import TABLES, conform
from identity_pipeline_tests.core.builders import (
    FEW,
    Row,
    Sets,
    axis,
    candidate,
    candidates,
    detections_of,
    ledger_of,
    plane,
    random_candidates,
)

PASSERS = {7: "too_short", 8: "too_small", 9: "bystander", 10: "never_beside_rider"}


def riders_table() -> pl.DataFrame:
    """Two riders on the tracks 0 and 1, and one track for every reason not to be a rider."""
    blank = dict.fromkeys(TABLES["riders"])
    rows: list[Row] = [
        {**blank, "track_id": i, "person_id": i, "reason": "rider", "track_score": 0.9}
        for i in (0, 1)
    ]
    rows += [
        {**blank, "track_id": i, "reason": r, "track_score": 0.3, "presence": 0.02}
        for i, r in PASSERS.items()
    ]
    return pl.DataFrame(rows, schema=TABLES["riders"])


def account(
    faces: pl.DataFrame, passers: dict[int, int] | None = None, **selection: Any
) -> tuple[pl.DataFrame, pl.DataFrame, Sets]:
    """Ledger, detections and sets; `passers` gives the frame of a face on another track."""
    others = [
        {"face_id": f"{frame:06d}-{track}", "frame_idx": frame, "timestamp_ms": frame * 100.0}
        | {"x1": 1200.0, "y1": 650.0, "x2": 1210.0, "y2": 660.0}
        for track, frame in (passers or {}).items()
    ]
    seen = detections_of(faces, *others)
    tracks = {i: int(i.rsplit("-", 1)[1]) for i in seen["face_id"]}
    settings = Settings(selection=SelectionSettings(**selection))
    table, sets = ledger_of(faces, seen, riders_table(), tracks, settings)
    return table, seen, sets


def entry(table: pl.DataFrame, face_id: str) -> dict[str, Any]:
    (row,) = table.filter(pl.col("face_id") == face_id).to_dicts()
    return row


def frames_of(detections: pl.DataFrame, *empty: int) -> pl.DataFrame:
    """Frame index and face count of the sampled frames."""
    counted = detections.group_by("frame_idx").agg(face_count=pl.len().cast(pl.Int64))
    none = pl.DataFrame({"frame_idx": list(empty), "face_count": [0] * len(empty)})
    return pl.concat([counted, none.cast(pl.Int64)]).sort("frame_idx")


@pytest.mark.parametrize(("track", "reason"), PASSERS.items())
def test_a_face_of_no_rider_says_why(track: int, reason: str) -> None:
    table, _, _ = account(candidates(candidate(0)), {track: 0})
    row = entry(table, f"000000-{track}")
    assert (row["state"], row["reason"], row["person_id"]) == ("not_a_rider", reason, None)
    assert "riders." in row["would_change"]
    if reason == "too_short":
        assert (row["value"], row["threshold"]) == pytest.approx((0.02, 0.1))


@pytest.mark.parametrize(
    ("standing", "state"),
    [
        ("no_prototype", "no_set"),
        ("below_floor", "unstable"),
        ("closer_to_rival", "unstable"),
        ("not_embedded", "unstable"),
        ("cut_by_frame", "not_croppable"),
        ("other_face_in_crop", "not_croppable"),
        ("no_vision", "no_vision"),
        ("not_the_best_of_its_moment", "beaten"),
        ("outranked", "beaten"),
    ],
)
def test_what_came_before_the_selection_is_told(standing: str, state: str) -> None:
    face = candidate(0, standing=standing, stable_score=0.3, margin=0.01)
    row = entry(account(candidates(face))[0], "000000-0")
    assert (row["state"], row["reason"]) == (state, standing)
    assert row["would_change"].endswith((".", ")."))
    expected = {"below_floor": (0.3, 0.35), "closer_to_rival": (0.01, 0.05)}.get(standing)
    if expected:
        assert (row["value"], row["threshold"]) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("fails", "column", "value", "bound"),
    [
        (["score_low", "blurred"], "score", 0.4, 0.5),
        (["cut_off"], "outside_share", 0.1, 0.02),
        (["blurred"], "sharpness", 12.0, 40.0),
        (["blurred_for_person"], "relative_sharpness", 0.3, 0.5),
        (["occluded"], "occlusion", 0.7, 0.5),
        (["occluded"], "occlusion", None, 0.5),
    ],
)
def test_a_failed_gate_names_measure_and_bound(
    fails: list[str], column: str, value: float | None, bound: float
) -> None:
    face = candidate(0, standing="gate", loose=False, loose_fails=fails, **{column: value})
    row = entry(account(candidates(face))[0], "000000-0")
    assert (row["state"], row["reason"]) == ("failed_gate", fails[0])
    assert row["threshold"] == pytest.approx(bound)
    assert row["value"] == (None if value is None else pytest.approx(value))
    assert column in row["would_change"]
    assert ("not measured" in row["would_change"]) == (value is None)
    for other in fails[1:]:
        assert other in row["would_change"]


def test_each_set_is_a_saved_state() -> None:
    rows = [
        candidate(0),
        candidate(100, yaw=20),
        candidate(200, yaw=50),
        *(candidate(300, person, yaw=None, strict=False) for person in (0, 1)),
    ]
    table, _, _ = account(candidates(*rows))
    saved = table.filter(pl.col("state") == "saved")
    assert saved["reason"].to_list() == ["anchor", "coverage", "challenge", "pair", "pair"]
    assert "anchor_001.jpg" in entry(table, "000000-0")["would_change"]


def apart(*rows: Row) -> pl.DataFrame:
    """Candidates a second after each other, none strict, so that none is an anchor."""
    return candidates(
        *({**row, "strict": False, "timestamp_ms": row["frame_idx"] * 1000.0} for row in rows)
    )


def test_after_the_selection_every_reason_is_told() -> None:
    """Frame numbers are the story."""
    rows = [
        candidate(0, picture_score=0.7, vis=axis(1)),  # the best of its bucket
        candidate(1, picture_score=0.6, vis=plane(80, 64)),  # resembles 0
        candidate(2, picture_score=0.6, vis=axis(2)),  # added
        candidate(3, picture_score=0.5, vis=axis(3)),  # its bucket is full
        candidate(4, picture_score=0.9, vis=axis(4), clipped_share=0.3, stable_score=0.36),
        candidate(5, yaw=48.0, vis=plane(45, 64)),  # beyond; taken by the challenge set
        candidate(6, yaw=None, vis=axis(5)),
        candidate(7, occlusion=0.3, vis=axis(6), stable_score=0.36),  # too unsure a challenge
    ]
    faces = apart(*rows)
    soon = {**candidate(8, yaw=20, picture_score=0.1), "timestamp_ms": 300.0, "strict": False}
    table, _, sets = account(pl.concat([faces, candidates(soon)]))
    got = {int(r["frame_idx"]): (r["state"], r["reason"]) for r in table.to_dicts()}
    assert got == {
        0: ("saved", "coverage"),
        1: ("too_similar", "near_duplicate"),
        2: ("saved", "coverage"),
        3: ("beaten", "beaten_in_bucket"),
        4: ("beaten", "hard_condition"),
        5: ("saved", "challenge"),
        6: ("beyond_bins", "pose_unknown"),
        7: ("beyond_bins", "covered"),
        8: ("too_similar", "too_close_in_time"),
    }
    assert sets.faces("coverage") == ["000000-0", "000002-0"]
    beaten, soon = entry(table, "000003-0"), entry(table, "000008-0")
    assert (beaten["value"], beaten["threshold"]) == pytest.approx((0.5, 0.7))
    assert "0.700" in beaten["would_change"]
    assert {entry(table, f"{i:06d}-0")["rival_face_id"] for i in (1, 3, 8)} == {"000000-0"}
    assert soon["threshold"] == pytest.approx(0.4)


def test_of_the_replay_what_was_replaced_is_told() -> None:
    faces = apart(candidate(0, quality_score=0.5), candidate(1, quality_score=0.7))
    row = entry(account(faces, stop="cut")[0], "000000-0")
    assert (row["state"], row["reason"]) == ("beaten", "replaced")
    assert row["rival_face_id"] == "000001-0"
    assert row["threshold"] == pytest.approx(0.7)


def test_what_would_change_a_copy_is_not_a_novelty_that_it_has() -> None:
    rows = [
        candidate(0, strict=False, e_vis_face=axis(0), e_vis_body=axis(0)),
        candidate(1, strict=False, e_vis_face=axis(0), e_vis_body=axis(1)),
    ]
    row = entry(account(candidates(*rows))[0], "000001-0")
    assert row["state"] == "too_similar"
    assert row["value"] is None or row["value"] < row["threshold"]


def test_a_pose_beyond_the_bins_is_told_when_no_set_takes_it() -> None:
    table, _, _ = account(candidates(candidate(0, yaw=50.0, stable_score=0.36, strict=False)))
    assert entry(table, "000000-0")["reason"] == "beyond_bins"


def test_what_the_replay_kept_gives_way_to_an_anchor_that_looks_the_same() -> None:
    rows = [
        candidate(0, yaw=0, vis=axis(0)),
        candidate(20, yaw=20, vis=axis(0), strict=False, quality_score=0.4),
    ]
    table, _, sets = account(candidates(*rows), stop="cut")
    assert sets.selection["kept"].to_list() == [False, True]
    assert entry(table, "000020-0")["reason"] == "near_duplicate"


STOPS_SOON = {"stop_yaw_bins": 1, "stop_pitch_bins": 1, "stop_expression_bins": 1, "anchor_min": 0}


def test_faces_after_the_stop_are_told() -> None:
    faces = apart(*(candidate(i, vis=axis(0)) for i in range(6)))
    table, _, _ = account(faces, stop="cut", stop_window=2, **STOPS_SOON)
    assert table["state"].to_list()[3:] == ["after_stop"] * 3
    assert "pose" not in entry(table, "000005-0")["would_change"]  # its bucket is held
    late = apart(*(candidate(i, yaw=20 * (i > 4), vis=axis(5 * (i > 4))) for i in range(6)))
    table, _, _ = account(late, stop_window=2, **STOPS_SOON)
    row = entry(table, "000005-0")
    assert row["state"] == "after_stop" and "nothing of its pose" in row["would_change"]
    assert (row["value"], row["threshold"]) == pytest.approx((5000.0, 2000.0))


@given(seed=st.integers(0, 10**6), stop=st.sampled_from(["grow", "cut"]))
@FEW
def test_every_face_has_one_state_and_the_sums_are_right(seed: int, stop: str) -> None:
    rng = np.random.default_rng(seed)
    faces = random_candidates(rng, 30, 2)
    passers = {t: int(rng.integers(40)) for t in PASSERS}
    table, seen, sets = account(faces, passers, stop=stop, stop_window=3, **STOPS_SOON)
    conform("frame_ledger", table)
    assert conservation_errors(table, seen, frames_of(seen, 1000), sets.tables) == []
    assert set(table["state"]) <= set(STATES)
    assert table["would_change"].is_not_null().all()
    assert sorted(table["face_id"]) == sorted(seen["face_id"])
    counts = dict(table.filter(pl.col("state") == "saved").group_by("reason").len().iter_rows())
    assert counts == {SET_NAMES[n]: t.height for n, t in sets.tables.items() if t.height}


# --- the check finds what is wrong -------------------------------------------------------------


@pytest.fixture
def books() -> dict[str, Any]:
    """A ledger whose account adds up."""
    faces = candidates(*(candidate(i, yaw=20 * (i % 3)) for i in range(0, 100, 20)))
    table, seen, sets = account(faces, {7: 0})
    return {"ledger": table, "detections": seen, "frames": frames_of(seen, 5), "sets": sets.tables}


def test_a_sound_account_has_no_errors(books: dict[str, Any]) -> None:
    assert conservation_errors(**books) == []


def first(table: pl.DataFrame, column: str, value: object) -> pl.DataFrame:
    """The table with one cell of its first row replaced."""
    cells = [value, *table[column].to_list()[1:]]
    return table.with_columns(pl.Series(column, cells, dtype=table[column].dtype))


def stray(books: dict[str, Any]) -> dict[str, Any]:
    """The books with one more bystander, in a frame that was never sampled."""
    more = {}
    for name in ("ledger", "detections"):
        row = books[name].filter(pl.col("face_id") == "000000-7")
        moved = first(first(row, "face_id", "000077-7"), "frame_idx", 77)
        more[name] = pl.concat([books[name], moved])
    return more


VIOLATIONS = {
    "counted more than once": lambda b: {"ledger": pl.concat([b["ledger"], b["ledger"][:1]])},
    "ledger and detections": lambda b: {"ledger": b["ledger"][1:]},
    "no state or no reason": lambda b: {"ledger": first(b["ledger"], "state", "lost")},
    "no reason": lambda b: {"ledger": first(b["ledger"], "reason", None)},
    "in two sets": lambda b: {"sets": {**b["sets"], "pair_set": b["sets"]["anchor_set"]}},
    "ledger and sets": lambda b: {"sets": {**b["sets"], "anchor_set": b["sets"]["pair_set"]}},
    "another number of faces": lambda b: {"frames": first(b["frames"], "face_count", 9)},
}


@pytest.mark.parametrize("sentence", VIOLATIONS)
def test_each_violation_is_found(books: dict[str, Any], sentence: str) -> None:
    errors = conservation_errors(**{**books, **VIOLATIONS[sentence](books)})
    assert any(sentence in error for error in errors), errors


def test_a_face_that_no_set_holds_is_not_saved(books: dict[str, Any]) -> None:
    """The state of an exported face changed behind the sets' back is found."""
    at = books["ledger"]["state"].to_list().index("saved")
    states = books["ledger"]["state"].to_list()
    states[at] = "beaten"
    changed = books["ledger"].with_columns(state=pl.Series(states))
    assert conservation_errors(**{**books, "ledger": changed})


def test_a_face_in_a_frame_that_was_never_sampled_is_found(books: dict[str, Any]) -> None:
    assert conservation_errors(**{**books, **stray(books)})
