"""Contact sheets keep shapes, stay legible and fit their limits."""

from __future__ import annotations

import base64

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from identity_pipeline.media.sheets import (
    CAPTION_BGR,
    SET_ACCENTS,
    Tile,
    contact_sheet,
    data_uri,
    encode_jpeg_below,
    thumbnail,
)

RED = (0, 0, 255)


def plain(width: int, height: int, colour: tuple[int, int, int] = RED) -> NDArray[np.uint8]:
    image = np.empty((height, width, 3), np.uint8)
    image[:] = colour
    return image


def noise(width: int, height: int) -> NDArray[np.uint8]:
    return np.random.default_rng(7).integers(0, 256, (height, width, 3), dtype=np.uint8)


def area_of(sheet: NDArray[np.uint8], colour: tuple[int, int, int]) -> tuple[int, int]:
    """(width, height) of the bounding box of a colour."""
    ys, xs = np.nonzero((sheet == colour).all(axis=2))
    return int(np.ptp(xs)) + 1, int(np.ptp(ys)) + 1


@settings(max_examples=40, deadline=None)
@given(width=st.integers(1, 400), height=st.integers(1, 400), side=st.integers(32, 240))
def test_a_tile_fills_its_square_in_one_direction_and_keeps_its_shape(
    width: int, height: int, side: int
) -> None:
    shown = area_of(contact_sheet([Tile(plain(width, height), "")], columns=1, tile_px=side), RED)
    scale = side / max(width, height)
    assert max(shown) == side
    assert shown[0] == pytest.approx(max(1, width * scale), abs=1)
    assert shown[1] == pytest.approx(max(1, height * scale), abs=1)


def test_a_wide_picture_is_centred_in_its_square() -> None:
    sheet = contact_sheet([Tile(plain(200, 100), "")], columns=1, tile_px=100)
    ys, _ = np.nonzero((sheet == RED).all(axis=2))
    square_top = (sheet.shape[0] - 100 + 4) // 2  # the accent bar lies above the square
    assert ys.min() - square_top == pytest.approx(25, abs=3)


def test_tiles_stand_in_reading_order_in_as_many_rows_as_needed() -> None:
    colours = [(20 * i + 10, 0, 255 - 20 * i) for i in range(5)]
    sheet = contact_sheet([Tile(plain(9, 9, c), "") for c in colours], columns=2, tile_px=40)
    places = [np.argwhere((sheet == c).all(axis=2)).mean(axis=0) for c in colours]
    assert len({round(y) for y, _ in places}) == 3
    assert [round(y) for y, _ in places] == sorted(round(y) for y, _ in places)
    assert places[0][1] < places[1][1] and places[0][1] == places[2][1] == places[4][1]


def test_fewer_tiles_than_columns_make_a_narrower_sheet() -> None:
    one = contact_sheet([Tile(plain(9, 9), "")], columns=6, tile_px=40)
    six = contact_sheet([Tile(plain(9, 9), "")] * 6, columns=6, tile_px=40)
    assert one.shape[0] == six.shape[0]
    assert one.shape[1] < six.shape[1] / 4


def test_the_accent_bar_has_the_colour_of_the_set_and_only_where_asked() -> None:
    accent = SET_ACCENTS["anchor"]
    with_bar = contact_sheet([Tile(plain(9, 9), "", accent)], columns=1, tile_px=60)
    without = contact_sheet([Tile(plain(9, 9), "")], columns=1, tile_px=60)
    assert area_of(with_bar, accent) == (60, 4)
    assert not (without == accent).all(axis=2).any()


def test_set_accents_are_the_colours_of_the_figures_in_bgr() -> None:
    assert SET_ACCENTS["anchor"] == (0xDE, 0x86, 0x2E)
    assert len(set(SET_ACCENTS.values())) == 4


