"""Reading video: sampling, time, rotation, single frames, and what is refused in which words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from identity_pipeline.media.errors import VideoError
from identity_pipeline.media.seeking import frames_at
from identity_pipeline.media.video import (
    SamplingClock,
    probe,
    sampled_frames,
)
from identity_pipeline.settings import VideoSettings

ALL = VideoSettings(analysis_fps=0)
B_FRAMES = {"x264-params": "bframes=3:keyint=12:scenecut=0"}


def picture(i: int, width: int = 64, height: int = 48) -> NDArray[np.uint8]:
    """A picture that tells its number by its brightness and by a moving bar."""
    image = np.full((height, width, 3), 40 + (i * 37) % 180, np.uint8)
    x = (i * 2) % (width - 12)
    image[10:30, x : x + 10] = [255, (i * 50) % 255, 0]
    return image


def write(
    path: Path,
    frames: int = 30,
    *,
    fps: int = 30,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    mux: dict[str, str] | None = None,
    b_frames: int | None = None,
    times: Sequence[int] | None = None,
    draw: Callable[[int], NDArray[np.uint8]] = picture,
) -> Path:
    """A small video; `times` are presentation times in 1/1000 s instead of a constant rate."""
    base = Fraction(1, 1000) if times else Fraction(1, fps)
    with av.open(str(path), "w", options=mux or {}) as container:
        stream = container.add_stream(codec, rate=fps)
        stream.height, stream.width = draw(0).shape[:2]
        stream.pix_fmt, stream.options = "yuv420p", options or {}
        stream.codec_context.gop_size = 12
        stream.codec_context.time_base = base
        if b_frames is not None:
            stream.codec_context.max_b_frames = b_frames
        for i in range(frames):
            frame = av.VideoFrame.from_ndarray(draw(i), "bgr24")
            frame.pts, frame.time_base = (times[i] if times else i), base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def code_of(call: Callable[[], object]) -> str:
    """The code of the VideoError that a call raises; its sentence ends like one."""
    with pytest.raises(VideoError) as caught:
        call()
    assert caught.value.sentence.strip().endswith((".", "?"))
    return caught.value.code


# --- sampling and time -------------------------------------------------------------------------


def test_ten_frames_a_second_from_thirty_are_every_third(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", 31)
    frames = list(sampled_frames(path, VideoSettings(analysis_fps=10)))
    assert [f.frame_idx for f in frames] == list(range(0, 31, 3))
    assert [f.timestamp_ms for f in frames] == pytest.approx([i * 100 for i in range(11)])


def test_zero_keeps_every_frame_and_pixels_are_the_drawn_ones(tmp_path: Path) -> None:
    frames = list(sampled_frames(write(tmp_path / "a.mp4", 7), ALL))
    assert [f.frame_idx for f in frames] == list(range(7))
    for frame in frames:
        assert frame.bgr.shape == (48, 64, 3)
        assert frame.bgr[40:, 56:].mean() == pytest.approx(40 + frame.frame_idx * 37 % 180, abs=6)
        assert frame.decode_error is None


@given(
    gaps=st.lists(st.floats(0.5, 400), min_size=1, max_size=60),
    fps=st.sampled_from([1.0, 7.5, 10.0, 29.97]),
)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_the_clock_takes_the_first_frame_at_or_after_each_tick(
    gaps: list[float], fps: float
) -> None:
    times = np.concatenate([[0.0], np.cumsum(gaps)])
    clock = SamplingClock(fps)
    taken = [t for t in times.tolist() if clock.takes(t)]
    ticks = range(int(times[-1] * fps / 1000 + 1e-6) + 1)
    rounded = np.round(times * fps / 1000, 6)
    expected = {float(times[np.argmax(rounded >= k)]) for k in ticks}
    assert taken == sorted(expected)


def test_the_clock_forgives_rounding_of_the_time_base() -> None:
    clock = SamplingClock(10)
    times = [0, 99.9999999, 133.3, 200.0000001, 299.99999999]
    assert [clock.takes(t) for t in times] == [True, True, False, True, True]


def test_a_variable_frame_rate_keeps_the_times_of_the_stream(tmp_path: Path) -> None:
    times = [0, 40, 80, 500, 520, 1030, 1040, 1300]
    path = write(tmp_path / "v.mp4", len(times), times=times)
    frames = list(sampled_frames(path, ALL))
    assert [f.timestamp_ms for f in frames] == pytest.approx(times, abs=0.6)
    sampled = list(sampled_frames(path, VideoSettings(analysis_fps=2)))
    assert [f.frame_idx for f in sampled] == [0, 3, 5]


def test_two_frames_are_a_video(tmp_path: Path) -> None:
    path = write(tmp_path / "two.mp4", 2)
    assert probe(path, ALL).width == 64
    assert [f.frame_idx for f in sampled_frames(path, VideoSettings())] == [0]


def test_the_facts_are_those_of_the_file(tmp_path: Path) -> None:
    facts = probe(write(tmp_path / "a.mp4", 45, fps=15), ALL)
    assert (facts.codec, facts.width, facts.height, facts.rotation) == ("h264", 64, 48, 0)
    assert facts.average_fps == pytest.approx(15)
    assert facts.duration_ms == pytest.approx(3000)
    assert "mp4" in facts.container


# --- rotation ----------------------------------------------------------------------------------

MATRICES = {  # (a, b, c, d) of the track header: x' = a x + c y, y' = b x + d y, y down
    0: (1, 0, 0, 1),
    90: (0, 1, -1, 0),
    180: (-1, 0, 0, -1),
    270: (0, -1, 1, 0),
}


def marked(_: int) -> NDArray[np.uint8]:
    """Red in the top left corner of a dark, wide picture."""
    image = np.full((48, 96, 3), 20, np.uint8)
    image[:16, :16] = [0, 0, 255]
    return image


@pytest.mark.parametrize(
    ("clockwise", "corner"),
    [(0, "top left"), (90, "top right"), (180, "bottom right"), (270, "bottom left")],
)
def test_the_rotation_of_the_track_header_is_applied(
    tmp_path: Path, clockwise: int, corner: str
) -> None:
    path = write(tmp_path / "r.mp4", 3, draw=marked)
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    a, b, c, d = (int(v * 65536).to_bytes(4, "big", signed=True) for v in MATRICES[clockwise])
    data[at : at + 20] = a + b + bytes(4) + c + d
    path.write_bytes(data)
    facts = probe(path, ALL)
    turned = clockwise in (90, 270)
    assert (facts.width, facts.height) == ((48, 96) if turned else (96, 48))
    assert facts.rotation == (360 - clockwise) % 360
    frame = next(sampled_frames(path, ALL))
    assert frame.bgr.shape[:2] == (facts.height, facts.width)
    rows = slice(2, 12) if "top" in corner else slice(-12, -2)
    columns = slice(2, 12) if "left" in corner else slice(-12, -2)
    blue, _, red = frame.bgr[rows, columns].mean(axis=(0, 1))
    assert red > 150
    assert blue < 80
    again = dict(frames_at(path, [(0, frame.pts)]))
    assert np.array_equal(again[0], frame.bgr)


# --- single frames -----------------------------------------------------------------------------

FORMATS = {
    "b_frames.mp4": {"options": B_FRAMES},
    "open_gop.mp4": {"options": {"x264-params": "open-gop=1:bframes=3:keyint=12:scenecut=0"}},
    "one_gop.mp4": {"options": {"x264-params": "bframes=3:keyint=250"}},
    "b_frames.mkv": {"options": B_FRAMES},
    "plain.avi": {"codec": "mpeg4"},
}
SEEKS_TOO_FAR = {
    "b_frames.ts": {"options": B_FRAMES},
    "mpeg4_b_frames.avi": {"codec": "mpeg4", "b_frames": 2},
    "mpeg4_b_frames.mp4": {"codec": "mpeg4", "b_frames": 2},
}


def check_seeks(path: Path) -> None:
    """Each frame alone, and some together, are the pixels of the sampled pass."""
    frames = list(sampled_frames(path, ALL))
    assert len(frames) == 40
    for frame in (frames[i] for i in (0, 1, 11, 12, 13, 20, 38, 39)):
        found = dict(frames_at(path, [(frame.frame_idx, frame.pts)]))
        assert np.array_equal(found[frame.frame_idx], frame.bgr), frame.frame_idx
    some = frames[::-9]
    together = list(frames_at(path, [(f.frame_idx, f.pts) for f in some]))
    assert sorted(i for i, _ in together) == sorted(f.frame_idx for f in some)
    assert all(np.array_equal(image, frames[i].bgr) for i, image in together)


@pytest.mark.parametrize("name", FORMATS)
def test_a_frame_found_by_seeking_is_the_frame_of_the_pass(tmp_path: Path, name: str) -> None:
    check_seeks(write(tmp_path / name, 40, **FORMATS[name]))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", SEEKS_TOO_FAR)
def test_a_seek_that_lands_too_late_is_tried_again_earlier(tmp_path: Path, name: str) -> None:
    check_seeks(write(tmp_path / name, 40, **SEEKS_TOO_FAR[name]))  # type: ignore[arg-type]


def test_frames_seconds_apart_are_found_in_one_call(tmp_path: Path) -> None:
    path = write(tmp_path / "slow.mp4", 40, fps=5, options=B_FRAMES)
    frames = list(sampled_frames(path, ALL))
    wanted = [(frames[i].frame_idx, frames[i].pts) for i in (39, 0, 25, 1)]
    assert [i for i, _ in frames_at(path, wanted)] == [0, 1, 25, 39]


def test_nothing_wanted_opens_nothing(tmp_path: Path) -> None:
    assert list(frames_at(tmp_path / "missing.mp4", [])) == []


def test_a_frame_that_is_not_there_does_not_hide_the_others(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", 5)
    frames = list(sampled_frames(path, ALL))
    wanted = [(99, 10**7), (3, frames[3].pts)]
    for seekable in (True, False):
        assert [i for i, _ in frames_at(path, wanted, seekable=seekable)] == [3]


# --- what is refused ---------------------------------------------------------------------------


def text(path: Path) -> Path:
    path.write_text("this is a shopping list\n" * 50, encoding="utf-8")
    return path


def sound(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        for i in range(5):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            frame.sample_rate, frame.pts = 16000, i * 1024
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda path: path, "missing"),
        (lambda path: path.touch() or path, "empty"),
        (text, "not_a_video"),
        (sound, "no_video_stream"),
    ],
)
def test_what_is_no_video_is_refused(
    tmp_path: Path, make: Callable[[Path], Path], code: str
) -> None:
    path = make(tmp_path / "a.mp4")
    assert code_of(lambda: probe(path, ALL)) == code
    assert code_of(lambda: list(sampled_frames(path, ALL))) == code


@pytest.mark.parametrize(
    ("limit", "code"),
    [
        ({"max_file_bytes": 100}, "too_large"),
        ({"max_duration_s": 0.5}, "too_long"),
        ({"max_pixels": 64 * 48 - 1}, "absurd_dimensions"),
    ],
)
def test_limits_are_kept(tmp_path: Path, limit: dict[str, float], code: str) -> None:
    path = write(tmp_path / "a.mp4", 30)
    assert code_of(lambda: probe(path, VideoSettings(**limit))) == code  # type: ignore[arg-type]


def test_a_picture_of_exactly_the_limit_passes(tmp_path: Path) -> None:
    assert probe(write(tmp_path / "a.mp4", 2), VideoSettings(max_pixels=64 * 48)).width == 64


@pytest.mark.parametrize(("width", "height"), [(0, 0), (0, 48), (32000, 32000)])
def test_dimensions_that_no_camera_has_are_refused(tmp_path: Path, width: int, height: int) -> None:
    path = write(tmp_path / "raw.avi", 2, codec="rawvideo")
    data = bytearray(path.read_bytes())
    at = data.index(b"strf") + 8 + 4  # width and height of the BITMAPINFOHEADER
    data[at : at + 8] = width.to_bytes(4, "little") + height.to_bytes(4, "little")
    path.write_bytes(data)
    assert code_of(lambda: probe(path, ALL)) in ("absurd_dimensions", "not_a_video")


def test_a_codec_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "u.mp4", 5)
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzzz"))
    assert code_of(lambda: probe(path, ALL)) == "unknown_codec"


def test_a_clip_cut_off_before_its_index_is_no_video(tmp_path: Path) -> None:
    path = write(tmp_path / "t.mp4", 60, fps=5)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert code_of(lambda: probe(path, ALL)) == "not_a_video"


def test_a_clip_cut_off_after_its_index_is_truncated(tmp_path: Path) -> None:
    path = write(tmp_path / "t.mp4", 60, fps=5, mux={"movflags": "+faststart"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    frames: list[int] = []

    def read() -> None:
        frames.extend(f.frame_idx for f in sampled_frames(path, ALL))

    assert code_of(read) == "truncated"
    assert 5 < len(frames) < 54
    allowed = VideoSettings(analysis_fps=0, allow_truncated=True)
    assert [f.frame_idx for f in sampled_frames(path, allowed)] == frames


def test_a_damaged_picture_does_not_end_the_video(tmp_path: Path) -> None:
    path = damaged(write(tmp_path / "d.mp4", 120, options={"x264-params": "keyint=30:bframes=2"}))
    frames = list(sampled_frames(path, ALL))
    assert 30 < len(frames) < 120
    assert frames[-1].timestamp_ms == pytest.approx(119 / 30 * 1000, abs=1)


def test_frames_beside_a_damaged_one_are_found_again(tmp_path: Path) -> None:
    path = damaged(write(tmp_path / "d.mp4", 120, options={"x264-params": "keyint=30:bframes=2"}))
    frames = list(sampled_frames(path, ALL))
    found = dict(frames_at(path, [(f.frame_idx, f.pts) for f in frames]))
    assert set(found) == {f.frame_idx for f in frames}


def damaged(path: Path) -> Path:
    """Noise over some packets in the middle of a file; its index is left alone."""
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle - 1500 : middle + 1500] = np.random.default_rng(0).bytes(3000)
    path.write_bytes(data)
    return path
