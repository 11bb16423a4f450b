"""Heads in the same places of two videos: do they move alike, and are they of one person."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from identity_pipeline.core.vectors import normalise
from identity_pipeline.core.video.copied_heads import heads_likeness, lasting, people_likeness

SECONDS = 12


def course(seed: int, moves: float = 0.15) -> NDArray[np.float64]:
    """Where a head is, in sizes of the face, every 10 ms: (n, 2) smooth random movement."""
    rng = np.random.default_rng(seed)
    turns = rng.normal(0, moves, (4 * SECONDS + 1, 2))
    at = np.arange(0, SECONDS, 0.01) * 4
    return np.stack([np.interp(at, np.arange(len(turns)), turns[:, k]) for k in range(2)], axis=1)


def faces(
    moved: NDArray[np.float64],
    track: int = 0,
    every_ms: int = 100,
    noise: float = 0.0,
    late_ms: int = 0,
) -> pl.DataFrame:
    """The boxes of a head, of a fifth of the frame's width and a third of its height."""
    times = np.arange(late_ms, SECONDS * 1000, every_ms)
    places = moved[times // 10] + np.random.default_rng(1).normal(0, noise, (len(times), 2))
    x, y = 0.4 + 0.2 * places[:, 0], 0.5 + 0.33 * places[:, 1]
    return pl.DataFrame(
        {
            "track_id": np.full(len(times), track),
            "time_ms": (times - late_ms).astype(float),
            **{"x1": x - 0.1, "y1": y - 0.165, "x2": x + 0.1, "y2": y + 0.165},
        }
    )


def test_heads_of_a_copy_move_alike_at_another_rate_and_with_worse_boxes() -> None:
    copy = faces(course(1), 7, every_ms=130, noise=0.04, late_ms=2030)
    found = heads_likeness(faces(course(1)), copy, 2030.0, {7: 0})
    assert found is not None and found > 0.9


@pytest.mark.parametrize("late_ms", [0, 1000])
def test_other_heads_and_the_same_one_at_another_moment_move_otherwise(late_ms: int) -> None:
    other = course(1) if late_ms else course(2)
    found = heads_likeness(faces(course(1)), faces(other, late_ms=late_ms), 0.0, {0: 0})
    assert found is not None and found < 0.5


def test_one_other_head_beside_a_copied_one_tells() -> None:
    one = pl.concat([faces(course(1)), faces(course(3), 1)])
    other = pl.concat([faces(course(1)), faces(course(4), 1)])
    found = heads_likeness(one, other, 0.0, {0: 0, 1: 1})
    assert found is not None and found < 0.5


def test_nothing_is_said_of_a_still_head_or_of_a_moment() -> None:
    still = faces(course(1, moves=0.02))
    assert heads_likeness(still, faces(course(2, moves=0.02)), 0.0, {0: 0}) is None
    moves = faces(course(1))
    assert heads_likeness(moves, faces(course(2)).head(29), 0.0, {0: 0}) is None
    assert heads_likeness(moves.head(1), moves, 0.0, {0: 0}) is None
    assert heads_likeness(moves, moves, 60_000.0, {0: 0}) is None
    assert heads_likeness(moves, moves, 0.0, {}) is None
    gaps = moves.gather_every(3)
    assert heads_likeness(gaps, moves, 0.0, {0: 0}) is None


def test_pieces_of_a_broken_track_say_nothing() -> None:
    whole, piece = faces(course(1)), faces(course(2), 1).head(29)
    broken = pl.concat([whole.head(60), piece])
    assert lasting(whole, broken, {0: 0, 1: 0}) == {0: 0}
    assert lasting(broken, whole, {0: 1}) == {}


def vectors(person: int, seed: int, noise: float = 0.5, n: int = 9) -> NDArray[np.float32]:
    """Faces of a person: the more noise, the less alike."""
    rng = np.random.default_rng(seed)
    own = np.random.default_rng(1000 + person).normal(size=128)
    return normalise(own + rng.normal(0, noise, (n, 128)))


def test_people_are_told_against_how_alike_their_own_faces_are() -> None:
    ada, poor = vectors(1, 1), vectors(1, 2, noise=1.5)
    for other in (vectors(1, 3), poor):
        found = people_likeness({4: ada}, {0: other}, {0: 4})
        assert found is not None and found > 0.9
    found = people_likeness({4: ada, 5: ada}, {0: poor, 1: vectors(2, 4)}, {0: 4, 1: 5})
    assert found is not None and found < 0.3


def test_nothing_is_said_of_people_with_too_few_good_faces() -> None:
    ada, eve = vectors(1, 1), vectors(2, 2)
    assert people_likeness({4: ada}, {0: eve[:2]}, {0: 4}) is None
    assert people_likeness({4: ada}, {}, {0: 4}) is None
    assert people_likeness({4: ada}, {0: eve}, {}) is None
