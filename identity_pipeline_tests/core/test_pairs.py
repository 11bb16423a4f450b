"""Pictures of both riders: which frames may be one, how they are cut, and why there is none."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_pipeline.core.geometry import Box, head_box
from identity_pipeline.core.imagesets.candidates import box_of
from identity_pipeline.core.imagesets.pairs import (
    build_pair_set,
    crop_without,
    pair_causes,
    pairs_wanted,
)
from identity_pipeline.settings import SelectionSettings
from identity_pipeline.tables import conform
from identity_pipeline_tests.core.builders import (
    FEW,
    FRAME_SIZE,
    Row,
    axis,
    candidate,
    candidates,
    detections_of,
    random_candidates,
)

S = SelectionSettings()


def duo(frame: int, left: Row | None = None, right: Row | None = None, **both: Any) -> list[Row]:
    """Both riders in one frame, two seconds after the frame before it."""
    both = {"timestamp_ms": frame * 2000.0} | both
    own = (both | (left or {}), both | (right or {}))
    return [candidate(frame, person, **changes) for person, changes in enumerate(own)]


def passer(frame: int, x1: float, y1: float, side: float) -> Row:
    """Somebody else's face."""
    where = {"x1": x1, "y1": y1, "x2": x1 + side, "y2": y1 + side}
    return {
        "face_id": f"{frame:06d}-9",
        "frame_idx": frame,
        "timestamp_ms": frame * 2000.0,
        **where,
    }


def pairs_of(
    rows: Sequence[Row],
    others: Sequence[Row] = (),
    taken: Sequence[pl.DataFrame] = (),
    **settings: Any,
) -> pl.DataFrame:
    faces = candidates(*rows)
    used = SelectionSettings(**settings)
    table = build_pair_set(faces, taken, detections_of(faces, *others), FRAME_SIZE, used)
    conform("pair_set", table)
    return table


def frames_of(table: pl.DataFrame) -> list[int]:
    """Frames of the pairs, best first."""
    return table.filter(pl.col("person_id") == 0)["frame_idx"].to_list()


def causes_of(
    rows: Sequence[Row],
    others: Sequence[Row] = (),
    taken: Sequence[pl.DataFrame] = (),
    **settings: Any,
) -> dict[str, int]:
    faces = candidates(*rows)
    used = SelectionSettings(**settings)
    seen = detections_of(faces, *others)
    pairs = build_pair_set(faces, taken, seen, FRAME_SIZE, used)
    return dict(pair_causes(faces, pairs, taken, seen, FRAME_SIZE, used))


# --- which frames ------------------------------------------------------------------------------


def test_a_pair_is_two_rows_with_one_crop() -> None:
    table = pairs_of(duo(0))
    assert table["face_id"].to_list() == ["000000-0", "000000-1"]
    assert table["image"].to_list() == ["pair_001", "pair_001"]
    crops = table.select("crop_x1", "crop_y1", "crop_x2", "crop_y2").unique().rows()
    assert crops == [(0.0, 0.0, 1160.0, 600.0)]


@pytest.mark.parametrize(
    ("right", "cause"),
    [
        ({"loose": False, "standing": "gate"}, "not_usable"),
        ({"stable": False, "stability_reason": "below_floor"}, "not_stable"),
        ({"stable": False, "stability_reason": "not_embedded"}, "not_stable"),
        ({"stable": False, "stability_reason": "no_prototype"}, "no_prototype"),
        ({"x1": 340.0, "x2": 500.0}, "overlap"),  # IoU 0.067
    ],
)
def test_what_keeps_a_frame_from_being_a_pair_is_said(right: Row, cause: str) -> None:
    assert pairs_of(duo(0, right=right)).height == 0
    assert causes_of(duo(0, right=right)) == {cause: 1}


def test_a_face_that_cannot_be_cut_alone_is_fit_for_a_pair() -> None:
    assert pairs_of(duo(0, standing="other_face_in_crop", crop_reason="other_face_in_crop")).height


def test_a_face_that_was_not_embedded_stands_with_the_best_of_its_moment() -> None:
    unseen = {
        "stable": False,
        "stable_score": None,
        "stability_reason": "not_embedded",
        "standing": "not_the_best_of_its_moment",
    }
    rows = [*duo(0, left=unseen), candidate(1, 0, timestamp_ms=100.0)]
    faces = candidates(*rows).with_columns(
        representative_face_id=pl.when(pl.col("person_id") == 0).then(pl.lit("000001-0"))
    )
    seen = detections_of(faces)
    table = build_pair_set(faces, [], seen, FRAME_SIZE, S)
    assert table["face_id"].to_list() == ["000000-0", "000000-1"]
    assert table["stable_score"].to_list() == [None, pytest.approx(0.8)]
    refuted = faces.with_columns(
        stability_reason=pl.when(pl.col("face_id") == "000000-0")
        .then(pl.lit("below_floor"))
        .otherwise("stability_reason")
    )
    assert not build_pair_set(refuted, [], seen, FRAME_SIZE, S).height


