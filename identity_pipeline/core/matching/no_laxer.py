"""Thresholds in a head's space that let no more strangers in than the recogniser's do.

A head draws strangers, whom it never saw, towards the people that taught it: the tail of their
cosines grows heavier than a normal one, and a threshold extrapolated from the middle of the
distribution would be too low. (Rendered library of 160 rides: the fitted cosine at a false-accept
rate of 1e-3 was 0.69, the true one between strangers and taught people 0.80.) So the scale of the
fit is widened until at most as many pairs reach each threshold as reach the recogniser's.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from identity_pipeline.core.matching.templates import template_matrix
from identity_pipeline.core.matching.thresholds import NAMES, fisher_z

Scores = NDArray[np.float64]
MARGIN = 1e-6


def stranger_pairs(templates: pl.DataFrame, known: set[str]) -> Scores:
    """Cosines of unlabelled with human-confirmed tracks of other videos, by their keys.

    Args:
        templates: table `track_templates`, of one space.
        known: keys of the confirmed tracks.
    """
    ordered = templates.sort("track_key")
    if not ordered.height:
        return np.zeros(0)
    matrix = template_matrix(ordered).astype(np.float64)
    taught = np.array([key in known for key in ordered["track_key"].to_list()])
    video = ordered["video_id"].to_numpy()
    apart = video[~taught][:, None] != video[taught][None, :]
    return (matrix[~taught] @ matrix[taught].T)[apart]


def no_laxer(
    calibration: pl.DataFrame, before: pl.DataFrame, scores: Scores, scores_before: Scores
) -> pl.DataFrame:
    """The table `calibration` of a head's space with its scale widened, at all levels alike.

    Pinned thresholds, and those that nothing was measured for, stay.

    Args:
        calibration: of the head's space.
        before: of the recogniser's.
        scores: of `stranger_pairs` in the head's space.
        scores_before: of the same pairs in the recogniser's.
    """
    factor = max([1.0, *_needed(calibration, before, np.sort(scores)[::-1], scores_before)])
    fitted = pl.col("mean").is_not_null() & (pl.col("method") != "pinned")

    def widened(name: str) -> pl.Expr:
        z = pl.col(name).clip(-0.999999, 0.999999).arctanh()
        wide = (pl.col("mean") + (z - pl.col("mean")) * factor).tanh()
        return pl.when(fitted & pl.col(name).is_not_null()).then(wide).otherwise(name).alias(name)

    return calibration.with_columns(
        *(widened(name) for name in ("threshold", "low", "high", "in_effect")),
        safe_mean=pl.col("mean") + (pl.col("safe_mean") - pl.col("mean")) * factor,
        safe_scale=pl.col("safe_scale") * factor,
        # A pin stays where it is, so that its rate is another one here.
        far_bound=pl.when(fitted).then("far_bound").otherwise(None),
        scale=pl.when(fitted).then(pl.col("scale") * factor).otherwise("scale"),
        # Pairs of people who taught are no sample of strangers: nothing is counted among them.
        top=pl.when(fitted).then(pl.lit([], dtype=pl.List(pl.Float64))).otherwise("top"),
        method=pl.when(fitted).then(pl.lit("tail_fit")).otherwise("method"),
    ).select(calibration.columns)


def _needed(
    calibration: pl.DataFrame, before: pl.DataFrame, falling: Scores, scores_before: Scores
) -> list[float]:
    """By what factor each threshold of templates must move away from the mean."""
    found = []
    own = calibration.filter(pl.col("level") == "template", pl.col("camera").is_null())
    base = before.filter(pl.col("level") == "template", pl.col("camera").is_null())
    limits = dict(base.select("name", "in_effect").iter_rows())
    for row in own.filter(pl.col("name").is_in(NAMES)).iter_rows(named=True):
        if row["mean"] is None or row["method"] == "pinned" or not len(falling):
            continue
        reached = int((scores_before >= limits[row["name"]]).sum())
        # The next pair below must stay out, whatever rounding does.
        least = falling[min(reached, len(falling) - 1)] + MARGIN
        wanted, has = fisher_z(np.array([least, row["in_effect"]])) - row["mean"]
        found.append(float(wanted / has) if has > 0 else 1.0)
    return found
