"""Grouping again after a few items changed: what hangs together as before keeps its groups.

The result is that of grouping all anew, bit by bit: agglomeration takes the connected parts of the
links one by one, and a part with the same items, vectors, links and forbidden pairs, under a floor
that lies where no mean was compared with it, goes the same way. So links are kept down to somewhat
below the floor, which moves with the size of the library; only items that are new are looked up
among all; and only parts that are not as before are agglomerated.

What belongs here: what is remembered of a grouping, and using it. Where it is kept is for
`storage.library.library_memory`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from identity_pipeline.core.clustering.agglomeration import Agglomerated, agglomerated
from identity_pipeline.core.clustering.constraints import (
    Pair,
    constraints_of,
    in_order_of_appearance,
)
from identity_pipeline.core.clustering.grouping import without_small
from identity_pipeline.core.clustering.neighbours import (
    Links,
    TooManyLinksError,
    find_links,
    links_between,
)
from identity_pipeline.core.vectors import Matrix
from identity_pipeline.settings import ClusterSettings

MARGIN = 0.03
"""Links are kept down to so much below the floor: it rises as the library grows, and falls a little
where the calibration moves."""


@dataclass(frozen=True)
class Grouping:
    """A grouping by agglomeration, with what of it may be used again.

    Attributes:
        keys: N keys, ascending.
        links: all pairs whose cosine is at least `least`, by place in `keys`.
        least: not above the floor.
        floor: that the groups are of.
        root: (N,) place of the first item of each one's group, before small groups are noise.
        valid: (N, 2) see `Agglomerated`.
        apart: (M, 2) places of pairs that had to be apart, the lower first, sorted, each once.
    """

    keys: tuple[str, ...]
    links: Links
    least: float
    floor: float
    root: NDArray[np.int64]
    valid: NDArray[np.float64]
    apart: NDArray[np.int64]


def regroup(
    keys: Sequence[str],
    vectors: Matrix,
    floor: float,
    settings: ClusterSettings,
    apart: Iterable[Pair],
    before: Grouping | None = None,
    changed: Collection[str] = (),
    rows: NDArray[np.int64] | None = None,
) -> tuple[NDArray[np.int64], Grouping]:
    """Labels as by `cluster_vectors` with the method `agglomerative`, and what to keep of them.

    Args:
        keys: N keys, ascending, each once.
        vectors: (N, D) float32 unit vectors, or with those of others where `rows` are given.
        floor: least cosine of a link.
        settings: its numbers.
        apart: pairs of keys that are two people; some may not be there.
        before: of an earlier grouping, also under another floor; None groups all anew.
        changed: keys whose vector is not what it was in `before`.
        rows: (N,) ascending, where the items' vectors are among all.

    Raises:
        TooManyLinksError: as of `cluster_vectors`.
    """
    items = _Items(vectors, np.arange(len(keys)) if rows is None else rows)
    pairs = _pairs(keys, apart)
    known = before if before and before.keys and before.least <= floor else None
    place = np.full(0, -1) if known is None else _places(known.keys, keys, changed)
    if known is None:
        links, least = _all_links(items, floor, settings)
    else:
        links, least = _links_again(items, known, place, floor, settings)
    own = links.chosen(links.cosine >= floor)
    part = _connected(own)
    old = np.full(len(keys), -1, dtype=np.int64)
    if known is not None:
        old[place[place >= 0]] = np.flatnonzero(place >= 0)
        old[~_as_before(part, own, pairs, known, place, old, floor)[part]] = -1
    anew = old < 0
    some = np.flatnonzero(anew)
    found = _of_some(keys, items, own.chosen(anew[own.left]), pairs[anew[pairs[:, 0]]], some, floor)
    root, valid = np.empty(len(keys), dtype=np.int64), np.empty((len(keys), 2))
    root[some], valid[some] = some[found.root], found.valid
    if known is not None:
        root[~anew] = place[known.root[old[~anew]]]
        valid[~anew] = known.valid[old[~anew]]
    alone = np.zeros(len(keys), dtype=bool)
    labels = without_small(in_order_of_appearance(root), alone, settings.min_cluster_size)
    return labels, Grouping(tuple(keys), links, least, floor, root, valid, pairs)


@dataclass(frozen=True)
class _Items:
    """The vectors of N items among those of others: copying them takes longer than all the rest.

    Attributes:
        matrix: (M, D) of all.
        rows: (N,) ascending, of the items.
    """

    matrix: Matrix
    rows: NDArray[np.int64]

    def of(self, places: NDArray[np.int64] | slice) -> Matrix:
        """The vectors of some items."""
        return self.matrix[self.rows[places]]

    @property
    def place(self) -> NDArray[np.int64]:
        """(M,) the item of each row; -1 of others."""
        found = np.full(len(self.matrix), -1, dtype=np.int64)
        found[self.rows] = np.arange(len(self.rows))
        return found


def _of_some(
    keys: Sequence[str],
    items: _Items,
    links: Links,
    apart: NDArray[np.int64],
    some: NDArray[np.int64],
    floor: float,
) -> Agglomerated:
    """Some items by themselves, which are linked with none of the others.

    Args:
        keys: of all items.
        items: their vectors.
        links: of those some, by place among all items.
        apart: pairs that must be apart, the first of which is one of some.
        some: ascending, which items they are.
        floor: least mean cosine of two groups that are joined.
    """
    at = np.full(len(keys), -1, dtype=np.int32)
    at[some] = np.arange(len(some))
    asked: list[list[int]] = apart[at[apart[:, 1]] >= 0].tolist()
    places: list[int] = some.tolist()
    names = [keys[i] for i in places]
    constraints = constraints_of(names, (), ((keys[i], keys[j]) for i, j in asked))
    own = Links(len(some), at[links.left], at[links.right], links.distance)
    return agglomerated(items.of(some), own, constraints, floor)


def _pairs(keys: Sequence[str], apart: Iterable[Pair]) -> NDArray[np.int64]:
    """Places of the pairs of keys that are there, (M, 2), the lower first, sorted, each once."""
    index = {key: i for i, key in enumerate(keys)}
    found = [(index[a], index[b]) for a, b in apart if a in index and b in index]
    pairs = np.array(found, dtype=np.int64).reshape(-1, 2)
    return np.unique(np.sort(pairs, axis=1), axis=0).reshape(-1, 2)


def _places(
    before: Sequence[str], keys: Sequence[str], changed: Collection[str]
) -> NDArray[np.int64]:
    """Where the items of before are now; -1 where one is gone or changed."""
    index = {key: i for i, key in enumerate(keys)}
    gone = set(changed)
    found = [-1 if key in gone else index.get(key, -1) for key in before]
    return np.array(found, dtype=np.int64)


def _all_links(items: _Items, floor: float, settings: ClusterSettings) -> tuple[Links, float]:
    """All links down to somewhat below the floor, or to the floor where those are too many."""
    vectors = items.of(slice(None))
    for least in (max(-1.0, floor - MARGIN), floor):
        try:
            links = find_links(
                vectors, least, tile_mb=settings.tile_mb, max_links=settings.max_links
            )
        except TooManyLinksError:
            if least == floor:
                raise
        else:
            return links, least
    raise AssertionError  # one of the two returned or raised


def _links_again(
    items: _Items,
    before: Grouping,
    place: NDArray[np.int64],
    floor: float,
    settings: ClusterSettings,
) -> tuple[Links, float]:
    """The links of before among the items that stayed, and those of all others with all.

    Down to where they were kept before, while that is near the floor; all anew where they are more
    than there may be.
    """
    least = before.least if before.least >= floor - 2 * MARGIN else floor - MARGIN
    left, right = place[before.links.left], place[before.links.right]
    stay = (left >= 0) & (right >= 0) & (before.links.cosine >= least)
    new = np.ones(len(items.rows), dtype=bool)
    new[place[place >= 0]] = False
    rows = np.flatnonzero(new)
    room = settings.max_links - int(stay.sum())
    if room < 0:
        return _all_links(items, floor, settings)
    try:
        i, j, distance = links_between(
            items.of(rows), items.matrix, least, tile_mb=settings.tile_mb, max_links=room
        )
    except TooManyLinksError:
        return _all_links(items, floor, settings)
    i, j = rows[i], items.place[j]
    once = (j >= 0) & (i != j) & (~new[j] | (i < j))
    i, j, distance = i[once], j[once], distance[once]
    low = np.concatenate([left[stay], np.minimum(i, j)]).astype(np.int32)
    high = np.concatenate([right[stay], np.maximum(i, j)]).astype(np.int32)
    order = np.lexsort((high, low))
    every = np.concatenate([before.links.distance[stay], distance])
    return Links(len(items.rows), low[order], high[order], every[order]), least


def _connected(links: Links) -> NDArray[np.int64]:
    """(N,) the connected part of each item, from 0."""
    ones = np.ones(len(links.left), dtype=np.int8)
    graph = coo_array((ones, (links.left, links.right)), shape=(links.n, links.n))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def _as_before(
    part: NDArray[np.int64],
    links: Links,
    apart: NDArray[np.int64],
    before: Grouping,
    place: NDArray[np.int64],
    old: NDArray[np.int64],
    floor: float,
) -> NDArray[np.bool_]:
    """Whether each of the C connected parts would go the way that it went before.

    Args:
        part: (N,) of each item.
        links: at or above the floor.
        apart: see `Grouping`.
        before: the earlier grouping.
        place: where its items are now.
        old: (N,) the other way round; -1 is new.
        floor: now.
    """
    count = int(part.max(initial=-1)) + 1
    then = before.links.chosen(before.links.cosine >= before.floor)
    part_then = _connected(then)
    # All items were there, in one part, and no other was in it.
    of = np.full(count, -1, dtype=np.int64)
    there = old >= 0
    of[part[there]] = part_then[old[there]]
    strange = ~there
    strange[there] = part_then[old[there]] != of[part[there]]
    same = of >= 0
    same[part[strange]] = False
    same &= np.bincount(part, minlength=count) == np.bincount(part_then)[of]
    # The links of the same items above two floors: one set holds the other.
    now = np.bincount(part[links.left], minlength=count)
    same &= (
        now == np.bincount(part_then[then.left], minlength=int(part_then.max(initial=0)) + 1)[of]
    )
    same &= _same_apart(part, apart, before, part_then, place, of)
    first = np.full(count, -1, dtype=np.int64)
    first[part[there]] = old[there]
    low, high = before.valid[first].T
    return same & (low < floor) & (floor <= high)


def _same_apart(
    part: NDArray[np.int64],
    apart: NDArray[np.int64],
    before: Grouping,
    part_then: NDArray[np.int64],
    place: NDArray[np.int64],
    of: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Whether the same pairs inside each part must be apart; where its items are the same."""
    within = apart[part[apart[:, 0]] == part[apart[:, 1]]]
    inside = part_then[before.apart[:, 0]] == part_then[before.apart[:, 1]]
    then = before.apart[inside]
    moved = place[then]
    n = len(part)
    known = moved[(moved >= 0).all(axis=1)]
    common = np.isin(within[:, 0] * n + within[:, 1], known[:, 0] * n + known[:, 1])
    count = len(of)
    number = np.bincount(part[within[:, 0]], minlength=count)
    shared = np.bincount(part[within[common, 0]], minlength=count)
    size = int(part_then.max(initial=0)) + 1
    number_then = np.bincount(part_then[then[:, 0]], minlength=size)[of]
    return (number == shared) & (number == number_then)
