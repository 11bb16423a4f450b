"""Which picture of a person is the better one, and that every fault costs."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_pipeline.core.imagesets.portrait import (
    anchor_eligible,
    is_portrait,
    with_scores,
)
from identity_pipeline.settings import SelectionSettings
from identity_pipeline.tables import SCORES
from identity_pipeline_tests.core.builders import MODEST

PLAIN: dict[str, Any] = {
    **{"person_id": 0, "strict": True, "lighting_bin": "normal", "occlusion_bin": "none"},
    **{"expression_bin": "neutral", "yaw": 0.0, "pitch": 0.0, "roll": 0.0},
    **{"eyes": "open", "wink": False, "eye_open": 0.95, "lid_ratio": 1.0, "gaze_offset": 0.0},
    **{"lid_gap_left": 0.3, "lid_gap_right": 0.3, "brow_height": 0.2},
    **{"mouth_open": 0.02, "smile": 0.05, "mouth_tilt": 0.01, "mouth_shift": 0.0},
    **{
        "mouth_drop": 0.2,
        "occlusion": 0.0,
        "cover_beside": 0.0,
        "luma_mean": 110.0,
        "surround_luma": 110.0,
    },
    **{"contrast": 45.0, "clipped_share": 0.0, "crushed_share": 0.0},
    **{"relative_sharpness": 1.0, "face_px": 150.0, "neighbour_share": 0.0},
}
SCHEMA = {c: pl.Float64 for c, value in PLAIN.items() if isinstance(value, float)}

SETTINGS = SelectionSettings()
COVERED = {"occlusion": 0.5, "occlusion_bin": "heavy"}


def scored(*changes: dict[str, Any], **of_all: Any) -> pl.DataFrame:
    """The scores of these faces, among nine plain ones of the same person that tell the usual."""
    faces = [PLAIN | of_all | change for change in (*changes, *([{}] * 9))]
    times = [{"face_id": f"{i:06d}-0", "timestamp_ms": i * 2000.0} for i in range(len(faces))]
    rows = [time | face for time, face in zip(times, faces, strict=True)]
    return with_scores(pl.DataFrame(rows, schema_overrides=SCHEMA)).head(len(changes))


FAULTS: dict[str, tuple[str, float, float]] = {
    # What is wrong: the measure, where it is still well, and where it is bad.
    "sleepy": ("lid_ratio", 1.0, 0.62),
    "stare": ("lid_ratio", 1.0, 1.3),
    "gaze to the right": ("gaze_offset", 0.0, 0.2),
    "gaze to the left": ("gaze_offset", 0.0, -0.2),
    "squint": ("lid_gap_left", 0.3, 0.15),
    "frown": ("brow_height", 0.2, 0.1),
    "raised brows": ("brow_height", 0.2, 0.3),
    "mouth": ("mouth_open", 0.02, 0.9),
    "half a grin": ("mouth_tilt", 0.01, 0.06),
    "mouth aside": ("mouth_shift", 0.0, -0.06),
    "sulk": ("mouth_drop", 0.2, 0.3),
    "turned": ("yaw", 0.0, -15.0),
    "looks up": ("pitch", 0.0, 20.0),
    "tilted": ("roll", 0.0, 14.0),
    "covered": ("occlusion", 0.0, 0.3),
    "post beside": ("cover_beside", 0.0, 0.7),
    "dark": ("luma_mean", 110.0, 30.0),
    "bright": ("luma_mean", 110.0, 235.0),
    "backlit": ("surround_luma", 110.0, 250.0),
    "flat": ("contrast", 45.0, 15.0),
    "blown": ("clipped_share", 0.0, 0.4),
    "crushed": ("crushed_share", 0.0, 0.4),
    "soft": ("relative_sharpness", 1.0, 0.2),
    "small": ("face_px", 150.0, 40.0),
    "neighbour": ("neighbour_share", 0.0, 0.2),
}
OF_THE_PICTURE = (
    *(
        "sleepy",
        "covered",
        "post beside",
        "dark",
        "bright",
        "backlit",
        "flat",
        "blown",
        "crushed",
        "soft",
    ),
    *("small", "neighbour"),
)


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_costs(fault: str) -> None:
    measure, _, bad = FAULTS[fault]
    wrong, plain = scored({measure: bad}, {})["portrait_score"]
    assert wrong < 0.8 * plain


@given(st.sampled_from(sorted(FAULTS)), st.tuples(st.floats(0, 1), st.floats(0, 1)))
@MODEST
def test_no_score_rises_with_a_fault(fault: str, shares: tuple[float, float]) -> None:
    measure, well, bad = FAULTS[fault]
    less, more = sorted(shares)
    faces = scored(*({measure: well + share * (bad - well)} for share in (less, more)))
    for score in SCORES:
        mild, grave = faces[score]
        assert grave <= mild and 0 <= grave <= 1


@pytest.mark.parametrize("fault", FAULTS)
def test_a_picture_may_show_any_pose_and_face_but_must_be_well_taken(fault: str) -> None:
    measure, _, bad = FAULTS[fault]
    wrong, plain = scored({measure: bad}, {})["picture_score"]
    assert wrong < 0.8 * plain if fault in OF_THE_PICTURE else 0.5 * plain < wrong <= plain


def test_a_nearly_black_face_against_the_light_loses_however_sharp_it_is() -> None:
    dark, plain = scored(
        {"luma_mean": 25.0, "surround_luma": 140.0, "relative_sharpness": 2.0},
        {"relative_sharpness": 0.6},
    )["picture_score"]
    assert dark < 0.1 * plain


def test_dark_skin_is_no_darkness() -> None:
    own = {"luma_mean": 62.0, "surround_luma": 100.0, "crushed_share": 0.05}
    assert scored({}, **own)["score_light"].to_list() == [1.0]


def test_who_sits_against_the_light_all_the_ride_gets_anchors_still() -> None:
    own = {"luma_mean": 48.0, "surround_luma": 220.0}
    against, darker = (
        scored({"gaze_aside": False}, {"luma_mean": 41.0}, **own)
        .select(anchor_eligible(SETTINGS))
        .to_series()
    )
    assert against and darker
    usual, lit = scored({}, {"luma_mean": 80.0}, **own)["score_light"]
    assert usual < lit


@pytest.mark.parametrize("shut", [{"eyes": "closed", "eye_open": 0.1}, {"wink": True}])
def test_a_closed_eye_is_no_portrait_and_a_bad_picture(shut: dict[str, Any]) -> None:
    face = scored(shut)
    assert face["portrait_score"].to_list() == face["picture_score"].to_list() == [0.0]


def test_where_eyes_are_to_be_closed_half_shut_ones_lose() -> None:
    bin_ = {"expression_bin": "eyes_closed", "eyes": "closed"}
    clear, half = scored(bin_ | {"eye_open": 0.05}, bin_ | {"eye_open": 0.28})["picture_score"]
    assert half < 0.5 * clear


def test_an_outright_smile_shows_teeth_and_narrows_the_eyes() -> None:
    smile, speech = scored(
        {"smile": 0.98, "mouth_open": 0.28, "lid_ratio": 0.86},
        {"smile": 0.05, "mouth_open": 0.28, "lid_ratio": 0.86},
    )["portrait_score"]
    assert smile == scored({})["portrait_score"].item() and speech < 0.6 * smile


def test_a_crooked_mouth_is_measured_against_its_owner() -> None:
    assert (
        scored({}, mouth_tilt=0.05, mouth_drop=0.35, brow_height=0.3)["portrait_score"].to_list()
        == scored({})["portrait_score"].to_list()
    )


def test_a_cover_that_passed_a_moment_ago_still_stands_beside_the_face() -> None:
    rows = [PLAIN | {"face_id": f"{i:06d}-0", "timestamp_ms": i * 100.0} for i in range(8)]
    rows[0] |= COVERED
    other = [row | {"person_id": 1, "occlusion": 0.0, "occlusion_bin": "none"} for row in rows]
    view = with_scores(pl.DataFrame(rows + other, schema_overrides=SCHEMA))["score_view"]
    assert view[1] == view[4] < view[5] == 1.0
    assert view.to_list()[8:] == [1.0] * 8


def test_goggles_that_are_worn_all_the_ride_do_not_pass() -> None:
    rows = [PLAIN | {"face_id": f"{i:06d}-0", "timestamp_ms": i * 100.0} for i in range(8)]
    rows[0] |= COVERED
    rows[4] |= COVERED
    view = with_scores(pl.DataFrame(rows, schema_overrides=SCHEMA))["score_view"]
    assert view[1] == view[3] == view[5] == 1.0


@pytest.mark.parametrize("fault", FAULTS)
def test_what_was_not_measured_is_neither_good_nor_bad(fault: str) -> None:
    measure, _, bad = FAULTS[fault]
    good, unknown, wrong = scored({}, {measure: None}, {measure: bad})["portrait_score"]
    assert wrong < good and unknown < good
    assert scored({measure: None}, **{measure: None})["portrait_score"].item() <= good


def test_a_part_that_nothing_tells_is_null() -> None:
    unread = dict.fromkeys(
        ("eyes", "wink", "eye_open", "lid_ratio", "gaze_offset", "mouth_open", "smile", "occlusion")
    )
    unread |= dict.fromkeys(
        ("cover_beside", "mouth_tilt", "mouth_shift", "mouth_drop", "brow_height")
    )
    face = scored({}, **unread)
    assert face.select("score_eyes", "score_mouth", "score_view").row(0) == (None, None, None)
    assert face["portrait_score"].item() > 0


def test_rows_stay_in_their_order() -> None:
    rows = [
        PLAIN | {"face_id": f"{i:06d}-{p}", "timestamp_ms": -100.0 * i, "person_id": p}
        for p in (1, 0)
        for i in range(4)
    ]
    faces = pl.DataFrame(rows, schema_overrides=SCHEMA)
    assert with_scores(faces)["face_id"].to_list() == faces["face_id"].to_list()


# --- which faces may be anchors ----------------------------------------------------------------


def anchor(**change: Any) -> str:
    """`portrait`, `eligible`, or `no`; beside a plain face of the same person."""
    face = scored(change | {"gaze_aside": abs(change.get("gaze_offset", 0.0)) > 0.09}, {})
    told = face.select(e=anchor_eligible(SETTINGS), p=is_portrait(SETTINGS)).row(0)
    return "portrait" if all(told) else "eligible" if told[0] else "no"


@pytest.mark.parametrize(
    "change",
    [
        {"eyes": "closed"},
        {"eyes": "lowered"},
        {"eyes": "unknown"},
        {"wink": True},
        {"occlusion_bin": "partial"},
        {"lighting_bin": "dark"},
        {"luma_mean": 62.0},
        {"surround_luma": 250.0, "luma_mean": 70.0},
        {"neighbour_share": 0.1},
        {"strict": False},
        {"yaw": 20.0},
    ],
)
def test_better_no_anchor_than_a_bad_one(change: dict[str, Any]) -> None:
    assert anchor(**change) == "no"


@pytest.mark.parametrize(
    "change",
    [
        {"gaze_offset": 0.15},
        {"mouth_open": 0.5},
        {"mouth_tilt": 0.09},
        {"yaw": 15.0, "roll": 14.0},
    ],
)
def test_what_is_an_anchor_only_where_there_is_nothing_better(change: dict[str, Any]) -> None:
    assert anchor(**change) == "eligible"


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"smile": 0.98, "mouth_open": 0.35, "expression_bin": "smile"},
        {"luma_mean": 90.0},
        dict.fromkeys(("eyes", "wink")),
    ],
)
def test_what_is_a_portrait(change: dict[str, Any]) -> None:
    assert anchor(**change) == "portrait"
