"""Colours: what a frame is coded in, and that it comes out as it was filmed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from identity_pipeline.media.colour import Colour, to_sdr
from identity_pipeline.media.errors import VideoError
from identity_pipeline.media.video import probe, sampled_frames
from identity_pipeline.settings import VideoSettings
from identity_pipeline_tests.camera_files import coded, write

ALL = VideoSettings(analysis_fps=0)
PATCHES = [
    (0, 0, 200), (0, 200, 0), (200, 0, 0), (128, 128, 128), (120, 160, 210), (40, 40, 40),
    (235, 235, 235), (12, 12, 12),
]  # fmt: skip
"""Blue, green, red, as an SDR camera records them."""
KR_KB = {1: (0.2126, 0.0722), 6: (0.299, 0.114), 7: (0.212, 0.087), 9: (0.2627, 0.0593)}
BT709_TO_BT2020 = np.array(
    [[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]]
)


def yuv(rgb: np.ndarray, matrix: int, *, bits: int = 8, full: bool = False) -> list[int]:
    """Code values of R'G'B' in [0, 1] (H.273)."""
    kr, kb = KR_KB[matrix]
    r, g, b = rgb
    y = kr * r + (1 - kr - kb) * g + kb * b
    cb, cr = (b - y) / 2 / (1 - kb), (r - y) / 2 / (1 - kr)
    if full:
        top = 2**bits - 1
        return [round(top * y), *(round(top * c + 2 ** (bits - 1)) for c in (cb, cr))]
    unit = 2 ** (bits - 8)
    return [round((219 * y + 16) * unit), *(round((224 * c + 128) * unit) for c in (cb, cr))]


def shown(path: Path) -> np.ndarray:
    """The colour in the middle of the first picture."""
    bgr = next(sampled_frames(path, ALL)).bgr
    return bgr[bgr.shape[0] // 2, bgr.shape[1] // 2].astype(int)


def one_colour(
    path: Path, components: list[int], pixel_format: str, size: int = 64, **tags: int
) -> Path:
    """A lossless video of one colour, tagged as asked for."""
    frame = coded(components, pixel_format, size, size)
    blank = [np.zeros((size, size, 3), np.uint8)] * 2
    return write(
        path, blank, codec="ffv1", pixel_format=pixel_format, prepare=lambda _: frame, **tags
    )


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p", "yuv444p10le", "yuv420p12le"])
@pytest.mark.parametrize("matrix", [1, 6, 7])
def test_sdr_comes_out_as_it_was_recorded(
    tmp_path: Path, matrix: int, pixel_format: str, full: bool
) -> None:
    bits = 10 if "10" in pixel_format else 12 if "12" in pixel_format else 8
    for patch in PATCHES[:4]:
        rgb = np.array(patch[::-1]) / 255
        values = yuv(rgb, matrix, bits=bits, full=full)
        path = one_colour(
            tmp_path / "c.mkv", values, pixel_format,
            colorspace=matrix, color_range=2 if full else 1, color_primaries=1, color_trc=1,
        )  # fmt: skip
        assert np.abs(shown(path) - patch).max() <= 3


@pytest.mark.parametrize(("size", "matrix"), [(720, 1), (64, 6)])
def test_untagged_hd_is_bt709_and_untagged_sd_is_bt601(
    tmp_path: Path, size: int, matrix: int
) -> None:
    path = one_colour(tmp_path / "u.mkv", yuv(np.array([200, 0, 0]) / 255, matrix), "yuv420p", size)
    assert np.abs(shown(path) - (0, 0, 200)).max() <= 3
    assert probe(path, ALL).matrix is None


def pq(nits: np.ndarray) -> np.ndarray:
    """The inverse of the transfer function of SMPTE ST 2084."""
    power = (nits / 10000) ** (2610 / 16384)
    return ((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32)


def hlg(nits: np.ndarray) -> np.ndarray:
    """Signal of a display of 1,000 cd/m2, the system gamma taken off (BT.2100)."""
    display = nits / 1000
    luminance = max(float(display @ (0.2627, 0.6780, 0.0593)), 1e-9)
    scene = display * luminance ** (1 / 1.2 - 1)
    log = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), log)


