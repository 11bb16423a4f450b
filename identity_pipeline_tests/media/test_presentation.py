"""The shape of a picture: square pixels, upright, deinterlaced, of one size, or refused."""

from __future__ import annotations

import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from identity_pipeline.media import boxes, matroska
from identity_pipeline.media.boxes import Description
from identity_pipeline.media.clocks import stamps_are_keys
from identity_pipeline.media.display_matrix import (
    DistortingMatrixError,
    Orientation,
    orientation_of,
)
from identity_pipeline.media.errors import RESHAPED, VideoError
from identity_pipeline.media.seeking import frames_at
from identity_pipeline.media.video import SampledFrame, probe, sampled_frames
from identity_pipeline.settings import VideoSettings
from identity_pipeline_tests.camera_files import (
    box,
    circle,
    grey,
    joined,
    with_box,
    with_matrix,
    with_track_box,
    write,
)

ALL = VideoSettings(analysis_fps=0)


def shown(path: Path) -> list[SampledFrame]:
    """All frames, which are the same when they are sought."""
    frames = list(sampled_frames(path, ALL))
    keys = stamps_are_keys(f.decode_error for f in frames)
    wanted = [(f.frame_idx, f.pts) for f in frames[::2]]
    sought = dict(frames_at(path, wanted, seekable=keys))
    assert sought.keys() == {f.frame_idx for f in frames[::2]}
    for frame in frames[::2]:
        assert np.array_equal(sought[frame.frame_idx], frame.bgr)
    return frames


def refused(path: Path, settings: VideoSettings = ALL) -> VideoError:
    with pytest.raises(VideoError) as caught:
        probe(path, settings)
    assert caught.value.sentence.endswith((".", "?"))
    return caught.value


def extent(image: np.ndarray) -> tuple[int, int]:
    """Width and height of the bright disc."""
    bright = image.min(axis=2) > 125
    return int(bright.any(axis=0).sum()), int(bright.any(axis=1).sum())


# --- pixels that are not square ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.ts", "libx264"), ("a.avi", "mpeg4")],
)
@pytest.mark.parametrize(
    ("ratio", "size"),
    [("4/3", (128, 96)), ("64/45", (137, 96)), ("3/4", (96, 128)), ("1/1", (96, 96))],
)
def test_pixels_are_made_square(
    tmp_path: Path, name: str, codec: str, ratio: str, size: tuple[int, int]
) -> None:
    path = write(
        tmp_path / name,
        4,
        codec=codec,
        draw=lambda i: circle(i, 96, 96),
        sample_aspect_ratio=Fraction(ratio),
    )
    facts = probe(path, ALL)
    assert (facts.width, facts.height) == size
    assert (facts.coded_width, facts.coded_height) == (96, 96)
    assert facts.sample_aspect_ratio == ratio.replace("/", ":")
    for frame in shown(path):
        assert frame.bgr.shape == (size[1], size[0], 3)
        width, height = extent(frame.bgr)
        assert width / height == pytest.approx(float(Fraction(ratio)), rel=0.06)


def test_the_container_knows_the_shape_of_pixels_better_than_the_codec(tmp_path: Path) -> None:
    path = write(tmp_path / "c.mp4", 4, sample_aspect_ratio=Fraction(4, 3))
    data = bytearray(path.read_bytes())
    at = data.index(b"pasp") + 4
    data[at : at + 8] = struct.pack(">II", 2, 1)
    path.write_bytes(data)
    facts = probe(path, ALL)
    assert (facts.sample_aspect_ratio, facts.width) == ("2:1", 128)


def in_place_of_colour(path: Path, elements: bytes) -> None:
    """Puts elements into the video of a Matroska file, where it tells its colours."""
    data = bytearray(path.read_bytes())
    at = data.index(b"\x55\xb0")
    length = 3 + (data[at + 2] & 0x7F)
    assert length >= len(elements) + 2
    void = b"\xec" + bytes([0x80 | (length - len(elements) - 2)])
    data[at : at + length] = (elements + void).ljust(length, b"\0")
    path.write_bytes(data)


def test_the_display_size_of_matroska_is_believed(tmp_path: Path) -> None:
    path = write(tmp_path / "d.mkv", 4, codec="ffv1", colorspace=1, color_range=1, color_trc=1)
    in_place_of_colour(path, b"\x54\xb0\x82\x00\x60\x54\xba\x82\x00\x40")
    data = bytearray(path.read_bytes())
    data[data.index(b"\x54\xb2\x81\x04") + 3] = 0  # the unit: not known; pixels
    path.write_bytes(data)
    facts = probe(path, ALL)
    assert (facts.sample_aspect_ratio, facts.width, facts.height) == ("3:2", 96, 64)


