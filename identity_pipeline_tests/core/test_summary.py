"""What a rider's sets amount to: coverage, causes of shortfalls, conditioning."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_pipeline.core.imagesets.summary import (
    CONDITIONING,
    RiderSummary,
    anchor_causes,
    axis_sizes,
    challenge_causes,
    conditioning_rule,
    coverage_of,
    summaries_of,
)
from identity_pipeline.settings import BucketSettings, SelectionSettings, Settings
from identity_pipeline.tables import TABLES
from identity_pipeline_tests.core.builders import (
    FEW,
    FRAME_SIZE,
    Row,
    axis,
    build_sets,
    candidate,
    candidates,
    detections_of,
    random_candidates,
)

NONE = pl.DataFrame(schema=TABLES["image_set"])
S = SelectionSettings()


def some(count: int, start: int = 0, **changes: Any) -> list[Row]:
    return [candidate(start + i, **changes) for i in range(count)]


def rule(*rows: Row, buckets: int = 99) -> str:
    return conditioning_rule(candidates(*rows), buckets, S)


def test_the_weights_of_every_rule_are_per_cent() -> None:
    assert CONDITIONING["default"] == (20, 70, 10)
    assert {sum(weights) for weights in CONDITIONING.values()} == {100}


@pytest.mark.parametrize(("unstable", "expected"), [(2, "identity_drift"), (1, "default")])
@pytest.mark.parametrize("standing", ["below_floor", "closer_to_rival"])
def test_identity_drifts_from_a_fifth_of_unstable_faces(
    standing: str, unstable: int, expected: str
) -> None:
    assert rule(*some(10 - unstable), *some(unstable, 20, stability_reason=standing)) == expected


def test_faces_that_failed_the_gate_do_not_count_as_drift() -> None:
    bad = some(20, 20, loose=False, stability_reason="below_floor")
    assert rule(*some(5), *bad) == "default"


@pytest.mark.parametrize(("dark", "expected"), [(3, "dark"), (2, "default")])
def test_a_ride_is_dark_from_three_tenths(dark: int, expected: str) -> None:
    assert rule(*some(10 - dark), *some(dark, 20, luma_mean=30.0)) == expected


@pytest.mark.parametrize(("buckets", "expected"), [(7, "short_diversity"), (8, "default")])
def test_diversity_is_short_below_eight_buckets(buckets: int, expected: str) -> None:
    assert rule(*some(10), buckets=buckets) == expected


def test_the_first_rule_that_applies_wins() -> None:
    dark: dict[str, Any] = {"luma_mean": 30.0}
    drifting = [*some(5, **dark), *some(5, 20, stability_reason="below_floor", **dark)]
    assert rule(*drifting, buckets=0) == "identity_drift"
    assert rule(*some(5, **dark), buckets=0) == "dark"
    assert rule(buckets=0) == "short_diversity"


def test_coverage_counts_bins_and_cells_once() -> None:
    faces = candidates(
        candidate(0),
        candidate(1, yaw=1.0),
        candidate(2, yaw=20, expression="smile"),
        candidate(3, yaw=60, pitch=7),
        candidate(4, yaw=None, expression="unknown"),
    )
    coverage = coverage_of(faces)
    assert (coverage.yaw, coverage.pitch, coverage.expression) == (2, 2, 2)
    assert coverage.cells == {(0, 0), (30, 0)}


def test_the_axes_have_as_many_bins_as_their_edges_say() -> None:
    assert axis_sizes(BucketSettings()) == (7, 5, 4)
    assert axis_sizes(BucketSettings(yaw_edges=(-10.0, 0.0, 10.0)))[0] == 2


def causes(kind: str, *rows: Row, **settings: Any) -> dict[str, int]:
    used = SelectionSettings(**settings)
    sets = build_sets(candidates(*rows), settings=Settings(selection=used))
    if kind == "anchor":
        return dict(anchor_causes(sets.opened, sets["anchor"], NONE, used))
    taken = [sets["anchor"], sets["coverage"]]
    return dict(challenge_causes(sets.opened, sets["challenge"], taken, sets["pair"], NONE, used))


def test_the_causes_of_missing_anchors() -> None:
    rows = [
        candidate(0, quality_score=0.9, vis=axis(0)),  # the anchor
        candidate(5, quality_score=0.8, vis=axis(0)),  # half a second later
        candidate(100, quality_score=0.8, vis=axis(0), gaze_aside=True),  # looks the same
        candidate(200, strict=False),
        candidate(300, strict=False),
        candidate(400, yaw=30),
    ]
    assert causes("anchor", *rows) == {
        "not_strict": 2, "too_close_in_time": 1, "too_alike": 1, "not_frontal": 1
    }  # fmt: skip


@pytest.mark.parametrize(
    "changes", [{"luma_mean": 30.0}, {"occlusion": 0.2}, {"expression": "eyes_closed"}]
)
def test_a_frontal_face_is_not_missing_for_its_pose(changes: dict[str, Any]) -> None:
    found = causes("anchor", candidate(0), candidate(100, **changes))
    assert found
    assert "not_frontal" not in found


def test_the_causes_of_missing_challenges() -> None:
    rows = [
        candidate(0, vis=axis(0)),  # anchor: taken
        candidate(10, strict=False, vis=axis(0)),  # ordinary
        candidate(20, yaw=50, vis=axis(2)),  # the challenge
        candidate(21, yaw=50, vis=axis(4)),  # at once after it
        candidate(30, yaw=50, vis=axis(2)),  # its copy
        candidate(40, yaw=50, vis=axis(3), stable_score=0.39),
    ]
    assert causes("challenge", *rows) == {
        "taken": 1, "not_extreme": 1, "too_close_in_time": 1, "near_duplicate": 1, "not_stable": 1
    }  # fmt: skip


def rider(*rows: Row, **sets_: Any) -> RiderSummary:
    """The summary of a sole rider, of the sets that the product makes."""
    faces = candidates(*rows)
    sets = build_sets(faces)
    blank = dict.fromkeys(TABLES["riders"])
    seat = pl.DataFrame([{**blank, "track_id": 0, "person_id": 0}], schema=TABLES["riders"])
    tables = {**sets.tables, **sets_}
    told = (seat, faces, sets.selection, tables, sets.tables, (), detections_of(faces), FRAME_SIZE)
    return summaries_of(*told, Settings())[0]


def test_kinds_that_the_ride_does_not_have_are_named() -> None:
    summary = rider(candidate(0), candidate(20, yaw=50), candidate(40, luma_mean=30.0))
    assert summary.kinds_absent == ("overexposed", "occluded", "motion")
    (short,) = (s for s in summary.shortfalls if s.set_name == "challenge")
    assert dict(short.causes)["not_on_this_ride"] == 3
    assert (short.have, summary.stop_ms) == (2, None)


def test_of_who_was_not_measured_no_kind_is_known_to_be_absent() -> None:
    refused = candidate(0, loose=False, standing="gate", luma_mean=None)
    assert rider(refused).kinds_absent is None


def test_a_copy_of_an_image_that_is_not_exported_was_not_chosen_for_that() -> None:
    rows = [candidate(i, yaw=50, vis=axis(i // 40), strict=False) for i in (0, 20, 40)]
    none = pl.DataFrame(schema=TABLES["challenge_set"])
    (short,) = (s for s in rider(*rows, challenge_set=none).shortfalls if s.set_name == "challenge")
    causes = dict(short.causes)
    assert (causes["not_exported"], causes["near_duplicate"]) == (2, 1)
    still = [candidate(i, vis=axis(0)) for i in (0, 5, 20)]
    (short, *_) = rider(*still, anchor_set=none).shortfalls
    assert dict(short.causes) == {"not_exported": 2, "too_close_in_time": 1}


def test_a_bucket_without_an_image_says_why() -> None:
    rows = [candidate(0), candidate(20, yaw=20, luma_mean=30.0), candidate(40, yaw=-20)]
    assert rider(*rows).empty_buckets == {"yaw30_pitch0_neutral": "hard_condition"}
    none = pl.DataFrame(schema=TABLES["coverage_set"])
    assert rider(*rows, coverage_set=none).empty_buckets["yaw-30_pitch0_neutral"] == "not_exported"


@given(st.integers(0, 10**6))
@FEW
def test_chosen_faces_and_causes_add_up(seed: int) -> None:
    sets = build_sets(random_candidates(np.random.default_rng(seed), 30, 1))
    anchors = anchor_causes(sets.opened, sets["anchor"], NONE, S)
    assert sum(n for _, n in anchors) + sets["anchor"].height == sets.opened.height
    taken = [sets["anchor"], sets["coverage"]]
    others = challenge_causes(sets.opened, sets["challenge"], taken, sets["pair"], NONE, S)
    assert sum(n for _, n in others) + sets["challenge"].height == sets.opened.height
    assert [n for _, n in anchors] == sorted((n for _, n in anchors), reverse=True)


@given(seed=st.integers(0, 10**6), stop=st.sampled_from(["grow", "cut"]))
@FEW
def test_every_frame_is_a_pair_or_says_why_not(seed: int, stop: str) -> None:
    faces = random_candidates(np.random.default_rng(seed), 40, 2)
    soon = {"stop_window": 2, "stop_novelty": 2.0, "anchor_min": 0}
    soon |= {"stop_yaw_bins": 1, "stop_pitch_bins": 1, "stop_expression_bins": 1}
    settings = Settings(selection=SelectionSettings.model_validate({"stop": stop, **soon}))
    seen = detections_of(faces)
    sets = build_sets(faces, seen, settings)
    scored = dict.fromkeys(("track_score", "size_score", "centre_score", "length_score"), 0.5)
    seats = [{**scored, "track_id": n, "person_id": n, "face_count": 1} for n in (0, 1)]
    blank = dict.fromkeys(TABLES["riders"])
    riders = pl.DataFrame([{**blank, **seat} for seat in seats], schema=TABLES["riders"])
    told = (riders, faces, sets.selection, sets.tables, sets.tables, (), seen, FRAME_SIZE)
    both = summaries_of(*told, settings)
    assert both[0].pairs == both[1].pairs
    pairs = both[0].pairs
    assert pairs.have + sum(n for _, n in pairs.causes) == faces["frame_idx"].n_unique()
    assert ("after_stop" in dict(pairs.causes)) == (stop == "cut")
    assert "not_exported" not in dict(pairs.causes)
