"""Moments: every usable face in one, noise makes none, and each is shown by what it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from identity_pipeline.core.faces.buckets import assign_buckets
from identity_pipeline.core.imagesets.moments import AXES, find_moments
from identity_pipeline.settings import BucketSettings, MomentSettings, SelectionSettings
from identity_pipeline.tables import SCORES, conform

M, B, S = MomentSettings(), BucketSettings(), SelectionSettings()


def face(n: int, person: int = 0, **changes: Any) -> dict[str, Any]:
    """A good frontal face of the n-th frame, ten frames a second, unless told otherwise."""
    row: dict[str, Any] = {
        "face_id": f"{n:06d}-{person}",
        "frame_idx": n,
        "person_id": person,
        "track_id": person,
        "timestamp_ms": n * 100.0,
        "yaw": 0.0,
        "pitch": 0.0,
        "roll": 0.0,
        "eye_open": 1.0,
        "mouth_open": 0.0,
        "smile": 0.0,
        "occlusion": 0.0,
        "luma_mean": 120.0,
        "clipped_share": 0.0,
        "quality_score": 0.7,
        "eyes": "open",
        "wink": False,
        "gaze_aside": False,
        "gaze_offset": 0.0,
        "lid_ratio": 1.0,
        "loose": True,
        "strict": True,
        "strict_fails": [],
        "crop_reason": None,
        "bonus": None,
    }
    return row | changes


SCHEMA = {
    **{"crop_reason": pl.String, "strict_fails": pl.List(pl.String), "bonus": pl.Float32},
    **{"yaw": pl.Float64, "pitch": pl.Float64},
}


def faces_of(*rows: dict[str, Any]) -> pl.DataFrame:
    """The riders' usable faces with their bins, as the asset joins them."""
    faces = pl.DataFrame(list(rows), schema_overrides=SCHEMA)
    bins = assign_buckets(faces, B).drop("frame_idx", "person_id")
    score = pl.col("quality_score").cast(pl.Float32)
    return faces.join(bins, on="face_id").with_columns(score.alias(name) for name in SCORES)


def moments(*rows: dict[str, Any], of: MomentSettings = M) -> pl.DataFrame:
    return conform("moments", find_moments(faces_of(*rows), of, B, S))


def runs(table: pl.DataFrame) -> list[list[int]]:
    """Frames of each moment."""
    grouped = table.sort("frame_idx").group_by("moment_id", maintain_order=True)
    return [group["frame_idx"].to_list() for _, group in grouped]


