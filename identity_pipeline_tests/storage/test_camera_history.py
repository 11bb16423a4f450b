"""The last videos of a camera: bounded, by camera, and a video counts once."""

from __future__ import annotations

from pathlib import Path

from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.camera_history import CameraHistory


def test_the_others_are_told_oldest_first_and_only_the_last_are_kept(tmp_path: Path) -> None:
    history = CameraHistory(Layout(tmp_path))
    for n in range(6):
        others = history.add("cam1", f"v-{n}", {"luma": float(n)}, keep=3)
    assert [figures["luma"] for figures in others] == [1.0, 2.0, 3.0, 4.0]


def test_a_video_that_is_run_again_is_not_compared_with_itself(tmp_path: Path) -> None:
    history = CameraHistory(Layout(tmp_path))
    history.add("cam1", "v-1", {"luma": 1.0}, keep=3)
    history.add("cam1", "v-2", {"luma": None}, keep=3)
    assert history.add("cam1", "v-1", {"luma": 9.0}, keep=3) == [{"luma": None}]
    assert history.add("cam1", "v-3", {"luma": 3.0}, keep=3) == [{"luma": 9.0}, {"luma": None}]


def test_cameras_are_kept_apart_whatever_their_names(tmp_path: Path) -> None:
    history = CameraHistory(Layout(tmp_path))
    for camera in ("Cam 1", "cam-1", "../cam-1", "", None):
        assert history.add(camera, "v-1", {"luma": 1.0}, keep=3) == []
    assert all(path.parent.name == "cameras" for path in tmp_path.rglob("*.json"))


def test_after_a_change_the_videos_before_it_are_forgotten(tmp_path: Path) -> None:
    history = CameraHistory(Layout(tmp_path))
    for n in range(5):
        history.add("cam1", f"v-{n}", {"luma": float(n)}, keep=9)
    history.begin_at("cam1", 3)
    assert [f["luma"] for f in history.add("cam1", "v-5", {"luma": 5.0}, keep=9)] == [3.0, 4.0]


def test_figures_that_an_earlier_version_noted_are_not_compared_with(tmp_path: Path) -> None:
    history = CameraHistory(Layout(tmp_path))
    history.add("cam1", "v-1", {"luma": 1.0}, keep=3)
    assert history.add("cam1", "v-2", {"luma": 1.0, "sharpness": 9.0}, keep=3) == []
