"""Density clustering of a link graph: HDBSCAN and DBSCAN on what `neighbours` found.

HDBSCAN is hdbscan's own from the spanning tree on: single-linkage tree, condensed tree, stability
and selection of clusters. Its input here is the minimum spanning forest of the links' mutual
reachability instead of all pairs.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from hdbscan._hdbscan_linkage import label
from hdbscan._hdbscan_tree import compute_stability, condense_tree, get_clusters
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree
from sklearn.cluster import DBSCAN

from identity_pipeline.core.clustering.constraints import in_order_of_appearance
from identity_pipeline.core.clustering.neighbours import Links

Selection = Literal["eom", "leaf"]

NEAREST = 1e-4
"""Smaller distances count as this one (cosine 0.999999995): hdbscan divides by them."""

JUST_BEYOND = 1.000001
"""Components are joined so little beyond the bound: at the bound itself a component whose links
all lie there would have no stability, and hdbscan would take the join for the cluster."""


def hdbscan_labels(
    links: Links,
    *,
    min_cluster_size: int = 2,
    min_samples: int = 1,
    selection: Selection = "eom",
    epsilon: float = 0.0,
    bound: float | None = None,
) -> NDArray[np.int64]:
    """HDBSCAN on a link graph.

    Args:
        links: graph of the items; each item's `min_samples` nearest must be among its links if
            they are within the floor.
        min_cluster_size: fewer items are noise.
        min_samples: the distance to this neighbour (the item itself not counted) is the core
            distance; an item with fewer links is noise.
        selection: `eom` (excess of mass) or `leaf`.
        epsilon: distance below which clusters are not taken apart.
        bound: distance at which the links end. What no link joins is that far apart, and a
            connected component is a candidate cluster even when it is the only one. None is
            plain HDBSCAN: what no link joins is infinitely far apart, and all items together
            never are a cluster.

    Returns:
        (N,) labels from 0 in the order of first items, -1 for noise.
    """
    core = core_distances(links, min_samples)
    reach = np.maximum(np.maximum(core[links.left], core[links.right]), links.distance)
    usable = np.isfinite(reach)
    reach = np.maximum(reach[usable], NEAREST)
    left, right = links.left[usable], links.right[usable]
    inside = _in_large_component(links.n, left, right, min_cluster_size)
    large = np.flatnonzero(inside)
    labels = np.full(links.n, -1, dtype=np.int64)
    if not len(large):
        return labels
    n = len(large)
    position = np.cumsum(inside) - 1
    reach = reach[inside[left]]
    left, right = position[left[inside[left]]], position[right[inside[left]]]
    beyond = np.inf
    if bound is not None:
        # A far cluster besides, so that no real component is the root of the tree.
        far = np.arange(n, n + min_cluster_size)
        left, right = np.append(left, far[:-1]), np.append(right, far[1:])
        reach = np.append(reach, np.full(len(far) - 1, bound))
        n += len(far)
        beyond = bound * JUST_BEYOND
    tree = label(_spanning_tree(n, left, right, reach, beyond))
    condensed = condense_tree(tree, min_cluster_size)
    found, _, _ = get_clusters(
        condensed,
        compute_stability(condensed),
        cluster_selection_method=selection,
        allow_single_cluster=False,
        cluster_selection_epsilon=epsilon,
    )
    labels[large] = found[: len(large)]
    return in_order_of_appearance(labels)


def dbscan_labels(links: Links, *, distance: float, min_samples: int) -> NDArray[np.int64]:
    """DBSCAN on a link graph that holds every pair within `distance`.

    `min_samples` counts the item itself, as scikit-learn does. Returns labels like
    `hdbscan_labels`.
    """
    if links.n == 0:
        return np.zeros(0, dtype=np.int64)
    graph = _symmetric(links.n, links.left, links.right, np.maximum(links.distance, NEAREST))
    fitted = DBSCAN(eps=distance, min_samples=min_samples, metric="precomputed").fit(graph)
    return in_order_of_appearance(fitted.labels_)


def core_distances(links: Links, min_samples: int) -> NDArray[np.float64]:
    """Distance of each item to its `min_samples`-th neighbour; infinite where there are fewer."""
    source = np.concatenate([links.left, links.right])
    distance = np.tile(links.distance, 2)
    order = np.lexsort((distance, source))
    starts = np.searchsorted(source[order], np.arange(links.n + 1))
    core = np.full(links.n, np.inf)
    enough = np.diff(starts) >= min_samples
    core[enough] = distance[order[starts[:-1][enough] + min_samples - 1]]
    return core


def _in_large_component(
    n: int, left: NDArray[np.int32], right: NDArray[np.int32], size: int
) -> NDArray[np.bool_]:
    """Whether each item is in a component of at least `size`.

    The others are noise, and must not reach the tree: joined there, two of them would look like a
    cluster.
    """
    if n == 0:
        return np.zeros(0, dtype=bool)
    graph = coo_array((np.ones(len(left)), (left, right)), shape=(n, n))
    component = connected_components(graph, directed=False)[1]
    return np.bincount(component)[component] >= size


def _symmetric(
    n: int, left: NDArray[np.int32], right: NDArray[np.int32], value: NDArray[np.float64]
) -> csr_array:
    return coo_array(
        (np.tile(value, 2), (np.append(left, right), np.append(right, left))), shape=(n, n)
    ).tocsr()


def _spanning_tree(
    n: int,
    left: NDArray[np.int64],
    right: NDArray[np.int64],
    distance: NDArray[np.float64],
    beyond: float,
) -> NDArray[np.float64]:
    """Edges (n - 1, 3) of a spanning tree, shortest first; components are joined at `beyond`."""
    graph = coo_array((distance, (left, right)), shape=(n, n)).tocsr()
    forest = coo_array(minimum_spanning_tree(graph))
    of_node = connected_components(forest, directed=False)[1]
    order = np.lexsort((forest.col, forest.row, forest.data))
    edges = np.stack([forest.row[order], forest.col[order], forest.data[order]], axis=1)
    first = np.unique(of_node, return_index=True)[1]
    return np.vstack([edges.astype(np.float64), _balanced_joins(first, beyond)])


def _balanced_joins(nodes: NDArray[np.intp], distance: float) -> NDArray[np.float64]:
    """Joins all nodes in rounds of pairs: hdbscan walks the tree recursively, so it stays flat."""
    rounds = []
    while len(nodes) > 1:
        even = len(nodes) // 2 * 2
        rounds.append(np.stack([nodes[0:even:2], nodes[1:even:2]], axis=1))
        nodes = np.append(nodes[0:even:2], nodes[even:])
    pairs = np.concatenate(rounds) if rounds else np.zeros((0, 2), dtype=np.intp)
    return np.column_stack([pairs, np.full(len(pairs), distance)]).astype(np.float64)