@pytest.mark.parametrize(
    ("ratios", "size"),
    [((Fraction(4, 3), Fraction(1)), (128, 96)), ((Fraction(1), Fraction(4, 3)), (96, 96))],
)
def test_a_shape_of_pixels_that_changes_in_mid_stream_is_brought_to_the_first_size(
    tmp_path: Path, ratios: tuple[Fraction, Fraction], size: tuple[int, int]
) -> None:
    parts = [
        write(
            tmp_path / f"{n}.ts", 12, start=12 * n, draw=lambda i: circle(i, 96, 96),
            sample_aspect_ratio=ratio, gop_size=6,
        )
        for n, ratio in enumerate(ratios)
    ]  # fmt: skip
    frames = shown(joined(tmp_path / "both.ts", *parts))
    assert len(frames) == 24
    assert {f.bgr.shape[1::-1] for f in frames} == {size}
    for frame, ratio in zip((frames[2], frames[-2]), ratios, strict=True):
        width, height = extent(frame.bgr)
        assert width / height == pytest.approx(float(ratio), rel=0.06)
    assert [f.frame_idx for f in frames if RESHAPED in (f.decode_error or "")] == [*range(12, 24)]


def test_the_limit_holds_for_the_size_that_is_shown(tmp_path: Path) -> None:
    path = write(tmp_path / "w.mp4", 3, sample_aspect_ratio=Fraction(12, 1))
    assert refused(path, VideoSettings(max_pixels=64 * 64 * 8)).code == "absurd_dimensions"


# --- the display matrix ------------------------------------------------------------------------

CORNERS = {  # (a, b, c, d), and where the top left corner is shown
    "as it is": ((1, 0, 0, 1), (0, 0)),
    "mirrored": ((-1, 0, 0, 1), (0, 1)),
    "upside down": ((1, 0, 0, -1), (1, 0)),
    "half turn": ((-1, 0, 0, -1), (1, 1)),
    "clockwise": ((0, 1, -1, 0), (0, 1)),
    "counter-clockwise": ((0, -1, 1, 0), (1, 0)),
    "transposed": ((0, 1, 1, 0), (0, 0)),
    "transposed the other way": ((0, -1, -1, 0), (1, 1)),
}


@pytest.mark.parametrize("name", CORNERS)
def test_all_eight_ways_to_hold_a_camera(tmp_path: Path, name: str) -> None:
    matrix, (bottom, right) = CORNERS[name]
    path = with_matrix(write(tmp_path / "m.mp4", 3, draw=lambda i: circle(i, 96, 48)), *matrix)
    facts = probe(path, ALL)
    turned = matrix[0] == 0
    assert (facts.width, facts.height) == ((48, 96) if turned else (96, 48))
    assert facts.mirrored == (matrix[0] * matrix[3] - matrix[1] * matrix[2] < 0)
    image = shown(path)[0].bgr
    assert image.shape == (facts.height, facts.width, 3)
    high, wide = image.shape[0] // 8, image.shape[1] // 8
    corner = image[-high:, :] if bottom else image[:high, :]
    blue, _, red = (corner[:, -wide:] if right else corner[:, :wide]).mean(axis=(0, 1))
    assert red > 120 > blue


def test_transposed_is_mirrored_about_the_diagonal_not_turned(tmp_path: Path) -> None:
    def draw(_: int) -> np.ndarray:
        image = np.full((48, 96, 3), 20, np.uint8)
        image[:8] = 220  # along the top
        image[:, :16] = 120  # and, wider, down the left
        return image

    path = with_matrix(write(tmp_path / "t.mp4", 3, draw=draw), 0, 1, 1, 0)
    image = shown(path)[0].bgr.astype(int)
    assert image[40:80, :6].mean() > 180  # what was the top is the left
    assert 90 < image[:12, 20:].mean() < 150


def test_square_pixels_and_a_turn_together(tmp_path: Path) -> None:
    path = write(
        tmp_path / "b.mp4", 3, draw=lambda i: circle(i, 96, 48), sample_aspect_ratio=Fraction(2)
    )
    with_matrix(path, 0, 1, -1, 0)
    facts = probe(path, ALL)
    assert (facts.width, facts.height, facts.rotation) == (48, 192, 270)
    assert shown(path)[0].bgr.shape == (192, 48, 3)


