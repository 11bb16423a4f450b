"""Photographs as a person would see them, and what is refused, each with one sentence."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageCms, ImageOps

from identity_pipeline.media.stills import StillError, decode_still, read_still
from identity_pipeline.settings.photos import PhotoSettings

LIMITS = PhotoSettings()
SMALL = PhotoSettings(max_pixels=64 * 100, max_coded_pixels=1 << 20)


def colours(width: int = 96, height: int = 80) -> Image.Image:
    """A picture without any symmetry."""
    y, x = np.mgrid[:height, :width]
    pixels = np.stack([x * 255 // width, y * 255 // height, (x + 2 * y) % 256], axis=2)
    pixels[:20, :30] = (250, 20, 30)
    return Image.fromarray(pixels.astype(np.uint8))


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    if kind == "HEIF":
        pillow_heif.from_pillow(image).save(stream, quality=95, **options)
    else:
        image.save(stream, kind, **options)
    return stream.getvalue()


def with_orientation(value: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = value
    exif.get_ifd(0x8769)[0x9003] = "2024:05:31 12:30:01"
    return exif


def upright(image: Image.Image, orientation: int) -> np.ndarray:
    """As Pillow's own tool would turn it: the reference."""
    image = image.copy()
    image.getexif()[0x0112] = orientation
    return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


LOSSLESS: dict[str, dict[str, Any]] = {
    "PNG": {},
    "WEBP": {"lossless": True},
    "TIFF": {"compression": "tiff_lzw"},
    "BMP": {},
}


