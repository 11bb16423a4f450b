"""Attributes of riders' faces: pose, bins, openness, smile, occlusion, landmarks, light.

Measured on matched faces of true riders that the pipeline measured (its usable faces). The true
bins come from the same functions and settings as the pipeline's (`core.faces.buckets`).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, recall_score

from identity_pipeline.core.evaluation import figures
from identity_pipeline.core.evaluation.evidence import Evidence
from identity_pipeline.core.evaluation.report import Confusion, ErrorBand, Figure
from identity_pipeline.core.evaluation.truth import LIGHTINGS
from identity_pipeline.core.faces.buckets import (
    BEYOND,
    EXPRESSIONS,
    PITCH_NAMES,
    UNKNOWN,
    axis_bins,
    bin_of,
    expression_bin,
    label,
    occlusion_bin,
)
from identity_pipeline.settings import BucketSettings

AXES = ("yaw", "pitch", "roll")
OCCLUSIONS = ("none", "partial", "heavy")
BAND_EDGES = (-90.0, -60.0, -45.0, -30.0, -15.0, -5.0, 5.0, 15.0, 30.0, 45.0, 60.0, 90.0)
POINTS_68 = ("face_mesh", "landmark_3d_68", "landmark_2d_68")
COUNTED = "usable faces of riders"
MEASURES = ("eye_open", "mouth_open", "smile", "occlusion")
WORDS = {
    "eye_open": "eye openness",
    "mouth_open": "mouth openness",
    "smile": "smile",
    "occlusion": "occlusion",
}


def rider_faces(evidence: Evidence, settings: BucketSettings) -> pl.DataFrame:
    """Matched faces of true riders that have bins, with the true bins as `true_…_bin`."""
    found = evidence.faces.filter(pl.col("rider") & pl.col("yaw_bin").is_not_null())
    return with_true_bins(found, settings)


def with_true_bins(faces: pl.DataFrame, settings: BucketSettings) -> pl.DataFrame:
    """The true faces with `true_yaw_bin` and so on, by the pipeline's own functions."""
    yaw, pitch = axis_bins(settings.yaw_edges), axis_bins(settings.pitch_edges, PITCH_NAMES)
    rows = faces.select(
        "true_yaw", "true_pitch", "true_eye_open", "true_mouth_open", "true_smile",
        "true_occlusion",
    ).rows()  # fmt: skip
    bins = [
        (
            label(bin_of(y, settings.yaw_edges, yaw)),
            label(bin_of(p, settings.pitch_edges, pitch)),
            expression_bin(eye, mouth, smile, settings),
            occlusion_bin(hidden, settings),
        )
        for y, p, eye, mouth, smile, hidden in rows
    ]
    names = [f"true_{name}_bin" for name in ("yaw", "pitch", "expression", "occlusion")]
    table = pl.DataFrame(bins, schema=dict.fromkeys(names, pl.String), orient="row")
    light = pl.col("true_lighting").fill_null(UNKNOWN).alias("true_lighting_bin")
    return faces.hstack(table).with_columns(light)


def pose_figures(faces: pl.DataFrame, scope: str) -> list[Figure]:
    """Mean absolute error of each angle."""
    result = []
    for axis in AXES:
        known = faces.drop_nulls([axis, f"true_{axis}"])
        errors = (known[axis].cast(pl.Float64) - known[f"true_{axis}"]).abs()
        result.append(
            figures.mean(
                f"pose.{axis}_mae",
                f"Mean error of {axis}",
                errors,
                known["unit"].to_list(),
                scope,
                COUNTED,
                "degrees",
                no_truth(faces, f"true_{axis}", "pose"),
            )
        )
    return result


def no_truth(faces: pl.DataFrame, column: str, what: str) -> str:
    """Why nothing could be compared."""
    if not faces.height:
        return "no usable face of a rider was matched"
    if faces[column].null_count() == faces.height:
        return f"the truth of these clips does not say the {what}"
    return f"the pipeline did not measure the {what}"


def pose_errors_by_yaw(faces: pl.DataFrame, edges: Sequence[float] = BAND_EDGES) -> list[ErrorBand]:
    """Median and 90th percentile of each angle's error, by true yaw."""
    bands = []
    for axis in AXES:
        known = faces.drop_nulls([axis, "true_yaw", f"true_{axis}"])
        error = (known[axis].cast(pl.Float64) - known[f"true_{axis}"]).abs().to_numpy()
        yaw = known["true_yaw"].to_numpy()
        for low, high in pairwise(edges):
            part = error[(yaw >= low) & (yaw < high)]
            if len(part):
                median, p90 = np.percentile(part, [50, 90])
                bands.append(ErrorBand(axis, low, high, len(part), float(median), float(p90)))
    return bands


def _axes_of_bins(settings: BucketSettings) -> dict[str, tuple[str, ...]]:
    yaw = [b.label for b in axis_bins(settings.yaw_edges)]
    return {
        "yaw": (*yaw, BEYOND),
        "pitch": (*PITCH_NAMES, BEYOND),
        "expression": EXPRESSIONS,
        "occlusion": OCCLUSIONS,
        "lighting": LIGHTINGS,
    }