@pytest.mark.parametrize(("transfer", "encode"), [(16, pq), (18, hlg)])
@pytest.mark.parametrize("patch", PATCHES)
def test_hdr_comes_out_as_an_sdr_camera_would_have_recorded_it(
    tmp_path: Path, transfer: int, encode: object, patch: tuple[int, int, int]
) -> None:
    """Within 5 of 255; a channel that is 0 within 15, as 10 bits of PQ or HLG are coarse there."""
    light = 203 * (np.array(patch[::-1]) / 255) ** 2.4
    signal = encode(BT709_TO_BT2020 @ light)  # type: ignore[operator]
    path = one_colour(
        tmp_path / "h.mkv", yuv(signal, 9, bits=10), "yuv420p10le",
        colorspace=9, color_range=1, color_primaries=9, color_trc=transfer,
    )  # fmt: skip
    blue, green, red = shown(path)
    allowed = np.where(np.array(patch) == 0, 15, 5)
    assert (np.abs(np.array([blue, green, red]) - patch) <= allowed).all()
    if len(set(patch)) == 1:
        assert max(blue, green, red) - min(blue, green, red) <= 2  # grey, and no cast
    facts = probe(path, ALL)
    assert (facts.primaries, facts.matrix, facts.range, facts.bit_depth) == (
        "bt2020", "bt2020nc", "tv", 10,
    )  # fmt: skip
    assert facts.transfer == {16: "smpte2084", 18: "arib-std-b67"}[transfer]
    assert "HDR" in facts.warnings[0]


def test_highlights_are_compressed_not_clipped_and_keep_their_hue() -> None:
    colour = Colour("gbrp16le", 16, "gbr", "smpte2084", "bt2020", "pc")
    nits = np.array([203.0, 300, 500, 800, 1000, 4000])
    ramp = np.rint(65535 * pq(nits)).astype(np.uint16)[None, :, None].repeat(3, axis=2)
    values = to_sdr(ramp, colour)[0, :, 0].astype(int)
    assert (np.diff(values)[:4] > 0).all()
    assert values[0] >= 235
    assert values[-2:].tolist() == [255, 255]
    assert (to_sdr(ramp, colour).std(axis=2) == 0).all()


@pytest.mark.parametrize(("primaries", "name"), [(9, "bt2020"), (12, "smpte432")])
def test_a_wide_gamut_of_sdr_is_brought_to_bt709(tmp_path: Path, primaries: int, name: str) -> None:
    matrix = 9 if primaries == 9 else 1
    grey, red = np.full(3, 0.5), np.array([0.7, 0.2, 0.2])
    tags = {"colorspace": matrix, "color_range": 1, "color_primaries": primaries, "color_trc": 1}
    path = one_colour(tmp_path / "g.mkv", yuv(grey, matrix, bits=10), "yuv420p10le", **tags)
    assert np.abs(shown(path) - 128).max() <= 2
    path = one_colour(tmp_path / "r.mkv", yuv(red, matrix, bits=10), "yuv420p10le", **tags)
    blue, green, seen = shown(path)
    assert seen > 0.7 * 255 + 4  # more of bt709's red, which is less of a red
    assert max(blue, green) < 0.2 * 255 + 4
    assert any(name in sentence for sentence in probe(path, ALL).warnings)


def test_colours_without_a_conversion_are_refused_in_a_sentence(tmp_path: Path) -> None:
    path = one_colour(tmp_path / "i.mkv", [500, 500, 500], "yuv444p10le", colorspace=14)
    with pytest.raises(VideoError, match="ictcp") as caught:
        probe(path, ALL)
    assert caught.value.code == "unsupported_picture"


@pytest.mark.parametrize(
    ("codec", "pixel_format", "name", "tolerance"),
    [
        ("ffv1", "gray", "g.mkv", 1),
        ("ffv1", "gray10le", "g.mkv", 1),
        ("ffv1", "bgra", "g.mkv", 0),
        ("libx264rgb", "bgr24", "g.mkv", 3),
        ("libx264", "yuvj420p", "g.mp4", 3),
        ("ffv1", "yuva420p", "g.mkv", 4),
        ("rawvideo", "bgr24", "g.avi", 0),
        ("rawvideo", "yuyv422", "g.avi", 3),
        ("qtrle", "gray", "g.mov", 1),  # decodes to a palette; takes widths that 4 divides
        ("png", "rgb24", "g.mov", 0),
        ("prores_ks", "yuva444p10le", "g.mov", 3),
        ("mjpeg", "yuvj422p", "g.avi", 4),
        ("gif", "rgb8", "g.gif", 20),
    ],
)
def test_every_pixel_format_shows_grey_as_grey(
    tmp_path: Path, codec: str, pixel_format: str, name: str, tolerance: int
) -> None:
    def draw(i: int) -> np.ndarray:
        return np.full((48, 60, 3), 100 + i, np.uint8)

    path = write(tmp_path / name, 3, codec=codec, pixel_format=pixel_format, draw=draw)
    frame = next(sampled_frames(path, ALL))
    assert frame.bgr.shape == (48, 60, 3)
    assert np.abs(frame.bgr.reshape(-1, 3).mean(axis=0) - 100).max() <= tolerance + 1