def test_a_slight_turn_is_applied_and_said(tmp_path: Path) -> None:
    cos, sin = np.cos(np.radians(20)), np.sin(np.radians(20))

    def draw(_: int) -> np.ndarray:
        image = np.full((96, 96, 3), 30, np.uint8)
        image[24:32, 24:32] = (0, 0, 255)
        return image

    path = with_matrix(write(tmp_path / "s.mp4", 3, draw=draw), cos, sin, -sin, cos)
    facts = probe(path, ALL)
    assert (facts.width, facts.height, facts.rotation) == (96, 96, 340)
    assert "340°" in facts.warnings[0]
    image = shown(path)[0].bgr
    red = np.argwhere((image[..., 2] > 150) & (image[..., 0] < 90)).mean(axis=0)
    turned = np.array([[cos, sin], [-sin, cos]]) @ (np.array([28, 28]) - 48)  # rows, columns
    assert red == pytest.approx(turned + 48, abs=4)


@pytest.mark.parametrize("matrix", [(1, 0, 1, 1), (1, 1, 0, 1)])
def test_a_matrix_that_distorts_is_refused(
    tmp_path: Path, matrix: tuple[float, float, float, float]
) -> None:
    path = with_matrix(write(tmp_path / "x.mp4", 3), *matrix)
    assert refused(path).code == "unsupported_picture"


def test_orientations() -> None:
    def of(*numbers: float) -> Orientation:
        a, b, c, d = (round(n * 65536) for n in numbers)
        return orientation_of(np.array([a, b, 0, c, d, 0, 0, 0, 1 << 30], np.int32).tobytes())

    assert of(0, 0, 0, 0) == of(1, 0, 0, 1) == of(0.999, 0.01, -0.01, 0.999) == Orientation()
    assert of(2, 0, 0, 1) == Orientation()  # unequal lengths are the shape of the pixels
    with pytest.raises(DistortingMatrixError):
        of(1, 0, 0, 0)


# --- fields, edges, two eyes, spheres ----------------------------------------------------------


def combed(i: int) -> np.ndarray:
    """A bright bar that moves from field to field."""
    image = np.full((96, 128, 3), 40, np.uint8)
    for field in (0, 1):
        x = 20 + 12 * i + 6 * field
        image[field::2, x : x + 30] = 220
    return image


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("i.mp4", "libx264", {"x264-params": "interlaced=1:qp=8"}),
        ("i.ts", "libx264", {"x264-params": "bff=1:qp=8"}),
        ("i.mpg", "mpeg2video", {"flags": "+ildct+ilme"}),
    ],
)
def test_interlaced_pictures_are_deinterlaced_and_it_is_said(
    tmp_path: Path, name: str, codec: str, options: dict[str, str]
) -> None:
    path = write(tmp_path / name, 4, codec=codec, draw=combed, options=options, bit_rate=4_000_000)
    facts = probe(path, ALL)
    assert facts.interlaced
    assert "interlaced" in facts.warnings[0]
    for frame in shown(path):
        luma = frame.bgr[8:-8].mean(axis=2)
        lines = np.abs(luma[1:-1] - (luma[:-2] + luma[2:]) / 2)
        assert np.percentile(lines, 99) < 30  # combed lines differ from their neighbours by 90


