"""Recognition: how well cosines of `e_id` tell the same person from another.

Pairs are faces that pass the loose gate (those the pipeline decides by) of matched true persons.
Pairs of one person within one video count only when at least a second lies between them:
neighbouring frames are nearly the same picture. Above `PAIRS_MAX` genuine or impostor pairs a
seeded sample is drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.metrics import auc, roc_curve

from identity_pipeline.core.evaluation.evidence import Evidence
from identity_pipeline.core.evaluation.figures import too_few, unmeasured
from identity_pipeline.core.evaluation.intervals import MIN_UNITS, SEED, percentiles, resamples
from identity_pipeline.core.evaluation.report import Figure, Roc
from identity_pipeline.core.evaluation.roc import (
    at_most,
    enough_impostors,
    impostors_needed,
    index_pairs,
    tar_at,
)
from identity_pipeline.core.vectors import check_unit, to_matrix

PAIRS_MAX = 100_000
"""Of each kind: genuine and impostor."""
APART_MS = 1000.0
FRONTAL_YAW = 30.0
FARS = (1e-2, 1e-3)
CURVE_POINTS = 160
COSINE_STEP = 1e-3
"""Cosines are rounded for intervals only, so that a resample costs little."""
INTERVAL_DRAWS = 200


@dataclass(frozen=True)
class Pairs:
    """Pairs of faces: cosine, whether of one person, and the videos of both."""

    cosine: NDArray[np.float64]
    genuine: NDArray[np.bool_]
    video_a: NDArray[np.int64]
    video_b: NDArray[np.int64]
    people: int

    def where(self, keep: NDArray[np.bool_]) -> Pairs:
        """Some of the pairs."""
        return Pairs(
            self.cosine[keep], self.genuine[keep], self.video_a[keep], self.video_b[keep],
            self.people,
        )  # fmt: skip


def usable_faces(evidence: Evidence) -> pl.DataFrame:
    """Faces with an identity embedding by which the pipeline decides."""
    return evidence.faces.filter(
        pl.col("e_id").is_not_null() & (pl.col("because") == "usable")
    ).sort("video", "frame_idx", "face_id")


def pairs_of(faces: pl.DataFrame, limit: int = PAIRS_MAX) -> Pairs:
    """At most `limit` genuine and as many impostor pairs, seeded.

    Args:
        faces: `video, person, timestamp_ms, e_id`, in a stable order.
        limit: of each kind.
    """
    vectors = check_unit(to_matrix(faces["e_id"]), "e_id").astype(np.float64)
    person = _codes(faces["person"])
    video = _codes(faces["video"])
    time = faces["timestamp_ms"].to_numpy()
    i, j = index_pairs(len(faces), 40 * limit)
    same = person[i] == person[j]
    apart = (video[i] != video[j]) | (np.abs(time[i] - time[j]) >= APART_MS)
    rng = np.random.default_rng(SEED)
    kept = np.sort(
        np.concatenate([at_most(m, limit, rng) for m in (same & apart, ~same)]).astype(np.int64)
    )
    i, j = i[kept], j[kept]
    cosine = np.einsum("nd,nd->n", vectors[i], vectors[j]) if len(i) else np.zeros(0)
    return Pairs(cosine, same[kept], video[i], video[j], len(np.unique(person)))


def _codes(names: pl.Series) -> NDArray[np.int64]:
    return np.unique(names.to_numpy().astype(str), return_inverse=True)[1]


COMPARISONS: Final = {
    "all": ("all pairs", "too few people or faces to make pairs of"),
    "frontal": ("yaw within 30 degrees", "no pose is known, or too few frontal faces"),
    "within": ("pairs within one video", "too few pairs within a video"),
    "across": ("pairs across videos", "nobody is in two of the videos, or there is only one"),
}
"""Every comparison by key: its words, and why it may have no pairs."""


def subsets(faces: pl.DataFrame) -> dict[str, Pairs]:
    """The pairs of every comparison."""
    pairs = pairs_of(faces)
    within = pairs.video_a == pairs.video_b
    yaw = pl.coalesce("true_yaw", "yaw").abs()
    return {
        "all": pairs,
        "frontal": pairs_of(faces.filter(yaw <= FRONTAL_YAW)),
        "within": pairs.where(within),
        "across": pairs.where(~within),
    }


def recognition_figures(evidence: Evidence) -> tuple[list[Figure], list[Roc]]:
    """ROC-AUC and TAR at fixed FARs of every comparison, with curves; intervals over videos."""
    faces = usable_faces(evidence)
    spaces = faces["space"].unique().sort().to_list()
    if len(spaces) != 1:
        reason = "no face was embedded" if not spaces else (
            f"the videos were embedded in different spaces ({', '.join(spaces)}), which are never "
            "compared; evaluate them separately")  # fmt: skip
        figures = [
            figure
            for key, (words, _) in COMPARISONS.items()
            for figure in _none(key, words, evidence.scope, reason)
        ]
        return figures, []
    result: list[Figure] = []
    curves: list[Roc] = []
    for key, pairs in subsets(faces).items():
        words, nothing = COMPARISONS[key]
        genuine = int(pairs.genuine.sum())
        impostor = len(pairs.genuine) - genuine
        if not genuine or not impostor:
            result += _none(key, words, evidence.scope, nothing)
            continue
        far, tar, _ = roc_curve(pairs.genuine, pairs.cosine)
        result += _measured(key, words, pairs, far, tar, evidence.scope)
        curves.append(_curve(words, far, tar, genuine, impostor))
    return result, curves


def _none(key: str, words: str, scope: str, reason: str) -> list[Figure]:
    rates = ((f"tar_{far:g}", f"TAR at FAR {far:g}", "share") for far in FARS)
    names = [("auc", "ROC-AUC", "area"), *rates]
    return [
        unmeasured(f"recognition.{key}_{name}", f"{label}, {words}", unit, scope, reason)
        for name, label, unit in names
    ]


def _measured(
    key: str, words: str, pairs: Pairs, far: NDArray[np.float64], tar: NDArray[np.float64],
    scope: str,
) -> list[Figure]:  # fmt: skip
    genuine = int(pairs.genuine.sum())
    impostor = len(pairs.genuine) - genuine
    counted = f"pairs ({genuine:,} genuine, {impostor:,} impostor)"
    bounds, how = _intervals(pairs)
    n = genuine + impostor
    result = [
        Figure(
            f"recognition.{key}_auc",
            f"ROC-AUC, {words}",
            float(auc(far, tar)),
            n,
            counted,
            "area",
            scope,
            *bounds["auc"],
            how,
        )
    ]
    for limit in FARS:
        name, label = f"recognition.{key}_tar_{limit:g}", f"TAR at FAR {limit:g}, {words}"
        if not enough_impostors(impostor, limit):
            reason = (
                f"{impostor} impostor pairs are too few to say; "
                f"at least {impostors_needed(limit)} are needed"
            )
            result.append(unmeasured(name, label, "share", scope, reason))
            continue
        result.append(
            Figure(
                name,
                label,
                tar_at(far, tar, limit),
                n,
                counted,
                "share",
                scope,
                *bounds[f"{limit:g}"],
                how,
            )
        )
    return result


Bounds = tuple[float | None, float | None]


def _intervals(pairs: Pairs) -> tuple[dict[str, Bounds], str]:
    """Intervals when whole videos are drawn again; a pair weighs as often as both its videos."""
    names = ("auc", *(f"{far:g}" for far in FARS))
    videos = np.unique(np.concatenate([pairs.video_a, pairs.video_b]))
    if len(videos) < MIN_UNITS:
        none: Bounds = (None, None)
        return dict.fromkeys(names, none), too_few("videos")
    a, b = np.searchsorted(videos, pairs.video_a), np.searchsorted(videos, pairs.video_b)
    steps = np.round(pairs.cosine / COSINE_STEP).astype(np.int64)
    rows, sizes = np.unique(
        np.stack([a, b, steps, pairs.genuine.astype(np.int64)], axis=1), axis=0, return_counts=True
    )
    drawn: dict[str, list[float]] = {name: [] for name in names}
    for counts in resamples(len(videos), INTERVAL_DRAWS):
        both = counts[rows[:, 0]] * counts[rows[:, 1]]
        weight = sizes * np.where(rows[:, 0] == rows[:, 1], counts[rows[:, 0]], both)
        there = weight > 0
        genuine = rows[there, 3].astype(bool)
        if not genuine.any() or genuine.all():
            continue
        far, tar, _ = roc_curve(genuine, rows[there, 2], sample_weight=weight[there])
        drawn["auc"].append(float(auc(far, tar)))
        for limit in FARS:
            drawn[f"{limit:g}"].append(tar_at(far, tar, limit))
    bounds: dict[str, Bounds] = {n: percentiles(v) or (None, None) for n, v in drawn.items()}
    return bounds, f"bootstrap over {len(videos)} videos"


def _curve(
    name: str, far: NDArray[np.float64], tar: NDArray[np.float64], genuine: int, impostor: int
) -> Roc:
    """The curve at rates of false accepts that are even on a logarithmic scale."""
    lowest = 1.0 / impostor
    rates = np.unique(np.concatenate([[0.0], np.geomspace(lowest, 1.0, CURVE_POINTS)]))
    values = [tar_at(far, tar, rate) for rate in rates]
    return Roc(name, tuple(float(r) for r in rates), tuple(values), genuine, impostor)