def bin_figures(
    faces: pl.DataFrame, scope: str, settings: BucketSettings
) -> tuple[list[Figure], list[Confusion]]:
    """Accuracy of each kind of bin over the faces for which both sides say one, with its matrix.

    A bin that the pipeline calls `unknown` is not wrong; the share that it names is a figure of
    its own, and the matrix shows the others in a column.
    """
    result: list[Figure] = []
    matrices: list[Confusion] = []
    for name, labels in _axes_of_bins(settings).items():
        true, called = f"true_{name}_bin", f"{name}_bin"
        told = faces.filter(pl.col(true) != UNKNOWN)
        known = told.filter(pl.col(called) != UNKNOWN)
        nothing = f"the truth of these clips does not say the {name}" if not told.height else (
            f"the pipeline could not tell the {name} of any face")  # fmt: skip
        units = known["unit"].to_list()
        result.append(
            figures.share(
                f"bins.{name}",
                f"Right {name} bin",
                known[true] == known[called],
                units,
                scope,
                COUNTED,
                nothing,
            )
        )
        if name in ("yaw", "pitch"):
            result.append(
                figures.share(
                    f"bins.{name}_adjacent",
                    f"Right or adjacent {name} bin",
                    adjacent(known[true].to_list(), known[called].to_list(), labels[:-1]),
                    units,
                    scope,
                    COUNTED,
                    nothing,
                )
            )
        else:
            result.append(_balanced(name, known, scope, nothing))
        if name in ("expression", "occlusion"):
            result.append(
                figures.share(
                    f"bins.{name}_named",
                    f"Faces whose {name} is told at all",
                    told[called] != UNKNOWN,
                    told["unit"].to_list(),
                    scope,
                    COUNTED,
                    nothing,
                )
            )
        if told.height:
            matrices.append(_matrix(name, told, labels))
    return result, matrices


def _balanced(name: str, known: pl.DataFrame, scope: str, nothing: str) -> Figure:
    true, called = known[f"true_{name}_bin"].to_list(), known[f"{name}_bin"].to_list()
    classes = set(true)
    value = None
    reason = nothing
    if classes:
        reason = f"the truth knows only {', '.join(classes)}"
    if len(classes) > 1:
        value = float(recall_score(true, called, labels=sorted(classes), average="macro"))
    return figures.counted_value(
        f"bins.{name}_balanced", f"Mean over {name} bins of the share that is right", value,
        len(true), COUNTED, "share", scope, reason,
    )  # fmt: skip


def adjacent(
    true: Sequence[str], called: Sequence[str], ordered: Sequence[str]
) -> NDArray[np.bool_]:
    """Whether the called bin is the true one or its neighbour; `beyond` is next to both ends."""
    place = {label: i for i, label in enumerate(ordered)}
    last = len(ordered) - 1

    def near(a: str, b: str) -> bool:
        if a == b:
            return True
        if BEYOND in (a, b):
            return place[b if a == BEYOND else a] in (0, last)
        return abs(place[a] - place[b]) <= 1

    return np.array([near(a, b) for a, b in zip(true, called, strict=True)], dtype=bool)


def _matrix(name: str, told: pl.DataFrame, labels: tuple[str, ...]) -> Confusion:
    true, called = told[f"true_{name}_bin"].to_list(), told[f"{name}_bin"].to_list()
    columns = (*labels, UNKNOWN) if UNKNOWN in called else labels
    counts = confusion_matrix(true, called, labels=list(columns))[: len(labels)]
    return Confusion(name, labels, columns, tuple(tuple(int(c) for c in row) for row in counts))


def measure_figures(faces: pl.DataFrame, scope: str) -> list[Figure]:
    """Correlation with and mean distance from the truth of openness, smile and occlusion."""
    result = []
    for name in MEASURES:
        known = faces.drop_nulls([name, f"true_{name}"])
        nothing = no_truth(faces, f"true_{name}", WORDS[name])
        mine, true = known[name].cast(pl.Float64).to_numpy(), known[f"true_{name}"].to_numpy()
        varies = len(mine) > 2 and float(np.ptp(mine)) > 0 and float(np.ptp(true)) > 0
        result.append(
            figures.counted_value(
                f"measures.{name}_r",
                f"Correlation of {WORDS[name]} with the truth",
                float(np.corrcoef(mine, true)[0, 1]) if varies else None,
                len(mine),
                COUNTED,
                "r",
                scope,
                nothing if not len(mine) else "it does not vary",
            )
        )
        result.append(
            figures.mean(
                f"measures.{name}_mae",
                f"Mean error of {WORDS[name]}",
                np.abs(mine - true),
                known["unit"].to_list(),
                scope,
                COUNTED,
                "ratio",
                nothing,
            )
        )
    return result


def landmark_figure(faces: pl.DataFrame, scope: str) -> Figure:
    """Mean distance of the 68 points over the square root of the true box's area."""
    key, label = "landmarks.error", "Mean error of 68 landmarks"
    known = faces.filter(pl.col("landmark_source").is_in(POINTS_68)).drop_nulls("true_landmarks")
    if not known.height:
        why = no_truth(faces, "true_landmarks", "landmarks")
        if faces.height and not faces["landmark_source"].is_in(POINTS_68).any():
            why = "no model of 68 landmarks was at hand"
        return figures.unmeasured(key, label, "of box", scope, why, "lower")
    errors = [
        _point_error(np.array(mine), np.array(true))
        for mine, true in zip(known["landmarks"], known["true_landmarks"], strict=True)
    ]
    side = (
        (known["true_x2"] - known["true_x1"]) * (known["true_y2"] - known["true_y1"])
    ).sqrt()  # fmt: skip
    relative = np.array(errors) / side.to_numpy()
    return figures.mean(
        key, label, relative, known["unit"].to_list(), scope, COUNTED, "of box", ""
    )  # fmt: skip


def _point_error(mine: NDArray[np.float64], true: NDArray[np.float64]) -> float:
    points = mine.reshape(68, -1)[:, :2]
    return float(np.linalg.norm(points - true.reshape(68, 2), axis=1).mean())
