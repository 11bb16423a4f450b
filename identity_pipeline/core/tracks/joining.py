"""Which two of many fragments are joined next: the pairs, kept up to date from join to join.

A join changes one row of the cosines and the runners-up of a few others, so it costs a few passes
over rows, not over all pairs: a video of a crowd has a thousand fragments and more.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from identity_pipeline.core.vectors import Matrix
from identity_pipeline.settings import TrackingSettings

NEVER = -2.0
"""Below every cosine: of a fragment with itself, of one that is joined, of a pair that may not."""
DECIMALS = 6
"""Cosines that agree so far are the same: the order of sums in a product must not decide."""


class JoinablePairs:
    """The pairs that may be joined: see `tracking.stitch` for the rule."""

    def __init__(
        self, templates: Matrix, frames: Sequence[Collection[int]], settings: TrackingSettings
    ) -> None:
        """Takes N >= 1 fragments.

        Args:
            templates: (N, D) unit vectors.
            frames: the frames of each fragment; two that share one are never joined.
            settings: thresholds.
        """
        n = len(templates)
        self._settings = settings
        self._templates = templates.copy()
        self._alive = np.ones(n, dtype=bool)
        self._apart = _sharing(frames)
        self._cosines = np.round(templates @ templates.T, DECIMALS)
        np.fill_diagonal(self._cosines, NEVER)
        self._first = np.full(n, -1)  # the fragment most like each
        self._highest = np.full(n, NEVER, dtype=np.float32)  # its cosine
        self._second = np.full(n, NEVER, dtype=np.float32)  # that of the next
        self._scores = np.full((n, n), NEVER, dtype=np.float32)  # cosines of joinable pairs
        self._partner = np.zeros(n, dtype=np.int64)  # of the best joinable pair of each
        self._best = np.full(n, NEVER, dtype=np.float32)  # its score
        every = np.arange(n)
        self._near_ones = self._near(every.tolist())
        self._rank(every)
        self._score(every)

    def best(self) -> tuple[int, int, float] | None:
        """The joinable pair of the highest cosine, the first of equals; None if there is none."""
        i = int(np.argmax(self._best))
        score = float(self._best[i])
        return None if score == NEVER else (i, int(self._partner[i]), score)

    def join(self, i: int, j: int, template: NDArray[np.floating]) -> None:
        """Fragment `j` becomes part of `i < j`, which gets a new template."""
        fallen = np.isin(self._first, (i, j))
        fallen |= (self._cosines[:, [i, j]] >= self._second[:, None]).any(axis=1)
        self._near_ones -= self._near([i, j])
        self._alive[j] = False
        self._templates[i] = template
        row = np.round(self._templates @ self._templates[i], DECIMALS)
        row[~self._alive] = NEVER
        row[i] = NEVER
        for k, values in ((i, row), (j, NEVER)):
            self._cosines[k, :] = values
            self._cosines[:, k] = values
        near = self._near([i])
        self._near_ones += near
        self._near_ones[[i, j]] = near.sum(), 0
        self._apart[i] |= self._apart[j]
        self._apart[:, i] = self._apart[i]
        risen = (row > self._second) & ~fallen
        self._raise(np.flatnonzero(risen), i, row)
        fallen &= self._alive
        fallen[[i, j]] = True
        self._rank(np.flatnonzero(fallen))
        # Another runner-up matters to the pairs alone that need a lead over it.
        changed = (risen | fallen) & (self._near_ones > 0)
        changed[[i, j]] = True
        self._score(np.flatnonzero(changed))

    def left(self) -> list[int]:
        """The fragments that were not made part of another, in ascending order."""
        return np.flatnonzero(self._alive).tolist()

    def _rank(self, rows: NDArray[np.int64]) -> None:
        """The two highest cosines of some rows."""
        cosines = self._cosines[rows]
        at = np.arange(len(rows))
        self._first[rows] = first = cosines.argmax(axis=1)
        self._highest[rows] = cosines[at, first]
        cosines[at, first] = NEVER
        self._second[rows] = cosines.max(axis=1)

    def _raise(self, rows: NDArray[np.int64], column: int, row: NDArray[np.float32]) -> None:
        """The two highest cosines of rows in which a new one, above the second, has come up."""
        new, old = row[rows], self._highest[rows]
        first = new > old
        self._second[rows] = np.where(first, old, new)
        self._highest[rows] = np.where(first, new, old)
        self._first[rows] = np.where(first, column, self._first[rows])

    def _near(self, columns: list[int]) -> NDArray[np.int64]:
        """Per fragment, how many of some others are so near that a lead would join them."""
        cosines, s = self._cosines[:, columns], self._settings
        near = (cosines >= s.stitch_cos_with_margin) & (cosines < s.stitch_cos)
        return near.sum(axis=1)

    def _score(self, rows: NDArray[np.int64]) -> None:
        """The scores of all pairs with a fragment of some rows, and everybody's best partner."""
        s = self._settings
        cosines = self._cosines[rows]
        own = np.where(
            self._first[rows, None] == np.arange(cosines.shape[1]),
            self._second[rows, None],
            self._highest[rows, None],
        )
        theirs = np.where(self._first == rows[:, None], self._second, self._highest)
        rivals = np.maximum(own, theirs)
        # A pair without any third fragment has a runner-up of -1.
        lead = cosines - np.where(rivals == NEVER, np.float32(-1.0), rivals)
        close = (cosines >= s.stitch_cos) | (lead >= s.stitch_margin)
        allowed = close & (cosines >= s.stitch_cos_with_margin) & ~self._apart[rows]
        scores = np.where(allowed, cosines, np.float32(NEVER))
        self._scores[rows] = scores
        self._scores[:, rows] = scores.T
        self._find_partners(rows)

    def _find_partners(self, rows: NDArray[np.int64]) -> None:
        """Renews the best partner of everybody after the scores of some rows have changed."""
        everybody = np.arange(len(self._best))
        there = self._scores[:, rows].argmax(axis=1)
        new = self._scores[everybody, rows[there]]
        higher = new > self._best
        lost = np.isin(self._partner, rows) & ~higher
        tied = (new == self._best) & (new > NEVER)
        again = lost | tied
        again[rows] = True
        self._partner = np.where(higher, rows[there], self._partner)
        self._best = np.where(higher, new, self._best)
        self._partner[again] = self._scores[again].argmax(axis=1)
        self._best[again] = self._scores[everybody[again], self._partner[again]]


def _sharing(frames: Sequence[Collection[int]]) -> NDArray[np.bool_]:
    """(N, N) whether two fragments share a frame."""
    by_frame: dict[int, list[int]] = {}
    for fragment, seen in enumerate(frames):
        for frame in seen:
            by_frame.setdefault(frame, []).append(fragment)
    shared = np.zeros((len(frames), len(frames)), dtype=bool)
    for fragments in by_frame.values():
        if len(fragments) > 1:
            shared[np.ix_(fragments, fragments)] = True
    return shared
