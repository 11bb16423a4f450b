"""Verification: what a pair is, exact numbers of small cases, and paired resampling."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

from identity_pipeline.core.evaluation.roc import Ranked, area, enough_impostors, tar_at
from identity_pipeline.core.matching.verification import (
    PersonPairs,
    bootstrap_difference,
    person_pairs,
    recall_by_person,
    verification,
    verification_of,
)
from identity_pipeline.core.vectors import Matrix, normalise
from identity_pipeline_tests.core.builders import MODEST, plane
from identity_pipeline_tests.core.people import directions, looks


def pairs_of(genuine: list[float], impostor: list[float]) -> PersonPairs:
    cosine = np.array(genuine + impostor)
    kind = np.arange(len(cosine)) < len(genuine)
    return PersonPairs(
        ("a", "b"), cosine, kind, np.zeros_like(kind, int), (~kind).astype(int), 2, 9
    )


def rides(
    seed: int, people: int, videos: int, noise: float, faces: int = 1
) -> tuple[Matrix, list[str], list[str]]:
    """Everybody in as many videos of their own, so many faces in each."""
    rng = np.random.default_rng(seed)
    each = videos * faces
    vectors = np.concatenate([looks(rng, p, each, noise) for p in directions(rng, people)])
    person = [f"p{p:03d}" for p in range(people) for _ in range(each)]
    video = [f"v{p}-{v}" for p in range(people) for v in range(videos) for _ in range(faces)]
    return vectors, person, video


def test_a_pair_within_a_video_proves_that_two_people_differ_but_not_that_one_is_the_same() -> None:
    vectors = np.array([plane(angle) for angle in (0, 10, 60, 90)], dtype=np.float32)
    pairs = person_pairs(vectors, ["a", "a", "a", "b"], ["1", "1", "2", "1"])
    assert pairs.genuine.sum() == 2
    assert (~pairs.genuine).sum() == 3
    assert sorted(pairs.cosine[pairs.genuine]) == pytest.approx(
        [np.cos(np.radians(60)), np.cos(np.radians(50))]
    )
    assert pairs.testable == 1


def test_the_numbers_of_a_small_case() -> None:
    result = verification_of(pairs_of([0.9, 0.6, 0.3], [0.5, 0.1, 0.0, -0.2]), fars=())
    assert result.intra == pytest.approx(0.6)
    assert result.inter == pytest.approx(0.1)
    assert result.gap == pytest.approx(0.5)
    assert result.discrimination == pytest.approx(0.9 / 0.4)
    variances = np.var([0.9, 0.6, 0.3], ddof=1), np.var([0.5, 0.1, 0.0, -0.2], ddof=1)
    assert result.d_prime == pytest.approx(0.5 / np.sqrt(sum(variances) / 2))
    assert result.auc == pytest.approx(11 / 12)
    assert result.eer == pytest.approx(0.25)  # at 0.3: one of four; the curve rises there


def test_perfect_separation() -> None:
    vectors, person, video = rides(1, people=30, videos=3, noise=0.2)
    result = verification(vectors, person, video)
    assert result.auc == 1.0
    assert result.eer == 0.0
    assert [point.tar for point in result.at] == [1.0, None]  # 3915 impostor pairs
    assert (result.people, result.testable, result.videos, result.rows) == (30, 30, 90, 90)
    assert (result.genuine, result.impostor) == (90, 3915)


@pytest.mark.parametrize("seed", range(3))
def test_random_vectors_are_told_apart_by_chance(seed: int) -> None:
    vectors = directions(np.random.default_rng(seed), 400)
    person = [f"p{i // 4}" for i in range(400)]
    result = verification(vectors, person, [str(i) for i in range(400)])
    assert result.auc == pytest.approx(0.5, abs=0.06)
    assert result.eer == pytest.approx(0.5, abs=0.06)
    assert result.discrimination == pytest.approx(1.0, abs=0.03)
    assert result.d_prime == pytest.approx(0.0, abs=0.2)


@pytest.mark.parametrize("people", [2, 5, 20])
def test_discrimination_does_not_measure_how_many_people_there_are(people: int) -> None:
    """The ratio of centred cosines was -(people - 1), whatever their quality."""
    vectors, person, video = rides(0, people, 400 // people, 1.0)
    found = verification(vectors, person, video).discrimination
    assert found == pytest.approx(2.0, abs=0.25)  # (1 - 0) / (1 - 1 / (1 + 1))


@MODEST
@given(
    st.lists(st.integers(-10, 10), min_size=1, max_size=40),
    st.lists(st.integers(-10, 10), min_size=1, max_size=40),
    st.integers(0, 1000),
)
def test_the_curve_is_that_of_scikit_learn(
    genuine: list[int], impostor: list[int], seed: int
) -> None:
    own, others = np.array(genuine) / 10, np.array(impostor) / 10
    weights = np.random.default_rng(seed).integers(0, 4, len(own) + len(others)).astype(float)
    weights[[0, -1]] = 1.0
    far, tar = Ranked.of(own, others).curve(weights[: len(own)], weights[len(own) :])
    truth = np.repeat([True, False], [len(own), len(others)])
    scores = np.concatenate([own, others])
    assert area(far, tar) == pytest.approx(roc_auc_score(truth, scores, sample_weight=weights))
    theirs = roc_curve(truth, scores, sample_weight=weights, drop_intermediate=False)
    for limit in (0.0, 0.1, 0.5):
        assert tar_at(far, tar, limit) == pytest.approx(tar_at(theirs[0], theirs[1], limit))
    assert (far[0], tar[0], far[-1], tar[-1]) == (0, 0, 1, 1)


@MODEST
@given(st.integers(0, 10_000), st.floats(0.1, 3.0))
def test_a_threshold_keeps_its_rate_and_accepts_as_much_as_it_can(seed: int, noise: float) -> None:
    vectors, person, video = rides(seed, people=30, videos=3, noise=noise)
    pairs = person_pairs(vectors, person, video)
    point = verification_of(pairs, (0.05,)).at_far(0.05)
    genuine, impostor = pairs.cosine[pairs.genuine], pairs.cosine[~pairs.genuine]
    assert point.threshold is not None
    assert (impostor >= point.threshold).mean() <= 0.05
    assert point.tar == tar_at(*Ranked.of(genuine, impostor).curve(), 0.05)
    recall = recall_by_person(vectors, person, video, point.threshold)
    accepted = sum(own.accepted for own in recall.values())
    assert accepted / sum(own.pairs for own in recall.values()) == point.tar


def test_what_cannot_be_measured_is_null() -> None:
    same = np.array([plane(0), plane(0), plane(0)], dtype=np.float32)
    one = verification(same, ["a"] * 3, ["1", "2", "3"])
    assert one.intra == pytest.approx(1.0)
    assert (one.inter, one.gap, one.d_prime, one.discrimination, one.auc, one.eer) == (None,) * 6
    alone = verification(same, ["a", "b", "c"], ["1", "2", "3"])
    assert (alone.intra, alone.gap, alone.auc) == (None,) * 3
    assert alone.inter == pytest.approx(1.0)
    assert all(point.threshold is None and point.tar is None for point in alone.at)
    nothing = verification(np.zeros((0, 0), dtype=np.float32), [], [])
    assert (nothing.people, nothing.genuine, nothing.auc) == (0, 0, None)
    equal = verification(same[[0, 0, 0, 0]], ["a", "a", "b", "b"], ["1", "2", "3", "4"])
    assert equal.discrimination is None and equal.d_prime is None
    assert equal.auc == 0.5
    assert not enough_impostors(999, 1e-2) and enough_impostors(1000, 1e-2)


def test_a_rate_that_was_not_asked_for_is_refused() -> None:
    with pytest.raises(KeyError, match=r"FAR 0\.5"):
        verification_of(pairs_of([0.9], [0.1])).at_far(0.5)


def test_recall_is_of_pairs_across_videos() -> None:
    vectors = np.array([plane(angle) for angle in (0, 10, 60, 90, 95)], dtype=np.float32)
    found = recall_by_person(
        vectors, ["a", "a", "a", "b", "b"], ["1", "2", "3", "4", "4"], np.cos(np.radians(55))
    )
    assert list(found) == ["a"]
    assert (found["a"].accepted, found["a"].pairs) == (2, 3)


def test_identical_spaces_differ_by_exactly_nothing() -> None:
    vectors, person, video = rides(3, people=40, videos=3, noise=1.5)
    for change in bootstrap_difference(vectors, vectors, person, video, draws=100):
        if change.measure != "tar_0.001":  # 7020 impostor pairs
            assert (change.difference, change.low, change.high) == (0.0, 0.0, 0.0)
        else:
            assert change.difference is None and change.low is None


def test_a_better_space_is_found_better_and_the_same_every_time() -> None:
    vectors, person, video = rides(4, people=40, videos=3, noise=2.0)
    people = directions(np.random.default_rng(4), 40)
    sharper = normalise(vectors + 0.5 * np.repeat(people, 3, axis=0))
    changes = bootstrap_difference(vectors, sharper, person, video, (1e-2,), draws=200)
    for change in changes:
        assert change.low is not None and change.difference is not None
        assert change.low > 0
        assert change.low <= change.difference <= (change.high or 0)
    assert changes == bootstrap_difference(vectors, sharper, person, video, (1e-2,), draws=200)
    back = bootstrap_difference(sharper, vectors, person, video, (1e-2,), draws=200)
    assert [c.low for c in back] == pytest.approx([-(c.high or 0) for c in changes])


def test_few_people_give_no_interval() -> None:
    vectors, person, video = rides(5, people=3, videos=4, noise=1.0)
    for change in bootstrap_difference(vectors, vectors, person, video, (0.5,)):
        assert change.difference == 0.0
        assert (change.low, change.high) == (None, None)


def test_rows_must_match() -> None:
    vectors, person, video = rides(6, people=3, videos=2, noise=1.0)
    with pytest.raises(ValueError, match="5 vectors, 6 people"):
        person_pairs(vectors[:5], person, video)