@pytest.mark.parametrize(
    ("after", "stable", "count"), [(1000.0, True, 2), (1600.0, True, 0), (1000.0, False, 0)]
)
def test_a_face_between_two_stable_witnesses_is_the_riders(
    after: float, stable: bool, count: int
) -> None:
    """One at the same time as the frame before, one so many ms later."""
    unseen = {"stable": False, "stable_score": None, "stability_reason": "not_embedded"}
    told = {"stable": stable, "stability_reason": "stable" if stable else "below_floor"}
    rows = [
        candidate(0, 0, timestamp_ms=0.0),
        *duo(1, left=unseen, timestamp_ms=500.0),
        candidate(2, 0, timestamp_ms=after, **told),
    ]
    assert pairs_of(rows).height == count


# --- others in the picture ---------------------------------------------------------------------


def test_somebody_behind_does_not_forbid_a_pair() -> None:
    """Between the two riders, so nothing keeps them out of the picture."""
    assert pairs_of(duo(0), [passer(0, 500, 250, 100)]).height == 2


@pytest.mark.parametrize(
    ("other", "cause"),
    [
        (passer(0, 500, 250, 121), "other_face_large"),  # 0.6 x 200 is the most
        (passer(0, 350, 250, 40), "other_face_over"),
    ],
)
def test_a_face_as_large_as_the_riders_or_over_them_forbids_it(other: Row, cause: str) -> None:
    assert pairs_of(duo(0), [other]).height == 0
    assert causes_of(duo(0), [other]) == {cause: 1}
    elsewhere = {**other, "frame_idx": 7}
    assert pairs_of(duo(0), [elsewhere]).height == 2


def test_a_large_face_that_can_be_kept_out_does_not_matter() -> None:
    """With the hair where there is room for it, else at least the face."""
    for x in (1010, 1100):
        other = passer(0, x, 150, 250)
        hair = float(np.floor(head_box(box_of(other)).x1))
        table = pairs_of(duo(0), [other])
        assert table["crop_x2"].to_list() == [hair if hair >= 1000 else 1010.0] * 2


def test_a_frame_of_the_two_alone_comes_first() -> None:
    better = duo(1, quality_score=0.9)
    assert frames_of(pairs_of([*duo(0), *better], [passer(1, 500, 250, 80)])) == [0, 1]


BOXES = (Box(200, 200, 360, 400), Box(800, 200, 960, 400))
box = st.tuples(st.integers(0, 1200), st.integers(0, 640), st.integers(20, 300)).map(
    lambda b: Box(b[0], b[1], b[0] + b[2], b[1] + b[2])
)


@given(st.lists(box, max_size=6), st.randoms(use_true_random=False))
@FEW
def test_a_crop_never_cuts_a_rider_and_holds_no_more_others_than_it_must(
    others: list[Box], rng: Any
) -> None:
    crop = crop_without(BOXES, others, FRAME_SIZE, S)
    air = S.pair_air_min * 200
    for face in BOXES:
        assert crop.x1 <= face.x1 - air and crop.y1 <= face.y1 - air
        assert crop.x2 >= face.x2 + air and crop.y2 >= face.y2 + air
    assert crop.x1 >= 0 and crop.y1 >= 0 and crop.x2 <= 1280 and crop.y2 <= 720
    needed = Box(200 - air, 200 - air, 960 + air, 400 + air)
    for other in others:
        if crop.intersection(other).area > 0:
            assert needed.intersection(other).area > 0
    shuffled = list(others)
    rng.shuffle(shuffled)
    assert crop_without(BOXES, shuffled, FRAME_SIZE, S) == crop


# --- which of them -----------------------------------------------------------------------------


def test_pairs_are_ranked_by_the_worse_face() -> None:
    first = duo(0, left={"quality_score": 0.95}, right={"quality_score": 0.3})
    assert frames_of(pairs_of([*first, *duo(1)])) == [1, 0]


def test_the_score_of_the_picture_counts_where_there_is_one() -> None:
    faces = candidates(*duo(0, quality_score=0.9), *duo(1, quality_score=0.5)).with_columns(
        picture_score=pl.when(pl.col("frame_idx") == 1).then(0.9).otherwise(0.5)
    )
    table = build_pair_set(faces, [], detections_of(faces), FRAME_SIZE, S)
    assert frames_of(table) == [1, 0]


