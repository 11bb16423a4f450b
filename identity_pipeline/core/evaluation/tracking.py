"""Tracking: IDF1, MOTA and switches by `motmetrics`; purity and completeness of tracks.

IDF1 is that of Ristani et al. 2016, MOTA that of Bernardin and Stiefelhagen 2008. Where the truth
names seats only, a face that was not found or lies elsewhere cannot be judged: then the seats with
a face are the objects, IDF1 judges identity alone, and MOTA is not measured.
"""

from __future__ import annotations

from collections.abc import Mapping

import motmetrics
import numpy as np
import polars as pl

from identity_pipeline.core.evaluation import figures
from identity_pipeline.core.evaluation.detection import NO_BOXES
from identity_pipeline.core.evaluation.evidence import Evidence
from identity_pipeline.core.evaluation.intervals import MIN_UNITS, percentiles, resamples
from identity_pipeline.core.evaluation.matching import FALSE, HIT, IOU_MIN, MISSED, ious
from identity_pipeline.core.evaluation.report import Figure
from identity_pipeline.core.evaluation.truth import FACES, TRUE_BOX
from identity_pipeline.schemas import BOX

COUNTS = (
    "idtp", "idfp", "idfn", "num_switches", "num_misses", "num_false_positives", "num_objects",
)  # fmt: skip
NOTHING = "no true face was found and tracked"


def mot_counts(outcomes: pl.DataFrame, track: str = "track") -> dict[str, int]:
    """Counts of one video by `motmetrics`.

    Args:
        outcomes: rows of `Evidence.outcomes`.
        track: column with the predicted identity; faces without one count as their own track.
    """
    kinds = [HIT, MISSED, FALSE] if (outcomes["kind"] == FACES).all() else [HIT]
    rows = outcomes.filter(pl.col("outcome").is_in(kinds)).with_columns(
        held=pl.coalesce(track, "face_id")
    )
    people = _codes(rows["person"])
    tracks = _codes(rows["held"])
    accumulator = motmetrics.MOTAccumulator(auto_id=False)
    for (frame,), part in rows.group_by("frame_idx", maintain_order=True):
        true = part.filter(pl.col("person").is_not_null())
        shown = part.filter(pl.col("face_id").is_not_null())
        accumulator.update(
            [people[name] for name in true["person"]],
            [tracks[name] for name in shown["held"]],
            _distances(true, shown),
            frameid=frame,
        )
    if not rows.height:
        return dict.fromkeys(COUNTS, 0)
    summary = motmetrics.metrics.create().compute(accumulator, metrics=list(COUNTS))
    return {name: int(summary[name].iloc[0]) for name in COUNTS}


def _codes(names: pl.Series) -> Mapping[str, int]:
    return {name: code for code, name in enumerate(sorted(set(names.drop_nulls())), 1)}


def _distances(true: pl.DataFrame, shown: pl.DataFrame) -> np.ndarray:
    if (true["kind"] != FACES).any():
        same = true["face_id"].to_numpy()[:, None] == shown["face_id"].to_numpy()[None, :]
        return np.where(same, 0.0, np.nan)
    boxes = [t.select(c).to_numpy().reshape(-1, 4) for t, c in ((true, TRUE_BOX), (shown, tuple(BOX)))]
    overlap = ious(*boxes)
    return np.where(overlap >= IOU_MIN, 1.0 - overlap, np.nan)


def idf1(counts: Mapping[str, float]) -> float | None:
    """2 IDTP / (2 IDTP + IDFP + IDFN); None without objects."""
    under = 2 * counts["idtp"] + counts["idfp"] + counts["idfn"]
    return 2 * counts["idtp"] / under if under else None


def mota(counts: Mapping[str, float]) -> float | None:
    """1 - (misses + false positives + switches) / objects; None without objects."""
    wrong = counts["num_misses"] + counts["num_false_positives"] + counts["num_switches"]
    return 1 - wrong / counts["num_objects"] if counts["num_objects"] else None


def tracking_figures(evidence: Evidence) -> list[Figure]:
    """Identity over time, of all true faces; intervals over videos."""
    scope = evidence.scope
    per_video = evidence.outcomes.partition_by("video", maintain_order=True)
    final = [mot_counts(part) for part in per_video]
    short = [mot_counts(part, "tracklet") for part in per_video]
    boxed = evidence.of_kind(FACES)
    objects = sum(c["num_objects"] for c in final)
    words = "true faces" if boxed.truths else "faces found in seats"
    mota_counts = [mot_counts(p) for p in boxed.outcomes.partition_by("video", maintain_order=True)]
    tracked = evidence.faces.filter(pl.col("track").is_not_null() & (pl.col("outcome") == HIT))
    figure = figures.counted_value
    switches = sum(c["num_switches"] for c in final) if objects else None
    return [
        _over_videos("tracking.idf1", "IDF1 of the identity-aware tracks", final, words, scope),
        _over_videos("tracking.idf1_tracklets", "IDF1 of the short-term tracks", short, words, scope),
        figure(
            "tracking.mota", "MOTA", mota(_total(mota_counts)) if mota_counts else None,
            sum(c["num_objects"] for c in mota_counts), "true faces", "share", boxed.scope,
            NOTHING if boxed.truths else NO_BOXES,
        ),
        figure(
            "tracking.switches", "Identity switches", switches, objects, words, "count", scope,
            NOTHING, "lower",
        ),
        *_purities(tracked, scope),
    ]  # fmt: skip


def _purities(tracked: pl.DataFrame, scope: str) -> list[Figure]:
    rows = (
        ("purity", "Faces of a track that are its main person's", "track", "person"),
        ("completeness", "Faces of a person that its longest track holds", "person", "track"),
    )
    result = []
    for name, label, group, what in rows:
        main = pl.len().over("video", group, what)
        best = tracked.select(
            "video", group, what, size=main
        ).unique().sort("size", what, descending=[True, False]).unique(
            ["video", group], keep="first", maintain_order=True
        )  # fmt: skip
        right = tracked.join(best.select("video", group, what, right=pl.lit(True)),
                             on=["video", group, what], how="left")["right"].fill_null(False)  # fmt: skip
        result.append(
            figures.share(
                f"tracking.{name}", label, right, tracked["unit"].to_list(), scope,
                "tracked faces", NOTHING,
            )  # fmt: skip
        )
    return result


def _total(counts: list[dict[str, int]]) -> dict[str, int]:
    return {name: sum(c[name] for c in counts) for name in COUNTS}


def _over_videos(
    key: str, label: str, counts: list[dict[str, int]], counted: str, scope: str
) -> Figure:
    total = _total(counts)
    value = idf1(total)
    if value is None:
        return figures.unmeasured(key, label, "share", scope, NOTHING)
    low = high = None
    how = f"no interval: fewer than {MIN_UNITS} videos"
    if len(counts) >= MIN_UNITS:
        drawn = resamples(len(counts))
        sums = {name: drawn @ np.array([c[name] for c in counts]) for name in COUNTS[:3]}
        under = 2 * sums["idtp"] + sums["idfp"] + sums["idfn"]
        bounds = percentiles(2 * sums["idtp"] / np.where(under > 0, under, np.nan))
        low, high = bounds or (None, None)
        how = "bootstrap over videos"
    return Figure(
        key, label, value, total["num_objects"], counted, "share", scope, low, high, how
    )
