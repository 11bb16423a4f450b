"""The pairs that are joined, against a plain search over all pairs after every join."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from identity_pipeline.core.tracks.joining import DECIMALS, JoinablePairs
from identity_pipeline.core.vectors import mean_direction, normalise
from identity_pipeline.settings import TrackingSettings
from identity_pipeline_tests.core.builders import MODEST

Scene = tuple[NDArray[np.float32], list[set[int]]]
Joins = list[tuple[int, int, float]]
S = TrackingSettings()


def best_of_all(
    cosines: NDArray[np.floating], alive: list[int], frames: list[set[int]], s: TrackingSettings
) -> tuple[int, int, float] | None:
    best: tuple[int, int, float] | None = None
    for i, j in combinations(alive, 2):
        cosine = float(cosines[i, j])
        if cosine < s.stitch_cos_with_margin or (best and cosine <= best[2]):
            continue
        if frames[i] & frames[j]:
            continue
        others = [k for k in alive if k not in (i, j)]
        runner_up = max((float(cosines[m, k]) for m in (i, j) for k in others), default=-1.0)
        if cosine < s.stitch_cos and cosine - runner_up < s.stitch_margin:
            continue
        best = (i, j, cosine)
    return best


def joined(scene: Scene, members: list[list[int]], i: int, j: int) -> NDArray[np.float32]:
    members[i] = sorted(members[i] + members[j])
    return mean_direction(scene[0][members[i]])


def plainly(scene: Scene, settings: TrackingSettings) -> Joins:
    templates, frames = scene[0].copy(), [set(f) for f in scene[1]]
    members = [[k] for k in range(len(templates))]
    alive = list(range(len(templates)))
    joins: Joins = []
    while True:
        cosines = np.round(templates @ templates.T, DECIMALS)
        best = best_of_all(cosines, alive, frames, settings)
        if best is None:
            return joins
        i, j, _ = best
        joins.append(best)
        templates[i] = joined(scene, members, i, j)
        frames[i] |= frames[j]
        alive.remove(j)


def kept_up_to_date(scene: Scene, settings: TrackingSettings) -> tuple[Joins, list[int]]:
    members = [[k] for k in range(len(scene[0]))]
    pairs = JoinablePairs(scene[0], scene[1], settings)
    joins: Joins = []
    while (best := pairs.best()) is not None:
        joins.append(best)
        pairs.join(best[0], best[1], joined(scene, members, best[0], best[1]))
    return joins, pairs.left()


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    """Fragments of a few people, more or less alike, that may share frames."""
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    n, people = draw(st.integers(1, 24)), draw(st.integers(1, 5))
    noise = draw(st.sampled_from([0.05, 0.2, 0.3, 0.4]))
    looks = np.eye(16)[rng.integers(0, people, n)] + rng.normal(0, noise, (n, 16))
    frames = [set(rng.integers(0, draw(st.sampled_from([10, 60])), 2).tolist()) for _ in range(n)]
    return normalise(looks), frames


@given(scenes(), st.sampled_from([S, S.model_copy(update={"stitch_cos": 0.7})]))
@MODEST
def test_the_same_pairs_are_joined_in_the_same_order(
    scene: Scene, settings: TrackingSettings
) -> None:
    joins, left = kept_up_to_date(scene, settings)
    expected = plainly(scene, settings)
    assert [j[:2] for j in joins] == [j[:2] for j in expected]
    np.testing.assert_allclose([j[2] for j in joins], [j[2] for j in expected], atol=2e-6)
    assert left == sorted(set(range(len(scene[0]))) - {j[1] for j in joins})


def test_a_thousand_fragments_of_one_person_become_one_track() -> None:
    rng = np.random.default_rng(0)
    looks = normalise(np.eye(32)[0] + rng.normal(0, 0.05, (1000, 32)))
    joins, left = kept_up_to_date((looks, [{k} for k in range(1000)]), S)
    assert len(joins) == 999 and left == [0]
