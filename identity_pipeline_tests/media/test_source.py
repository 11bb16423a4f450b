"""Opening a video: which stream, how much memory, what is no video, and what a cut leaves."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition

from identity_pipeline.media.errors import DAMAGED, VideoError
from identity_pipeline.media.seeking import frames_at
from identity_pipeline.media.video import probe, sampled_frames
from identity_pipeline.settings import VideoSettings
from identity_pipeline_tests.camera_files import grey, joined, write

ALL = VideoSettings(analysis_fps=0)
LENIENT = VideoSettings(analysis_fps=0, allow_truncated=True)


def refused(path: Path, settings: VideoSettings = ALL) -> VideoError:
    """The same refusal, in a sentence, by the probe and by the pass."""
    errors = []
    for read in (probe, lambda p, s: list(sampled_frames(p, s))):
        with pytest.raises(VideoError) as caught:
            read(path, settings)
        errors.append(caught.value)
    assert errors[0].code == errors[1].code
    assert errors[0].sentence.endswith((".", "?"))
    return errors[0]


# --- which stream ------------------------------------------------------------------------------


def several(
    path: Path,
    streams: list[tuple[str, int, int]],
    *,
    default: int | None = None,
    cover_first: bool = False,
) -> Path:
    """A file with several videos, each (codec, side, brightness)."""
    with av.open(str(path), "w") as output:
        made = []
        for n, (codec, side, _) in enumerate(streams):
            stream = output.add_stream(codec, rate=25)
            stream.width = stream.height = side
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            stream.disposition = Disposition.default if n == default else Disposition(0)
            made.append(stream)
        if cover_first:
            made[0].disposition = Disposition.attached_pic
        for i in range(6):
            for n, (stream, (_, side, light)) in enumerate(zip(made, streams, strict=True)):
                if n == 0 and cover_first and i:
                    continue
                picture = np.full((side, side, 3), light, np.uint8)
                frame = av.VideoFrame.from_ndarray(picture, "bgr24")
                frame.pts, frame.time_base = i, Fraction(1, 25)
                output.mux(stream.encode(frame))
        for stream in made:
            output.mux(stream.encode())
    return path


def lights(path: Path) -> set[int]:
    """Brightness of all pictures, the same when sought, in steps of 20."""
    frames = list(sampled_frames(path, ALL))
    sought = dict(frames_at(path, [(f.frame_idx, f.pts) for f in frames]))
    assert all(np.array_equal(sought[f.frame_idx], f.bgr) for f in frames)
    return {round(f.bgr.mean() / 20) * 20 for f in frames}


@pytest.mark.parametrize("name", ["c.mkv", "c.mp4", "c.mov"])
@pytest.mark.parametrize("default", [None, 0, 1])
def test_a_cover_before_the_video_is_not_looked_at(
    tmp_path: Path, name: str, default: int | None
) -> None:
    """Marked as one (MP4), or not, as one picture alone (Matroska)."""
    streams = [("mjpeg", 256, 200), ("libx264", 64, 100)]
    path = several(tmp_path / name, streams, default=default, cover_first=True)
    facts = probe(path, ALL)
    assert (facts.codec, facts.width) == ("h264", 64)
    assert lights(path) == {100}


def test_the_default_video_is_looked_at_else_the_largest_and_the_others_are_named(
    tmp_path: Path,
) -> None:
    streams = [("libx264", 64, 60), ("libx264", 128, 100), ("libx264", 96, 160)]
    for default, chosen, light in ((0, 0, 60), (1, 1, 100), (2, 2, 160), (None, 1, 100)):
        path = several(tmp_path / f"{default}.mkv", streams, default=default)
        assert lights(path) == {light}
        facts = probe(path, ALL)
        assert facts.stream_index == chosen
        assert f"stream {chosen} is looked at" in facts.warnings[0]


def test_of_a_transport_stream_with_several_programs_the_largest_is_looked_at(
    tmp_path: Path,
) -> None:
    path = several(tmp_path / "p.ts", [("libx264", 64, 60), ("mpeg2video", 128, 100)])
    assert lights(path) == {100}
    assert probe(path, ALL).codec == "mpeg2video"


# --- stills, and what a cut leaves -------------------------------------------------------------


@pytest.mark.parametrize(
    ("codec", "pixel_format", "container", "frames"),
    [
        ("png", "rgb24", "image2", 1),
        ("mjpeg", "yuvj420p", "image2", 1),
        ("bmp", "bgr24", "image2", 1),
        ("tiff", "rgb24", "image2", 1),
        ("gif", "rgb8", "gif", 1),
        ("libwebp", "yuv420p", "webp", 1),
        ("libwebp_anim", "yuv420p", "webp", 3),  # which ffmpeg cannot decode
        ("libx264", "yuv420p", "mp4", 1),
        ("libx264", "yuv420p", "mpegts", 1),
        ("libx264", "yuv420p", "h264", 1),
        ("ffv1", "yuv420p", "matroska", 1),
    ],
)
def test_a_still_picture_is_no_video(
    tmp_path: Path, codec: str, pixel_format: str, container: str, frames: int
) -> None:
    path = write(
        tmp_path / "ride.mp4", frames, codec=codec, pixel_format=pixel_format, container=container
    )
    error = refused(path, LENIENT)
    assert error.code == "still_picture"
    assert "ride.mp4" in error.sentence


@pytest.mark.parametrize("name", ["notes.jpg", "notes.png", "notes.mp4"])
def test_a_text_is_no_still_picture_whatever_it_is_called(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("Bring the long lens.\n" * 50)
    error = refused(tmp_path / name, LENIENT)
    assert error.code == "not_a_video" and name in error.sentence


@pytest.mark.parametrize("settings", [ALL, LENIENT])
def test_one_picture_left_of_sixty_is_truncated(tmp_path: Path, settings: VideoSettings) -> None:
    whole = write(tmp_path / "w.mp4", 60, mux={"movflags": "faststart"}, gop_size=60)
    data = whole.read_bytes()
    with av.open(str(whole)) as container:
        ends = [p.pos + p.size for p in container.demux(video=0) if p.size]
    path = tmp_path / "cut.mp4"
    path.write_bytes(data[: ends[0] + 1])
    assert refused(path, settings).code == "truncated"


def test_few_pictures_left_are_truncated_whatever_rate_they_seem_to_have(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (60, 64, 64, 3), dtype=np.uint8)
    whole = write(tmp_path / "w.mkv", list(noise), gop_size=4)
    path = tmp_path / "cut.mkv"
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 5])
    with pytest.raises(VideoError, match="truncated"):
        list(sampled_frames(path, ALL))
    assert 2 <= len(list(sampled_frames(path, LENIENT))) < 20


def test_pictures_that_the_decoder_holds_come_out_where_the_container_breaks_off(
    tmp_path: Path,
) -> None:
    whole = write(tmp_path / "w.mp4", 30, mux={"movflags": "faststart"}, max_b_frames=3)
    with av.open(str(whole)) as container:
        packets = [(p.pos + p.size, p.pts) for p in container.demux(video=0) if p.size]
    path = tmp_path / "cut.mp4"
    path.write_bytes(whole.read_bytes()[: packets[19][0] + 5])
    shown = [f.pts for f in sampled_frames(path, LENIENT)]
    assert set(shown) >= {pts for _, pts in packets[:19]}


# --- limits and damage -------------------------------------------------------------------------

HUGE = """
import resource, sys
from pathlib import Path
from identity_pipeline.media.video import sampled_frames
from identity_pipeline.media.errors import VideoError
from identity_pipeline.settings import VideoSettings
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    count = sum(1 for _ in sampled_frames(Path(sys.argv[1]), VideoSettings(max_pixels=1_000_000)))
    print("count", count)
