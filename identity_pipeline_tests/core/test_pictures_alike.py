"""How alike two pictures are."""

from __future__ import annotations

import numpy as np
import pytest

from identity_pipeline.core.video.frames import correlation

RANDOM = np.random.default_rng(0)
PICTURE = RANDOM.integers(20, 200, (24, 32, 3), dtype=np.uint8)
FLAT = np.full((24, 32, 3), 80, np.uint8)


def test_equal_pictures_and_no_others_are_exactly_one() -> None:
    assert correlation(PICTURE, PICTURE.copy()) == 1.0
    assert correlation(FLAT, FLAT.copy()) == 1.0
    changed = PICTURE.copy()
    changed[3, 4, 0] += 1
    assert 0.9999 < correlation(PICTURE, changed) < 1.0


def test_light_cancels_out_and_another_picture_does_not() -> None:
    assert correlation(PICTURE, (PICTURE // 2 + 30).astype(np.uint8)) > 0.999
    assert abs(correlation(PICTURE, RANDOM.integers(0, 255, PICTURE.shape, np.uint8))) < 0.1
    assert correlation(PICTURE, (220 - PICTURE).astype(np.uint8)) == pytest.approx(-1)
    assert correlation(PICTURE, FLAT) == 0.0


def test_the_same_shapes_in_other_colours_are_unlike() -> None:
    grey = np.repeat(RANDOM.integers(20, 200, (24, 32, 1), dtype=np.uint8), 3, axis=2)
    tinted = grey.copy()
    tinted[..., 2] = 220 - tinted[..., 2]
    assert correlation(grey, tinted) < 0.5
