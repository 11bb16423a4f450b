"""What is new: distances between vision embeddings, and the farthest-first choice."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_pipeline.core.imagesets.novelty import (
    Likeness,
    Views,
    farthest_of,
    is_near_duplicate,
    look_of,
    novelty,
)
from identity_pipeline.core.vectors import normalise
from identity_pipeline_tests.core.builders import MODEST, plane

LIMIT = Likeness(0.97, 0.97)


def views(
    face: list[float], body: list[float] | None = None, look: list[float] | None = None
) -> Views:
    """Views at angles, in degrees, in one plane; looks are the face's unless given."""
    angles = (face, body or face, look or face)
    return Views(*(np.array([plane(a) for a in v], np.float32) for v in angles))


def test_everything_is_new_when_nothing_is_saved() -> None:
    assert novelty(views([0]), 0, []) == 1.0


def test_novelty_is_the_distance_to_the_nearest() -> None:
    assert novelty(views([0, 60, 90]), 0, [2, 1]) == pytest.approx(0.5)
    assert novelty(views([0, 0]), 0, [1]) == pytest.approx(0, abs=1e-6)
    assert novelty(views([0, 180]), 0, [1]) == pytest.approx(2)


def test_of_face_and_body_the_larger_counts() -> None:
    assert novelty(views([0, 0], [0, 60]), 0, [1]) == pytest.approx(0.5)
    assert novelty(views([0, 90], [0, 60]), 0, [1]) == pytest.approx(1)


def test_face_and_body_may_be_nearest_to_different_faces() -> None:
    """The face is that of row 1, the body that of row 2: nothing is new."""
    assert novelty(views([0, 0, 90], [0, 90, 0]), 0, [1, 2]) == pytest.approx(0, abs=1e-6)


def test_near_duplicates_are_judged_by_the_face_alone() -> None:
    assert is_near_duplicate(views([0, 5], [0, 90]), 0, [1], LIMIT)
    assert not is_near_duplicate(views([0, 20], [0, 0]), 0, [1], LIMIT)
    assert not is_near_duplicate(views([0]), 0, [], Likeness(0, 0))


def test_the_same_pixels_are_a_duplicate_whatever_the_encoder_says() -> None:
    assert is_near_duplicate(views([0, 90], look=[0, 5]), 0, [1], LIMIT)
    assert not is_near_duplicate(views([0, 90], look=[0, 20]), 0, [1], LIMIT)


def test_a_look_is_a_unit_vector_blind_to_light() -> None:
    luma = np.random.default_rng(0).uniform(20, 90, (112, 112)) + np.arange(112)
    look = look_of(luma)
    assert look.shape == (784,)
    assert np.linalg.norm(look) == pytest.approx(1, abs=1e-5)
    assert look @ look_of(0.4 * luma + 30) == pytest.approx(1, abs=1e-5)
    assert look @ look_of(255 - luma) == pytest.approx(-1, abs=1e-5)
    assert abs(look @ look_of(luma[:, ::-1])) < 0.99
    for flat in (np.zeros((112, 112)), np.full((112, 112), 255.0)):
        assert np.linalg.norm(look_of(flat)) == pytest.approx(1, abs=1e-5)


def test_exactly_the_bound_is_no_duplicate() -> None:
    look = Views(*(np.array([[1, 0], [0.5, 0.75**0.5]], np.float32),) * 3)
    assert not is_near_duplicate(look, 1, [0], Likeness(0.5, 0.5))
    assert is_near_duplicate(look, 1, [0], Likeness(0.4999, 0.5))
    assert is_near_duplicate(look, 1, [0], Likeness(0.5, 0.4999))


def test_the_farthest_is_picked() -> None:
    found = farthest_of(views([0, 10, 90, 50]), [1, 2, 3], [0])
    assert found == (2, pytest.approx(1, abs=1e-5))
    found = farthest_of(views([0, 10, 90, 50]), [1, 3], [0, 2])
    assert found == (3, pytest.approx(1 - np.cos(np.radians(40)), abs=1e-5))


def test_without_a_start_the_preferred_comes_first() -> None:
    assert farthest_of(views([0, 80, 20]), [2, 0, 1], []) == (2, 1.0)


def test_ties_go_to_the_preferred() -> None:
    for pool in ([2, 1], [1, 2]):
        found = farthest_of(views([0, 40, -40]), pool, [0])
        assert found is not None
        assert found[0] == pool[0]


def test_an_empty_pool_gives_nothing() -> None:
    assert farthest_of(views([0]), [], [0]) is None


@given(seed=st.integers(0, 2**31), n=st.integers(1, 25), start=st.integers(1, 4))
@MODEST
def test_none_of_the_pool_is_farther(seed: int, n: int, start: int) -> None:
    look = normalise(np.random.default_rng(seed).normal(size=(n + start, 5)))
    pool, chosen = list(range(start, n + start)), list(range(start))
    found = farthest_of(Views(look, look, look), pool, chosen)
    assert found is not None
    news = [1 - max(float(look[r] @ look[c]) for c in chosen) for r in pool]
    assert found[1] == pytest.approx(max(news), abs=1e-5)
    assert news[pool.index(found[0])] == pytest.approx(max(news), abs=1e-5)