@st.composite
def rides(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Faces of two riders that flicker, with gaps, and faces that fit no picture."""
    rows = []
    for person in (0, 1):
        for n in sorted(draw(st.sets(st.integers(0, 40), max_size=25))):
            rows.append(
                face(
                    n,
                    person,
                    yaw=draw(st.sampled_from([None, -60.0, 4.0, 5.5, 20.0])),
                    smile=draw(st.sampled_from([0.0, 1.0])),
                    luma_mean=draw(st.sampled_from([30.0, 120.0])),
                    quality_score=draw(st.sampled_from([0.5, 0.7])),
                    loose=draw(st.booleans()),
                    crop_reason=draw(st.sampled_from([None, "cut_by_frame"])),
                )
            )
    return rows


@settings(max_examples=40, deadline=None)
@given(rides(), st.randoms(use_true_random=False))
def test_what_holds_of_all_moments(rows: list[dict[str, Any]], shuffled: Any) -> None:
    if not rows:
        return
    table = moments(*rows)
    assert sorted(table["face_id"]) == sorted(row["face_id"] for row in rows)
    again = list(rows)
    shuffled.shuffle(again)
    assert moments(*again).equals(table)
    joined = table.join(faces_of(*rows).drop("frame_idx", "person_id"), on="face_id")
    for _, moment in joined.group_by("moment_id"):
        (best,) = moment.filter("representative").to_dicts()
        assert moment["person_id"].n_unique() == 1
        assert set(moment["representative_face_id"]) == {best["face_id"]}
        times = moment["timestamp_ms"].to_list()
        assert max(times) - min(times) <= M.span_s * 1000
        for row in moment.iter_rows(named=True):
            same = [row[axis] for axis in AXES] == [best[axis] for axis in AXES]
            assert (row["rank"] is not None) == same
            assert (row["rank"] == 1) == row["representative"]
            assert (row["shortlisted"] is not None) == row["representative"]
            assert not row["shortlisted"] or (row["loose"] and row["crop_reason"] is None)
    # Nothing of a rider lies between two faces of a moment.
    for _, track in table.sort("frame_idx").group_by("person_id"):
        ids = track["moment_id"].to_list()
        assert ids == sorted(ids)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(3, 12),
    st.integers(0, 11),
    st.sampled_from(
        [{"yaw": 40.0}, {"smile": 1.0, "luma_mean": 20.0}, {"occlusion": 0.15}, {"yaw": None}]
    ),
)
def test_one_noisy_frame_makes_no_moment(count: int, noisy: int, noise: dict[str, Any]) -> None:
    steady = [face(n) for n in range(count)]
    noisy %= count
    assume(not (noisy == count - 1 and noisy % 6 == 0))  # alone behind the clock it is all there is
    table = moments(*steady[:noisy], face(noisy, **noise), *steady[noisy + 1 :])
    assert runs(table) == runs(moments(*steady))
    assert table.filter(pl.col("frame_idx") == noisy)["rank"].to_list() == [None]


def test_a_pose_that_wavers_at_an_edge_is_one_moment() -> None:
    wavering = [face(n, yaw=4.5 if n % 2 else 5.5) for n in range(6)]
    assert runs(moments(*wavering)) == [[0, 1, 2, 3, 4, 5]]


def test_a_change_that_stays_begins_a_moment() -> None:
    turned = [face(n, yaw=0.0 if n < 4 else 20.0) for n in range(8)]
    assert runs(moments(*turned)) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    smiled = [face(n, smile=float(n in (3, 4))) for n in range(7)]
    assert runs(moments(*smiled)) == [[0, 1, 2], [3, 4], [5, 6]]


def test_a_moment_ends_with_the_clock_and_with_the_sight_of_the_rider() -> None:
    assert runs(moments(*(face(n) for n in range(8)))) == [[0, 1, 2, 3, 4, 5], [6, 7]]
    assert runs(moments(face(0), face(6))) == [[0], [6]]


@pytest.mark.parametrize(
    "worse",
    [
        {"quality_score": 0.6},
        {"loose": False},
        {"crop_reason": "cut_by_frame"},
    ],
)
def test_the_best_face_stands_for_its_moment(worse: dict[str, Any]) -> None:
    table = moments(face(0, **worse), face(1), face(2, **worse))
    assert table["representative_face_id"].to_list() == ["000001-0"] * 3
    assert table["rank"].to_list() == [2, 1, 3]


def test_the_shortlist_holds_the_best_of_each_place_and_keeps_to_the_share() -> None:
    rng = np.random.default_rng(1)
    plain = [face(n, quality_score=float(q)) for n, q in enumerate(rng.uniform(0.4, 0.9, 200))]
    dark = [face(200 + n, luma_mean=20.0, strict=False) for n in range(60)]
    once = MomentSettings(rounds=1)
    table = moments(*plain, *dark, of=once)
    listed = table.filter(pl.col("shortlisted"))
    best = table.filter("representative").sort("picture_score", descending=True).head(2)
    assert set(best["face_id"]) <= set(listed["face_id"])
    assert (listed["frame_idx"] >= 200).sum() == S.challenge_min  # of one kind alone
    assert (listed["frame_idx"] < 200).sum() == S.anchor_min
    spread = [face(n, yaw=float(y)) for n, y in enumerate(rng.uniform(-44, 44, 300))]
    tight = MomentSettings(min_faces=1, share=0.05, least=1)
    assert moments(*spread, of=tight)["shortlisted"].sum() == 15


def test_what_passes_before_a_face_once_is_a_moment_and_a_touch_is_none() -> None:
    def bar(share: float) -> pl.DataFrame:
        return moments(*(face(n, occlusion=share if n == 2 else 0.0) for n in range(6)))

    assert runs(bar(0.3)) == [[0, 1], [2], [3, 4, 5]]
    assert bar(0.3).filter(pl.col("frame_idx") == 2)["representative"].all()
    assert runs(bar(0.15)) == [[0, 1, 2, 3, 4, 5]]


@pytest.mark.parametrize("end", [0, 5])
def test_what_passes_before_the_first_or_the_last_face_is_a_moment_too(end: int) -> None:
    table = moments(*(face(n, occlusion=0.3 if n == end else 0.0) for n in range(6)))
    alone, others = [end], [n for n in range(6) if n != end]
    assert runs(table) == sorted([alone, others])
    assert table.filter(pl.col("frame_idx") == end)["representative"].all()


def test_a_ride_without_usable_faces_has_no_moments() -> None:
    nobody = faces_of(face(0)).clear()
    assert conform("moments", find_moments(nobody, M, B, S)).is_empty()
