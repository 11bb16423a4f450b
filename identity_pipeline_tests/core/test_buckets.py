"""Bins: half-open edges, what lies outside, and the keys."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_pipeline.core.faces.buckets import (
    AXES,
    BEYOND,
    PITCH_NAMES,
    UNKNOWN,
    as_measured,
    assign_buckets,
    axis_bins,
    bin_of,
    bucket_key,
    expression_bin,
    lighting_bin,
    occlusion_bin,
)
from identity_pipeline.settings import BucketSettings
from identity_pipeline.tables import conform
from identity_pipeline_tests.core.builders import MODEST

S = BucketSettings()
YAW = axis_bins(S.yaw_edges)
PITCH = axis_bins(S.pitch_edges, PITCH_NAMES)
NAN = float("nan")


def key(value: float | None, edges: tuple[float, ...] = S.yaw_edges) -> int | str:
    found = bin_of(value, edges, YAW if edges == S.yaw_edges else PITCH)
    return found if isinstance(found, str) else found.key


@pytest.mark.parametrize(
    ("yaw", "expected"),
    [
        (-45.01, BEYOND), (-45, -45), (-30.01, -45), (-30, -30), (-15.01, -30), (-15, -15),
        (-5.01, -15), (-5, 0), (0, 0), (4.99, 0), (5, 15), (14.99, 15), (15, 30), (29.99, 30),
        (30, 45), (45, 45), (45.01, BEYOND), (None, UNKNOWN), (NAN, UNKNOWN),
    ],
)  # fmt: skip
def test_yaw_bins_are_half_open_and_the_last_closed(yaw: float | None, expected: int | str) -> None:
    assert key(yaw) == expected


@pytest.mark.parametrize(
    ("pitch", "name"),
    [(-30, "down"), (-10, "slight-down"), (-5, "neutral"), (4.9, "neutral"), (5, "slight-up"),
     (10, "up"), (30, "up")],
)  # fmt: skip
def test_pitch_bins_have_names(pitch: float, name: str) -> None:
    found = bin_of(pitch, S.pitch_edges, PITCH)
    assert not isinstance(found, str)
    assert found.label == name


def test_pitch_outside_is_beyond() -> None:
    assert key(-30.01, S.pitch_edges) == key(30.01, S.pitch_edges) == BEYOND


def test_labels_are_intervals() -> None:
    labels = [b.label for b in YAW]
    assert labels[0] == "[-45,-30)"
    assert labels[3] == "[-5,5)"
    assert labels[-1] == "[30,45]"
    assert [b.key for b in YAW] == [-45, -30, -15, 0, 15, 30, 45]
    assert [b.key for b in PITCH] == [-30, -10, 0, 10, 30]


@given(st.floats(-90, 90), st.lists(st.integers(-80, 80), min_size=3, max_size=9, unique=True))
@MODEST
def test_any_edges_make_a_partition(value: float, edges: list[int]) -> None:
    ordered = [float(e) for e in sorted(edges)]
    bins = axis_bins(ordered)
    found = bin_of(value, ordered, bins)
    if value < ordered[0] or value > ordered[-1]:
        assert found == BEYOND
        return
    assert not isinstance(found, str)
    low, high = ordered[bins.index(found)], ordered[bins.index(found) + 1]
    assert low <= value < high or value == high == ordered[-1]
    assert abs(found.key) in (abs(low), abs(high), 0)


def test_keys_name_the_edge_farthest_from_zero() -> None:
    assert bucket_key(YAW[5], PITCH[2], "neutral") == "yaw30_pitch0_neutral"
    assert bucket_key(YAW[2], PITCH[0], "smile") == "yaw-15_pitch-30_smile"
    assert bucket_key(YAW[3], PITCH[2], UNKNOWN) == "yaw0_pitch0_unknown"
    assert bucket_key(BEYOND, PITCH[2], "neutral") is None
    assert bucket_key(YAW[3], UNKNOWN, "neutral") is None


@pytest.mark.parametrize(
    ("eye", "mouth", "smile", "expected"),
    [
        (1.0, 0.0, 0.0, "neutral"),
        (0.3, 0.29, 0.29, "neutral"),
        (0.29, 0.9, 0.9, "eyes_closed"),
        (1.0, 0.9, 0.3, "smile"),
        (1.0, 0.3, 0.29, "mouth_open"),
        (None, 0.9, 0.9, UNKNOWN),
        (0.1, None, None, "eyes_closed"),
        (1.0, 0.9, None, UNKNOWN),
        (1.0, None, 0.5, "smile"),
        (1.0, None, 0.0, UNKNOWN),
    ],
)
def test_expressions_have_an_order(
    eye: float | None, mouth: float | None, smile: float | None, expected: str
) -> None:
    assert expression_bin(eye, mouth, smile, S) == expected


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0, "none"), (0.0999, "none"), (0.1, "partial"), (0.4, "partial"), (0.4001, "heavy"),
     (1, "heavy"), (None, UNKNOWN)],
)  # fmt: skip
def test_occlusion_bins(share: float | None, expected: str) -> None:
    assert occlusion_bin(share, S) == expected


@pytest.mark.parametrize(
    ("luma", "expected"),
    [(0, "dark"), (59.9, "dark"), (60, "normal"), (200, "normal"), (200.1, "overexposed"),
     (None, UNKNOWN)],
)  # fmt: skip
def test_lighting_bins_of_a_person_nobody_knows(luma: float | None, expected: str) -> None:
    assert lighting_bin(luma, 0.0, None, S) == expected


@pytest.mark.parametrize(
    ("luma", "usual", "expected"),
    [(50, 80, "normal"), (47.9, 80, "dark"), (48, 80, "normal"), (59, 200, "dark"),
     (61, 250, "normal"), (39.9, 40, "dark"), (40, 40, "normal")],
)  # fmt: skip
def test_dark_skin_is_not_darkness(luma: float, usual: float, expected: str) -> None:
    """Below 60 and below 0.6 of the own median, or below 40 whoever it is."""
    assert lighting_bin(luma, 0.0, usual, S) == expected


@pytest.mark.parametrize(("clipped", "expected"), [(0.0999, "normal"), (0.1, "overexposed")])
def test_blown_pixels_make_a_face_overexposed(clipped: float, expected: str) -> None:
    assert lighting_bin(120, clipped, 120, S) == expected


def test_light_without_its_blown_share_is_unmeasured() -> None:
    assert lighting_bin(120, None, 120, S) == UNKNOWN


def test_the_usual_light_is_the_median_of_the_person() -> None:
    rows = [{**FACE, "face_id": f"{i:06d}-0", "luma_mean": m} for i, m in enumerate((50.0,) * 3)]
    rows += [
        {**FACE, "face_id": f"{i:06d}-1", "person_id": 1, "luma_mean": m}
        for i, m in enumerate((50.0, 150.0, 150.0))
    ]
    table = assign_buckets(pl.DataFrame(rows), S).sort("person_id", "face_id")
    assert table["lighting_bin"].to_list() == ["normal"] * 3 + ["dark", "normal", "normal"]


def test_not_a_number_is_unknown_everywhere() -> None:
    found = (
        occlusion_bin(NAN, S),
        lighting_bin(NAN, 0.0, None, S),
        expression_bin(NAN, NAN, NAN, S),
    )
    assert found == (UNKNOWN, UNKNOWN, UNKNOWN)


FACE = {
    "face_id": "000000-0", "frame_idx": 0, "person_id": 0, "yaw": 20.0, "pitch": -7.0,
    "eye_open": 1.0, "mouth_open": 0.0, "smile": 0.5, "occlusion": 0.2, "luma_mean": 220.0,
    "clipped_share": 0.0,
}  # fmt: skip


def test_the_table_holds_every_bin_and_the_key() -> None:
    faces = pl.DataFrame([FACE, {**FACE, "face_id": "000000-1", "yaw": 50.0}])
    first, second = conform("face_buckets", assign_buckets(faces, S)).to_dicts()
    assert first["bucket_key"] == "yaw30_pitch-10_smile"
    assert (first["yaw_bin"], first["pitch_bin"]) == ("[15,30)", "slight-down")
    assert (first["occlusion_bin"], first["lighting_bin"]) == ("partial", "overexposed")
    assert (second["yaw_bin"], second["yaw_key"], second["bucket_key"]) == (BEYOND, None, None)
    assert second["pitch_key"] == -10


def test_nothing_measured_is_unknown_everywhere() -> None:
    blank = dict.fromkeys(FACE) | {"face_id": "a", "frame_idx": 0, "person_id": 0}
    schema = {name: pl.String if name == "face_id" else pl.Float64 for name in FACE}
    (row,) = assign_buckets(pl.DataFrame([blank], schema=schema), S).to_dicts()
    bins = [row[f"{axis}_bin"] for axis in ("yaw", "pitch", "expression", "occlusion", "lighting")]
    assert bins == [UNKNOWN] * 5
    assert row["bucket_key"] is None


def test_custom_edges_are_used() -> None:
    settings = BucketSettings(yaw_edges=(-60.0, -20.0, 20.0, 60.0))
    faces = pl.DataFrame([{**FACE, "yaw": yaw} for yaw in (-20.0, 20.0, 60.0, 61.0)])
    keys = assign_buckets(faces, settings)["yaw_key"].to_list()
    assert keys == [0, 60, 60, None]


def test_rows_come_in_time_order_whatever_order_they_went_in() -> None:
    rows = [{**FACE, "face_id": f"{i:06d}-0", "frame_idx": i, "yaw": float(i)} for i in range(9)]
    shuffled = [rows[i] for i in np.random.default_rng(0).permutation(9)]
    one, two = (assign_buckets(pl.DataFrame(r), S) for r in (rows, shuffled))
    assert one.equals(two)


def test_what_the_machine_is_judged_by_is_without_corrections() -> None:
    rows = {
        "face_id": ["000001-0", "000002-0"],
        **{f"{axis}_bin": [f"said {axis}"] * 2 for axis in AXES},
        "measured_bins": [["expression:smile", "yaw:[15,30)"], None],
    }
    found = as_measured(pl.DataFrame(rows))
    assert found["expression_bin"].to_list() == ["smile", "said expression"]
    assert found["yaw_bin"].to_list() == ["[15,30)", "said yaw"]
    assert found["lighting_bin"].to_list() == ["said lighting"] * 2