def ink(sheet: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return np.asarray((np.abs(sheet.astype(int) - CAPTION_BGR) < 60).all(axis=2))


def test_a_caption_is_written_below_its_picture_and_inside_its_column() -> None:
    tiles = [Tile(plain(9, 9), "cov_yaw-30_pitch-10_eyes_closed_" * 4), Tile(plain(9, 9), "")]
    sheet = contact_sheet(tiles, columns=2, tile_px=100)
    written = np.argwhere(ink(sheet))
    picture = np.argwhere((sheet == RED).all(axis=2))
    assert len(written) > 100
    assert written[:, 0].min() > picture[:, 0].max()
    assert written[:, 1].max() < sheet.shape[1] / 2


def test_captions_beyond_ascii_are_drawn_as_question_marks() -> None:
    def drawn(caption: str) -> NDArray[np.uint8]:
        return contact_sheet([Tile(plain(9, 9), caption)], columns=1, tile_px=100)

    assert np.array_equal(drawn("Zo\N{LATIN SMALL LETTER E WITH DIAERESIS} 頭"), drawn("Zo? ?"))
    assert not np.array_equal(drawn("Zoe"), drawn("Zo?"))


def test_an_empty_sheet_says_so() -> None:
    assert ink(contact_sheet([], columns=4, tile_px=120)).sum() > 50


@pytest.mark.parametrize(("columns", "tile_px"), [(0, 100), (-1, 100), (3, 31)])
def test_impossible_layouts_are_refused(columns: int, tile_px: int) -> None:
    with pytest.raises(ValueError, match="columns >= 1"):
        contact_sheet([], columns=columns, tile_px=tile_px)


def test_a_picture_without_pixels_is_refused() -> None:
    with pytest.raises(ValueError, match="with pixels"):
        contact_sheet([Tile(np.zeros((0, 5, 3), np.uint8), "")], columns=1, tile_px=40)


def test_a_sheet_leaves_its_pictures_alone_and_is_the_same_every_time() -> None:
    image = noise(50, 30)
    before = image.copy()
    tiles = [Tile(image, "a_b c", SET_ACCENTS["pair"])]
    first = contact_sheet(tiles, columns=1, tile_px=64)
    assert np.array_equal(first, contact_sheet(tiles, columns=1, tile_px=64))
    assert np.array_equal(image, before)


def test_a_thumbnail_is_reduced_but_enlarged_only_when_asked() -> None:
    assert thumbnail(plain(400, 100), 80).shape == (20, 80, 3)
    assert thumbnail(plain(40, 10), 80).shape == (10, 40, 3)
    assert thumbnail(plain(40, 10), 80, enlarge=True).shape == (20, 80, 3)


def test_a_small_picture_keeps_its_best_quality_and_its_size() -> None:
    image = plain(64, 48)
    data = encode_jpeg_below(image)
    done, best = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 90])
    assert done and data == best.tobytes()


def test_quality_goes_before_scale() -> None:
    image = noise(200, 150)
    best = len(encode_jpeg_below(image, 10**9))
    decoded = cv2.imdecode(
        np.frombuffer(encode_jpeg_below(image, best - 1), np.uint8), cv2.IMREAD_COLOR
    )
    assert decoded is not None and decoded.shape == image.shape


@settings(max_examples=15, deadline=None)
@given(limit=st.integers(1_500, 60_000))
def test_even_noise_fits_the_limit_with_its_shape_kept(limit: int) -> None:
    data = encode_jpeg_below(noise(600, 300), limit)
    assert len(data) <= limit
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    assert decoded.shape[1] / decoded.shape[0] == pytest.approx(2.0, rel=0.05)


def test_an_impossible_limit_is_an_error_that_names_it() -> None:
    with pytest.raises(ValueError, match="does not fit 100 bytes"):
        encode_jpeg_below(noise(300, 200), 100)


def test_a_data_uri_gives_its_bytes_back() -> None:
    head, _, body = data_uri(b"\x00\xff<&>", "image/jpeg").partition(",")
    assert head == "data:image/jpeg;base64"
    assert base64.b64decode(body) == b"\x00\xff<&>"


@pytest.mark.parametrize("mime", ["", "image", "image/", 'image/png"onload=', "image/png;x"])
def test_what_is_no_mime_type_is_refused(mime: str) -> None:
    with pytest.raises(ValueError, match="MIME"):
        data_uri(b"x", mime)
