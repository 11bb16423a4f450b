"""What a rider's sets amount to: coverage, shortfalls with their causes, conditioning weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from identity_pipeline.core.faces.buckets import EXPRESSIONS
from identity_pipeline.core.imagesets.image_sets import challenge_kind
from identity_pipeline.core.imagesets.selection import (
    VECTORS,
    anchor_eligible,
    coverage_counts,
    is_frontal,
)
from identity_pipeline.settings import BucketSettings, SelectionSettings

CONDITIONING = {
    "default": (20, 70, 10),
    "identity_drift": (30, 60, 10),
    "short_diversity": (15, 75, 10),
    "dark": (20, 65, 15),
}
"""Sampling weights anchor : coverage : challenge in per cent. Not counts."""


@dataclass(frozen=True)
class AxisCoverage:
    """Filled bins of the three axes, and the (yaw, pitch) cells."""

    yaw: int
    pitch: int
    expression: int
    cells: frozenset[tuple[int, int]]


def coverage_of(faces: pl.DataFrame) -> AxisCoverage:
    """Bins that a set of faces (rows of `face_buckets`) fills; `unknown` and `beyond` fill none."""
    yaw, pitch, expression = coverage_counts(
        faces.select("yaw_key", "pitch_key", "expression_bin").to_dicts()
    )
    cells = faces.filter(pl.col("yaw_key").is_not_null() & pl.col("pitch_key").is_not_null())
    return AxisCoverage(
        yaw, pitch, expression, frozenset(cells.select("yaw_key", "pitch_key").iter_rows())
    )


def axis_sizes(settings: BucketSettings) -> tuple[int, int, int]:
    """Number of yaw, pitch and expression bins."""
    return len(settings.yaw_edges) - 1, len(settings.pitch_edges) - 1, len(EXPRESSIONS)


def conditioning_rule(
    observed: pl.DataFrame, buckets_saved: int, settings: SelectionSettings
) -> str:
    """Which row of `CONDITIONING` fits a rider; the first that applies.

    Args:
        observed: the rider's rows of `candidates`.
        buckets_saved: different buckets among the saved images.
        settings: thresholds.
    """
    usable = observed.filter("loose")
    if usable.height:
        unstable = usable.filter(pl.col("standing").is_in(["below_floor", "closer_to_rival"]))
        if unstable.height / usable.height >= settings.drift_unstable_share:
            return "identity_drift"
        if (usable["lighting_bin"] == "dark").sum() / usable.height >= settings.dark_share:
            return "dark"
    if buckets_saved < settings.short_diversity_buckets:
        return "short_diversity"
    return "default"


def anchor_causes(
    candidates: pl.DataFrame, anchors: pl.DataFrame, settings: SelectionSettings
) -> list[tuple[str, int]]:
    """Why a rider's other candidates became no anchors: (cause, count), most frequent first.

    Args:
        candidates: the rider's `image_sets.open_candidates`.
        anchors: the rider's anchors.
        settings: thresholds.
    """
    counts: Counter[str] = Counter()
    times = anchors["timestamp_ms"].to_list()
    chosen = set(anchors["face_id"].to_list())
    rows = candidates.drop(VECTORS).with_columns(
        eligible=anchor_eligible(settings), frontal=is_frontal(settings).fill_null(False)
    )
    for face in rows.iter_rows(named=True):
        if face["face_id"] in chosen:
            continue
        near = any(abs(face["timestamp_ms"] - t) < settings.anchor_gap_s * 1000 for t in times)
        if not face["strict"]:
            counts["not_strict"] += 1
        elif not face["frontal"]:
            counts["not_frontal"] += 1
        elif not face["eligible"]:
            counts["not_plain"] += 1
        else:
            counts["too_close_in_time" if near else "too_alike"] += 1
    return counts.most_common()


def challenge_causes(
    candidates: pl.DataFrame,
    challenge: pl.DataFrame,
    taken: Sequence[pl.DataFrame],
    settings: SelectionSettings,
) -> list[tuple[str, int]]:
    """Why a rider's other candidates became no challenge images, most frequent first."""
    used = {face for table in taken for face in table["face_id"].to_list()}
    chosen = set(challenge["face_id"].to_list())
    counts: Counter[str] = Counter()
    for face in (
        candidates.drop(VECTORS).with_columns(kind=challenge_kind(settings)).iter_rows(named=True)
    ):
        if face["face_id"] in chosen:
            continue
        if face["face_id"] in used:
            counts["taken"] += 1
        elif face["kind"] is None:
            counts["not_extreme"] += 1
        elif face["stable_score"] < settings.challenge_stable_min:
            counts["not_stable"] += 1
        else:
            counts["near_duplicate"] += 1
    return counts.most_common()