except VideoError as error:
    print(error.code, "mid-stream" in error.sentence)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_a_stream_that_grows_absurdly_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    small = write(tmp_path / "s.ts", 12, gop_size=6)
    large = write(
        tmp_path / "l.ts", 2, start=12, draw=lambda i: grey(i, 5000, 3000),
        options={"preset": "ultrafast"},
    )  # fmt: skip
    path = joined(tmp_path / "both.ts", small, large)
    done = subprocess.run(
        [sys.executable, "-c", HUGE, str(path)], capture_output=True, text=True, check=True
    )
    first, grown = done.stdout.splitlines()
    assert first == "absurd_dimensions True"
    assert int(grown) < 40  # MB; one such frame has 22, and a decoder holds several


def test_damage_at_the_start_costs_its_frames_alone(tmp_path: Path) -> None:
    whole = write(tmp_path / "w.ts", 36, gop_size=12)
    data = bytearray(whole.read_bytes())
    with av.open(str(whole)) as container:
        keys = [p.pos for p in container.demux(video=0) if p.is_keyframe]
    # Cut inside the first group: the stream begins with frames that need another one.
    path = tmp_path / "cut.ts"
    path.write_bytes(bytes(data[(keys[0] // 188 + 2) * 188 :]))
    frames = list(sampled_frames(path, LENIENT))
    assert len(frames) >= 24
    whole_frames = list(sampled_frames(whole, ALL))
    assert np.abs(frames[-1].bgr.astype(int) - whole_frames[-1].bgr).max() < 3
    assert {f.decode_error for f in frames} <= {None, DAMAGED}


@pytest.mark.parametrize(("start", "mux"), [(500, {}), (250, {"movflags": "frag_keyframe"})])
def test_a_late_start_is_no_lack(tmp_path: Path, start: int, mux: dict[str, str]) -> None:
    path = write(tmp_path / "late.mp4", 30, start=start, mux=mux)
    assert len(list(sampled_frames(path, ALL))) == 30


def test_sound_that_goes_on_behind_the_pictures_is_no_lack(tmp_path: Path) -> None:
    path = tmp_path / "sound.mkv"
    with av.open(str(path), "w") as output:
        video, sound = output.add_stream("libx264", rate=25), output.add_stream("flac", rate=8000)
        video.width = video.height = 64
        video.pix_fmt = "yuv420p"
        for i in range(25):
            frame = av.VideoFrame.from_ndarray(grey(i), "bgr24")
            frame.pts, frame.time_base = i, Fraction(1, 25)
            output.mux(video.encode(frame))
        for i in range(8):
            silence = np.zeros((1, 4000), np.int16)
            heard = av.AudioFrame.from_ndarray(silence, format="s16", layout="mono")
            heard.sample_rate, heard.pts, heard.time_base = 8000, 4000 * i, Fraction(1, 8000)
            output.mux(sound.encode(heard))
        output.mux(video.encode())
        output.mux(sound.encode())
    assert probe(path, ALL).duration_ms == pytest.approx(1000, abs=1)
    assert len(list(sampled_frames(path, ALL))) == 25


def test_no_declared_length_is_said(tmp_path: Path) -> None:
    path = write(tmp_path / "live.mkv", 30, mux={"live": "1"})
    facts = probe(path, ALL)
    assert facts.duration_ms is None
    assert "how long" in facts.warnings[-1]
    assert len(list(sampled_frames(path, ALL))) == 30


def test_a_file_that_ends_in_the_middle_of_a_fragment_says_so(tmp_path: Path) -> None:
    """Its length is that of the fragments that are there, so nothing else shows that it is cut."""
    options = {"movflags": "frag_keyframe+empty_moov"}
    whole = write(tmp_path / "w.mp4", 60, mux=options, gop_size=6)
    cut = tmp_path / "c.mp4"
    cut.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * 0.6)])
    assert not probe(whole, ALL).warnings
    assert any("in the middle of what it began" in said for said in probe(cut, ALL).warnings)
    assert 6 <= len(list(sampled_frames(cut, ALL))) < 60
