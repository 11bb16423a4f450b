"""A caption says what was measured, and no more."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from identity_pipeline.core.datasets.captions import template_caption, what_is_seen
from identity_pipeline.settings import DatasetSettings
from identity_pipeline.settings.datasets import CAPTION_WORDS

SETTINGS = DatasetSettings()
FRONTAL: dict[str, Any] = {
    "yaw": 3.0,
    "pitch": -4.0,
    "roll": 2.0,
    "eyes": "open",
    "wink": False,
    "gaze_aside": False,
    "gaze_offset": 0.01,
    "expression_bin": "smile",
    "occlusion_bin": "none",
    "lighting_bin": "normal",
}


def caption(**measures: Any) -> str:
    return template_caption("ada", "person", measures, SETTINGS)


@pytest.mark.parametrize(
    ("measures", "words"),
    [
        ({}, ""),
        (FRONTAL, "facing the camera, smiling"),
        (FRONTAL | {"expression_bin": "unknown"}, "facing the camera"),
        (
            FRONTAL | {"expression_bin": "neutral", "smile": 0.02, "mouth_open": 0.09},
            "facing the camera, neutral expression",
        ),
        (FRONTAL | {"smile": 0.8, "mouth_open": 0.4}, "facing the camera, smiling"),
        # laughter, or a shout
        (FRONTAL | {"smile": 0.8, "mouth_open": 0.9}, "facing the camera, mouth open"),
        # lips parted, half a smile, or nobody knows
        (
            FRONTAL | {"expression_bin": "neutral", "smile": 0.02, "mouth_open": 0.18},
            "facing the camera",
        ),
        (
            FRONTAL | {"expression_bin": "neutral", "smile": 0.19, "mouth_open": 0.0},
            "facing the camera",
        ),
        (FRONTAL | {"expression_bin": "neutral", "smile": 0.02}, "facing the camera"),
        (FRONTAL | {"pitch": None}, "smiling"),
        # straight ahead of the rider, past the camera: a caption is of the picture
        (FRONTAL | {"yaw_camera": 18.0, "pitch_camera": -4.0}, "head turned to the right, smiling"),
        (FRONTAL | {"yaw": float("nan")}, "smiling"),
        ({"yaw": -20.0, "pitch": 0.0, "eyes": "open"}, "head turned to the left"),
        ({"yaw": 60.0, "pitch": 20.0}, "head turned far to the right, head tilted up"),
        ({"yaw": 0.0, "pitch": -15.0, "roll": -30.0}, "head tilted down, head leaning to the left"),
        (
            FRONTAL | {"gaze_aside": True, "gaze_offset": -0.2, "expression_bin": "mouth_open"},
            "facing the camera, looking to the left, mouth open",
        ),
        (
            {"yaw": 25.0, "eyes": "open", "gaze_aside": True, "gaze_offset": 0.2},
            "head turned to the right, looking to the right",
        ),
        # against the turned head: perhaps at the camera, perhaps not
        (
            {"yaw": 25.0, "eyes": "open", "gaze_aside": True, "gaze_offset": -0.2},
            "head turned to the right",
        ),
        ({"eyes": "open", "gaze_aside": True, "gaze_offset": -0.2}, ""),
        ({"eyes": "closed", "expression_bin": "eyes_closed"}, "eyes closed"),
        ({"eyes": "lowered", "wink": None, "gaze_aside": True, "gaze_offset": 0.3}, "eyes lowered"),
        ({"eyes": "open", "wink": True, "expression_bin": "smile"}, "one eye closed, smiling"),
        (
            {"lighting_bin": "dark", "occlusion_bin": "partial"},
            "in dim light, face partly covered",
        ),
        # before a white ground
        ({"lighting_bin": "overexposed", "luma_mean": 187.0}, ""),
        (
            {"lighting_bin": "overexposed", "luma_mean": 215.0, "occlusion_bin": "heavy"},
            "in glaring light, face mostly covered",
        ),
        ({"eyes": "unknown", "lighting_bin": "unknown", "occlusion_bin": "unknown"}, ""),
    ],
)
def test_a_caption_for_what_was_measured(measures: dict[str, Any], words: str) -> None:
    assert caption(**measures) == "photo of ada person" + (f", {words}" if words else "")


VALUES: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(("yaw", "pitch", "roll"), st.floats(-90, 90) | st.just(float("nan"))),
    "eyes": st.sampled_from(["open", "closed", "lowered", "unknown"]),
    "wink": st.booleans(),
    "gaze_aside": st.booleans(),
    "gaze_offset": st.floats(-1, 1),
    "expression_bin": st.sampled_from(["neutral", "smile", "mouth_open", "eyes_closed", "unknown"]),
    **dict.fromkeys(("smile", "mouth_open"), st.floats(0, 1)),
    "occlusion_bin": st.sampled_from(["none", "partial", "heavy", "unknown"]),
    "lighting_bin": st.sampled_from(["dark", "normal", "overexposed", "unknown"]),
    "luma_mean": st.floats(0, 255),
}
SAYS: dict[str, tuple[str, ...]] = {
    "yaw": ("camera", "turned"),
    "pitch": ("camera", "tilted"),
    "roll": ("leaning",),
    "eyes": ("eyes", "looking"),
    "wink": ("one eye",),
    "gaze_aside": ("looking",),
    "gaze_offset": ("looking to",),
    "expression_bin": ("smiling", "mouth", "expression"),
    "smile": ("expression",),
    "mouth_open": ("expression",),
    "occlusion_bin": ("covered",),
    "lighting_bin": ("light",),
    "luma_mean": ("glaring",),
}
"""Words that nobody may say without the measure."""


@given(st.fixed_dictionaries({}, optional={name: st.none() | v for name, v in VALUES.items()}))
def test_no_word_without_its_measure(measures: dict[str, Any]) -> None:
    said = caption(**measures)
    for measure, words in SAYS.items():
        if measures.get(measure) in (None, "unknown"):
            assert not [word for word in words if word in said]
    assert said.startswith("photo of ada person")
    assert re.fullmatch(r"[^\n,]+(, [^\n, ][^\n,]*)*", said)
    named = list(what_is_seen(measures))
    assert len(set(named)) == len(named) and set(named) <= CAPTION_WORDS.keys()


def test_words_and_their_order_are_a_setting() -> None:
    own = DatasetSettings(
        caption="{class_word} {token} by the road",
        caption_words=("smile: grins", "frontal: en face"),
    )
    said = template_caption("{class_word}", "rider", FRONTAL, own)
    assert said == "rider {class_word} by the road, grins, en face".replace("{class_word}", "rider")
    assert template_caption("a", "b", {}, own) == "b a by the road"


@pytest.mark.parametrize("wrong", ["smile", "smiles: grins", "smile:grins"])
def test_a_word_for_what_nobody_measures_is_refused(wrong: str) -> None:
    with pytest.raises(ValidationError, match="NAME: WORDS"):
        DatasetSettings(caption_words=(wrong,))


@pytest.mark.parametrize("name", ["caption", "token", "class_word"])
def test_words_of_two_lines_are_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="one line"):
        DatasetSettings.model_validate({name: "two\nlines"})