@pytest.mark.parametrize(
    "worse",
    [{"eyes": "closed"}, {"eyes": "open", "wink": True}, {"luma_mean": 30.0}, {"occlusion": 0.3}],
)
def test_open_eyes_and_plain_light_come_first_and_others_only_fill_up(worse: Row) -> None:
    rows = [*duo(0, left={**worse, "quality_score": 0.9}, quality_score=0.9), *duo(1), *duo(2)]
    assert frames_of(pairs_of(rows, pair_min=3)) == [1, 2, 0]
    assert frames_of(pairs_of(rows, pair_min=2)) == [1, 2]
    assert causes_of(rows, pair_min=2) == {"not_plain": 1}


def test_pairs_are_apart_in_time_and_look() -> None:
    assert pairs_of([*duo(0), *duo(1)]).height == 4
    same = [*duo(0, vis=axis(0)), *duo(1, vis=axis(0))]
    assert pairs_of(same).height == 2
    assert causes_of(same) == {"too_alike": 1}
    close = [*duo(0), *({**row, "timestamp_ms": 1000.0} for row in duo(1))]
    assert pairs_of(close).height == 2
    assert causes_of(close) == {"too_close_to_pair": 1}
    assert pairs_of([*duo(0), *duo(1)], min_gap_s=2.5).height == 2


def test_where_nobody_looked_time_alone_keeps_pairs_apart() -> None:
    faces = candidates(*duo(0, vis=axis(0)), *duo(1, vis=axis(0))).with_columns(
        pl.when(pl.col("face_id") == "000001-1").then(None).otherwise(pl.col(name)).alias(name)
        for name in ("e_vis_face", "e_vis_body", "look")
    )
    table = build_pair_set(faces, [], detections_of(faces), FRAME_SIZE, S)
    assert frames_of(table) == [0, 1]
    novelty = dict(table.select("face_id", "novelty").iter_rows())
    assert novelty == {"000000-0": 1, "000000-1": 1, "000001-0": pytest.approx(0), "000001-1": None}


@pytest.mark.parametrize(("gap_ms", "count"), [(399, 0), (401, 2)])
def test_no_pair_is_close_to_another_image_of_either_rider(gap_ms: int, count: int) -> None:
    taken = pairs_of(duo(0)).head(1).with_columns(timestamp_ms=pl.lit(float(gap_ms)))
    assert pairs_of(duo(0), taken=[taken]).height == count
    assert causes_of(duo(0), taken=[taken]) == ({} if count else {"too_close_to_export": 1})


def test_pairs_are_at_most_five() -> None:
    rows = [row for i in range(9) for row in duo(i)]
    assert pairs_of(rows).height == 10
    assert causes_of(rows) == {"enough": 4}


# --- why there is none -------------------------------------------------------------------------


def test_a_sole_rider_wants_no_pairs_and_says_so() -> None:
    alone = [candidate(i) for i in range(4)]
    assert causes_of(alone) == {"one_rider": 4}
    assert pairs_wanted(candidates(*alone), S) == 0
    assert pairs_wanted(candidates(*duo(0)), S) == S.pair_min


def test_riders_that_are_never_seen_together_have_no_pair() -> None:
    rows = [candidate(i, i % 2) for i in range(5)]
    assert causes_of(rows) == {"never_together": 5}


def test_a_pair_that_was_left_out_of_the_export_is_told() -> None:
    faces = candidates(*duo(0))
    none = pairs_of(duo(0)).clear()
    causes = pair_causes(faces, none, [], detections_of(faces), FRAME_SIZE, S)
    assert causes == [("not_exported", 1)]


@given(st.integers(0, 10**6))
@FEW
def test_every_frame_is_a_pair_or_has_a_cause_in_any_order_of_rows(seed: int) -> None:
    rng = np.random.default_rng(seed)
    faces = random_candidates(rng, 40, 2).with_columns(loose=pl.col("quality_score") > 0.2)
    seen = detections_of(faces)
    table = build_pair_set(faces, [], seen, FRAME_SIZE, S)
    causes = pair_causes(faces, table, [], seen, FRAME_SIZE, S)
    assert sum(n for _, n in causes) + len(frames_of(table)) == faces["frame_idx"].n_unique()
    times = table.filter(pl.col("person_id") == 0)["timestamp_ms"].to_list()
    assert all(abs(a - b) >= S.anchor_gap_s * 1000 for a, b in combinations(times, 2))
    order = rng.permutation(faces.height).tolist()
    again = build_pair_set(faces[order], [], seen[::-1], FRAME_SIZE, S)
    assert again.equals(table)
    assert pair_causes(faces[order], again, [], seen[::-1], FRAME_SIZE, S) == causes