@pytest.mark.parametrize("kind", [*LOSSLESS, "JPEG", "HEIF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_upright_to_the_pixel(kind: str, orientation: int) -> None:
    image = colours()
    if kind == "BMP":
        data, orientation = saved(image, kind), 1
    else:
        exif = with_orientation(orientation)
        exif = exif.tobytes() if kind in ("HEIF", "AVIF") else exif
        data = saved(image, kind, exif=exif, **LOSSLESS.get(kind, {}))
    still = decode_still(data, "a", LIMITS)
    seen = still.bgr[:, :, ::-1]
    if kind in LOSSLESS:
        wanted = upright(image, orientation)
    elif kind == "JPEG":  # what the decoder gives, turned
        wanted = upright(Image.open(io.BytesIO(data)).convert("RGB"), orientation)
    else:
        wanted = upright(image, orientation).astype(int)
        assert seen.shape == wanted.shape and np.abs(seen - wanted).mean() < 12
        wanted = seen
    assert np.array_equal(seen, wanted)
    assert (still.facts.format, still.facts.orientation) == (kind, orientation)
    if kind != "HEIF":
        assert (still.facts.coded_width, still.facts.coded_height) == (96, 80)
    if kind not in ("BMP", "TIFF"):  # Pillow writes no dates into a TIFF
        assert still.facts.taken_at == "2024-05-31T12:30:01"


def test_the_name_does_not_say_what_a_file_is(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(saved(colours(), "PNG"))
    assert read_still(path, LIMITS).facts.format == "PNG"
    path.write_text("not a picture at all, but called so\n" * 9, encoding="utf-8")
    with pytest.raises(StillError, match="no picture, whatever its name says") as caught:
        read_still(path, LIMITS)
    assert caught.value.code == "not_a_picture"


def display_p3() -> bytes:
    """A profile whose red is not that of sRGB: sRGB with red and green primaries exchanged."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, green = profile.find(b"rXYZ"), profile.find(b"gXYZ")
    profile[red : red + 4], profile[green : green + 4] = b"gXYZ", b"rXYZ"
    at = profile.find("sRGB".encode("utf-16-be"))
    profile[at : at + 8] = "swap".encode("utf-16-be")
    return bytes(profile)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "HEIF"])
def test_colours_of_another_profile_become_srgb(kind: str) -> None:
    red = Image.new("RGB", (80, 80), (200, 20, 20))
    options = {**LOSSLESS.get(kind, {}), "icc_profile": display_p3()}
    if kind == "HEIF":
        red.info["icc_profile"] = options.pop("icc_profile")
    still = decode_still(saved(red, kind, **options), "a", LIMITS)
    blue, green, seen_red = still.bgr[40, 40].astype(int)
    assert green > 180 and seen_red < 60 and blue < 60
    assert still.facts.profile and not still.facts.profile_unusable


def test_a_profile_that_does_not_fit_is_passed_over_and_noted() -> None:
    for profile in (b"no profile at all", display_p3()[:200]):
        data = saved(Image.new("RGB", (80, 80), (200, 20, 20)), "PNG", icc_profile=profile)
        still = decode_still(data, "a", LIMITS)
        assert still.facts.profile_unusable and still.facts.profile is None
        assert still.bgr[40, 40].tolist() == [20, 20, 200]
    data = saved(Image.new("L", (80, 80), 90), "PNG", icc_profile=display_p3())
    assert decode_still(data, "a", LIMITS).facts.profile_unusable


def grey_16(kind: str) -> bytes:
    values = np.linspace(0, 65535, 96 * 80).reshape(80, 96).astype(np.uint16)
    return saved(Image.fromarray(values), kind)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_grey_of_16_bits_keeps_its_range(kind: str) -> None:
    still = decode_still(grey_16(kind), "a", LIMITS)
    assert still.facts.bit_depth == 16
    ramp = still.bgr[:, :, 0].ravel().astype(int)
    assert (ramp[0], ramp[-1]) == (0, 255) and abs(np.median(ramp) - 127.5) < 1
    assert np.array_equal(still.bgr[:, :, 0], still.bgr[:, :, 2])


def test_colours_of_16_bits_become_8() -> None:
    import cv2

    deep = np.asarray(colours())[:, :, ::-1].astype(np.uint16) * 257
    data = cv2.imencode(".png", deep)[1].tobytes()
    still = decode_still(data, "a", LIMITS)
    assert still.facts.bit_depth == 16
    assert np.array_equal(still.bgr[:, :, ::-1], np.asarray(colours()))


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_looks_as_it_was_meant(kind: str) -> None:
    image = Image.new("RGB", (80, 80), (200, 60, 30)).convert("CMYK")
    still = decode_still(saved(image, kind), "a", LIMITS)
    assert np.abs(still.bgr[40, 40].astype(int) - [30, 60, 200]).max() < 12


@pytest.mark.parametrize(
    ("mode", "colour"),
    [("RGBA", (200, 60, 30, 0)), ("LA", (10, 0)), ("P", 0), ("L", 255), ("1", 1)],
)
def test_white_is_seen_behind_what_is_transparent(mode: str, colour: Any) -> None:
    image = Image.new(mode, (80, 80), colour)
    options = {"transparency": 0} if mode == "P" else {}
    still = decode_still(saved(image, "PNG", **options), "a", LIMITS)
    assert still.bgr.shape == (80, 80, 3) and still.bgr.min() == 255
    assert still.facts.transparent == (mode not in ("L", "1"))


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "GIF"])
def test_what_moves_or_has_pages_is_no_photograph(kind: str) -> None:
    frames = [Image.new("RGB", (80, 80), (n * 60, 0, 0)) for n in range(3)]
    data = saved(frames[0], kind, save_all=True, append_images=frames[1:])
    with pytest.raises(StillError) as caught:
        decode_still(data, "wave", LIMITS)
    assert caught.value.code == ("unsupported_format" if kind == "GIF" else "animated")


KINDS = ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "HEIF", "AVIF"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9])
def test_a_file_that_was_cut_off_is_one_sentence(
    kind: str, share: float, capfd: pytest.CaptureFixture[str]
) -> None:
    data = saved(colours(), kind)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(StillError) as caught:
            decode_still(data[: max(13, int(len(data) * share))], "holiday", LIMITS)
    assert caught.value.code in ("truncated", "unsupported_picture")
    said = str(caught.value)
    assert said.startswith("holiday") and "\n" not in said
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_bytes_are_a_sentence_or_a_picture_but_nothing_else(
    kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    data, random = saved(colours(), kind), np.random.default_rng(7)
    for _ in range(25):
        spoilt = bytearray(data)
        for place in random.integers(12, len(data), 12):
            spoilt[place] = random.integers(256)
        try:
            assert decode_still(bytes(spoilt), "a", LIMITS).bgr.ndim == 3
        except StillError as error:
            assert "\n" not in str(error)
    assert capfd.readouterr().err == ""


def test_a_very_large_jpeg_is_decoded_smaller_and_others_are_refused() -> None:
    wide = colours(800, 200)
    still = decode_still(saved(wide, "JPEG"), "a", SMALL)
    assert (still.facts.coded_width, still.facts.width, still.facts.scale) == (800, 100, 0.125)
    assert still.bgr.shape == (25, 100, 3)
    for data in (saved(wide, "PNG"), saved(wide, "JPEG", progressive=True), saved(wide, "HEIF")):
        with pytest.raises(StillError, match=r"photos\.max_pixels") as caught:
            decode_still(data, "a", SMALL)
        assert caught.value.code == "too_many_pixels"
    with pytest.raises(StillError, match=r"photos\.max_coded_pixels"):
        decode_still(saved(colours(4000, 300), "JPEG"), "a", SMALL)
    with pytest.raises(StillError, match=r"more than 65,535 on a side"):
        decode_still(saved(Image.new("L", (66_000, 64)), "PNG"), "a", LIMITS)


def test_a_bomb_is_refused_before_it_is_decoded() -> None:
    data = bytearray(saved(colours(), "PNG"))
    data[16:24] = struct.pack(">II", 40000, 30000)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    with pytest.raises(StillError, match=r"40,000 x 30,000") as caught:
        decode_still(bytes(data), "bomb.png", LIMITS)
    assert caught.value.code == "too_many_pixels"


def test_what_else_lies_beside_photographs_is_named(tmp_path: Path) -> None:
    told = {}
    for name, data in {
        "a.pdf": b"%PDF-1.7 and more",
        "a.mp4": b"\x00\x00\x00\x20ftypisom and more",
        "empty.jpg": b"",
        "tiny.png": saved(colours(20, 200), "PNG"),
    }.items():
        with pytest.raises(StillError) as caught:
            decode_still(data, name, LIMITS)
        told[name] = caught.value.code
    assert told == {
        "a.pdf": "unsupported_format",
        "a.mp4": "unsupported_format",
        "empty.jpg": "empty",
        "tiny.png": "too_small",
    }
    path = tmp_path / "big.jpg"
    path.write_bytes(saved(colours(), "JPEG"))
    with pytest.raises(StillError, match=r"photos\.max_file_bytes"):
        read_still(path, PhotoSettings(max_file_bytes=100))
    with pytest.raises(StillError, match="not there"):
        read_still(tmp_path / "gone.jpg", LIMITS)


def test_a_gain_map_behind_a_jpeg_is_no_animation() -> None:
    file = io.BytesIO()
    colours().save(file, "MPO", save_all=True, append_images=[Image.new("RGB", (24, 20))])
    still = decode_still(file.getvalue(), "a", LIMITS)
    assert (still.facts.format, still.facts.frames, still.facts.width) == ("JPEG", 1, 96)


def test_a_burst_of_a_phone_shows_its_main_picture() -> None:
    file = pillow_heif.from_pillow(Image.new("RGB", (80, 80), (0, 0, 250)))
    file.add_from_pillow(Image.new("RGB", (80, 80), (250, 0, 0)))
    stream = io.BytesIO()
    file.save(stream, primary_index=1)
    still = decode_still(stream.getvalue(), "a", LIMITS)
    assert still.facts.frames == 2 and still.bgr[40, 40, 2] > 200
