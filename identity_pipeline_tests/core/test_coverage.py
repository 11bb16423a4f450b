"""Coverage as an optimum: the value is monotone and submodular, and greedy keeps its bounds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_pipeline.core.imagesets.coverage import Value
from identity_pipeline.settings import SelectionSettings
from identity_pipeline_tests.core.builders import FEW, MODEST
from identity_pipeline_tests.core.small_choices import Choice, random_choice

ALIKE = {
    **{"near_duplicate_cos": 1.0, "near_duplicate_look": 1.0, "novelty_min": 0.0},
    "second_picture_min": 0.0,
}
"""Settings with which no two faces are alike, and none is too poor."""


@given(seed=st.integers(0, 10**6))
@MODEST
def test_the_value_is_monotone_and_submodular(seed: int) -> None:
    """A face adds something to every set, and no more to a larger one."""
    rng = np.random.default_rng(seed)
    choice = random_choice(rng, 10, SelectionSettings())
    value = Value.of(choice.table, choice.views, choice.settings)
    order = rng.permutation(10).tolist()
    small = value.shown(order[:3])
    large = small
    for row in order[3:7]:
        assert (value.gains(large) >= 0).all()
        large = value.with_face(large, row)
        assert (value.gains(large) <= value.gains(small) + 1e-9).all()
    assert value.gains(large)[order[3:7]] == pytest.approx(0)


@given(seed=st.integers(0, 10**6))
@MODEST
def test_the_value_is_the_same_in_any_order(seed: int) -> None:
    rng = np.random.default_rng(seed)
    choice = random_choice(rng, 8, SelectionSettings())
    rows = rng.permutation(8)[:5].tolist()
    assert choice.value(rows) == pytest.approx(choice.value(sorted(rows)))


@pytest.mark.parametrize(
    ("bound", "rules"),
    [
        (1 / 2, {**ALIKE, "min_gap_s": 0.0, "bucket_max": 1}),
        (1 / 2, {**ALIKE, "min_gap_s": 0.0, "bucket_max": 2}),
        (1 / 4, {**ALIKE, "min_gap_s": 0.4}),
    ],
)
def test_greedy_keeps_the_bound_that_its_rules_allow(bound: float, rules: dict[str, float]) -> None:
    settings = SelectionSettings(**rules)  # type: ignore[arg-type]
    for seed in range(8):
        choice = random_choice(np.random.default_rng(seed), 8, settings)
        assert choice.value(choice.greedy()) >= bound * choice.best() - 1e-9


def test_of_one_bucket_greedy_keeps_the_bound_of_a_number() -> None:
    settings = SelectionSettings(**ALIKE, min_gap_s=0.0, bucket_max=3)
    for seed in range(8):
        faces = random_choice(np.random.default_rng(seed), 9, settings)
        table = [{**face, "bucket_key": "the only one"} for face in faces.table]
        choice = Choice(table, faces.views, faces.allowed, settings)  # type: ignore[arg-type]
        assert len(choice.greedy()) == 3
        assert choice.value(choice.greedy()) >= (1 - 1 / np.e) * choice.best() - 1e-9


@given(seed=st.integers(0, 10**6))
@FEW
def test_more_room_in_the_buckets_never_lowers_the_value(seed: int) -> None:
    rules = {**ALIKE, "min_gap_s": 0.0}
    values = []
    for most in (1, 2, 3):
        settings = SelectionSettings(**rules, bucket_max=most)  # type: ignore[arg-type]
        choice = random_choice(np.random.default_rng(seed), 12, settings)
        values.append(choice.value(choice.greedy()))
    assert values == sorted(values)
