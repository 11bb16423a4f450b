"""Unsupervised grouping: which tracks of unknown people are one person.

Every method works on links at or above one floor, the calibrated merge threshold: no link below
it is ever used. What must be apart is apart in every result, what must be together is together.
The order of the tracks is irrelevant: they are sorted by key before anything is computed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from identity_pipeline.core.clustering.agglomeration import agglomerate
from identity_pipeline.core.clustering.constraints import (
    Constraints,
    Pair,
    constraints_of,
    in_order_of_appearance,
)
from identity_pipeline.core.clustering.neighbours import Links, distance_of, find_links
from identity_pipeline.core.vectors import Matrix, check_unit
from identity_pipeline.settings import ClusterSettings

SMALL = 2048
"""Up to so many items HDBSCAN sees every link above the floor instead of the nearest alone."""


def merge_far(tracks: int, settings: ClusterSettings) -> float:
    """The false-accept rate at which the merge floor of a library of this many tracks is read.

    Every track meets all others: at one rate, false links grow with the library. So the rate is
    what keeps the expected number of false links of one track.
    """
    return min(settings.merge_far_max, settings.merge_false_links / max(1, tracks - 1))


def cluster_vectors(
    keys: Sequence[str],
    vectors: NDArray[np.floating],
    floor: float,
    settings: ClusterSettings,
    *,
    together: Iterable[Pair] = (),
    apart: Iterable[Pair] = (),
) -> NDArray[np.int64]:
    """Groups unit vectors.

    Args:
        keys: one unique key per vector; they decide ties and the numbering.
        vectors: (N, D) unit vectors of one embedding space.
        floor: least cosine of a link: the merge threshold of this space.
        settings: the method and its numbers.
        together: pairs of keys that are one person by a human decision.
        apart: pairs of keys that are two people: tracks that share a frame, human decisions.

    Returns:
        (N,) labels, in the order of the keys given, numbered from 0 by each group's smallest key;
        -1 is noise. Human links of two tracks stand whatever the smallest cluster size.

    Raises:
        ContradictoryLinksError: a pair must be together and apart.
        TooManyLinksError: the floor is so low that the links do not fit.
        NotUnitNormError: a vector is not of unit length.
        ValueError: a key occurs twice, or the floor is not a cosine.
    """
    if not -1.0 <= floor <= 1.0:
        raise ValueError(f"The merge floor must be a cosine from -1 to 1, got {floor}.")
    if len(set(keys)) != len(keys):
        raise ValueError("Every track must come once; the same track_key was given twice.")
    if len(keys) != len(vectors):
        raise ValueError(f"{len(keys)} keys were given for {len(vectors)} vectors.")
    ranked = sorted(range(len(keys)), key=keys.__getitem__)
    order = np.array(ranked, dtype=np.int64)
    matrix = check_unit(vectors, "template")
    if not np.array_equal(order, np.arange(len(order))):
        matrix = matrix[order]
    constraints = constraints_of([keys[i] for i in ranked], together, apart)
    labels = np.empty(len(keys), dtype=np.int64)
    labels[order] = _labels(matrix, floor, settings, constraints)
    return labels


def _labels(
    vectors: Matrix, floor: float, settings: ClusterSettings, constraints: Constraints
) -> NDArray[np.int64]:
    neighbours = settings.neighbours if settings.method == "hdbscan" else None
    links = find_links(
        vectors,
        floor,
        neighbours=None if len(vectors) <= SMALL else neighbours,
        tile_mb=settings.tile_mb,
        max_links=settings.max_links,
    )
    if settings.method == "agglomerative":
        labels = agglomerate(vectors, links, constraints, floor)
    else:
        found = _density_labels(links, floor, settings)
        labels = _honour(found, vectors, links, constraints)
    return without_small(labels, constraints.linked, settings.min_cluster_size)


def _density_labels(links: Links, floor: float, settings: ClusterSettings) -> NDArray[np.int64]:
    # Here and not at the top: hdbscan and scikit-learn take seconds to load.
    from identity_pipeline.core.clustering.density import dbscan_labels, hdbscan_labels

    if settings.method == "dbscan":
        return dbscan_labels(
            links, distance=distance_of(floor), min_samples=settings.min_samples + 1
        )
    epsilon = settings.hdbscan_epsilon_cos
    return hdbscan_labels(
        links,
        min_cluster_size=settings.min_cluster_size,
        min_samples=settings.min_samples,
        selection=settings.hdbscan_selection,
        epsilon=0.0 if epsilon is None else distance_of(max(epsilon, floor)),
        bound=distance_of(floor),
    )


def _honour(
    labels: NDArray[np.int64], vectors: Matrix, links: Links, constraints: Constraints
) -> NDArray[np.int64]:
    """The labels with must-linked clusters joined and forbidden pairs separated.

    A cluster with a forbidden pair is built anew from its own links, the most alike groups first
    by mean cosine, until only forbidden merges are left: every track ends with those it is most
    alike, and no more parts arise than the pairs enforce. All other clusters stay as they are.
    """
    joined = _join_atoms(labels, constraints.atom)
    cluster_of_atom = np.empty(len(constraints.forbidden), dtype=np.int64)
    cluster_of_atom[constraints.atom] = joined
    conflicted = {
        int(cluster_of_atom[a])
        for a, others in enumerate(constraints.forbidden)
        if cluster_of_atom[a] >= 0 and any(cluster_of_atom[a] == cluster_of_atom[o] for o in others)
    }
    if not conflicted:
        return joined
    broken = np.isin(joined, sorted(conflicted))
    inside = broken[links.left] & (joined[links.left] == joined[links.right])
    parts = agglomerate(vectors, links.chosen(inside), constraints, None)
    return in_order_of_appearance(np.where(broken, joined.max() + 1 + parts, joined))


def _join_atoms(labels: NDArray[np.int64], atom: NDArray[np.int64]) -> NDArray[np.int64]:
    """Labels in which items of one atom share their cluster, and clusters that an atom spans join.

    A lone item that is noise stays noise; an atom of noise becomes a cluster.
    """
    sizes = np.bincount(atom)
    if not len(atom) or sizes.max() == 1:
        return labels
    many = np.flatnonzero(sizes[atom] > 1)
    real = np.flatnonzero(labels >= 0)
    n, clusters = len(labels), int(labels.max()) + 1
    # Nodes: items, then clusters, then atoms of several items.
    left = np.concatenate([real, many])
    right = np.concatenate([n + labels[real], n + clusters + atom[many]])
    nodes = n + clusters + len(sizes)
    graph = coo_array((np.ones(len(left)), (left, right)), shape=(nodes, nodes))
    component = connected_components(graph, directed=False)[1][:n].astype(np.int64)
    alone = np.ones(n, dtype=bool)
    alone[left] = False
    return in_order_of_appearance(np.where(alone, -1, component))


def without_small(
    labels: NDArray[np.int64], linked: NDArray[np.bool_], min_size: int
) -> NDArray[np.int64]:
    """Labels in which groups below the smallest size are noise, unless a person linked them."""
    real = labels >= 0
    sizes = np.bincount(labels[real], minlength=1)
    human = np.bincount(labels[real & linked], minlength=len(sizes)) > 1
    keep = (sizes >= min_size) | human
    return in_order_of_appearance(np.where(real & keep[labels], labels, -1))
