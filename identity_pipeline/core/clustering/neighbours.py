"""Blocked exact neighbour graph of unit vectors: who is close to whom, in bounded memory.

The product of all vectors with all is made tile by tile and only what may matter is kept, so that
memory grows with the number of links and not with the square of the vectors. Tiles are read for
rows and columns alike: half of the product is enough.

What belongs here: finding links and measuring them. What they mean is for `clustering`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from identity_pipeline.core.vectors import Matrix
from identity_pipeline.errors import IdentityPipelineError

SLACK = 1e-5
"""float32 products of 512-d unit vectors are off by about 1e-6: links are found with this much to
spare and then measured in float64."""

MEASURED_AT_ONCE = 8192
"""Pairs whose difference is formed at once: 32 MB of float64 at 512 dimensions."""

SPARE_PAIRS = 1_000_000
"""Pairs kept, besides a few times those of the result, before they are thinned out."""

Indices = NDArray[np.int32]


class TooManyLinksError(IdentityPipelineError, ValueError):
    """The floor is so low that nearly everything is linked with everything."""


@dataclass(frozen=True)
class Links:
    """An undirected graph on n items, each pair once, sorted by (left, right).

    Attributes:
        n: number of items.
        left: lower index of each pair, (L,).
        right: higher index of each pair, (L,).
        distance: euclidean distance of the two unit vectors, (L,) float64.
    """

    n: int
    left: Indices
    right: Indices
    distance: NDArray[np.float64]

    @property
    def cosine(self) -> NDArray[np.float64]:
        """Cosines of the pairs, (L,): |a - b|^2 = 2 (1 - cos) on unit vectors."""
        return 1.0 - self.distance**2 / 2.0

    def chosen(self, mask: NDArray[np.bool_]) -> Links:
        """The links where the mask (L,) holds."""
        return Links(self.n, self.left[mask], self.right[mask], self.distance[mask])


def distance_of(cosine: float) -> float:
    """Euclidean distance of two unit vectors of this cosine."""
    return float(np.sqrt(max(0.0, 2.0 * (1.0 - cosine))))


def find_links(
    vectors: Matrix,
    floor: float,
    *,
    neighbours: int | None = None,
    tile_mb: int = 64,
    max_links: int = 20_000_000,
) -> Links:
    """All pairs of unit vectors (N, D) whose cosine is at least `floor`.

    Args:
        vectors: float32 unit vectors.
        floor: least cosine of a link; -1 links everything.
        neighbours: keep a pair only where one is among that many nearest of the other; ties go
            to the lower index. None keeps all pairs above the floor.
        tile_mb: memory of one tile of the product.
        max_links: limit of what is kept without `neighbours`.

    Raises:
        TooManyLinksError: without `neighbours`, more than `max_links` pairs reach the floor.
    """
    found = _Found(len(vectors), neighbours, floor - SLACK, max_links)
    for rows, columns in _tiles(len(vectors), tile_mb):
        tile = vectors[rows] @ vectors[columns].T
        found.take(tile, rows.start, columns.start)
        del tile
    left, right = found.pairs()
    order = np.lexsort((right, left))
    left, right = left[order], right[order]
    measured = Links(len(vectors), left, right, _distances(vectors, vectors, left, right))
    return measured.chosen(measured.cosine >= floor)


def links_between(
    new: Matrix, kept: Matrix, floor: float, *, tile_mb: int = 64
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Pairs of a new and a kept unit vector whose cosine is at least `floor`.

    A pair has the distance that `find_links` measures between the same two, to the last bit.

    Args:
        new: (M, D) float32 unit vectors.
        kept: (N, D) of the same space.
        floor: least cosine.
        tile_mb: memory of one tile of the product.

    Returns:
        Row of `new`, row of `kept`, and euclidean distance, (L,) each, sorted by the two rows.
    """
    height = max(1, tile_mb * 2**20 // 4 // max(1, len(kept)))
    parts = []
    for top in range(0, len(new), height):
        tile = new[top : top + height] @ kept.T
        rows, columns = np.nonzero(tile >= np.float32(floor - SLACK))
        parts.append(np.stack([rows + top, columns], axis=1))
    pairs = np.concatenate(parts) if parts else np.zeros((0, 2), dtype=np.int64)
    distance = _distances(new, kept, pairs[:, 0], pairs[:, 1])
    near = 1.0 - distance**2 / 2.0 >= floor
    return pairs[near, 0], pairs[near, 1], distance[near]


def _tiles(n: int, tile_mb: int) -> Iterator[tuple[slice, slice]]:
    """The tiles on and above the diagonal, square, row by row."""
    side = max(1, int(np.sqrt(tile_mb * 2**20 / 4)))
    for top in range(0, n, side):
        for start in range(top, n, side):
            yield slice(top, min(top + side, n)), slice(start, min(start + side, n))


class _Found:
    """Pairs found so far; with a number of neighbours, only those that can still be among them."""

    def __init__(self, n: int, neighbours: int | None, floor: float, max_links: int) -> None:
        self._neighbours = neighbours if neighbours is None or neighbours < n - 1 else None
        self._limit = max_links if neighbours is None else n * n
        self._least = np.full(n, floor, dtype=np.float32)
        self._parts: list[tuple[Indices, Indices, NDArray[np.float32]]] = []
        self._count = 0
        self._budget = 4 * n * (neighbours or 0) + SPARE_PAIRS

    def take(self, tile: Matrix, top: int, start: int) -> None:
        """Keeps what matters of the product of rows from `top` with columns from `start`."""
        rows = self._least[top : top + tile.shape[0]]
        columns = self._least[start : start + tile.shape[1]]
        if top == start:
            tile[np.tri(len(tile), dtype=bool)] = -np.inf
        at = _at_least(tile, rows, columns)
        if self._neighbours and len(at) > self._budget:
            k = self._neighbours
            rows = np.maximum(rows, _kth_largest(tile, k))
            columns = np.maximum(columns, _kth_largest(tile.T, k))
            at = _at_least(tile, rows, columns)
        values = tile.ravel()[at]
        left, right = np.divmod(at, tile.shape[1])
        self._parts.append(
            ((left + top).astype(np.int32), (right + start).astype(np.int32), values)
        )
        self._count += len(at)
        if self._neighbours and self._count > self._budget:
            self._thin()
        elif self._count > self._limit:
            raise TooManyLinksError(
                f"More than {self._limit} of the pairs of {len(self._least)} items reach the floor "
                f"{self._least.min() + SLACK:.3f}. Raise the floor (cluster.merge_cos), use the "
                "method `hdbscan`, which keeps the nearest only, or raise cluster.max_links."
            )

    def pairs(self) -> tuple[Indices, Indices]:
        """What is left, lower index first."""
        if self._neighbours:
            self._thin()
        left = [part[0] for part in self._parts]
        right = [part[1] for part in self._parts]
        if not left:
            return np.zeros(0, np.int32), np.zeros(0, np.int32)
        return np.concatenate(left), np.concatenate(right)

    def _thin(self) -> None:
        """Drops pairs where neither is among the nearest of the other, as far as seen."""
        k = self._neighbours
        assert k is not None  # noqa: S101 - for the type checker: callers ask first
        if not self._parts:
            return
        left, right, values = (np.concatenate(part) for part in zip(*self._parts, strict=True))
        self._parts = []
        source, target = np.concatenate([left, right]), np.concatenate([right, left])
        order = np.lexsort((target, -np.tile(values, 2), source))
        starts = np.searchsorted(source[order], np.arange(len(self._least)))
        rank = np.empty(len(order), dtype=np.int64)
        rank[order] = np.arange(len(order)) - starts[source[order]]
        kth = order[rank[order] == k - 1]
        self._least[source[kth]] = np.maximum(self._least[source[kth]], values[kth % len(values)])
        near = rank < k
        kept = near[: len(values)] | near[len(values) :]
        self._parts = [(left[kept], right[kept], values[kept])]
        self._count = int(kept.sum())


def _at_least(
    tile: Matrix, rows: NDArray[np.float32], columns: NDArray[np.float32]
) -> NDArray[np.intp]:
    """Flat positions where a value reaches the threshold of its row or of its column."""
    if rows.min() == rows.max() == columns.min() == columns.max():
        return np.flatnonzero(tile >= rows[0])
    mask = tile >= rows[:, None]
    mask |= tile >= columns[None, :]
    return np.flatnonzero(mask)


def _kth_largest(values: Matrix, k: int) -> NDArray[np.float32]:
    """The k-th largest value of each row; -inf where a row is shorter. In strips, for memory."""
    if values.shape[1] < k:
        return np.full(len(values), -np.inf, dtype=np.float32)
    strips = (values[i : i + 512] for i in range(0, len(values), 512))
    return np.concatenate([np.partition(strip, -k, axis=1)[:, -k] for strip in strips])


def _distances(
    ones: Matrix, others: Matrix, left: NDArray[np.integer], right: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Euclidean distances of pairs; from differences, so that equal vectors are exactly 0 apart."""
    distances = np.empty(len(left))
    for start in range(0, len(left), MEASURED_AT_ONCE):
        part = slice(start, start + MEASURED_AT_ONCE)
        difference = ones[left[part]].astype(np.float64)
        difference -= others[right[part]]
        distances[part] = np.sqrt(np.einsum("ij,ij->i", difference, difference))
    return distances
