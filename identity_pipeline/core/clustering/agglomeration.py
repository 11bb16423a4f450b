"""Average-linkage agglomeration over a sparse graph, under must- and cannot-links.

The mean cosine of two groups of unit vectors is the product of their sums over the product of
their sizes, so no matrix of pairs is needed. Two groups whose mean cosine reaches a floor hold a
pair that reaches it: with all pairs above the floor as links, the sparse result is that of the
full matrix. It falls apart into the connected components of the links, taken one by one.

Constraints are kept by construction: a merge that would bring a forbidden pair together is never
made, and the pair of groups is never asked again, as groups only grow.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from identity_pipeline.core.clustering.constraints import Constraints, in_order_of_appearance
from identity_pipeline.core.clustering.neighbours import Links
from identity_pipeline.core.vectors import Matrix

AT_ONCE = 2048
"""Up to so many atoms of a component all inner products are kept (32 MB), and added when groups are
joined: where most atoms are linked with most, they would be computed anew hundreds of times."""

TIE_DECIMALS = 9
"""Mean cosines that agree to so many decimals are tied; the groups that came first win."""


@dataclass(frozen=True)
class Agglomerated:
    """Groups of N items, and for which other floors they would be the same.

    Attributes:
        root: (N,) the first item of each item's group.
        valid: (N, 2) of what hangs together with an item by links: no mean that was compared with
            the floor lies above the first number and below the second, so every floor above the
            first and up to the second gives the same groups.
    """

    root: NDArray[np.int64]
    valid: NDArray[np.float64]


def agglomerate(
    vectors: Matrix,
    links: Links,
    constraints: Constraints,
    floor: float | None,
    *,
    fewest: int = 1,
) -> NDArray[np.int64]:
    """Groups of unit vectors (N, D), numbered in the order of their first item.

    The two linked groups of largest mean cosine are joined, unless that is forbidden, until no
    permitted pair of linked groups is left.

    Args:
        vectors: float32 unit vectors.
        links: pairs of items that may bring groups together.
        constraints: atoms to start from, and what must stay apart.
        floor: least mean cosine of two groups that are joined; None joins all that are linked
            and permitted.
        fewest: what hangs together by links is not joined into fewer groups than this.
    """
    found = agglomerated(vectors, links, constraints, floor, fewest=fewest)
    return in_order_of_appearance(found.root)


def agglomerated(
    vectors: Matrix,
    links: Links,
    constraints: Constraints,
    floor: float | None,
    *,
    fewest: int = 1,
) -> Agglomerated:
    """See `agglomerate`; told with what makes the groups of a part known for another floor."""
    atom = constraints.atom
    count = int(atom.max(initial=-1)) + 1
    valid = np.tile([-np.inf, np.inf], (count, 1))
    group_of_atom = np.arange(count)
    members = np.argsort(atom, kind="stable")
    starts = np.searchsorted(atom[members], np.arange(count + 1))
    for atoms, part in _parts(_edges(atom, links), count):
        sums = np.stack(
            [vectors[members[starts[a] : starts[a + 1]]].sum(0, dtype=np.float64) for a in atoms]
        )
        sizes = (starts[atoms + 1] - starts[atoms]).astype(np.float64)
        inside = {int(a): i for i, a in enumerate(atoms)}
        forbidden = [
            {inside[f] for f in constraints.forbidden[a] if f in inside} for a in atoms.tolist()
        ]
        groups = _Groups(sums, sizes, forbidden, floor)
        group_of_atom[atoms] = atoms[groups.join(np.searchsorted(atoms, part), fewest)]
        valid[atoms] = groups.valid
    first = members[starts[:-1]]
    return Agglomerated(first[group_of_atom[atom]], valid[atom])


def _edges(atom: NDArray[np.int64], links: Links) -> NDArray[np.int64]:
    """Pairs of linked atoms (E, 2), each once, the lower first, sorted."""
    left, right = atom[links.left], atom[links.right]
    count = int(atom.max(initial=-1)) + 1
    pairs = np.minimum(left, right) * count + np.maximum(left, right)
    # Numbers are sorted in half of the memory of pairs, and several times as fast.
    return np.stack(np.divmod(np.unique(pairs[left != right]), max(1, count)), axis=1)


def _parts(
    edges: NDArray[np.int64], count: int
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Atoms and edges of each connected component of more than one of so many atoms."""
    if not len(edges):
        return []
    graph = coo_array((np.ones(len(edges)), tuple(edges.T)), shape=(count, count))
    component = connected_components(graph, directed=False)[1]
    order = np.argsort(component, kind="stable")
    edge_order = np.argsort(component[edges[:, 0]], kind="stable")
    of_atom, of_edge = component[order], component[edges[edge_order, 0]]
    linked = np.unique(of_edge)
    cuts = [
        np.searchsorted(of, linked, side).tolist()
        for of in (of_atom, of_edge)
        for side in ("left", "right")
    ]
    return [
        (order[start:end], edges[edge_order[first:last]])
        for start, end, first, last in zip(*cuts, strict=True)
    ]


