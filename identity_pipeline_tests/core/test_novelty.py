"""What is new: distances between vision embeddings, and the farthest-first choice."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_pipeline.core.imagesets.novelty import (
    Likeness,
    Views,
    farthest_first,
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


def test_the_farthest_is_picked_first() -> None:
    picks = farthest_first(views([0, 10, 90, 50]), [1, 2, 3], [0], 3, LIMIT)
    assert [row for row, _ in picks] == [2, 3]  # 10 degrees is too near
    assert [new for _, new in picks] == pytest.approx([1, 1 - np.cos(np.radians(40))], abs=1e-5)


def test_without_a_start_the_preferred_comes_first() -> None:
    picks = farthest_first(views([0, 80, 20]), [2, 0, 1], [], 2, LIMIT)
    assert [row for row, _ in picks] == [2, 1]
    assert picks[0][1] == 1.0


def test_ties_go_to_the_preferred() -> None:
    assert farthest_first(views([0, 40, -40]), [2, 1], [0], 1, LIMIT)[0][0] == 2
    assert farthest_first(views([0, 40, -40]), [1, 2], [0], 1, LIMIT)[0][0] == 1


def test_an_empty_pool_gives_nothing() -> None:
    assert farthest_first(views([0]), [], [0], 5, LIMIT) == []


def test_a_copy_is_passed_over_and_the_choice_goes_on() -> None:
    """The farthest by the encoder is pixel for pixel a chosen one."""
    picks = farthest_first(views([0, 90, 60], look=[0, 2, 60]), [1, 2], [0], 2, LIMIT)
    assert [row for row, _ in picks] == [2]


def brute_force(look: np.ndarray, pool: list[int], start: list[int], count: int, cos_max: float):
    """Greedy by its definition, in double precision."""
    chosen, left, picks = list(start), list(pool), []
    while left and len(picks) < count:
        if not chosen:
            row = left[0]
        else:
            nearest = {r: max(float(look[r] @ look[c]) for c in chosen) for r in left}
            row = min(left, key=lambda r: nearest[r])
            if nearest[row] > cos_max:
                break
        left.remove(row)
        chosen.append(row)
        picks.append(row)
    return picks


@given(
    seed=st.integers(0, 2**31),
    n=st.integers(1, 25),
    start=st.integers(0, 4),
    count=st.integers(1, 10),
    cos_max=st.floats(0.3, 0.99),
)
@MODEST
def test_it_is_the_greedy_choice_and_keeps_its_distance(
    seed: int, n: int, start: int, count: int, cos_max: float
) -> None:
    look = normalise(np.random.default_rng(seed).normal(size=(n + start, 5)))
    given_rows, pool = list(range(start)), list(range(start, n + start))
    picks = farthest_first(Views(look, look, look), pool, given_rows, count, Likeness(cos_max, 1.1))
    rows = [row for row, _ in picks]
    assert rows == brute_force(look.astype(float), pool, given_rows, count, cos_max)
    chosen = given_rows + rows
    for i in range(start, len(chosen)):
        for earlier in chosen[:i]:
            assert look[chosen[i]] @ look[earlier] <= cos_max + 1e-5
    news = [new for _, new in picks]
    assert all(b <= a + 1e-5 for a, b in pairwise(news[1:]))
