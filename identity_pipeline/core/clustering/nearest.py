"""The nearest of each vector, from a product of all with all that comes tile by tile.

What belongs here: which pairs are kept on the way. The product, and the measure of what is left,
belong to `neighbours`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from identity_pipeline.core.vectors import Matrix

Indices = NDArray[np.int32]

SPARE_PAIRS = 1_000_000
"""Pairs kept, besides a few times those of the result, before they are thinned out."""


class Nearest:
    """Pairs found so far of which one is, as far as seen, among the nearest of the other."""

    def __init__(self, n: int, neighbours: int, floor: float) -> None:
        self._neighbours = neighbours
        self._least = np.full(n, floor, dtype=np.float32)
        self._parts: list[tuple[Indices, Indices, NDArray[np.float32]]] = []
        self._count = 0
        self._budget = 4 * n * neighbours + SPARE_PAIRS

    def take(self, tile: Matrix, top: int, start: int) -> None:
        """Keeps what matters of the product of rows from `top` with columns from `start`."""
        rows = self._least[top : top + tile.shape[0]]
        columns = self._least[start : start + tile.shape[1]]
        if top == start:
            tile[np.tri(len(tile), dtype=bool)] = -np.inf
        at = _at_least(tile, rows, columns)
        if len(at) > self._budget:
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
        if self._count > self._budget:
            self._thin()

    def pairs(self) -> tuple[Indices, Indices]:
        """What is left, lower index first."""
        self._thin()
        if not self._parts:
            return np.zeros(0, np.int32), np.zeros(0, np.int32)
        left, right, _ = self._parts[0]
        return left, right

    def _thin(self) -> None:
        """Drops pairs where neither is among the nearest of the other, as far as seen."""
        k = self._neighbours
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