class _Groups:
    """The groups of one component; each is known by its first atom.

    Every group has its best partner in the heap. The mean cosine to two groups that were joined is
    at most the larger of the two before: an entry whose partner has changed is an upper bound, and
    it is enough to look again when it comes to the top. (Where links are missing above the floor,
    as inside a cluster that is taken apart, a joined group may rank a little late on one side.)
    """

    def __init__(
        self,
        sums: NDArray[np.float64],
        sizes: NDArray[np.float64],
        forbidden: list[set[int]],
        floor: float | None,
    ) -> None:
        self._sums, self._sizes = sums, sizes
        self._inner = sums @ sums.T if len(sums) <= AT_ONCE else None
        self._floor = -np.inf if floor is None else floor
        self.valid = (-np.inf, np.inf)
        self._forbidden = forbidden
        self._group = np.arange(len(sums))
        self._version = [0] * len(sums)
        self._near: list[set[int]] = [set() for _ in range(len(sums))]
        # Negative mean cosine, the two groups, which of them is the owner, versions of the two.
        self._heap: list[tuple[float, int, int, bool, int, int]] = []

    def join(self, edges: NDArray[np.int64], fewest: int) -> NDArray[np.int64]:
        """For each atom the first atom of its group at the end, when no fewer are left."""
        left = len(self._sums)
        self._begin(edges)
        while self._heap and left > fewest:
            _, i, j, first_owns, of_i, of_j = heappop(self._heap)
            i_same, j_same = self._version[i] == of_i, self._version[j] == of_j
            if not (i_same if first_owns else j_same):
                continue  # the owner was taken in by another, or has a newer entry
            if i_same and j_same and j not in self._forbidden[i]:
                self._merge(i, j)
                left -= 1
                self._push_best(i)
            else:
                self._push_best(i if first_owns else j)
        return self._roots()

    def _begin(self, edges: NDArray[np.int64]) -> None:
        for i, j in edges.tolist():
            self._near[i].add(j)
            self._near[j].add(i)
        for i in range(len(self._sums)):
            self._push_best(i)

    def _push_best(self, i: int) -> None:
        others = sorted(self._near[i] - self._forbidden[i])
        if not others:
            return
        if self._inner is None:
            inner = self._sums[others] @ self._sums[i]
        else:
            inner = self._inner[i, others]
        means = np.round(inner / (self._sizes[others] * self._sizes[i]), TIE_DECIMALS)
        best = int(np.argmax(means))
        mean, other = float(means[best]), others[best]
        low, high = self.valid
        if mean < self._floor:
            self.valid = (max(low, mean), high)
        else:
            self.valid = (low, min(high, mean))
            a, b = (i, other) if i < other else (other, i)
            heappush(self._heap, (-mean, a, b, a == i, self._version[a], self._version[b]))

    def _merge(self, i: int, j: int) -> None:
        """Group j becomes part of i < j; what either was linked to or kept from, i is now."""
        self._group[j] = i
        self._sums[i] += self._sums[j]
        if self._inner is not None:
            self._inner[i] += self._inner[j]
            self._inner[:, i] = self._inner[i]
        self._sizes[i] += self._sizes[j]
        self._version[i] += 1
        self._version[j] = -1
        for relation in (self._near, self._forbidden):
            for other in relation[j]:
                relation[other].discard(j)
                if other != i:
                    relation[other].add(i)
                    relation[i].add(other)
            relation[i].discard(j)
            relation[j] = set()

    def _roots(self) -> NDArray[np.int64]:
        # A group is only ever taken in by an earlier one: one pass in order finds every root.
        roots = self._group.copy()
        for i in range(len(roots)):
            roots[i] = roots[roots[i]]
        return roots
