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
from identity_pipeline.tables import BOX

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
    kinds = [HIT, MISSED, FALSE] if _boxed(outcomes) else [HIT]
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
    if not _boxed(true):
        same = true["face_id"].to_numpy()[:, None] == shown["face_id"].to_numpy()[None, :]
        return np.where(same, 0.0, np.nan)
    boxes = [
        t.select(c).to_numpy().reshape(-1, 4) for t, c in ((true, TRUE_BOX), (shown, tuple(BOX)))
    ]
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
    boxed = evidence.of_kind(FACES)
    words = "true faces" if boxed.truths else "faces found in seats"
    final = [mot_counts(part) for part in per_video]
    short = [mot_counts(part, "tracklet") for part in per_video]
    total = _total(final)
    with_boxes = _total([c for c, p in zip(final, per_video, strict=True) if _boxed(p)])
    tracked = evidence.faces.filter(pl.col("track").is_not_null() & (pl.col("outcome") == HIT))
    return [
        _idf1("idf1", "IDF1 of the identity-aware tracks", final, words, scope),
        _idf1("idf1_tracklets", "IDF1 of the short-term tracks", short, words, scope),
        figures.counted_value(
            "tracking.mota",
            "MOTA",
            mota(with_boxes),
            with_boxes["num_objects"],
            "true faces",
            "share",
            boxed.scope,
            NOTHING if boxed.truths else NO_BOXES,
        ),
        figures.counted_value(
            "tracking.switches",
            "Identity switches",
            total["num_switches"] if total["num_objects"] else None,
            total["num_objects"],
            words,
            "count",
            scope,
            NOTHING,
            "lower",
        ),
        _held("purity", "Faces of a track that are its main person's", tracked, "track", scope),
        _held(
            "completeness", "Faces of a person that its main track holds", tracked, "unit", scope
        ),
    ]


def _boxed(outcomes: pl.DataFrame) -> bool:
    return bool((outcomes["kind"] == FACES).all())


def _held(name: str, label: str, tracked: pl.DataFrame, group: str, scope: str) -> Figure:
    """Share of the faces of each group that carry its most frequent label.

    The groups are tracks and the labels people, or the other way round.
    """
    what = "unit" if group == "track" else "track"
    main = (
        tracked.group_by(group, what)
        .len()
        .sort("len", what, descending=[True, False])
        .unique(group, keep="first", maintain_order=True)
        .select(group, main=what)
    )
    right = tracked.join(main, on=group, how="left", maintain_order="left")
    return figures.share(
        f"tracking.{name}",
        label,
        right[what] == right["main"],
        tracked["unit"].to_list(),
        scope,
        "tracked faces",
        NOTHING,
    )


def _total(counts: list[dict[str, int]]) -> dict[str, int]:
    return {name: sum(c[name] for c in counts) for name in COUNTS}


def _idf1(name: str, label: str, counts: list[dict[str, int]], counted: str, scope: str) -> Figure:
    total = _total(counts)
    value = idf1(total)
    key = f"tracking.{name}"
    if value is None:
        return figures.unmeasured(key, label, "share", scope, NOTHING)
    low = high = None
    how = figures.too_few("videos")
    if len(counts) >= MIN_UNITS:
        drawn = resamples(len(counts))
        sums = {name: drawn @ np.array([c[name] for c in counts]) for name in COUNTS[:3]}
        under = 2 * sums["idtp"] + sums["idfp"] + sums["idfn"]
        bounds = percentiles(2 * sums["idtp"] / np.where(under > 0, under, np.nan))
        low, high = bounds or (None, None)
        how = "bootstrap over videos"
    return Figure(key, label, value, total["num_objects"], counted, "share", scope, low, high, how)
