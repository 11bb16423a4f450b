"""The replay in time order: when the growth of the coverage ends, and what each bucket holds then.

Each candidate is saved, replaces, is added or rejected, by quality and novelty, until enough bins
are filled and nothing new has come for a while. With `selection.stop = "cut"` these decisions are
the selection. With `"grow"` the replay only says when growth ended and how many images a bucket
may hold. The same rows in any order give the same replay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from identity_pipeline.core.imagesets.faces import (
    Face,
    Row,
    coverage_counts,
    faces_of,
    likeness,
    no_coverage,
    person_views,
    worth,
)
from identity_pipeline.core.imagesets.novelty import (
    Views,
    near_duplicate_of,
    nearest_cosine,
    novelty,
)
from identity_pipeline.core.imagesets.portrait import anchor_eligible
from identity_pipeline.settings import SelectionSettings


@dataclass(frozen=True)
class Replay:
    """What the replay of one rider says.

    Attributes:
        decisions: one for each candidate, in time order: `decision`, `reason`, `novelty`, `rival`
            (a row), and the running columns of the table `selection`. `after_stop` after the stop.
        kept: rows that were saved when it ended.
        stop_row: the candidate with which growth ended; None if it never did.
        stop_ms: its time.
        stop_reason: `coverage_satisfied`, `novelty_plateau` (recorded, stops nothing) or
            `end_of_video`.
        held: how many images each bucket held at the end.
    """

    decisions: list[Row]
    kept: frozenset[int]
    stop_row: int | None
    stop_ms: float | None
    stop_reason: str
    held: Mapping[str, int]


@dataclass
class _State:
    """What the replay knows so far; rows are positions among the person's candidates."""

    buckets: dict[str, list[int]] = field(default_factory=dict)
    recent: list[float] = field(default_factory=list)
    anchors: list[int] = field(default_factory=list)

    @property
    def saved(self) -> list[int]:
        """All saved rows in ascending order."""
        return sorted(row for rows in self.buckets.values() for row in rows)

    def recent_novelty(self, window: int) -> float | None:
        """Mean novelty of the last `window` candidates; None before there are as many."""
        return float(np.mean(self.recent[-window:])) if len(self.recent) >= window else None


def replay(faces: pl.DataFrame, settings: SelectionSettings) -> Replay:
    """Replays the candidates of one rider.

    Args:
        faces: the rider's `faces.weighed` candidates.
        settings: thresholds.
    """
    views, table = person_views(faces), faces_of(faces)
    anchor = faces.select(anchor_eligible(settings).alias("anchor"))["anchor"].to_list()
    state = _State()
    decisions: list[Row] = []
    stop: int | None = None
    for row in range(len(table)):
        if stop is not None:
            late = _decision("reject", "after_stop", None)
            decisions.append(late | _running(state, table, settings))
            continue
        decided = _decide(row, table, views, state, settings)
        decisions.append(decided | _running(state, table, settings))
        if anchor[row]:
            _consider_anchor(row, table, views, state, settings)
        if _coverage_satisfied(state, table, settings):
            stop = row
    return Replay(
        decisions,
        frozenset(state.saved),
        stop,
        None if stop is None else table[stop]["timestamp_ms"],
        _reason_at_the_end(state, settings) if stop is None else "coverage_satisfied",
        {bucket: len(rows) for bucket, rows in state.buckets.items()},
    )


def _decide(
    row: int, table: Sequence[Face], views: Views, state: _State, settings: SelectionSettings
) -> Row:
    face = table[row]
    new = novelty(views, row, state.saved)
    state.recent.append(new)
    lacking = no_coverage(face, settings)
    if lacking is not None:
        return _decision("reject", lacking, new)
    held = state.buckets.setdefault(str(face["bucket_key"]), [])
    if not held:
        held.append(row)
        return _decision("save", "bucket_empty", new)
    return _contest(row, held, new, table, views, state, settings)


def _contest(
    row: int,
    held: list[int],
    new: float,
    table: Sequence[Face],
    views: Views,
    state: _State,
    settings: SelectionSettings,
) -> Row:
    """The decision on a face whose bucket holds something already; `held` is changed in place."""
    best = max(held, key=lambda r: (worth(table[r]), -r))
    if worth(table[row]) > worth(table[best]) + settings.replace_gain:
        held[held.index(best)] = row
        return _decision("replace", "better_quality", new, best)
    if len(held) >= settings.bucket_max:
        return _decision("reject", "beaten_in_bucket", new, best)
    twin = near_duplicate_of(views, row, state.saved, likeness(settings))
    if twin is not None:
        return _decision("reject", "near_duplicate", new, twin)
    if new >= settings.novelty_min:
        held.append(row)
        return _decision("add", "novel", new)
    nearest = max(state.saved, key=lambda r: (nearest_cosine(views.face, row, [r]), -r))
    return _decision("reject", "too_similar", new, nearest)


def _decision(decision: str, reason: str, new: float | None, rival: int | None = None) -> Row:
    return {"decision": decision, "reason": reason, "novelty": new, "rival": rival}


def _running(state: _State, table: Sequence[Face], settings: SelectionSettings) -> Row:
    yaw, pitch, expression = coverage_counts([table[r] for r in state.saved])
    return {
        "yaw_bins_filled": yaw,
        "pitch_bins_filled": pitch,
        "expression_bins_filled": expression,
        "recent_novelty": state.recent_novelty(settings.stop_window),
    }


def _consider_anchor(
    row: int, table: Sequence[Face], views: Views, state: _State, settings: SelectionSettings
) -> None:
    """Counts anchors that could be had so far: spaced in time and unlike each other."""
    now = table[row]["timestamp_ms"]
    spaced = all(
        now - table[a]["timestamp_ms"] >= settings.anchor_gap_s * 1000 for a in state.anchors
    )
    alike = bool(state.anchors) and (
        nearest_cosine(views.face, row, state.anchors) > settings.anchor_cos_max
    )
    if spaced and not alike:
        state.anchors.append(row)


def _coverage_satisfied(state: _State, table: Sequence[Face], settings: SelectionSettings) -> bool:
    recent = state.recent_novelty(settings.stop_window)
    if recent is None or recent >= settings.stop_novelty:
        return False
    yaw, pitch, expression = coverage_counts([table[r] for r in state.saved])
    return (
        yaw >= settings.stop_yaw_bins
        and pitch >= settings.stop_pitch_bins
        and expression >= settings.stop_expression_bins
        and len(state.anchors) >= settings.anchor_min
    )


def _reason_at_the_end(state: _State, settings: SelectionSettings) -> str:
    recent = state.recent_novelty(settings.stop_window)
    flat = recent is not None and recent < settings.stop_novelty
    return "novelty_plateau" if flat else "end_of_video"
