"""Clocks: a stream whose time jumps back, and a pass that begins behind what is known."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from identity_pipeline.core.video.highlights import Emphasis, Window
from identity_pipeline.media.clocks import (
    JUMPED,
    SamplingClock,
    StreamClock,
    stamps_are_keys,
)
from identity_pipeline.media.seeking import frames_at
from identity_pipeline.media.video import sampled_frames
from identity_pipeline.settings import HighlightSettings, VideoSettings
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


# --- every other way in which a clock can be wrong ---------------------------------------------


def stamped(path: Path, stamps: list[int]) -> Path:
    """One picture per stamp, in ms; a file's clock steps back where a new recording begins in it.

    Muxers refuse stamps that step back, so each ascending run of them is written by itself.
    """
    runs: list[list[int]] = []
    for i, stamp in enumerate(stamps):
        if not i or stamp < stamps[i - 1]:
            runs.append([])
        runs[-1].append(stamp)
    parts = []
    for n, run in enumerate(runs):
        part = path.with_name(f"{n}_{path.name}")
        with av.open(str(part), "w") as container:
            stream = container.add_stream("libx264", rate=30)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            stream.options = {"x264-params": "bframes=0:keyint=12"}
            done = sum(len(other) for other in runs[:n])
            frames = [levelled(done + i) for i in range(len(run))]
            packets = [p for f in frames for p in stream.encode(f)] + stream.encode()
            for packet, stamp in zip(packets, run, strict=True):
                packet.time_base, packet.pts, packet.dts = Fraction(1, 1000), stamp, stamp
                container.mux(packet)
        parts.append(part.read_bytes())
    path.write_bytes(b"".join(parts))
    return path


def levelled(number: int) -> av.VideoFrame:
    """A picture that tells its number by its brightness."""
    level = 30 + 5 * number % 200
    return av.VideoFrame.from_ndarray(np.full((48, 64, 3), level, np.uint8), "bgr24")


def clock_of(stamps: Sequence[int | None], *, fps: int = 30) -> list[tuple[float, frozenset[str]]]:
    """The clock over frames with these stamps, in ms."""
    stream = SimpleNamespace(time_base=Fraction(1, 1000), average_rate=fps)
    clock, told = StreamClock(cast(Any, stream)), []
    for stamp in stamps:
        _, troubles = clock.read(cast(Any, SimpleNamespace(pts=stamp)))
        told.append((clock.now_ms, troubles))
    return told


REGULAR = [round(i * 1000 / 30) for i in range(90)]
WRONG: dict[str, Sequence[int | None]] = {
    "steps back by 0.8 s": [*REGULAR[:45], *(t + REGULAR[45] - 800 for t in REGULAR[:45])],
    "steps back by two frames": [*REGULAR[:45], *(t + REGULAR[43] for t in REGULAR[:45])],
    "starts anew every second": REGULAR[:30] * 3,
    "starts anew every three frames": REGULAR[:3] * 30,
    "each stamp comes twice": [t for t in REGULAR[:90:2] for _ in range(2)],
    "one stamp comes again": [*REGULAR[:45], REGULAR[44], *REGULAR[46:]],
    "two frames are out of order": [*REGULAR[:44], REGULAR[45], REGULAR[44], *REGULAR[46:]],
    "always the same": [500] * 90,
    "none at all": [None] * 90,
    "none now and then": [None if i % 7 == 3 else t for i, t in enumerate(REGULAR)],
    "one far ahead": [*REGULAR[:45], 10**9, *REGULAR[46:]],
    "negative, then back": [*(t - 5000 for t in REGULAR[:45]), *(t - 6000 for t in REGULAR[:45])],
}


@pytest.mark.parametrize("name", WRONG)
def test_no_sample_is_lost_whatever_the_clock_does(name: str) -> None:
    told = clock_of(WRONG[name])
    times = [time for time, _ in told]
    assert all(b >= a for a, b in pairwise(times))
    sampling = SamplingClock(10.0)
    taken = [i for i, time in enumerate(times) if sampling.takes(time - times[0])]
    # Three frames a sample; a step of a stamp may move one sample by a frame or two.
    assert len(taken) >= 29
    assert max(b - a for a, b in pairwise(taken)) <= 5
    assert not stamps_are_keys("; ".join(sorted(troubles)) for _, troubles in told)


def test_a_clock_without_fault_is_believed_also_across_gaps() -> None:
    stamps: list[int | None] = [*(t - 700 for t in REGULAR[:30]), *(t + 60_000 for t in REGULAR)]
    told = clock_of(stamps)
    assert [time for time, _ in told] == stamps
    assert stamps_are_keys("; ".join(troubles) or None for _, troubles in told)


FILES = {
    "steps_back.ts": "steps back by 0.8 s",
    "starts_anew.ts": "starts anew every second",
    "back_two.ts": "steps back by two frames",
    "comes_again.mkv": "one stamp comes again",
    "same.mkv": "always the same",
}


@pytest.mark.parametrize("name", FILES)
def test_frames_of_a_file_with_a_wrong_clock_are_found_again(tmp_path: Path, name: str) -> None:
    stamps = [stamp for stamp in WRONG[FILES[name]] if stamp is not None]
    path = stamped(tmp_path / name, stamps)
    found_again(path, len(stamps))


def found_again(path: Path, count: int, *, keys: bool = False) -> None:
    """Each sampled frame of a file is the frame that is exported for it."""
    every = list(sampled_frames(path, ALL))
    assert [f.frame_idx for f in every] == list(range(count))
    sampled = list(sampled_frames(path, TEN))
    assert len(sampled) >= count // 3 - 1
    assert all(np.array_equal(f.bgr, every[f.frame_idx].bgr) for f in sampled)
    assert stamps_are_keys(f.decode_error for f in sampled) == keys
    wanted = [(f.frame_idx, f.pts) for f in sampled]
    found = dict(frames_at(path, wanted, seekable=keys))
    assert all(np.array_equal(found[f.frame_idx], f.bgr) for f in sampled)


def test_a_stream_without_any_stamp_is_counted(tmp_path: Path) -> None:
    plain = numbered(tmp_path / "a.mp4", 0, 60)
    path = tmp_path / "raw.h264"
    with av.open(str(plain)) as source, av.open(str(path), "w", format="h264") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    found_again(path, 60)


def test_a_transport_stream_whose_counter_wraps_runs_on(tmp_path: Path) -> None:
    wrap = (2**33 * 1000) // 90_000
    path = stamped(tmp_path / "wrap.ts", [wrap - 1500 + t for t in REGULAR])
    every = list(sampled_frames(path, ALL))
    assert len(every) == 90
    assert np.allclose(np.diff([f.timestamp_ms for f in every]), 1000 / 30, atol=1.5)
    found_again(path, 90, keys=stamps_are_keys(f.decode_error for f in every))


def test_trouble_behind_the_last_sample_is_told_with_it(tmp_path: Path) -> None:
    stamps = [*REGULAR[:31], REGULAR[12], REGULAR[13]]
    path = stamped(tmp_path / "end.ts", stamps)
    sampled = list(sampled_frames(path, VideoSettings(analysis_fps=1)))
    assert [f.frame_idx for f in sampled] == [0, 30]
    assert not stamps_are_keys(f.decode_error for f in sampled)


def burned_in(image: NDArray[np.uint8]) -> int:
    """The counter at the bottom: twelve cells, least significant first, behind a white one."""
    cells = image[-20:, :1183].mean(axis=(0, 2)).reshape(13, 91).mean(axis=1) > 128
    assert cells[0]
    return sum(1 << i for i, white in enumerate(cells[1:]) if white)


def test_two_segments_whose_clocks_overlap(cases: Path) -> None:
    path = cases / "media" / "jump08.ts"
    sampled = list(sampled_frames(path, TEN))
    assert [f.frame_idx for f in sampled] == list(range(0, 120, 3))
    assert all(burned_in(f.bgr) == f.frame_idx for f in sampled)
    assert not stamps_are_keys(f.decode_error for f in sampled)
    wanted = [(f.frame_idx, f.pts) for f in sampled]
    for frame_idx, image in frames_at(path, wanted, seekable=False):
        assert burned_in(image) == frame_idx


def test_in_a_highlight_the_rate_is_higher_and_nothing_else_changes() -> None:
    emphasis = Emphasis((Window(1, 2, 2), Window(3, 3.5, 3)), HighlightSettings())
    plain, dense = SamplingClock(10.0), SamplingClock(10.0, emphasis)
    times = [n * 1000 / 30 for n in range(150)]
    usual = [t for t in times if plain.takes(t)]
    more = [t for t in times if dense.takes(t)]
    assert set(usual) <= set(more)

    def outside(t: float) -> bool:
        return emphasis.times(t) == 1

    assert [t for t in more if outside(t)] == [t for t in usual if outside(t)]
    inside = [[t for t in taken if 1000 <= t < 2000] for taken in (usual, more)]
    assert [len(taken) for taken in inside] == [10, 20]
    assert len([t for t in more if 3000 <= t < 3500]) == 15  # 30 frames a second: all of them
