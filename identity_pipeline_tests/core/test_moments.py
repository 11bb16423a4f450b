"""Exact incremental statistics."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_pipeline.core.library.running_statistics import (
    Moments,
    MomentsError,
    check_identity,
    merge,
    moments_of,
    total,
)
from identity_pipeline.core.vectors import NotUnitNormError, normalise
from identity_pipeline_tests.core.builders import MODEST

SIZES = st.lists(st.integers(1, 40), min_size=2, max_size=6)
SEEDS = st.integers(0, 2**31)


def parts_of(sizes: list[int], seed: int) -> tuple[np.ndarray, dict[str, Moments]]:
    rng = np.random.default_rng(seed)
    blocks = [normalise(rng.normal(size=(n, 24)) + rng.normal(size=24)) for n in sizes]
    return np.concatenate(blocks), {f"{i:064x}": moments_of(b) for i, b in enumerate(blocks)}


def close(a: Moments | None, b: Moments | None) -> bool:
    assert a is not None
    assert b is not None
    return (
        a.count == b.count
        and np.abs(a.mean - b.mean).max() < 1e-12
        and np.abs(a.m2 - b.m2).max() < 1e-12 * max(1, a.count)
    )


@given(SIZES, SEEDS)
@MODEST
def test_parts_together_are_the_whole(sizes: list[int], seed: int) -> None:
    vectors, parts = parts_of(sizes, seed)
    whole = moments_of(vectors)
    assert close(total(parts), whole)
    exact = vectors.astype(np.float64)
    exact /= np.linalg.norm(exact, axis=1, keepdims=True)
    assert whole.m2 / whole.count == pytest.approx(exact.var(axis=0), abs=1e-12)


@given(SIZES, SEEDS, st.randoms(use_true_random=False))
@MODEST
def test_the_order_leaves_no_trace(sizes: list[int], seed: int, random: object) -> None:
    _, parts = parts_of(sizes, seed)
    shuffled = list(parts.items())
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert total(dict(shuffled)) == total(parts)
    folded = shuffled[0][1]
    for _, part in shuffled[1:]:
        folded = merge(folded, part)
    assert close(folded, total(parts)), "merging itself is order-free up to 1e-12"


@given(SIZES, SEEDS)
@MODEST
def test_the_variances_of_unit_vectors_sum_to_what_the_mean_lacks(
    sizes: list[int], seed: int
) -> None:
    _, parts = parts_of(sizes, seed)
    whole = total(parts)
    assert whole is not None
    check_identity(whole)
    assert float(whole.m2.sum() / whole.count) == pytest.approx(
        1 - whole.mean @ whole.mean, abs=1e-9
    )


def test_what_cannot_be_is_refused() -> None:
    good = moments_of(np.eye(3))
    with pytest.raises(MomentsError, match="no moments"):
        moments_of(np.zeros((0, 3)))
    with pytest.raises(NotUnitNormError):
        moments_of(np.eye(3) * 2)
    with pytest.raises(MomentsError, match="unit vectors"):
        check_identity(Moments(3, good.mean, good.m2 * 1.001))
    with pytest.raises(MomentsError, match="dimension"):
        merge(good, moments_of(np.eye(4)))
