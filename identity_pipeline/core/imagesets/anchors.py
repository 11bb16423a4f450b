"""The anchor set: of the portraits of a ride the best ones that keep their distance.

Picking the best first is not enough: a picture between two others can stand in the way of both.
The set is chosen whole, by integer programming (HiGHS, through SciPy).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_array

from identity_pipeline.core.imagesets.decided import in_human_order
from identity_pipeline.core.imagesets.faces import (
    Face,
    Row,
    faces_of,
    likeness,
    people,
    person_views,
)
from identity_pipeline.core.imagesets.image_sets import image_row, image_table
from identity_pipeline.core.imagesets.novelty import Views, novelty
from identity_pipeline.core.imagesets.portrait import anchor_eligible, is_portrait
from identity_pipeline.settings import SelectionSettings

CONSIDERED: Final = 300
"""So many of the best eligible faces of a rider are weighed against each other; chosen: it bounds
the time that hours of video take, and is more than a ride of two minutes has."""
_STEPS: Final = 10**4
"""Scores count in steps of a ten-thousandth, so that the solver adds whole numbers."""


def build_anchor_set(candidates: pl.DataFrame, settings: SelectionSettings) -> pl.DataFrame:
    """The best portraits of each rider, apart in time and no two the same picture.

    Of the portraits `anchor_min` are chosen where the ride has as many that keep their distance,
    and up to `anchor_max` where more of them add to the sum of scores. The best one is among them
    unless it would cost one of the first `anchor_min`. Of a rider who sits so still that there
    would be fewer, portraits may look the same while they are apart in time: a calm face once more
    is a better reference than a grimace. Where that is not enough either, other eligible faces fill
    up to `anchor_min`: a glance aside or an open mouth is better than no reference, closed eyes, a
    wink or a covered face is not. The first anchor is the best one.

    Anchors that a human chose come before all others, in their order and whatever they look like;
    the others keep their distance from them. What they were chosen instead of is no anchor.

    Args:
        candidates: result of `open_candidates`.
        settings: counts and thresholds.
    """
    rows = [row for faces in people(candidates) for row in _anchors_of(faces, settings)]
    return in_human_order(image_table(rows), candidates)


def _anchors_of(faces: pl.DataFrame, settings: SelectionSettings) -> list[Row]:
    by_human = (pl.col("anchor_place") > 0).fill_null(False)
    is_replaced = (pl.col("anchor_place") == 0).fill_null(False)
    eligible = (
        faces.with_columns(portrait=is_portrait(settings), rank_by=anchor_score())
        .filter(anchor_eligible(settings) & ~is_replaced | by_human)
        .sort(
            [~by_human, "portrait", "rank_by"], descending=[False, True, True], maintain_order=True
        )
        .head(CONSIDERED)
        .sort("frame_idx", "face_id")
    )
    if not eligible.height:
        return []
    table, views = faces_of(eligible), person_views(eligible)
    apart = _Apart.of(table, views, settings)
    scores = eligible["rank_by"].to_numpy()
    first = _chosen_by_humans(table)
    portraits = np.setdiff1d(np.flatnonzero(eligible["portrait"].to_numpy()), first)
    wanted = max(0, min(settings.anchor_min, settings.anchor_max) - len(first))
    most = max(0, settings.anchor_max - len(first))
    chosen = apart.best_set(apart.beside(portraits, first), scores, wanted, most)
    if len(chosen) < wanted:
        in_time = apart.in_time_alone()
        still = in_time.best_set(in_time.beside(portraits, first), scores, wanted, wanted)
        chosen = max(chosen, still, key=len)
    others = np.setdiff1d(np.arange(len(table)), [*portraits, *first])
    lacking = wanted - len(chosen)
    others = apart.beside(others, [*first, *chosen])
    chosen += apart.best_set(others, scores, lacking, lacking)
    is_one = set(portraits.tolist())
    chosen.sort(key=lambda row: (row not in is_one, -scores[row], row))
    chosen = [*first, *chosen]
    return [
        image_row(table[row], f"anchor_{i + 1:03d}", i + 1, novelty(views, row, chosen[:i]))
        for i, row in enumerate(chosen)
    ]


def _chosen_by_humans(table: Sequence[Face]) -> list[int]:
    """Rows of the anchors that a human chose, in their order."""
    places = [(face["anchor_place"], row) for row, face in enumerate(table)]
    return [row for _, row in sorted((place, row) for place, row in places if place)]


def anchor_score() -> pl.Expr:
    """What anchors are ranked by: as portraits, and what their highlight adds."""
    return pl.coalesce("portrait_score", "quality_score") + pl.col("bonus")


@dataclass(frozen=True)
class _Apart:
    """Which faces of a rider may not both be anchors, and the best sets without such two.

    Attributes:
        near: (N, N) too close in time, of faces in time order.
        alike: (N, N) the same picture.
    """

    near: NDArray[np.bool_]
    alike: NDArray[np.bool_]

    @classmethod
    def of(cls, table: Sequence[Face], views: Views, settings: SelectionSettings) -> _Apart:
        """Of faces in time order."""
        at = np.array([face["timestamp_ms"] for face in table])
        gap_ms = 1000 * max(settings.anchor_gap_s, settings.min_gap_s)
        limit = likeness(settings)._replace(vision=settings.anchor_cos_max)
        alike = (views.face @ views.face.T > limit.vision) | (
            views.look @ views.look.T > limit.look
        )
        return cls(np.abs(at[:, None] - at) < gap_ms, alike)

    def in_time_alone(self) -> _Apart:
        """The same, but that faces may look alike."""
        return _Apart(self.near, np.zeros_like(self.alike))

    def beside(self, rows: NDArray[np.intp], chosen: Sequence[int]) -> NDArray[np.intp]:
        """Those of the rows that keep apart from all that are chosen."""
        at = np.ix_(rows, np.array(chosen, dtype=np.intp))
        return rows[~(self.near[at] | self.alike[at]).any(axis=1)]

    def best_set(
        self, rows: NDArray[np.intp], scores: NDArray[np.float64], wanted: int, most: int
    ) -> list[int]:
        """So many rows as wanted if there are, then the largest sum of scores.

        The best row is among them unless that would cost one of those wanted.

        Args:
            rows: to choose from, ascending.
            scores: of all rows, at least 0.
            wanted: how many come before the sum of scores.
            most: how many at most.
        """
        if not len(rows) or most < 1:
            return []
        found = self._solve(rows, scores, wanted, most)
        first = int(rows[np.argmax(scores[rows])])
        if first in found:
            return found
        others = self._solve(self.beside(rows, [first]), scores, wanted - 1, most - 1)
        return [first, *others] if len(others) + 1 >= min(wanted, len(found)) else found

    def _solve(
        self, rows: NDArray[np.intp], scores: NDArray[np.float64], wanted: int, most: int
    ) -> list[int]:
        """The integer programme: one unknown for each row, and which share of the wanted is had."""
        from scipy.optimize import Bounds, LinearConstraint, milp  # a third of a second

        count = len(rows)
        if not count or most < 1:
            return []
        # Of equal sums the earlier faces win. The last unknown is the share of the wanted that are
        # had; one face of them weighs more than all scores together.
        worth = np.round(scores[rows] * _STEPS) * 8 * CONSIDERED + np.arange(count, 0, -1)
        solved = milp(
            -np.append(worth, worth.max() * (most + 1) * max(wanted, 0)),
            constraints=[
                LinearConstraint(self._conflicts(rows), ub=1.0),
                LinearConstraint(np.append(np.ones((1, count)), [[-wanted]], axis=1), lb=0.0),
                LinearConstraint(np.append(np.ones((1, count)), [[0.0]], axis=1), ub=most),
            ],
            bounds=Bounds(0.0, 1.0),
            integrality=np.append(np.ones(count), 0),
            options={"mip_rel_gap": 0.0},
        )
        return rows[np.flatnonzero(solved.x[:count] > 0.5)].tolist()

    def _conflicts(self, rows: NDArray[np.intp]) -> csr_array:
        """Sums that are at most 1: of each face and those soon after it, and of each two alike."""
        at = np.ix_(rows, rows)
        soon = np.triu(self.near[at])
        pairs = np.argwhere(np.triu(self.alike[at] & ~soon, k=1))
        twins = np.zeros((len(pairs), len(rows)), dtype=bool)
        twins[np.arange(len(pairs))[:, None], pairs] = True
        sums = np.vstack([soon, twins])
        return csr_array(np.pad(sums, ((0, 0), (0, 1))).astype(np.float64))
