"""Exact neighbour graph of unit vectors, in blocks: who is close to whom, in bounded memory.

The product of all vectors with all is made tile by tile and only what may matter is kept, so that
memory grows with the number of links and not with the square of the vectors. Tiles are read for
rows and columns alike: half of the product is enough. Where all pairs above a floor are wanted, a
product of rounded vectors finds those that may reach it, and they are measured in float64.

What belongs here: finding links and measuring them. What they mean is for `clustering`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from identity_pipeline.core.clustering.nearest import Indices, Nearest
from identity_pipeline.core.clustering.screening import Screen, byte_product
from identity_pipeline.core.vectors import UNIT_TOLERANCE, Matrix
from identity_pipeline.errors import IdentityPipelineError

SLACK = 2 * UNIT_TOLERANCE + 1e-5
"""1 - |a - b|^2 / 2 is above the product of a and b by half of what their squared norms lack of
one, and float32 products of 512-d unit vectors are off by about 1e-6: links are looked for with
this much to spare and then measured in float64, so that no rounding of a product decides."""

FEW: Final = 4096
"""Up to so many vectors their float32 product is made at once faster than they are rounded."""

CROWDED: Final = 0.01
"""A tile of which a larger share may reach the floor is multiplied in float32 before pairs are
measured one by one, at a hundred times the cost."""

MEASURED_AT_ONCE = 8192
"""Pairs whose difference is formed at once: 32 MB of float64 at 512 dimensions."""


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
        """Cosines of the pairs, (L,)."""
        return cosine_of(self.distance)

    def chosen(self, mask: NDArray[np.bool_]) -> Links:
        """The links where the mask (L,) holds."""
        return Links(self.n, self.left[mask], self.right[mask], self.distance[mask])


def cosine_of(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cosines of unit vectors so far apart: |a - b|^2 = 2 (1 - cos)."""
    return 1.0 - distance**2 / 2.0


def distance_of(cosine: float) -> float:
    """Euclidean distance of two unit vectors of this cosine."""
    return float(np.sqrt(max(0.0, 2.0 * (1.0 - cosine))))


def find_links(
    vectors: Matrix,
    floor: float,
    *,
    neighbours: int | None = None,
    tile_mb: int = 16,
    max_links: int = 60_000_000,
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
    n = len(vectors)
    if neighbours is None or neighbours >= n - 1:
        limit = max_links if neighbours is None else n * n
        return Links(n, *_AllAbove(vectors, vectors, floor, tile_mb, limit).found(mirrored=True))
    nearest = Nearest(n, neighbours, floor - SLACK)
    side = _side(tile_mb)
    for rows in _slices(0, n, side):
        for columns in _slices(rows.start, n, side):
            nearest.take(vectors[rows] @ vectors[columns].T, rows.start, columns.start)
    left, right = nearest.pairs()
    order = np.lexsort((right, left))
    left, right = left[order], right[order]
    measured = Links(n, left, right, _distances(vectors, vectors, left, right))
    return measured.chosen(measured.cosine >= floor)


def links_between(
    new: Matrix, kept: Matrix, floor: float, *, tile_mb: int = 16, max_links: int = 60_000_000
) -> tuple[Indices, Indices, NDArray[np.float64]]:
    """Pairs of a new and a kept unit vector whose cosine is at least `floor`.

    A pair has the distance that `find_links` measures between the same two, to the last bit.

    Args:
        new: (M, D) float32 unit vectors.
        kept: (N, D) of the same space.
        floor: least cosine.
        tile_mb: memory of one tile of the product.
        max_links: limit of what is kept.

    Returns:
        Row of `new`, row of `kept`, and euclidean distance, (L,) each, sorted by the two rows.

    Raises:
        TooManyLinksError: more than `max_links` pairs reach the floor.
    """
    return _AllAbove(new, kept, floor, tile_mb, max_links).found(mirrored=False)


class _AllAbove:
    """Every pair of a row and a column at or above a floor, tile by tile."""

    def __init__(
        self, rows: Matrix, columns: Matrix, floor: float, tile_mb: int, max_links: int
    ) -> None:
        self._rows, self._columns = rows, columns
        self._floor = floor
        self._side = _side(tile_mb)
        self._limit = max_links
        self._left = max_links
        product = byte_product() if rows is columns and len(rows) > FEW else None
        self._screen = None if product is None else Screen(rows, product)

    def found(self, *, mirrored: bool) -> tuple[Indices, Indices, NDArray[np.float64]]:
        """Row, column and distance of the pairs, sorted by row and column.

        Args:
            mirrored: rows and columns are the same: each pair once, no vector with itself.
        """
        empty = np.zeros(0, np.int32)
        bands = [(empty, empty, np.zeros(0))]
        for rows in _slices(0, len(self._rows), self._side):
            first = rows.start if mirrored else 0
            tiles = [
                self._pairs(rows, columns, diagonal=mirrored and columns.start == rows.start)
                for columns in _slices(first, len(self._columns), self._side)
            ]
            if tiles:
                left, right, distance = (np.concatenate(part) for part in zip(*tiles, strict=True))
                order = np.lexsort((right, left))
                bands.append((left[order], right[order], distance[order]))
        left, right, distance = zip(*bands, strict=True)
        return np.concatenate(left), np.concatenate(right), np.concatenate(distance)

    def _pairs(
        self, rows: slice, columns: slice, *, diagonal: bool
    ) -> tuple[Indices, Indices, NDArray[np.float64]]:
        """The pairs of one tile; of one on the diagonal, those above it."""
        at = self._may_reach(rows, columns)
        left, right = np.divmod(at, columns.stop - columns.start)
        if diagonal:
            above = left < right
            left, right = left[above], right[above]
        left = (left + rows.start).astype(np.int32)
        right = (right + columns.start).astype(np.int32)
        distance = _distances(self._rows, self._columns, left, right)
        reach = cosine_of(distance) >= self._floor
        self._left -= int(reach.sum())
        if self._left < 0:
            raise TooManyLinksError(
                f"More than {self._limit} of the pairs of {len(self._columns)} items reach the "
                f"floor {self._floor:.3f}. Raise the floor (cluster.merge_cos), use the method "
                "`hdbscan`, which keeps the nearest only, or raise cluster.max_links."
            )
        return left[reach], right[reach], distance[reach]

    def _may_reach(self, rows: slice, columns: slice) -> NDArray[np.intp]:
        """Flat positions of pairs that may reach the floor, and few others."""
        least = self._floor - SLACK
        if self._screen is not None:
            at = self._screen.may_reach(rows, columns, least)
            if len(at) <= CROWDED * (rows.stop - rows.start) * (columns.stop - columns.start):
                return at
        return np.flatnonzero(self._rows[rows] @ self._columns[columns].T >= least)


def _side(tile_mb: int) -> int:
    """Rows and columns of a square tile of 4 bytes each."""
    return max(1, int(np.sqrt(tile_mb * 2**20 / 4)))


def _slices(start: int, stop: int, side: int) -> Iterator[slice]:
    for first in range(start, stop, side):
        yield slice(first, min(first + side, stop))


def _distances(rows: Matrix, columns: Matrix, left: Indices, right: Indices) -> NDArray[np.float64]:
    """Euclidean distances of pairs; from differences, so that equal vectors are exactly 0 apart."""
    distances = np.empty(len(left))
    for start in range(0, len(left), MEASURED_AT_ONCE):
        part = slice(start, start + MEASURED_AT_ONCE)
        difference = rows[left[part]].astype(np.float64)
        difference -= columns[right[part]]
        distances[part] = np.sqrt(np.einsum("ij,ij->i", difference, difference))
    return distances
