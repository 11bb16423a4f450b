"""Choices of coverage that are small enough to try every set, and their best value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
import polars as pl

from identity_pipeline.core.imagesets.coverage import Value, choose
from identity_pipeline.core.imagesets.faces import (
    Face,
    faces_of,
    likeness,
    near_in_time,
    no_coverage,
    person_views,
    weighed,
)
from identity_pipeline.core.imagesets.novelty import Views, is_near_duplicate
from identity_pipeline.settings import SelectionSettings
from identity_pipeline_tests.core.builders import candidate, candidates, unit


@dataclass(frozen=True)
class Choice:
    """What may be chosen of one rider's candidates."""

    table: list[Face]
    views: Views
    allowed: list[int]
    settings: SelectionSettings

    @classmethod
    def of(cls, faces: pl.DataFrame, settings: SelectionSettings) -> Choice:
        """Of candidates of one rider."""
        told = weighed(faces)
        table = faces_of(told)
        allowed = [row for row, face in enumerate(table) if no_coverage(face, settings) is None]
        return cls(table, person_views(told), allowed, settings)

    def value(self, rows: Sequence[int]) -> float:
        """f of a set of rows."""
        shown, total = self._value.shown([]), 0.0
        for row in rows:
            total += float(self._value.gains(shown)[row])
            shown = self._value.with_face(shown, row)
        return total

    @cached_property
    def _value(self) -> Value:
        return Value.of(self.table, self.views, self.settings)

    def greedy(self) -> list[int]:
        """What the product chooses."""
        caps = {str(face["bucket_key"]): self.settings.bucket_max for face in self.table}
        verdicts = choose(self.table, self.views, self.allowed, [], caps, self.settings)
        return [row for row, verdict in verdicts.items() if verdict.chosen]

    def best(self) -> float:
        """The value of the best set; novelty within a bucket is not asked of it."""
        return max(self.value(rows) for rows in self._sets())

    def _sets(self) -> Iterator[tuple[int, ...]]:
        for size in range(len(self.allowed) + 1):
            for rows in combinations(self.allowed, size):
                if self._is_allowed(rows):
                    yield rows

    def _is_allowed(self, rows: Sequence[int]) -> bool:
        buckets = [self.table[row]["bucket_key"] for row in rows]
        if any(buckets.count(bucket) > self.settings.bucket_max for bucket in buckets):
            return False
        return not any(
            near_in_time(self.table[a], [self.table[b]["timestamp_ms"]], self.settings)
            or is_near_duplicate(self.views, a, [b], likeness(self.settings))
            for a, b in combinations(rows, 2)
        )


def random_choice(rng: np.random.Generator, count: int, settings: SelectionSettings) -> Choice:
    """Faces in few buckets within a few seconds; some look alike."""
    looks = rng.normal(size=(4, 5))
    rows = [
        candidate(
            frame,
            yaw=float(rng.choice([-20.0, 0.0, 20.0])),
            pitch=float(rng.choice([0.0, 7.0])),
            expression=str(rng.choice(["neutral", "smile"])),
            timestamp_ms=float(rng.uniform(0, 300 * count)),
            picture_score=float(rng.random()),
            e_vis_face=unit(looks[rng.integers(4)] + 0.3 * rng.normal(size=5)),
            e_vis_body=unit(rng.normal(size=5)),
        )
        for frame in range(count)
    ]
    return Choice.of(candidates(*rows), settings)
