"""The blocked neighbour graph: the same links as the whole matrix of cosines."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from identity_pipeline.core.clustering import nearest, neighbours
from identity_pipeline.core.clustering.neighbours import (
    TooManyLinksError,
    distance_of,
    find_links,
    links_between,
)
from identity_pipeline.core.clustering.screening import Product, Screen, byte_product
from identity_pipeline.core.vectors import normalise
from identity_pipeline_tests.core.builders import MODEST, plane


def cloud(seed: int, n: int, people: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    faces = rng.standard_normal((people, 32))
    return normalise(faces[rng.integers(0, people, n)] + 0.8 * rng.standard_normal((n, 32)))


def naive(vectors: NDArray[np.float32], floor: float, k: int | None) -> set[tuple[int, int]]:
    exact = vectors.astype(np.float64)
    cosines = 1 - ((exact[:, None] - exact[None]) ** 2).sum(2) / 2
    np.fill_diagonal(cosines, -np.inf)
    near = np.zeros(cosines.shape, dtype=bool)
    order = np.argsort(-cosines, axis=1, kind="stable")[:, :k]
    near[np.arange(len(vectors))[:, None], order] = True
    near = (near | near.T) & (cosines >= floor)
    return {(int(i), int(j)) for i, j in np.argwhere(np.triu(near))}


def plain_product(rows: NDArray[np.int8], columns: NDArray[np.int8]) -> NDArray[np.int32]:
    """Exact on every processor."""
    return rows.astype(np.int32) @ columns.astype(np.int32).T


@pytest.mark.parametrize("k", [None, 1, 5])
@pytest.mark.parametrize("floor", [-1.0, 0.0, 0.4])
def test_links_are_those_of_the_whole_matrix(floor: float, k: int | None) -> None:
    """Tiles of 1 MB hold 512 rows: 700 items need several, on and off the diagonal."""
    vectors = cloud(3, 700, 40)
    links = find_links(vectors, floor, neighbours=k, tile_mb=1)
    found = list(zip(links.left.tolist(), links.right.tolist(), strict=True))
    assert found == sorted(naive(vectors, floor, k))
    expected = np.einsum("ij,ij->i", vectors[links.left], vectors[links.right], dtype=np.float64)
    np.testing.assert_allclose(links.cosine, expected, atol=1e-6)


@pytest.mark.parametrize("product", [byte_product() or plain_product, None])
@pytest.mark.parametrize("floor", [-1.0, 0.2, 0.4, 0.7])
def test_rounded_vectors_lead_to_the_same_links(
    floor: float, product: Product | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a processor without a product of bytes too; distances agree to the bit."""
    vectors = cloud(3, 700, 40)
    whole = find_links(vectors, floor)
    monkeypatch.setattr(neighbours, "FEW", 0)
    monkeypatch.setattr(neighbours, "byte_product", lambda: product)
    rounded = find_links(vectors, floor, tile_mb=1)
    np.testing.assert_array_equal(whole.left, rounded.left)
    np.testing.assert_array_equal(whole.right, rounded.right)
    assert whole.distance.tobytes() == rounded.distance.tobytes()


@given(st.integers(0, 1000), st.floats(-0.9, 0.99), st.floats(0, 5))
@MODEST
def test_rounding_hides_no_pair(seed: int, floor: float, spike: float) -> None:
    """However uneven the vectors are, and although a norm may be off by a thousandth."""
    rng = np.random.default_rng(seed)
    vectors = normalise(cloud(seed, 40, 6) + spike * (np.arange(32) == seed % 32))
    vectors = (vectors * rng.uniform(0.9991, 1.0009, (40, 1))).astype(np.float32)
    product = byte_product() or plain_product
    rows, columns = slice(0, 25), slice(10, 40)
    found = Screen(vectors, product).may_reach(rows, columns, floor)
    exact = vectors.astype(np.float64)
    assert set(np.flatnonzero(exact[rows] @ exact[columns].T >= floor)) <= set(found)


def test_new_vectors_meet_the_kept_as_if_all_were_one() -> None:
    vectors = cloud(5, 600, 30)
    left, right, distance = links_between(vectors[:40], vectors[40:], 0.3, tile_mb=1)
    whole = find_links(vectors, 0.3)
    across = whole.chosen((whole.left < 40) & (whole.right >= 40))
    np.testing.assert_array_equal(left, across.left)
    np.testing.assert_array_equal(right + 40, across.right)
    assert distance.tobytes() == across.distance.tobytes()


def test_links_that_cannot_be_nearest_any_more_are_thinned_out_on_the_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The result does not depend on how often that happens."""
    vectors = cloud(4, 900, 30)
    whole = find_links(vectors, -1.0, neighbours=3)
    monkeypatch.setattr(nearest, "SPARE_PAIRS", -10_000)
    thinned = find_links(vectors, -1.0, neighbours=3, tile_mb=1)
    np.testing.assert_array_equal(whole.left, thinned.left)
    np.testing.assert_array_equal(whole.right, thinned.right)


@given(st.integers(0, 1000), st.floats(-0.9, 0.9))
@MODEST
def test_no_link_is_below_the_floor(seed: int, floor: float) -> None:
    links = find_links(cloud(seed, 30, 6), floor, neighbours=4)
    assert np.all(links.cosine >= floor)
    assert np.all(links.left < links.right)


def test_equal_vectors_are_exactly_nothing_apart() -> None:
    vector = normalise(np.random.default_rng(0).standard_normal((1, 512)))
    links = find_links(np.repeat(vector, 3, axis=0), 0.9)
    assert links.distance.tolist() == [0.0, 0.0, 0.0]


def test_distance_of_a_cosine() -> None:
    vectors = np.array([plane(0), plane(60)], np.float32)
    assert find_links(vectors, 0.0).distance[0] == pytest.approx(distance_of(0.5), abs=1e-6)
    assert distance_of(1.0) == 0.0


def test_a_floor_that_links_everything_is_refused() -> None:
    with pytest.raises(TooManyLinksError, match="Raise the floor"):
        find_links(cloud(0, 100, 2), -1.0, max_links=50)


@pytest.mark.parametrize("n", [0, 1])
def test_nothing_and_one_have_no_links(n: int) -> None:
    assert len(find_links(cloud(0, n, 1), -1.0).left) == 0
