"""Cutting crops: nothing squeezed, nothing shifted, everything where it says it is."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from identity_pipeline.core.geometry import ARCFACE_TEMPLATE_112, Box, region_box
from identity_pipeline.media.crops import (
    Region,
    align,
    body_view,
    cut,
    cut_native,
    cut_region,
    decode_image,
    encode_jpeg,
    face_view,
)
from identity_pipeline.settings import CropSettings
from identity_pipeline_tests.core.builders import FEW

Image = NDArray[np.uint8]
S = CropSettings()


def with_disc(width: int, height: int, centre: tuple[float, float], radius: float) -> Image:
    """A white disc on grey, drawn smoothly; coordinates are of pixel corners."""
    y, x = np.mgrid[0:height, 0:width] + 0.5
    inside = np.clip(radius + 0.5 - np.hypot(x - centre[0], y - centre[1]), 0, 1)
    return np.repeat((80 + 175 * inside)[..., None], 3, axis=2).astype(np.uint8)


def disc(image: Image) -> tuple[float, float, float, float]:
    """Centre and extents of what is bright, in pixel-corner coordinates."""
    weight = np.clip(image[..., 0].astype(float) - 120, 0, None)
    y, x = np.mgrid[0 : image.shape[0], 0 : image.shape[1]] + 0.5
    total = weight.sum()
    cx, cy = (weight * x).sum() / total, (weight * y).sum() / total
    sx = np.sqrt((weight * (x - cx) ** 2).sum() / total)
    sy = np.sqrt((weight * (y - cy) ** 2).sum() / total)
    return cx, cy, 2 * sx, 2 * sy


@given(
    width=st.floats(60, 280),
    height=st.floats(60, 280),
    dx=st.floats(-5, 5),
    dy=st.floats(-5, 5),
    out=st.sampled_from([(224, 224), (112, 160), (160, 80)]),
)
@FEW
def test_a_circle_stays_a_circle_and_lands_where_it_should(
    width: float, height: float, dx: float, dy: float, out: tuple[int, int]
) -> None:
    image = with_disc(400, 300, (200, 150), 24)
    box = Box.around((200 + dx, 150 + dy), width, height)
    crop = cut(image, box, *out)
    assert crop.shape == (out[1], out[0], 3)
    scale = min(out[0] / width, out[1] / height)
    x, y, rx, ry = disc(crop)
    assert rx == pytest.approx(ry, rel=0.05, abs=0.6)
    assert rx == pytest.approx(24 * scale, rel=0.05, abs=0.6)
    assert x == pytest.approx(out[0] / 2 - dx * scale, abs=1 + scale)
    assert y == pytest.approx(out[1] / 2 - dy * scale, abs=1 + scale)


def test_what_lies_outside_the_picture_is_black() -> None:
    image = np.full((100, 100, 3), 200, np.uint8)
    crop = cut(image, Box(-50, -50, 50, 50), 100, 100)
    assert (crop[:50] == 0).all()
    assert (crop[:, :50] == 0).all()
    assert (crop[50:, 50:] == 200).all()
    crop = cut(image, Box(50, 50, 150, 150), 100, 100)
    assert (crop[:50, :50] == 200).all()
    assert crop.sum() == 50 * 50 * 3 * 200


@pytest.mark.parametrize("box", [Box(200, 0, 300, 100), Box(-90, -90, -1, -1), Box(0, 100, 9, 120)])
def test_a_box_outside_the_picture_is_all_black(box: Box) -> None:
    assert cut(np.full((100, 100, 3), 200, np.uint8), box, 64, 64).sum() == 0


def test_a_wide_box_is_letterboxed_in_the_middle() -> None:
    crop = cut(np.full((100, 200, 3), 200, np.uint8), Box(0, 0, 200, 100), 224, 224)
    assert (crop[:56] == 0).all()
    assert (crop[56:168] == 200).all()
    assert (crop[168:] == 0).all()


def test_a_native_cut_is_the_pixels_themselves() -> None:
    image = np.arange(20 * 30 * 3, dtype=np.uint32).reshape(20, 30, 3).astype(np.uint8)
    assert np.array_equal(cut_native(image, Box(5, 2, 30, 20)), image[2:20, 5:30])


@pytest.mark.parametrize(
    "box",
    [Box(-1, 0, 5, 5), Box(0, 0, 31, 5), Box(0, 0, 5, 21), Box(5, 5, 5, 9), Box(0, -2, 3, 3)],
)
def test_a_native_cut_that_does_not_fit_is_refused(box: Box) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        cut_native(np.zeros((20, 30, 3), np.uint8), box)


@pytest.mark.parametrize("side", [60.0, 288.0])
def test_a_region_knows_where_it_comes_from(side: float) -> None:
    """A disc in the frame is found at the same place through the region, reduced or not."""
    frame = with_disc(1280, 720, (600, 300), side / 4)
    face = Box.around((600, 300), side, side)
    region = cut_region(frame, region_box(face, 1280, 720, widths=3, heights=4), face, S)
    assert region.scale == min(1.0, 144 / side)
    x, y, _, _ = disc(region.bgr)
    found = region.to_region(Box(600, 300, 600, 300))
    assert (x, y) == pytest.approx(found[:2], abs=1)
    back = (x / region.scale + region.x, y / region.scale + region.y)
    assert back == pytest.approx((600, 300), abs=1.5)


def test_the_views_of_a_face_are_centred_and_scaled() -> None:
    frame = with_disc(1280, 720, (600, 300), 30)
    face = Box(540, 240, 660, 360)
    region = cut_region(frame, region_box(face, 1280, 720, widths=3, heights=4), face, S)
    x, y, radius, _ = disc(face_view(region, face, S))
    assert (x, y) == pytest.approx((112, 112), abs=1.5)
    assert radius == pytest.approx(30 * 224 / 180, rel=0.05)
    x, y, radius, across = disc(body_view(region, face, S))
    assert radius == pytest.approx(across, rel=0.05)
    assert radius == pytest.approx(30 * 224 / 480, rel=0.08)
    assert x == pytest.approx(112, abs=1.5)
    assert y < 224 / 3


@pytest.mark.parametrize(
    ("scale", "degrees"), [(0.5, 0), (1, 0), (1, 30), (2.5, -40), (6, 15), (12, 0)]
)
def test_alignment_puts_the_key_points_on_the_template(scale: float, degrees: float) -> None:
    c, s = np.cos(np.radians(degrees)) * scale, np.sin(np.radians(degrees)) * scale
    turn = np.array([[c, s], [-s, c]])
    points = (ARCFACE_TEMPLATE_112 - 56) @ turn + [900, 800]
    for i in (0, 1, 3):
        frame = with_disc(1800, 1600, tuple(points[i] + 0.5), 6 * scale)
        aligned = align(frame, points)
        assert aligned.shape == (112, 112, 3)
        x, y, _, _ = disc(aligned)
        assert (x - 0.5, y - 0.5) == pytest.approx(tuple(ARCFACE_TEMPLATE_112[i]), abs=0.25)


def test_reducing_a_large_face_averages_and_skips_no_pixels() -> None:
    """Grain finer than a pixel of the crop cancels out: 10 x 10 pixels go into one."""
    grain = np.random.default_rng(0).integers(0, 256, (1120, 1120, 1)).astype(np.uint8)
    aligned = align(np.repeat(grain, 3, axis=2), ARCFACE_TEMPLATE_112 * 10)
    assert aligned[20:-20, 20:-20].std() < 12


def test_a_face_at_the_edge_is_aligned_with_black_beyond() -> None:
    frame = np.full((200, 200, 3), 200, np.uint8)
    aligned = align(frame, ARCFACE_TEMPLATE_112 - [60, 0])
    assert aligned[50, 5].tolist() == [0, 0, 0]
    assert aligned[50, 100].tolist() == [200, 200, 200]


def test_jpeg_bytes_are_close_to_the_picture_and_always_the_same() -> None:
    image = cv2.resize(
        np.random.default_rng(0).integers(0, 255, (12, 12, 3)).astype(np.uint8), (112, 112)
    ).astype(np.uint8)
    good, poor = (
        np.abs(decode_image(encode_jpeg(image, q)).astype(int) - image).mean() for q in (95, 20)
    )
    assert good < 4 < poor
    assert encode_jpeg(image, 95) == encode_jpeg(image, 95)


def test_bytes_that_are_no_picture_say_so() -> None:
    with pytest.raises(ValueError, match="face_crops"):
        decode_image(b"not a picture")


def test_to_region_scales_about_the_corner() -> None:
    region = Region(np.zeros((1, 1, 3), np.uint8), 100, 50, 0.5)
    assert region.to_region(Box(100, 50, 140, 90)) == Box(0, 0, 20, 20)