def test_the_clean_aperture_is_cut_out(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", 4, draw=lambda i: circle(i, 96, 96))
    aperture = struct.pack(">8i", 64, 1, 48, 1, -8, 1, 4, 1)
    facts = probe(with_box(path, box(b"clap", aperture)), ALL)
    assert (facts.coded_width, facts.width, facts.height) == (96, 64, 48)
    assert "aperture" in facts.warnings[0]
    assert shown(path)[0].bgr.shape == (48, 64, 3)
    whole = next(
        sampled_frames(write(tmp_path / "w.mp4", 4, draw=lambda i: circle(i, 96, 96)), ALL)
    )
    assert np.array_equal(shown(path)[0].bgr, whole.bgr[28:76, 8:72])


def test_the_margin_that_matroska_names_is_cut_off(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.mkv", 4, codec="ffv1", draw=lambda i: circle(i, 96, 96),
        colorspace=1, color_range=1, color_trc=1, color_primaries=1,
    )  # fmt: skip
    whole = next(sampled_frames(path, ALL)).bgr
    left, right, bottom = b"\x54\xcc\x81\x08", b"\x54\xdd\x81\x04", b"\x54\xaa\x81\x10"
    in_place_of_colour(path, left + right + bottom)
    facts = probe(path, ALL)
    assert (facts.coded_width, facts.width, facts.height) == (96, 84, 80)
    shape = shown(path)[0].bgr
    assert shape.shape == (80, 84, 3)
    assert np.abs(shape.astype(int) - whole[:80, 8:92]).max() < 40  # its colours are gone


@pytest.mark.parametrize("n", [(200, 1, 48, 1, 0, 1, 0, 1), (64, 0, 48, 1, 0, 1, 0, 1)])
def test_an_impossible_aperture_counts_for_nothing(tmp_path: Path, n: tuple[int, ...]) -> None:
    path = with_box(write(tmp_path / "a.mp4", 4), box(b"clap", struct.pack(">8i", *n)))
    assert probe(path, ALL).width == 64


@pytest.mark.parametrize(
    ("name", "read", "damage"),
    [
        ("d.mkv", matroska.description_of, b"\xec\x01" + b"\x7f" * 7),
        ("d.mkv", matroska.description_of, b"\x16\x54\xae\x6b\x01" + b"\x7f" * 7),
        ("d.mp4", boxes.description_of, b"\0\0\0\1free" + b"\x7f" * 8),
        ("d.mp4", boxes.description_of, b"\0\0\0\1free" + b"\xff" * 8),
        ("d.mp4", boxes.description_of, box(b"moov", box(b"trak", box(b"tkhd", b"\0"))[:-1])),
    ],
)
def test_sizes_that_are_damaged_are_as_good_as_nothing_said(
    tmp_path: Path, name: str, read: Callable[[Path, int], Description], damage: bytes
) -> None:
    path = tmp_path / name
    start = b"" if name == "d.mp4" else b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\x01" + b"\xff" * 7
    path.write_bytes(start + damage + bytes(64))
    assert read(path, 0) == Description()


@pytest.mark.parametrize("packing", [0, 1, 2, 3, 4])
def test_a_frame_with_the_pictures_of_both_eyes_is_refused(tmp_path: Path, packing: int) -> None:
    path = write(tmp_path / "3d.mp4", 3, options={"x264-params": f"frame-packing={packing}"})
    error = refused(path)
    assert error.code == "unsupported_picture"
    assert "twice" in error.sentence


SPHERICAL = bytes.fromhex("ffcc8263f8554a938814587a02521fdd") + (
    b'<?xml version="1.0"?><rdf:SphericalVideo '
    b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" '
    b'xmlns:GSpherical="http://ns.google.com/videos/1.0/spherical/">'
    b"<GSpherical:Spherical>true</GSpherical:Spherical>"
    b"<GSpherical:StitchingSoftware>x</GSpherical:StitchingSoftware>"
    b"<GSpherical:Stitched>true</GSpherical:Stitched>"
    b"<GSpherical:ProjectionType>equirectangular</GSpherical:ProjectionType>"
    b"</rdf:SphericalVideo>"
)


def test_a_sphere_is_said(tmp_path: Path) -> None:
    path = with_track_box(write(tmp_path / "360.mp4", 3), box(b"uuid", SPHERICAL))
    assert "360°" in probe(path, ALL).warnings[0]


@pytest.mark.parametrize(("profile", "compatible", "usable"), [(5, 0, False), (8, 1, True)])
def test_dolby_vision_without_a_base_layer_is_refused(
    tmp_path: Path, profile: int, compatible: int, usable: bool
) -> None:
    record = bytes([1, 0, profile << 1, 0b101, compatible << 4]) + bytes(19)
    path = with_box(write(tmp_path / "dv.mp4", 3), box(b"dvvC", record))
    if usable:
        assert "Dolby Vision" in probe(path, ALL).warnings[0]
    else:
        assert "Dolby Vision" in refused(path).sentence


# --- a size that changes -----------------------------------------------------------------------


def test_later_sizes_are_brought_to_the_first_with_their_aspect_kept(tmp_path: Path) -> None:
    parts = [
        write(tmp_path / f"{n}.ts", 6, start=6 * n, draw=lambda i, s=size: circle(i, *s))
        for n, size in enumerate([(96, 96), (48, 48), (128, 64), (96, 96)])
    ]
    frames = shown(joined(tmp_path / "sizes.ts", *parts))
    assert len(frames) == 24
    assert {f.bgr.shape for f in frames} == {(96, 96, 3)}
    small, wide = frames[8].bgr, frames[14].bgr
    assert extent(small)[0] == pytest.approx(extent(frames[2].bgr)[0], abs=4)
    assert wide[:20].max() < 30  # a band of black above
    assert extent(wide)[0] / extent(wide)[1] == pytest.approx(2, rel=0.1)
    reshaped = [f.frame_idx for f in frames if RESHAPED in (f.decode_error or "")]
    assert reshaped == [*range(6, 18)]


def test_odd_sizes_are_kept(tmp_path: Path) -> None:
    path = write(tmp_path / "odd.mkv", 3, codec="ffv1", draw=lambda i: grey(i, 63, 47))
    assert {f.bgr.shape for f in shown(path)} == {(47, 63, 3)}
