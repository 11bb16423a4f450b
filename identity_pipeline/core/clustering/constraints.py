"""Must-links and cannot-links between tracks, from shared frames and human decisions.

Two faces in one frame are two people. A curator's decisions count as much. Both kinds are pairs
of items by index; what contradicts itself is refused, never resolved in silence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from identity_pipeline.errors import IdentityPipelineError

Pair = tuple[str, str]


class ContradictoryLinksError(IdentityPipelineError, ValueError):
    """Two tracks must be one person and must be two."""


@dataclass(frozen=True)
class Constraints:
    """Constraints on n items.

    Attributes:
        atom: (N,) number of the group of items that must stay together, from 0 in the order of
            the first member; a group of one is the usual case.
        forbidden: for each atom, the atoms that must not be in its cluster.
        linked: (N,) whether a must-link names the item.
    """

    atom: NDArray[np.int64]
    forbidden: tuple[frozenset[int], ...]
    linked: NDArray[np.bool_]


def constraints_of(
    keys: Sequence[str], together: Iterable[Pair] = (), apart: Iterable[Pair] = ()
) -> Constraints:
    """Constraints on the items of these keys.

    Pairs that name a key which is not there are left out: the ledger knows tracks of videos that
    are not in the library at present.

    Raises:
        ContradictoryLinksError: two items that must be apart are, perhaps through others, linked.
        ValueError: an item is to be apart from itself.
    """
    index = {key: i for i, key in enumerate(keys)}
    n = len(keys)
    must = [(index[a], index[b]) for a, b in together if a in index and b in index]
    atom = _atoms(n, must)
    linked = np.zeros(n, dtype=bool)
    linked[[i for pair in must for i in pair if pair[0] != pair[1]]] = True
    return Constraints(atom, tuple(map(frozenset, _forbidden(index, atom, apart))), linked)


def _forbidden(
    index: Mapping[str, int], atom: NDArray[np.int64], apart: Iterable[Pair]
) -> list[set[int]]:
    """For each atom, the atoms that must not be in its cluster."""
    forbidden: list[set[int]] = [set() for _ in range(int(atom.max(initial=-1)) + 1)]
    for a, b in apart:
        if a == b:
            raise ValueError(f"{a} cannot be apart from itself; take that decision back.")
        if a not in index or b not in index:
            continue
        i, j = int(atom[index[a]]), int(atom[index[b]])
        if i == j:
            raise ContradictoryLinksError(
                f"{a} and {b} must be two people (they share a frame, or were set apart) and were "
                "also said to be one person; undo one of the two decisions."
            )
        forbidden[i].add(j)
        forbidden[j].add(i)
    return forbidden


def _atoms(n: int, pairs: list[tuple[int, int]]) -> NDArray[np.int64]:
    if not pairs:
        return np.arange(n, dtype=np.int64)
    left, right = np.array(pairs).T
    graph = coo_array((np.ones(len(pairs)), (left, right)), shape=(n, n))
    return in_order_of_appearance(connected_components(graph, directed=False)[1])


def in_order_of_appearance(labels: NDArray[np.integer]) -> NDArray[np.int64]:
    """Labels (N,) renumbered from 0 in the order of their first item; -1 stays -1."""
    values, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    number = np.full(len(values), -1, dtype=np.int64)
    real = np.flatnonzero(values >= 0)
    number[real[np.argsort(first[real])]] = np.arange(len(real))
    return number[inverse]
