"""Grouping of tracks: methods, the floor, what must be apart, what must be together."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.cluster import AgglomerativeClustering
from sklearn.metrics import adjusted_rand_score

from identity_pipeline.core.clustering.constraints import ContradictoryLinksError
from identity_pipeline.core.clustering.grouping import cluster_vectors, merge_far
from identity_pipeline.core.clustering.metrics import cluster_metrics
from identity_pipeline.core.clustering.neighbours import TooManyLinksError
from identity_pipeline.core.clustering.shared_frames import shared_frame_pairs
from identity_pipeline.settings import ClusterSettings
from identity_pipeline_tests.core.builders import MODEST, plane
from identity_pipeline_tests.synthetic_people import STRONG, WEAK, Space, crowd, park

METHODS = ("agglomerative", "hdbscan", "dbscan")
Pairs = list[tuple[str, str]]


def settings(method: str, **changes: Any) -> ClusterSettings:
    return ClusterSettings.model_validate({"method": method, **changes})


def at(*angles: float) -> NDArray[np.float32]:
    return np.array([plane(a) for a in angles], np.float32)


def grouped(
    method: str, vectors: NDArray[np.float32], floor: float, names: str = "", **constraints: Any
) -> list[int]:
    keys = list(names or "abcdefghij"[: len(vectors)])
    pairs = {kind: [tuple(pair) for pair in given.split()] for kind, given in constraints.items()}
    return cluster_vectors(keys, vectors, floor, settings(method), **pairs).tolist()


@pytest.mark.parametrize("method", METHODS)
def test_pairs_and_a_loner(method: str) -> None:
    assert grouped(method, at(0, 5, 60, 66, 150), 0.9) == [0, 0, 1, 1, -1]


@pytest.mark.parametrize("method", METHODS)
def test_one_person_alone_in_the_library_is_a_group(method: str) -> None:
    assert grouped(method, at(0, 5, 9), 0.9) == [0, 0, 0]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n", [0, 1])
def test_nothing_and_one(method: str, n: int) -> None:
    assert grouped(method, at(0)[:n], 0.9) == [-1] * n


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("floor", [0.25, 0.45])
@pytest.mark.parametrize("space", [STRONG, WEAK])
def test_agglomerative_is_average_linkage_on_the_whole_matrix(
    seed: int, floor: float, space: Space
) -> None:
    library = crowd(np.random.default_rng(seed), 300, space, most=8)
    ours = cluster_vectors(library.keys, library.vectors, floor, settings("agglomerative"))
    theirs = AgglomerativeClustering(
        n_clusters=None, metric="cosine", linkage="average", distance_threshold=1 - floor
    ).fit_predict(library.vectors.astype(np.float64))
    sizes = np.bincount(theirs)
    assert np.array_equal(sizes[theirs] < 2, ours < 0)
    assert adjusted_rand_score(theirs, np.where(ours < 0, 1000 + np.arange(300), ours)) == 1.0


def test_average_linkage_does_not_chain() -> None:
    """Every neighbour is near, the ends are not: dbscan takes the chain, the mean cosine not."""
    chain = at(*range(0, 100, 20))
    assert grouped("dbscan", chain, 0.9) == [0] * 5
    assert len(set(grouped("agglomerative", chain, 0.9))) > 1


@pytest.mark.parametrize("method", METHODS)
def test_two_of_one_frame_are_parted_and_each_keeps_its_own(method: str) -> None:
    """Twins: a, b and c, d are the same two people in two videos, a hair nearer to themselves."""
    twins = at(0, 8, 1, 9)
    if method != "hdbscan":  # which sees two densities here by itself
        assert grouped(method, twins, 0.9) == [0, 0, 0, 0]
    assert grouped(method, twins, 0.9, apart="ab cd") == [0, 1, 0, 1]


@pytest.mark.parametrize("method", METHODS)
def test_a_split_leaves_other_groups_alone(method: str) -> None:
    vectors = at(0, 8, 60, 64, 120, 123, 1)
    before = grouped(method, vectors, 0.9)
    after = grouped(method, vectors, 0.9, apart="ab")
    assert before == [0, 0, 1, 1, 2, 2, 0]
    assert after == [0, -1, 1, 1, 2, 2, 0]


@pytest.mark.parametrize("method", METHODS)
def test_a_human_link_joins_strangers(method: str) -> None:
    """The density methods bring their clusters along; average linkage starts from the link, and
    the mean cosine of b to both a and c is low."""
    vectors = at(0, 5, 60, 66, 150, 120)
    joined = [0, -1, 0, -1, -1, -1] if method == "agglomerative" else [0, 0, 0, 0, -1, -1]
    assert grouped(method, vectors, 0.95, together="ac") == joined
    assert grouped(method, vectors, 0.95, together="ef") == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("method", METHODS)
def test_a_human_link_of_two_stands_below_the_smallest_size(method: str) -> None:
    of_three = settings(method, min_cluster_size=3)
    vectors, keys = at(0, 5, 60, 66), list("abcd")
    assert cluster_vectors(keys, vectors, 0.9, of_three).tolist() == [-1] * 4
    labels = cluster_vectors(keys, vectors, 0.9, of_three, together=[("c", "d")])
    assert labels.tolist() == [-1, -1, 0, 0]


def test_contradictions_are_named_even_through_others() -> None:
    with pytest.raises(ContradictoryLinksError, match="a and c must be two people"):
        grouped("dbscan", at(0, 1, 2), 0.9, together="ab bc", apart="ac")
    with pytest.raises(ValueError, match="apart from itself"):
        grouped("dbscan", at(0, 1), 0.9, apart="aa")


def test_pairs_of_absent_tracks_are_no_concern() -> None:
    assert grouped("agglomerative", at(0, 1), 0.9, together="xy ax", apart="bz") == [0, 0]


def test_bad_input_is_refused_in_a_sentence() -> None:
    with pytest.raises(ValueError, match="given twice"):
        grouped("dbscan", at(0, 1), 0.9, names="aa")
    with pytest.raises(ValueError, match="cosine from -1 to 1"):
        grouped("dbscan", at(0, 1), float("nan"))
    with pytest.raises(ValueError, match="2 keys"):
        grouped("dbscan", at(0), 0.9, names="ab")
    with pytest.raises(TooManyLinksError, match="hdbscan"):
        cluster_vectors(list("abcd"), at(0, 1, 2, 3), 0.9, settings("dbscan", max_links=2))


def test_tracks_that_share_a_frame() -> None:
    tracks = pl.DataFrame(
        {
            "track_key": ["t:2", "t:1", "t:3", "u:1", "u:2", "v:1"],
            "video_id": ["t", "t", "t", "u", "u", "v"],
            "frames": [[5, 6], [1, 5], [7], [1], [2], [1]],
        }
    )
    assert shared_frame_pairs(tracks) == [("t:1", "t:2")]
    assert shared_frame_pairs(tracks.head(0)) == []


def test_false_links_grow_with_the_library_so_the_rate_falls() -> None:
    chosen = ClusterSettings(merge_false_links=0.03, merge_far_max=0.01)
    assert merge_far(101, chosen) == pytest.approx(3e-4)
    assert merge_far(2, chosen) == merge_far(1, chosen) == merge_far(0, chosen) == 0.01


def library_of(seed: int) -> tuple[list[str], NDArray[np.float32], Pairs, NDArray[np.int64]]:
    library = park(np.random.default_rng(seed), WEAK, videos=16, people=12)
    return library.keys, library.vectors, library.apart_keys, library.person


@given(st.integers(0, 10_000), st.sampled_from(METHODS), st.floats(0.0, 0.6), st.data())
@MODEST
def test_what_always_holds(seed: int, method: str, floor: float, data: st.DataObject) -> None:
    """Nothing apart is together, human links stand, no group holds together below the floor, and
    the order of the tracks is irrelevant."""
    keys, vectors, apart, person = library_of(seed)
    decided = data.draw(st.lists(st.sampled_from(list(combinations(range(len(keys)), 2)))))
    apart += [(keys[i], keys[j]) for i, j in decided if person[i] != person[j]]
    together = [(keys[i], keys[j]) for i, j in decided if person[i] == person[j]]
    index = {key: i for i, key in enumerate(keys)}

    labels = cluster_vectors(keys, vectors, floor, settings(method), together=together, apart=apart)
    assert not any(labels[index[a]] == labels[index[b]] >= 0 for a, b in apart)
    assert all(labels[index[a]] == labels[index[b]] >= 0 for a, b in together)
    assert_connected(labels, vectors, floor, [(index[a], index[b]) for a, b in together])

    order = np.array(data.draw(st.permutations(range(len(keys)))))
    again = cluster_vectors(
        [keys[i] for i in order], vectors[order], floor, settings(method),
        together=together[::-1], apart=[(b, a) for a, b in apart],
    )  # fmt: skip
    assert np.array_equal(labels[order], again), "names too: they go by the smallest key"


def assert_connected(
    labels: NDArray[np.int64], vectors: NDArray[np.float32], floor: float, human: list[Any]
) -> None:
    """Each group hangs together by pairs at or above the floor, and by human links."""
    exact = vectors.astype(np.float64)
    linked = 1 - ((exact[:, None] - exact[None]) ** 2).sum(2) / 2 >= floor
    for i, j in human:
        linked[i, j] = True
    linked &= labels[:, None] == labels[None, :]
    component = connected_components(coo_array(linked), directed=False)[1]
    for label in set(labels.tolist()) - {-1}:
        assert len(set(component[labels == label].tolist())) == 1


@given(st.integers(0, 1000), st.sampled_from(METHODS))
@MODEST
def test_a_label_changes_nothing_that_was_labelled(seed: int, method: str) -> None:
    """With all of the truth said, the truth comes out, whatever the vectors say."""
    keys, vectors, apart, person = library_of(seed)
    for i, j in combinations(range(len(keys)), 2):
        if person[i] != person[j]:
            apart.append((keys[i], keys[j]))
    together = [
        (keys[i], keys[j]) for i, j in combinations(range(len(keys)), 2) if person[i] == person[j]
    ]
    labels = cluster_vectors(
        keys, vectors, 0.2, settings(method), together=together, apart=apart
    ).tolist()
    found = cluster_metrics([None if v < 0 else v for v in labels], person.tolist())
    assert (found.b3_precision, found.b3_recall) == (1.0, 1.0)


def test_theme_parks_of_a_good_space_are_grouped_right() -> None:
    """The default method at the default rate: precision first."""
    precisions, recalls = [], []
    for seed in range(4):
        library = park(np.random.default_rng(seed), STRONG)
        chosen = ClusterSettings()
        impostors = crowd(np.random.default_rng(99), 1500, STRONG, most=1).vectors
        cosines = (impostors @ impostors.T)[np.triu_indices(len(impostors), 1)]
        floor = float(np.quantile(cosines, 1 - merge_far(len(library.keys), chosen)))
        labels = cluster_vectors(
            library.keys, library.vectors, floor, chosen, apart=library.apart_keys
        ).tolist()
        found = cluster_metrics([None if v < 0 else v for v in labels], library.person.tolist())
        precisions.append(found.b3_precision)
        recalls.append(found.b3_recall)
        assert not any(labels[i] == labels[j] >= 0 for i, j in library.apart)
    assert min(precisions) >= 0.93  # two pairs of look-alikes are in each
    assert min(recalls) >= 0.97
