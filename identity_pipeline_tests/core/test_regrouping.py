"""Grouping again after items came, went and changed is grouping all anew."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from identity_pipeline.core.clustering.grouping import cluster_vectors
from identity_pipeline.core.clustering.neighbours import TooManyLinksError, find_links
from identity_pipeline.core.clustering.regrouping import MARGIN, Grouping, regroup
from identity_pipeline.settings import ClusterSettings

SETTINGS = ClusterSettings()
STEPS = st.lists(
    st.tuples(st.integers(0, 2**31), st.integers(0, 6), st.integers(0, 3), st.floats(0.2, 0.8)),
    min_size=1,
    max_size=6,
)


class _Crowd:
    """Vectors of a few people that come, go and change."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.people = rng.standard_normal((6, 8))
        self.vectors: dict[str, np.ndarray] = {}

    def step(self, rng: np.random.Generator, add: int, drop: int) -> set[str]:
        """Adds, drops and changes some; the keys that changed."""
        for key in rng.permutation(sorted(self.vectors))[:drop].tolist():
            del self.vectors[key]
        changed = set(rng.permutation(sorted(self.vectors))[: int(rng.integers(0, 2))].tolist())
        new = {f"track:{int(rng.integers(0, 60)):03d}" for _ in range(add)} - self.vectors.keys()
        for key in new | changed:
            own = self.people[rng.integers(0, 6)] + 0.5 * rng.standard_normal(8)
            self.vectors[key] = (own / np.linalg.norm(own)).astype(np.float32)
        return changed | new

    def apart(self, rng: np.random.Generator) -> list[tuple[str, str]]:
        """Some pairs that are two people, one of somebody who is not there."""
        keys = [*sorted(self.vectors), "track:gone"]
        pairs = [tuple(rng.choice(len(keys), 2, replace=False)) for _ in keys[:-1]]
        return [(keys[a], keys[b]) for a, b in pairs if rng.random() < 0.3]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), STEPS)
def test_it_is_the_grouping_of_all_anew(
    seed: int, steps: list[tuple[int, int, int, float]]
) -> None:
    crowd, before = _Crowd(np.random.default_rng(seed)), None
    floor = 0.5
    for own_seed, add, drop, wanted in steps:
        rng = np.random.default_rng(own_seed)
        changed = crowd.step(rng, add, drop)
        # Mostly a little step, as from one ride to the next; sometimes a large one.
        floor = wanted if rng.random() < 0.3 else floor + float(rng.normal(0, 0.01))
        apart = crowd.apart(rng)
        keys = sorted(crowd.vectors)
        matrix = np.array([crowd.vectors[key] for key in keys], np.float32).reshape(-1, 8)
        rows = np.sort(rng.choice(len(keys) + 3, len(keys), replace=False))
        every = crowd.people[rng.integers(0, 6, len(keys) + 3)].astype(np.float32)
        every /= np.linalg.norm(every, axis=1, keepdims=True)
        every[rows] = matrix  # rows of tracks of known people lie between
        labels, before = regroup(keys, every, floor, SETTINGS, apart, before, changed, rows)
        whole = cluster_vectors(keys, matrix, floor, SETTINGS, apart=apart)
        anew = regroup(keys, matrix, floor, SETTINGS, apart)[1]
        assert labels.tolist() == whole.tolist()
        assert _told(before, floor) == _told(anew, floor)


def _people(number: int, of: int) -> np.ndarray:
    """So many vectors of so many people."""
    rng = np.random.default_rng(3)
    found = np.eye(8)[np.arange(number) % of] + 0.3 * rng.standard_normal((number, 8))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def test_links_far_below_a_floor_that_rose_are_kept_no_longer() -> None:
    matrix, keys = _people(40, 4), [f"track:{i:02d}" for i in range(40)]
    _, before = regroup(keys[:30], matrix[:30], 0.2, SETTINGS, [])
    _, near = regroup(keys, matrix, 0.22, SETTINGS, [], before)
    assert near.least == before.least
    labels, far = regroup(keys, matrix, 0.6, SETTINGS, [], near)
    assert far.least == 0.6 - MARGIN and (far.links.cosine >= far.least).all()
    assert labels.tolist() == cluster_vectors(keys, matrix, 0.6, SETTINGS).tolist()


def test_more_links_than_there_may_be_below_the_floor_are_found_anew() -> None:
    matrix, keys = _people(40, 1), [f"track:{i:02d}" for i in range(40)]
    floor = 0.7
    own = SETTINGS.model_copy(
        update={"max_links": len(find_links(matrix, floor).left)}  # and none more below the floor
    )
    _, before = regroup(keys[:20], matrix[:20], floor, own, [])
    labels, _ = regroup(keys, matrix, floor, own, [], before)
    assert labels.tolist() == cluster_vectors(keys, matrix, floor, own).tolist()
    with pytest.raises(TooManyLinksError):
        regroup(keys, matrix, floor, own.model_copy(update={"max_links": 10}), [], before)


def _told(grouping: Grouping, floor: float) -> tuple[object, ...]:
    """What must be the same however it came about; what was not asked may be less well known."""
    links = grouping.links.chosen(grouping.links.cosine >= floor)
    pairs = list(zip(links.left.tolist(), links.right.tolist(), links.distance, strict=True))
    return grouping.keys, pairs, grouping.root.tolist(), grouping.apart.tolist()


def test_what_is_as_before_is_not_agglomerated_again(monkeypatch) -> None:
    """Of two people far apart only the one with a new track is looked at."""
    rng = np.random.default_rng(3)
    people = np.eye(8)[[0, 0, 0, 1, 1, 1]] + 0.05 * rng.standard_normal((6, 8))
    matrix = (people / np.linalg.norm(people, axis=1, keepdims=True)).astype(np.float32)
    keys = [f"track:{i}" for i in range(6)]
    _, before = regroup(keys[:5], matrix[:5], 0.5, SETTINGS, [])
    sizes: list[int] = []
    from identity_pipeline.core.clustering import regrouping

    agglomerated = regrouping.agglomerated

    def noted(vectors, links, *rest):
        sizes.append(len(vectors))
        return agglomerated(vectors, links, *rest)

    monkeypatch.setattr(regrouping, "agglomerated", noted)
    labels, _ = regroup(keys, matrix, 0.501, SETTINGS, [], before)
    assert labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert sizes == [3]
