"""Boxes, overlaps, crop boxes, smoothing and alignment."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from identity_pipeline.core.geometry import (
    ARCFACE_TEMPLATE_112,
    Box,
    CropLimits,
    body_crop_box,
    export_crop_box,
    face_crop_box,
    neighbour_share,
    pair_crop_box,
    region_box,
    similarity_transform,
    smooth_boxes,
    without_nested,
)
from identity_pipeline_tests.core.builders import MODEST

W, H = 640, 360
number = st.floats(-200, 900, allow_nan=False)


@st.composite
def boxes(draw: st.DrawFn, inside: bool = False, room: float = 0.0) -> Box:
    """A box of at least 8 px, anywhere or with its centre in the frame.

    With room, a square of so many times its longer side around it is in the frame too.
    """
    width, height = draw(st.floats(8, 150)), draw(st.floats(8, 150))
    if inside:
        edge = max(width, height) * room / 2
        centre = draw(st.floats(edge, W - edge)), draw(st.floats(edge, H - edge))
        return Box.around(centre, width, height)
    x, y = draw(number), draw(number)
    return Box(x, y, x + width, y + height)


@given(boxes(), boxes(), st.floats(-50, 50), st.floats(0.5, 3))
@MODEST
def test_iou_is_symmetric_bounded_and_blind_to_shift_and_scale(
    a: Box, b: Box, shift: float, scale: float
) -> None:
    value = a.iou(b)
    assert 0 <= value <= 1
    assert value == b.iou(a)
    assert a.iou(a) == pytest.approx(1)
    moved = [Box(*((v + shift) * scale for v in box)) for box in (a, b)]
    assert moved[0].iou(moved[1]) == pytest.approx(value, abs=1e-9)


def test_iou_of_known_boxes() -> None:
    a = Box(0, 0, 10, 10)
    assert a.iou(Box(5, 0, 15, 10)) == pytest.approx(1 / 3)
    assert a.iou(Box(10, 0, 20, 10)) == 0
    assert a.iou(Box(2, 2, 4, 4)) == pytest.approx(0.04)
    assert Box(1, 1, 1, 1).iou(Box(1, 1, 1, 1)) == 0


@pytest.mark.parametrize(
    ("scores", "left"),
    [((0.9, 0.5, 0.8, 0.6), [0, 2, 3]), ((0.5, 0.9, 0.8, 0.6), [1, 2, 3]), ((0.5,) * 4, [0, 2, 3])],
)
def test_of_a_face_and_a_part_of_it_the_surer_one_is_left(
    scores: tuple[float, ...], left: list[int]
) -> None:
    face, nose = (0, 0, 100, 100), (30, 40, 60, 80)
    beside, half_behind = (200, 0, 300, 100), (250, 10, 340, 100)
    found = without_nested(np.array([face, nose, beside, half_behind]), np.array(scores))
    assert found.tolist() == left


def test_no_face_is_left_of_none_and_an_empty_box_hides_nothing() -> None:
    assert without_nested(np.zeros((0, 4)), np.zeros(0)).tolist() == []
    assert without_nested(np.array([[0, 0, 9, 9], [5, 5, 5, 5]]), np.ones(2)).tolist() == [0, 1]


def test_a_box_turned_inside_out_is_empty() -> None:
    box = Box(10, 10, 0, 0)
    assert (box.width, box.height, box.area) == (0, 0, 0)
    assert box.outside_share(W, H) == 1


@pytest.mark.parametrize(
    ("box", "share"),
    [
        (Box(0, 0, W, H), 0),
        (Box(-10, 0, 10, 20), 0.5),
        (Box(-10, -10, 10, 10), 0.75),
        (Box(W, 0, W + 5, 5), 1),
        (Box(W - 1, H - 1, W + 1, H), 0.5),
    ],
)
def test_the_share_outside_the_frame(box: Box, share: float) -> None:
    assert box.outside_share(W, H) == pytest.approx(share)


def test_a_face_crop_is_a_square_about_the_face() -> None:
    assert face_crop_box(Box(10, 20, 50, 100), 1.5) == Box(-30, 0, 90, 120)


@given(boxes())
@MODEST
def test_the_body_crop_has_the_face_in_its_upper_third(box: Box) -> None:
    body = body_crop_box(box, 3, 4)
    assert body.width == pytest.approx(3 * box.width)
    assert body.height == pytest.approx(4 * box.height)
    assert body.centre[0] == pytest.approx(box.centre[0])
    assert body.y1 <= box.y1 + 1e-9
    assert box.y2 <= body.y1 + body.height / 3 + 1e-9


@given(boxes(inside=True))
@MODEST
def test_the_region_holds_every_later_crop_and_stays_in_the_frame(box: Box) -> None:
    region = region_box(box, W, H, widths=3, heights=4)
    assert all(float(v).is_integer() for v in region)
    assert region.x1 >= 0
    assert region.y1 >= 0
    assert region.x2 <= W or box.x1 > W - 1
    assert region.y2 <= H or box.y1 > H - 1
    frame = Box(0, 0, W, H)
    for crop in (body_crop_box(box, 3, 4), face_crop_box(box, 1.5), box):
        visible = crop.intersection(frame)
        assert region.intersection(visible).area == pytest.approx(visible.area)


def limits(expand: float = 2.0, most: float = 4.0, min_side: int = 32) -> CropLimits:
    return CropLimits(expand, 1.4, most, min_side)


@given(
    boxes(inside=True),
    st.lists(boxes(inside=True), max_size=3),
    st.floats(1.4, 2.5),
    st.integers(32, 400),
)
@MODEST
def test_an_export_crop_is_a_square_in_the_frame_with_one_face(
    face: Box, others: list[Box], expand: float, min_side: int
) -> None:
    square = export_crop_box(face, W, H, others, limits(expand, min_side=min_side))
    assume(square is not None)
    assert square.width == square.height
    assert all(float(v).is_integer() for v in square)
    assert Box(0, 0, W, H).intersection(square).area == square.area
    assert square.intersection(face).area >= 0.98 * face.area
    assert all(square.intersection(other).area == 0 for other in others)
    most = max(expand * face.longer_side, min(min_side, 4.0 * face.longer_side))
    assert 1.4 * face.longer_side - 1 <= square.width <= most
    assert 0 <= neighbour_share(square, others) <= 1


@given(boxes(inside=True, room=1.45), st.lists(boxes(inside=True), max_size=2), st.integers(0, 99))
@MODEST
def test_a_larger_frame_never_makes_the_crop_smaller(
    face: Box, others: list[Box], more: int
) -> None:
    assume(face_crop_box(face, 1.4).outside_share(W, H) == 0)  # else more of it must be shown
    small, large = (
        export_crop_box(face, W + by, H + by, others, limits(min_side=200)) for by in (0, more)
    )
    assume(small is not None)
    assert large is not None
    assert large.width >= small.width


@given(boxes(inside=True), st.lists(boxes(inside=True), max_size=2), st.integers(32, 300))
@MODEST
def test_asking_for_more_pixels_never_gives_fewer(
    face: Box, others: list[Box], min_side: int
) -> None:
    less, more = (
        export_crop_box(face, W, H, others, limits(min_side=side)) for side in (min_side, 320)
    )
    assert (less is None) == (more is None)
    assume(less is not None)
    assert less.width <= more.width


def crop(face: Box, *others: Box, min_side: int = 32) -> Box | None:
    return export_crop_box(face, W, H, others, limits(min_side=min_side))


def test_a_free_face_gets_the_whole_square() -> None:
    assert crop(Box(200, 100, 260, 180)) == Box(150, 60, 310, 220)


def test_it_grows_to_the_wanted_side_and_shows_shoulders_rather_than_sky() -> None:
    face = Box(300, 150, 360, 230)
    square = crop(face, min_side=220)
    assert square == Box(220, 90, 440, 310)
    assert square.y2 - face.y2 > face.y1 - square.y1
    assert crop(face, min_side=160) == crop(face)  # as large already


def test_it_never_grows_until_the_face_is_a_speck_nor_beyond_the_frame() -> None:
    speck = crop(Box(300, 150, 330, 190), min_side=512)
    large = crop(Box(250, 100, 370, 220), min_side=512)
    assert speck is not None and large is not None
    assert speck.width == 4 * 40
    assert large.width == H


def test_at_the_edge_the_square_is_shifted_not_shrunk() -> None:
    assert crop(Box(0, 0, 60, 80)) == Box(0, 0, 160, 160)
    assert crop(Box(W - 60, H - 80, W, H)) == Box(W - 160, H - 160, W, H)
    assert crop(Box(0, 0, 60, 80), min_side=300) == Box(0, 0, 300, 300)


def test_beside_another_face_the_square_is_shifted_away_from_it() -> None:
    face, other = Box(200, 100, 280, 180), Box(310, 100, 390, 180)
    square = crop(face, other)
    assert square is not None
    assert square.width == 160
    assert square.x2 <= 310
    centred = Box(150, 60, 310, 220)
    assert neighbour_share(square, [other]) < neighbour_share(centred, [other])
    far = Box(400, 100, 480, 180)
    assert crop(face, far) == Box(160, 60, 320, 220)  # its head does not reach in


def test_between_two_faces_the_square_shrinks() -> None:
    square = crop(Box(200, 100, 280, 180), Box(310, 0, 390, 359), Box(90, 0, 170, 359))
    assert square is not None
    assert (square.x1, square.width) == (170, 140)


@pytest.mark.parametrize(
    ("face", "others"),
    [
        (Box(200, 100, 280, 180), [Box(285, 100, 365, 180)]),  # too near
        (Box(200, 100, 280, 180), [Box(210, 110, 220, 120)]),  # inside it
        (Box(100, 30, 400, 330), []),  # 1.4 sides are higher than the frame
        (Box(-20, 100, 60, 180), []),  # cut off by the frame
    ],
)
def test_an_impossible_crop_is_none(face: Box, others: list[Box]) -> None:
    assert crop(face, *others) is None


@given(boxes(inside=True), boxes(inside=True))
@MODEST
def test_a_pair_crop_has_air_all_round_and_stays_in_the_frame(a: Box, b: Box) -> None:
    square = pair_crop_box(a, b, W, H)
    air = max(a.longer_side, b.longer_side)
    frame = Box(0, 0, W, H)
    for face in (a, b):
        wanted = Box(face.x1 - air, face.y1 - air, face.x2 + air, face.y2 + air)
        visible = wanted.intersection(frame)
        assert square.intersection(visible).area == pytest.approx(visible.area)
    assert frame.intersection(square).area == pytest.approx(square.area)


# --- smoothing ---------------------------------------------------------------------------------


def test_smoothing_weighs_the_new_box_by_alpha() -> None:
    boxes_in = np.array([[0, 0, 10, 10], [10, 0, 20, 10], [10, 0, 20, 10]], float)
    smoothed = smooth_boxes(boxes_in, np.array([0, 100, 200.0]), alpha=0.3, gap_ms=500)
    assert smoothed[:, 0].tolist() == pytest.approx([0, 3, 5.1])
    assert boxes_in[1, 0] == 10  # the raw boxes are kept


@pytest.mark.parametrize(("gap", "first"), [(500.0, 3.0), (500.1, 10.0)])
def test_a_longer_gap_resets_the_smoothing(gap: float, first: float) -> None:
    boxes_in = np.array([[0, 0, 10, 10], [10, 0, 20, 10]], float)
    assert smooth_boxes(boxes_in, np.array([0, gap]), alpha=0.3, gap_ms=500)[1, 0] == first


@given(st.integers(0, 2**31), st.floats(0.05, 1))
@MODEST
def test_smoothed_boxes_stay_between_the_raw_ones(seed: int, alpha: float) -> None:
    rng = np.random.default_rng(seed)
    raw = rng.uniform(0, 500, (20, 4))
    times = np.cumsum(rng.uniform(0, 900, 20))
    smoothed = smooth_boxes(raw, times, alpha=alpha, gap_ms=500)
    assert (smoothed >= np.minimum.accumulate(raw) - 1e-9).all()
    assert (smoothed <= np.maximum.accumulate(raw) + 1e-9).all()
    assert np.array_equal(smooth_boxes(raw, times, alpha=1, gap_ms=500), raw)
    resets = np.flatnonzero(np.diff(times) > 500) + 1
    assert np.array_equal(smoothed[resets], raw[resets])


# --- alignment ---------------------------------------------------------------------------------


@given(st.floats(-180, 180), st.floats(0.1, 10), number, number)
@MODEST
def test_a_known_similarity_is_recovered(
    degrees: float, scale: float, dx: float, dy: float
) -> None:
    c, s = np.cos(np.radians(degrees)) * scale, np.sin(np.radians(degrees)) * scale
    known = np.array([[c, -s, dx], [s, c, dy]])
    points = ARCFACE_TEMPLATE_112
    target = points @ known[:, :2].T + known[:, 2]
    assert similarity_transform(points, target) == pytest.approx(known, abs=1e-6)


def test_a_similarity_never_mirrors_or_shears() -> None:
    mirrored = ARCFACE_TEMPLATE_112 * [-1, 1]
    matrix = similarity_transform(mirrored, ARCFACE_TEMPLATE_112)[:, :2]
    assert matrix @ matrix.T == pytest.approx(np.eye(2) * np.linalg.det(matrix))
    assert np.linalg.det(matrix) >= 0


def test_points_that_coincide_cannot_be_aligned() -> None:
    with pytest.raises(ValueError, match="coincide"):
        similarity_transform(np.ones((5, 2)), ARCFACE_TEMPLATE_112)
