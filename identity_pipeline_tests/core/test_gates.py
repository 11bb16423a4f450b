"""The gates: each bound exactly at its threshold, every reason, and what was not measured."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_pipeline.core.faces.gates import (
    apply_gates,
    loose_requirements,
    regate,
    strict_requirements,
)
from identity_pipeline.settings import QualitySettings
from identity_pipeline.tables import TABLES
from identity_pipeline_tests.core.builders import MODEST

S = QualitySettings()
GOOD = {
    "score": 0.9,
    "outside_share": 0.0,
    "area_share": 0.05,
    "face_px": 200.0,
    "sharpness": 300.0,
    "relative_sharpness": 1.0,
    "luma_mean": 120.0,
    "occlusion": 0.0,
}
VERDICTS = ("strict", "loose", "strict_fails", "loose_fails", "unmeasured")


def measures(*rows: dict[str, Any]) -> pl.DataFrame:
    schema = {c: d for c, d in TABLES["face_quality"].items() if c not in VERDICTS}
    blank = dict.fromkeys(schema)
    table = [
        {**blank, "face_id": f"{i:06d}-0", "frame_idx": i, "quality_score": 0.8, **GOOD, **row}
        for i, row in enumerate(rows)
    ]
    return pl.DataFrame(table, schema=schema)


def verdict(settings: QualitySettings = S, **changes: float | None) -> dict[str, Any]:
    """The verdicts on a good face with some changes, in double precision."""
    table = measures({}).with_columns(
        [pl.Series(c, [v], dtype=pl.Float64) for c, v in changes.items()]
    )
    return apply_gates(table, settings).to_dicts()[0]


def test_a_good_face_passes_both() -> None:
    row = verdict()
    assert (row["strict"], row["loose"]) == (True, True)
    assert row["strict_fails"] == row["loose_fails"] == row["unmeasured"] == []


@pytest.mark.parametrize(
    ("gate", "code", "column", "at_least", "bound"),
    [
        ("strict", "score_low", "score", True, 0.7),
        ("strict", "cut_off", "outside_share", False, 0.02),
        ("strict", "area_small", "area_share", True, 0.01),
        ("strict", "few_pixels", "face_px", True, 112),
        ("strict", "blurred", "sharpness", True, S.strict_sharpness),
        ("strict", "blurred_for_person", "relative_sharpness", True, S.strict_relative_sharpness),
        ("strict", "too_dark", "luma_mean", True, 40),
        ("strict", "too_bright", "luma_mean", False, 220),
        ("strict", "occluded", "occlusion", False, 0.3),
        ("loose", "score_low", "score", True, 0.5),
        ("loose", "cut_off", "outside_share", False, 0.02),
        ("loose", "blurred", "sharpness", True, S.loose_sharpness),
        ("loose", "blurred_for_person", "relative_sharpness", True, S.loose_relative_sharpness),
        ("loose", "occluded", "occlusion", False, 0.5),
    ],
)
def test_the_bound_itself_passes_and_a_hair_beyond_fails(
    gate: str, code: str, column: str, at_least: bool, bound: float
) -> None:
    beyond = bound - 1e-9 if at_least else bound + 1e-9
    assert code not in verdict(**{column: bound})[f"{gate}_fails"]
    failed = verdict(**{column: beyond})
    assert failed[f"{gate}_fails"] == [code]
    assert not failed[gate]


def test_all_reasons_are_collected_in_the_order_of_the_gate() -> None:
    row = verdict(
        score=0.1, outside_share=0.5, area_share=0.0, face_px=20.0, sharpness=0.0,
        relative_sharpness=0.0, luma_mean=10.0, occlusion=0.9,
    )  # fmt: skip
    assert row["strict_fails"] == [
        "score_low",
        "cut_off",
        "area_small",
        "few_pixels",
        "blurred",
        "blurred_for_person",
        "too_dark",
        "occluded",
    ]
    assert row["loose_fails"] == [
        "score_low",
        "cut_off",
        "blurred",
        "blurred_for_person",
        "occluded",
    ]


@pytest.mark.parametrize(
    "column", [c for c in GOOD if c not in ("area_share", "face_px", "luma_mean")]
)
def test_what_is_not_measured_is_said_and_the_setting_decides(column: str) -> None:
    lenient, stern = (
        verdict(**{column: None}),
        verdict(QualitySettings(unmeasured_passes=False), **{column: None}),
    )
    assert lenient["unmeasured"] == stern["unmeasured"] == [column]
    assert (lenient["strict"], lenient["loose"]) == (True, True)
    assert (stern["strict"], stern["loose"]) == (False, False)
    assert len(stern["loose_fails"]) == 1


def test_not_a_number_is_no_silent_pass() -> None:
    row = verdict(relative_sharpness=float("nan"))
    assert row["unmeasured"] == ["relative_sharpness"] or not row["strict"]


value = st.one_of(st.none(), st.floats(0, 1))


@given(
    score=value, outside=value, area=value, sharp=value, relative=value, luma=value,
    occlusion=value, passes=st.booleans(),
)  # fmt: skip
@MODEST
def test_strict_implies_loose(
    score: float | None, outside: float | None, area: float | None, sharp: float | None,
    relative: float | None, luma: float | None, occlusion: float | None, passes: bool,
) -> None:  # fmt: skip
    row = verdict(
        QualitySettings(unmeasured_passes=passes),
        score=score,
        outside_share=outside and outside / 20,
        area_share=area and area / 20,
        sharpness=sharp and sharp * 200,
        relative_sharpness=relative,
        luma_mean=luma and luma * 255,
        occlusion=occlusion,
    )
    assert row["loose"] or not row["strict"]
    assert set(row["loose_fails"]) <= set(row["strict_fails"])


def test_the_strict_gate_asks_for_more_in_every_respect() -> None:
    strict = {r.code: r for r in strict_requirements(S)}
    for loose in loose_requirements(S):
        same = strict[loose.code]
        assert same.at_least == loose.at_least
        assert same.bound >= loose.bound if loose.at_least else same.bound <= loose.bound


def late(face_id: str, occlusion: float | None, relative: float | None) -> dict[str, Any]:
    row = dict.fromkeys(TABLES["face_landmarks"])
    return {**row, "face_id": face_id, "occlusion": occlusion, "relative_sharpness": relative}


def test_late_measures_renew_the_verdicts_and_keep_the_rows() -> None:
    unknown = {"occlusion": None, "relative_sharpness": None}
    early = apply_gates(measures(*[unknown] * 5), S)[[3, 0, 4, 2, 1]]
    landmarks = pl.DataFrame(
        [
            late("000000-0", 0.4, 1.0),
            late("000001-0", 0.0, 0.55),
            late("000002-0", 0.6, 0.4),
            late("000004-0", None, None),
        ],
        schema=TABLES["face_landmarks"],
    )
    gated = regate(early, landmarks, S)
    assert gated.columns == early.columns
    assert gated["face_id"].to_list() == early["face_id"].to_list()
    rows = {r["face_id"]: r for r in gated.to_dicts()}
    assert rows["000000-0"]["strict_fails"] == ["occluded"]
    assert rows["000000-0"]["loose"]
    assert rows["000001-0"]["strict_fails"] == ["blurred_for_person"]
    assert rows["000001-0"]["quality_score"] == pytest.approx(0.8)
    assert rows["000002-0"]["loose_fails"] == ["blurred_for_person", "occluded"]
    assert rows["000000-0"]["quality_score"] == pytest.approx(0.8 * 0.6**0.3, rel=1e-5)
    for untouched in ("000003-0", "000004-0"):
        assert rows[untouched]["unmeasured"] == ["occlusion", "relative_sharpness"]
        assert rows[untouched]["strict"]
