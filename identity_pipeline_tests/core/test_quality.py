"""Measures of frames and faces: light, cuts, sharpness, noise, and the one score."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from identity_pipeline.core.faces.quality import (
    estimate_noise,
    exposure_term,
    luma_of,
    measure_pixels,
    quality_score,
    surround_luma,
)
from identity_pipeline.core.geometry import ARCFACE_TEMPLATE_112, Box
from identity_pipeline.core.video.frames import laplacian_variance, measure_light, scene_correlation
from identity_pipeline.media.crops import align
from identity_pipeline.media.luma import histogram
from identity_pipeline_tests.core.builders import MODEST, face_picture

Image = NDArray[np.uint8]
SOURCE = face_picture(448)
BOX_SIDE = 280.0  # longer side of the drawn face in the source


def key_points(scale: float) -> NDArray[np.float64]:
    """Where the drawn key points lie in a picture `scale` times 112 px; pixel centres."""
    return (ARCFACE_TEMPLATE_112 + 0.5) * scale - 0.5


def face() -> Image:
    return align(SOURCE, key_points(4))


def score(aligned: Image, face_px: float = BOX_SIDE, occlusion: float | None = None) -> float:
    return quality_score(measure_pixels(aligned), face_px, occlusion)


def falls(values: list[float], slack: float = 0.0) -> bool:
    """Never rises, and the last is clearly below the first."""
    steps = all(b <= a + slack for a, b in pairwise(values))
    return steps and values[-1] < 0.9 * values[0]


# --- frames ------------------------------------------------------------------------------------


def test_light_of_a_known_distribution() -> None:
    luma = np.repeat(np.arange(100, dtype=np.uint8) + 100, 10).reshape(50, 20)
    light = measure_light(histogram(luma))
    assert light.mean == pytest.approx(149.5)
    assert (light.p05, light.p50, light.p95) == (104, 149, 194)
    assert (light.clipped_share, light.crushed_share) == (0, 0)


@pytest.mark.parametrize(
    ("value", "clipped", "crushed"), [(250, 0, 0), (251, 0.25, 0), (5, 0, 0), (4, 0, 0.25)]
)
def test_clipped_is_above_250_and_crushed_below_5(
    value: int, clipped: float, crushed: float
) -> None:
    luma = np.full((20, 20), 128, np.uint8)
    luma[:10, :10] = value
    light = measure_light(histogram(luma))
    assert (light.clipped_share, light.crushed_share) == (clipped, crushed)


def test_a_white_wall_behind_a_face_does_not_overexpose_it() -> None:
    before_white = np.full((112, 112, 3), 255, np.uint8)
    before_white[22:110, 22:90] = 150
    blown = np.full((112, 112, 3), 150, np.uint8)
    blown[22:110, 22:90] = 255
    assert measure_pixels(before_white).clipped_share == 0
    assert measure_pixels(blown).clipped_share == 1


@given(st.integers(0, 2**31))
@MODEST
def test_percentiles_are_those_of_numpy(seed: int) -> None:
    luma = np.random.default_rng(seed).integers(0, 256, (36, 64)).astype(np.uint8)
    light = measure_light(histogram(luma))
    got = (light.p05, light.p50, light.p95)
    assert got == pytest.approx(np.percentile(luma, [5, 50, 95]), abs=1.5)


@given(st.integers(0, 2**31), st.floats(0.3, 1.0), st.floats(0, 60))
@MODEST
def test_scene_correlation_ignores_gain_and_offset(seed: int, gain: float, offset: float) -> None:
    rng = np.random.default_rng(seed)
    a = cv2.resize(rng.integers(20, 190, (5, 8)).astype(np.uint8), (32, 18))
    b = np.round(a * gain + offset).astype(np.uint8)
    assert scene_correlation(a, b) == pytest.approx(1, abs=0.01)
    assert scene_correlation(a, 255 - b) == pytest.approx(-1, abs=0.01)


def test_a_flat_frame_is_no_evidence_of_a_cut() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (18, 32)).astype(np.uint8)
    for level in (0, 128, 255):
        flat = np.full((18, 32), level, np.uint8)
        assert scene_correlation(flat, picture) is None
        assert scene_correlation(picture, flat) is None


def test_unrelated_frames_do_not_correlate() -> None:
    rng = np.random.default_rng(3)
    a, b = (rng.integers(0, 255, (18, 32)).astype(np.uint8) for _ in range(2))
    value = scene_correlation(a, b)
    assert value is not None
    assert abs(value) < 0.15


def test_laplacian_variance_of_known_pictures() -> None:
    y, x = np.mgrid[0:20, 0:20]
    assert laplacian_variance((3 * x + 2 * y).astype(np.uint8)) == 0
    checks = ((x + y) % 2 * 10).astype(np.uint8)  # the Laplacian is +-40 everywhere
    assert laplacian_variance(checks) == pytest.approx(1600)


# --- faces -------------------------------------------------------------------------------------


def test_luma_is_rec_601() -> None:
    bgr = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]], np.uint8)
    assert luma_of(bgr) == pytest.approx([29.07, 149.685, 76.245, 255], abs=1e-3)


@pytest.mark.parametrize("sigma", [2, 4, 8, 16])
def test_noise_is_estimated_within_a_quarter(sigma: float) -> None:
    noise = np.random.default_rng(1).normal(0, sigma, (112, 112))
    assert estimate_noise(np.full((112, 112), 128.0) + noise) == pytest.approx(sigma, rel=0.25)
    noisy = luma_of(face()) + noise
    assert estimate_noise(noisy) == pytest.approx(sigma, rel=0.25)


def test_a_drawn_face_without_noise_has_little() -> None:
    assert estimate_noise(luma_of(face())) < 1


@pytest.mark.parametrize("gain", [0.9, 0.7, 0.5, 0.3])
def test_darkening_alone_does_not_change_sharpness(gain: float) -> None:
    bright, dark = face(), np.round(face() * gain).astype(np.uint8)
    assert measure_pixels(bright).luma_mean < 128
    assert measure_pixels(dark).sharpness == pytest.approx(
        measure_pixels(bright).sharpness, rel=0.04
    )


def test_a_nearly_black_face_is_not_amplified_into_sharpness() -> None:
    black = np.round(face() * 0.05).astype(np.uint8)
    assert measure_pixels(black).sharpness < 0.2 * measure_pixels(face()).sharpness


def noisy(sigma: float) -> Image:
    noise = np.random.default_rng(7).normal(0, 1, (112, 112, 1)) * sigma
    return np.clip(np.round(face() + noise), 0, 255).astype(np.uint8)


DEGRADATIONS: dict[str, tuple[Callable[[float], Image], list[float]]] = {
    "blur of the crop": (
        lambda s: cv2.GaussianBlur(face(), (0, 0), s).astype(np.uint8),
        [0.3, 0.5, 0.8, 1.2, 2, 3, 5],
    ),
    "blur of the source": (
        lambda s: align(cv2.GaussianBlur(SOURCE, (0, 0), s).astype(np.uint8), key_points(4)),
        [0.5, 1, 2, 4, 6, 8, 12, 20],
    ),
    "darkening": (
        lambda g: np.round(face() / g).astype(np.uint8),
        [1, 1.2, 1.5, 2, 3, 5, 8, 15, 30],
    ),
    "noise": (noisy, [0, 1, 2, 4, 6, 8, 12, 16, 24, 32]),
    "motion blur": (
        lambda n: cv2.filter2D(face(), -1, np.full((1, int(n)), 1 / n)).astype(np.uint8),
        [1, 3, 5, 7, 11, 15],
    ),
}


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_the_score_never_rises_under(name: str) -> None:
    degrade, amounts = DEGRADATIONS[name]
    values = [score(degrade(amount)) for amount in amounts]
    assert falls(values, slack=1e-3), values
    assert score(face()) >= values[0] - 1e-3


@pytest.mark.parametrize("sigma", [3, 8, 16])
def test_noise_does_not_pass_for_sharpness(sigma: float) -> None:
    """A blurred face gains nothing from the grain of a high ISO."""
    blurred = cv2.GaussianBlur(face(), (0, 0), 3).astype(np.uint8)
    noise = np.random.default_rng(2).normal(0, sigma, (112, 112, 1))
    grainy = np.clip(np.round(blurred + noise), 0, 255).astype(np.uint8)
    assert score(grainy) <= score(blurred) + 0.01


def test_the_score_falls_as_the_face_gets_smaller() -> None:
    values = []
    for factor in (1, 2, 3, 4, 5, 6, 8, 10):
        small = cv2.resize(SOURCE, None, fx=1 / factor, fy=1 / factor, interpolation=3)
        aligned = align(small.astype(np.uint8), key_points(4 / factor))
        values.append(score(aligned, BOX_SIDE / factor))
    assert falls(values[2:], slack=5e-3), values
    assert values[0] >= max(values) - 0.03  # reductions above 112 px do not matter


def test_the_score_falls_with_occlusion_and_null_costs_nothing() -> None:
    values = [score(face(), occlusion=o) for o in (0, 0.1, 0.3, 0.5, 0.8, 1.0)]
    assert falls(values)
    assert values[-1] == 0
    assert score(face(), occlusion=None) == values[0]


@pytest.mark.parametrize("blur", [0.0, 1.5])
def test_enlarging_the_source_twice_changes_the_score_by_less_than_five_per_cent(
    blur: float,
) -> None:
    source = cv2.GaussianBlur(SOURCE, (0, 0), blur) if blur else SOURCE
    twice = cv2.resize(source, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    one = score(align(source.astype(np.uint8), key_points(4)))
    two = score(align(twice.astype(np.uint8), key_points(8)), 2 * BOX_SIDE)
    assert two == pytest.approx(one, rel=0.05)


@pytest.mark.parametrize(
    ("luma", "term"),
    [(0, 0), (10, 0), (45, 0.5), (80, 1), (128, 1), (180, 1), (215, 0.5), (250, 0), (255, 0)],
)
def test_the_exposure_term(luma: float, term: float) -> None:
    assert exposure_term(luma) == pytest.approx(term)


@given(st.integers(0, 2**31), st.floats(1, 600), st.one_of(st.none(), st.floats(0, 1)))
@MODEST
def test_the_score_is_in_the_unit_interval_for_any_pixels(
    seed: int, face_px: float, occlusion: float | None
) -> None:
    rng = np.random.default_rng(seed)
    low, high = sorted(rng.integers(0, 256, 2))
    pixels = rng.integers(low, high + 1, (112, 112, 3)).astype(np.uint8)
    assert 0 <= score(pixels, face_px, occlusion) <= 1


def test_the_surround_is_what_lies_outside_the_face() -> None:
    luma = np.full((40, 60), 200, np.float32)
    luma[10:30, 20:40] = 30
    assert surround_luma(luma, Box(20.0, 10.0, 40.0, 30.0)) == pytest.approx(200.0)
    # A face that leaves the picture has a surround on the other sides; one that fills it has none.
    assert surround_luma(luma, Box(-50.0, -50.0, 41.0, 31.0)) == pytest.approx(200.0)
    assert surround_luma(luma, Box(-5.0, -5.0, 70.0, 70.0)) is None
