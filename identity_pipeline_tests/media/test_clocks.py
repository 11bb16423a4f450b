"""Clocks: a stream whose time jumps back, and a pass that begins behind what is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from identity_pipeline.media.seeking import frames_at
from identity_pipeline.media.video import JUMPED, sampled_frames
from identity_pipeline.settings import VideoSettings
from identity_pipeline_tests.synthetic import write_video

TEN = VideoSettings()
ALL = VideoSettings(analysis_fps=0)


def numbered(path: Path, first: int, count: int, fps: int = 30) -> Path:
    """Pictures that differ by their brightness."""
    levels = [30 + (5 * (first + i)) % 200 for i in range(count)]
    return write_video(path, (np.full((48, 64, 3), level, np.uint8) for level in levels), fps=fps)


@pytest.fixture
def two_in_one(tmp_path: Path) -> Path:
    """A transport stream of two recordings, three seconds each: the clock starts anew."""
    parts = [numbered(tmp_path / f"{n}.ts", 90 * n, 90).read_bytes() for n in range(2)]
    path = tmp_path / "both.ts"
    path.write_bytes(b"".join(parts))
    return path


def test_the_time_runs_on_where_the_clock_jumps_back(two_in_one: Path) -> None:
    every = list(sampled_frames(two_in_one, ALL))
    assert len(every) == 180
    steps = np.diff([frame.timestamp_ms for frame in every])
    assert np.allclose(steps, 1000 / 30, atol=1)
    assert [f.frame_idx for f in every if f.decode_error == JUMPED] == [90]


def test_frames_are_sampled_at_the_same_rate_behind_the_jump(two_in_one: Path) -> None:
    sampled = list(sampled_frames(two_in_one, TEN))
    assert [frame.frame_idx for frame in sampled] == list(range(0, 180, 3))
    (said,) = [frame for frame in sampled if frame.decode_error]
    assert said.decode_error == JUMPED and said.frame_idx == 90


def test_a_frame_whose_pts_comes_twice_is_found_by_counting(two_in_one: Path) -> None:
    every = list(sampled_frames(two_in_one, ALL))
    first, second = every[20], every[110]
    assert first.pts == second.pts
    wanted = [(frame.frame_idx, frame.pts) for frame in (second, first)]
    found = dict(frames_at(two_in_one, wanted, seekable=False))
    assert np.array_equal(found[20], first.bgr) and np.array_equal(found[110], second.bgr)
    assert not np.array_equal(first.bgr, second.bgr)


@pytest.mark.parametrize("skip", [0, 1, 29, 30, 59, 60])
def test_a_pass_that_skips_goes_on_exactly_as_one_that_does_not(
    two_in_one: Path, skip: int
) -> None:
    whole = list(sampled_frames(two_in_one, TEN))[skip:]
    rest = list(sampled_frames(two_in_one, TEN, skip=skip))
    assert [(f.frame_idx, f.pts, f.timestamp_ms, f.decode_error) for f in rest] == [
        (f.frame_idx, f.pts, f.timestamp_ms, f.decode_error) for f in whole
    ]
    assert all(np.array_equal(a.bgr, b.bgr) for a, b in zip(rest, whole, strict=True))
