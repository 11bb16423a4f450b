"""HDBSCAN and DBSCAN on links: the same as the libraries' own on the whole matrix."""

from __future__ import annotations

import numpy as np
import pytest
from hdbscan import HDBSCAN
from numpy.typing import NDArray
from sklearn.cluster import DBSCAN
from sklearn.metrics import adjusted_rand_score

from identity_pipeline.core.clustering.density import core_distances, dbscan_labels, hdbscan_labels
from identity_pipeline.core.clustering.neighbours import distance_of, find_links
from identity_pipeline.core.vectors import normalise
from identity_pipeline_tests.core.builders import plane
from identity_pipeline_tests.synthetic_people import STRONG, WEAK, Space, crowd


def people(seed: int, n: int = 250, space: Space = STRONG, most: int = 12) -> NDArray[np.float32]:
    return crowd(np.random.default_rng(seed), n, space, most=most).vectors


def theirs(vectors: NDArray[np.float32], **options: object) -> NDArray[np.int64]:
    return HDBSCAN(**options).fit_predict(vectors.astype(np.float64))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("space", [STRONG, WEAK])
@pytest.mark.parametrize("selection", ["eom", "leaf"])
def test_it_is_hdbscan(seed: int, space: Space, selection: str) -> None:
    vectors = people(seed, space=space)
    ours = hdbscan_labels(find_links(vectors, -1.0), selection=selection)  # type: ignore[arg-type]
    exact = theirs(vectors, min_cluster_size=2, min_samples=1, cluster_selection_method=selection)
    assert adjusted_rand_score(exact, ours) == 1.0
    assert np.array_equal(exact < 0, ours < 0)


def test_it_is_hdbscan_with_an_epsilon() -> None:
    vectors = people(5)
    exact = theirs(vectors, min_cluster_size=2, min_samples=1, cluster_selection_epsilon=0.9)
    ours = hdbscan_labels(find_links(vectors, -1.0), epsilon=0.9)
    assert adjusted_rand_score(exact, ours) == 1.0


@pytest.mark.parametrize("seed", range(3))
def test_with_core_distances_ties_leave_it_as_free_as_hdbscan_leaves_itself(seed: int) -> None:
    """Mutual reachability ties wherever a core distance decides, and hdbscan breaks ties by the
    order of its input: ours is no farther from it than it is from itself."""
    vectors = people(seed, space=WEAK)
    options = {"min_cluster_size": 3, "min_samples": 3}
    exact = theirs(vectors, **options)
    ours = hdbscan_labels(find_links(vectors, -1.0), **options)
    shuffles = [np.random.default_rng(k).permutation(len(vectors)) for k in range(4)]
    itself = [adjusted_rand_score(exact[s], theirs(vectors[s], **options)) for s in shuffles]
    assert adjusted_rand_score(exact, ours) >= min(itself) - 0.02


def test_the_nearest_alone_give_nearly_the_same() -> None:
    vectors = people(1, n=600, most=30)
    exact = theirs(vectors, min_cluster_size=2, min_samples=1)
    ours = hdbscan_labels(find_links(vectors, -1.0, neighbours=16))
    assert adjusted_rand_score(exact, ours) > 0.999


def test_core_distance_is_that_to_the_nth_other() -> None:
    vectors = np.array([plane(a) for a in (0, 10, 30, 100)], np.float32)
    links = find_links(vectors, 0.5)
    first = [distance_of(np.cos(np.radians(a))) for a in (10, 10, 20)]
    np.testing.assert_allclose(core_distances(links, 1), [*first, np.inf], atol=1e-6)
    second = [distance_of(np.cos(np.radians(a))) for a in (30, 20, 30)]
    np.testing.assert_allclose(core_distances(links, 2), [*second, np.inf], atol=1e-6)


def test_a_component_is_a_cluster_even_when_it_is_all_there_is() -> None:
    links = find_links(np.array([plane(a) for a in (0, 10, 20)], np.float32), 0.8)
    assert hdbscan_labels(links, bound=distance_of(0.8)).tolist() == [0, 0, 0]
    assert hdbscan_labels(links).tolist() == [-1, -1, -1], "plain HDBSCAN never takes the whole"


def test_unlinked_items_never_become_a_cluster() -> None:
    """Two strangers joined beyond the bound would look like a cluster of two."""
    links = find_links(np.eye(6, dtype=np.float32), 0.5)
    for bound in (None, distance_of(0.5)):
        assert hdbscan_labels(links, bound=bound).tolist() == [-1] * 6


def test_links_right_at_the_bound_do_not_glue_components() -> None:
    vectors = np.zeros((4, 8), dtype=np.float32)
    for i, angle in enumerate((0, 60, 0, 60)):
        vectors[i, 4 * (i // 2) : 4 * (i // 2) + 4] = plane(angle)
    links = find_links(normalise(vectors), 0.4)
    bound = float(links.distance.max())
    assert hdbscan_labels(links, bound=bound).tolist() == [0, 0, 1, 1]


def test_equal_vectors_are_no_trouble() -> None:
    vectors = np.repeat(np.eye(4, dtype=np.float32)[:2], 3, axis=0)
    assert hdbscan_labels(find_links(vectors, 0.5), bound=1.0).tolist() == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize("floor", [0.3, 0.5])
@pytest.mark.parametrize("min_samples", [2, 4])
def test_it_is_dbscan(floor: float, min_samples: int) -> None:
    vectors = people(2, space=WEAK)
    exact = DBSCAN(eps=distance_of(floor), min_samples=min_samples).fit_predict(
        vectors.astype(np.float64)
    )
    ours = dbscan_labels(
        find_links(vectors, floor), distance=distance_of(floor), min_samples=min_samples
    )
    assert adjusted_rand_score(exact, ours) == 1.0


@pytest.mark.parametrize("n", [0, 1, 2])
def test_almost_nothing_is_noise(n: int) -> None:
    links = find_links(np.eye(4, dtype=np.float32)[:n], 0.5)
    assert hdbscan_labels(links, bound=1.0).tolist() == [-1] * n
    assert hdbscan_labels(links).tolist() == [-1] * n
    assert dbscan_labels(links, distance=1.0, min_samples=2).tolist() == [-1] * n
