"""What a split and a merge would do: exact cases, and what holds for all tracks."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import silhouette_score

from identity_pipeline.core.review import splitting
from identity_pipeline.core.review.merging import Conflict, conflicts, resemblance
from identity_pipeline.core.review.questions import Bars
from identity_pipeline.core.review.splitting import MOST, Proposal, propose_splits
from identity_pipeline.core.review.words import likeness_in_words
from identity_pipeline.core.vectors import normalise


def looks(sizes: list[int], noise: float = 0.05, seed: int = 0) -> tuple[list[str], np.ndarray]:
    """Tracks of so many people with so many tracks each, in turn; keys tell whose."""
    rng = np.random.default_rng(seed)
    centres = np.linalg.qr(rng.normal(size=(16, 16)))[0]
    keys = [f"{who}{n:03d}" for who, size in enumerate(sizes) for n in range(size)]
    vectors = [centres[int(key[0])] + noise * rng.normal(size=16) for key in keys]
    return keys, normalise(np.stack(vectors))


def parts_of(way: Proposal) -> list[set[str]]:
    return [set(part.tracks) for part in way.parts]


def test_the_best_proposal_has_a_part_for_each_look() -> None:
    for sizes in ([5, 3], [4, 6, 2], [5, 5, 5, 5]):
        keys, vectors = looks(sizes)
        best = propose_splits(keys, vectors)[0]
        people = [{key for key in keys if key[0] == str(who)} for who in range(len(sizes))]
        assert sorted(map(sorted, parts_of(best))) == sorted(map(sorted, people))
        assert [len(part.tracks) for part in best.parts] == sorted(sizes, reverse=True)
        assert all(
            part.inside > 0.8 and abs(part.across) < 0.2 for part in best.parts if part.inside
        )


def test_its_measure_is_the_silhouette_that_others_compute() -> None:
    keys, vectors = looks([5, 4, 3], noise=0.3)
    order = np.argsort(keys)
    distance = 1 - (vectors[order] @ vectors[order].T).astype(np.float64)
    np.fill_diagonal(distance, 0)
    for way in propose_splits(keys, vectors):
        label = {key: n for n, part in enumerate(way.parts) for key in part.tracks}
        labels = [label[keys[i]] for i in order]
        expected = silhouette_score(distance, labels, metric="precomputed")
        assert way.silhouette == pytest.approx(expected, abs=1e-5)


def test_what_fits_least_comes_first_in_its_part() -> None:
    keys, vectors = looks([5, 4])
    vectors[2] = normalise((vectors[2] + 0.6 * vectors[5])[None])[0]
    first = propose_splits(keys, vectors)[0].parts[0]
    assert first.tracks[0] == keys[2]


def test_two_tracks_are_split_and_one_is_not() -> None:
    keys, vectors = looks([1, 1])
    (way,) = propose_splits(keys, vectors)
    assert parts_of(way) == [{keys[0]}, {keys[1]}]
    assert way.silhouette == 0 and way.parts[0].inside is None
    assert propose_splits(keys[:1], vectors[:1]) == []


def test_where_five_share_a_frame_there_are_five_parts() -> None:
    keys, vectors = looks([6])
    apart = list(combinations(keys[:5], 2))
    (way,) = propose_splits(keys, vectors, apart)
    assert len(way.parts) == 5


def test_of_many_tracks_some_are_grouped_and_the_others_join(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keys, vectors = looks([30, 20])
    whole = parts_of(propose_splits(keys, vectors)[0])
    monkeypatch.setattr(splitting, "GROUPED", 10)
    assert parts_of(propose_splits(keys, vectors)[0]) == whole
    apart = [(keys[1], key) for key in keys if key != keys[1]]
    for way in propose_splits(keys, vectors, apart):
        assert {keys[1]} in parts_of(way)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_any_proposal_has_each_track_once_and_nothing_together_that_is_apart(
    data: st.DataObject,
) -> None:
    count = data.draw(st.integers(2, 12))
    keys = [f"track:ride:{n}" for n in range(count)]
    seed = data.draw(st.integers(0, 1000))
    vectors = normalise(np.random.default_rng(seed).normal(size=(count, 5)))
    pairs = list(combinations(keys, 2))
    apart = data.draw(st.lists(st.sampled_from(pairs), max_size=6))
    ways = propose_splits(keys, vectors, apart)
    shuffled = data.draw(st.permutations(range(count)))
    again = propose_splits([keys[i] for i in shuffled], vectors[list(shuffled)], apart)
    assert ways == again
    assert ways == sorted(ways, key=lambda way: -round(way.silhouette, 6))
    for way in ways:
        assert len(way.parts) >= 2 and (len(way.parts) <= MOST or apart)
        assert sorted(key for part in way.parts for key in part.tracks) == sorted(keys)
        for one, other in apart:
            assert not any({one, other} <= part for part in parts_of(way))


def test_a_merge_names_the_best_and_the_worst_pair() -> None:
    east, north = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    slanted = np.array([0.6, 0.8])
    told = resemblance({"a": east, "b": slanted}, {"c": north, "d": east}, 0.5)
    assert told is not None
    assert (told.best.one, told.best.other, told.best.cosine) == ("a", "d", pytest.approx(1))
    assert (told.worst.one, told.worst.other, told.worst.cosine) == ("a", "c", pytest.approx(0))
    assert (told.pairs, told.below) == (4, 1)
    assert told.mean == pytest.approx((0 + 1 + 0.8 + 0.6) / 4)
    assert resemblance({}, {"c": north}, 0.5) is None


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_a_merge_seen_from_the_other_side_is_the_same(n: int, m: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    one = dict(zip("abcdefghi", normalise(rng.normal(size=(n, 4))), strict=False))
    other = dict(zip("rstuvwxyz", normalise(rng.normal(size=(m, 4))), strict=False))
    there, back = resemblance(one, other, 0.1), resemblance(other, one, 0.1)
    assert there is not None and back is not None
    assert (there.pairs, there.below) == (back.pairs, back.below) == (n * m, there.below)
    assert there.worst.cosine <= there.mean <= there.best.cosine + 1e-6
    assert there.worst.cosine == pytest.approx(back.worst.cosine, abs=1e-6)


def test_what_stands_between_two_people_is_told_from_the_first_one() -> None:
    found = conflicts(
        ("ada", {"a1", "a2"}),
        ("ben", {"b1", "b2"}),
        seen_together=[("b1", "a1"), ("a1", "a2"), ("a1", "z")],
        rejected={("a2", "ben"), ("b2", "ada"), ("b2", "kim")},
        apart=[("a2", "b2")],
    )
    assert found == [
        Conflict("one_frame", ("a1", "b1")),
        Conflict("rejected", ("a2",)),
        Conflict("rejected", ("b2",)),
        Conflict("split", ("a2", "b2")),
    ]


def test_scores_are_told_in_words() -> None:
    bars = Bars(exclude=0.2, suggest=0.3, assign=0.5)
    told = [likeness_in_words(score, bars) for score in (0.5, 0.3, 0.2, 0.1, None)]
    assert told == ["very alike", "alike", "a little alike", "not alike", "not compared"]
    assert likeness_in_words(0.9, None) == "compared"
