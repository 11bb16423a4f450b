"""B-cubed and its kin against values worked out by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_pipeline.core.clustering.metrics import cluster_metrics
from identity_pipeline_tests.core.builders import MODEST

LABELS = st.lists(
    st.tuples(st.one_of(st.none(), st.integers(0, 4)), st.integers(0, 4)), min_size=1, max_size=20
)


def test_by_hand() -> None:
    """Groups {a a b} {b b} and noise a.

    Precision: a, a: 2/3; b: 1/3; b, b: 1; a: 1. Recall: a, a: 2/3; b: 1/3; b, b: 2/3; a: 1/3.
    """
    found = cluster_metrics([1, 1, 1, 2, 2, None], list("aabbba"))
    assert found.b3_precision == pytest.approx((2 / 3 + 2 / 3 + 1 / 3 + 1 + 1 + 1) / 6)
    assert found.b3_recall == pytest.approx((2 / 3 + 2 / 3 + 1 / 3 + 2 / 3 + 2 / 3 + 1 / 3) / 6)
    assert found.pair_precision == pytest.approx(2 / 4)
    assert found.pair_recall == pytest.approx(2 / 6)
    assert (found.items, found.people, found.groups, found.noise) == (6, 2, 2, 1)


def test_one_item() -> None:
    for label in (None, 7):
        found = cluster_metrics([label], ["a"])
        assert (found.b3_precision, found.b3_recall, found.b3_f, found.ari) == (1, 1, 1, 1)
        assert found.pair_precision is None and found.pair_recall is None


def test_nothing_is_not_zero() -> None:
    found = cluster_metrics([], [])
    assert found.b3_precision is None and found.b3_recall is None and found.ari is None


def test_items_of_unknown_people_are_left_out_and_counted() -> None:
    found = cluster_metrics([1, 1, 2], ["a", None, "b"])
    assert (found.items, found.without_truth, found.b3_precision) == (2, 1, 1.0)


def test_all_noise_is_precise_and_finds_nothing() -> None:
    found = cluster_metrics([None] * 4, list("aabb"))
    assert (found.b3_precision, found.b3_recall) == (1.0, 0.5)
    assert found.pair_precision is None and found.pair_recall == 0.0


def test_different_lengths_are_an_error() -> None:
    with pytest.raises(ValueError, match="2 labels"):
        cluster_metrics([1, 2], ["a"])


@given(LABELS)
@MODEST
def test_against_the_definition(items: list[tuple[int | None, int]]) -> None:
    found = [label for label, _ in items]
    truth = [person for _, person in items]
    n = range(len(items))
    group = [{j for j in n if j == i or (found[i] is not None and found[j] == found[i])} for i in n]
    person = [{j for j in n if truth[j] == truth[i]} for i in n]
    precision = sum(len(group[i] & person[i]) / len(group[i]) for i in n) / len(items)
    recall = sum(len(group[i] & person[i]) / len(person[i]) for i in n) / len(items)
    measured = cluster_metrics(found, truth)
    assert measured.b3_precision == pytest.approx(precision)
    assert measured.b3_recall == pytest.approx(recall)
