"""Drift: unusual against the last videos of the camera, never against nothing."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_pipeline.core.video.drift import WORDS, camera_of, compare, figures_of
from identity_pipeline.settings import DriftSettings
from identity_pipeline.tables import TABLES, empty

SETTINGS = DriftSettings()


@pytest.mark.parametrize(
    ("stem", "pattern", "camera"),
    [
        ("cam3_2026-05-01", r"^(cam[0-9]+)_", "cam3"),
        ("ride_7", r"^(cam[0-9]+)_", None),
        ("ride_7", "", None),
        ("_x", r"^(\w*?)_", None),
    ],
)
def test_the_camera_is_the_first_group_of_the_pattern(
    stem: str, pattern: str, camera: str | None
) -> None:
    assert camera_of(stem, pattern) == camera


def test_a_video_without_frames_or_faces_has_no_figures_but_no_error() -> None:
    nothing = figures_of(empty("frames"), empty("face_detections"), empty("face_quality"))
    assert set(nothing.values()) == {None}


def test_figures_are_means_and_shares() -> None:
    frames = pl.DataFrame([{"luma_mean": 10.0}, {"luma_mean": 30.0}], schema=TABLES["frames"])
    faces = pl.DataFrame([{"score": 0.5}], schema=TABLES["face_detections"])
    quality = pl.DataFrame([{"loose": True}], schema=TABLES["face_quality"])
    assert figures_of(frames, faces, quality) == {
        "faces_per_frame": 0.5, "luma": 20.0, "detector_score": 0.5, "usable_share": 1.0,
    }  # fmt: skip


def history(*lumas: float | None) -> list[dict[str, float | None]]:
    return [{**dict.fromkeys(WORDS, None), "luma": luma} for luma in lumas]


def unlike(luma: float | None, *past: float | None) -> bool:
    (found,) = [c for c in compare({"luma": luma}, history(*past), SETTINGS) if c.name == "luma"]
    return found.unlike


def test_too_few_videos_or_no_measure_compare_nothing() -> None:
    assert not unlike(200.0, *[100.0] * 4)
    assert not unlike(None, *[100.0] * 20)
    assert not unlike(200.0, *[None] * 20)


def test_a_far_value_is_unlike_and_a_near_one_is_not() -> None:
    past = [98.0, 101.0, 99.0, 100.0, 102.0, 100.0]
    assert unlike(180.0, *past)
    assert not unlike(105.0, *past)


def test_videos_that_are_all_alike_do_not_make_the_next_one_a_drift() -> None:
    assert not unlike(101.0, *[100.0] * 20)
    assert unlike(1.0, *[0.0] * 20)


def test_only_the_last_videos_count() -> None:
    assert not unlike(200.0, *[100.0] * 30, *[200.0] * 20)


@given(
    past=st.lists(st.floats(1, 255), min_size=5, max_size=40),
    scale=st.floats(0.5, 2.0),
    value=st.floats(1, 255),
)
def test_the_unit_of_a_figure_does_not_matter(
    past: list[float], scale: float, value: float
) -> None:
    one, other = (
        next(
            c
            for c in compare({"luma": value * s}, history(*(p * s for p in past)), SETTINGS)
            if c.name == "luma"
        )
        for s in (1.0, scale)
    )
    assert one.deviations == pytest.approx(other.deviations, rel=1e-6)
