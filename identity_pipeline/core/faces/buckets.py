"""Bins of pose, expression, occlusion and light, and the bucket a face falls into.

Bins are half-open `[a, b)`, the last one closed. A pose outside the ends is `beyond` and counts
for no coverage; what was not measured is `unknown`. In file names and keys a bin is written as its
edge farthest from zero (`yaw30` is [15, 30), `yaw-15` is [-15, -5), the middle bin is 0).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType
from typing import Final, NamedTuple

import numpy as np
import polars as pl

from identity_pipeline.core.faces.gates import measured
from identity_pipeline.settings import BucketSettings
from identity_pipeline.tables import TABLES

BEYOND, UNKNOWN = "beyond", "unknown"
PITCH_NAMES = ("down", "slight-down", "neutral", "slight-up", "up")
EXPRESSIONS = ("neutral", "smile", "mouth_open", "eyes_closed")


class Bin(NamedTuple):
    """One bin of an axis: what it is called in tables and what in keys."""

    label: str
    key: int


AXES: Final = ("yaw", "pitch", "expression", "occlusion", "lighting")
"""What a face is binned by; the table `face_buckets` has a column `{axis}_bin` of each."""


def as_measured(buckets: pl.DataFrame) -> pl.DataFrame:
    """The table `face_buckets` without what humans corrected: what the machine is judged by.

    Args:
        buckets: the table.
    """
    columns: dict[str, pl.Expr] = {}
    for axis in AXES:
        said = pl.col("measured_bins").list.eval(
            pl.element().filter(pl.element().str.starts_with(f"{axis}:"))
        )
        word = said.list.first().str.strip_prefix(f"{axis}:")
        columns[f"{axis}_bin"] = pl.when(said.list.len() > 0).then(word).otherwise(f"{axis}_bin")
    return buckets.with_columns(**columns)


def axis_bins(edges: Sequence[float], names: Sequence[str] | None = None) -> list[Bin]:
    """All bins of an axis in ascending order, labelled by name or as intervals."""
    bins = []
    for i, (low, high) in enumerate(pairwise(edges)):
        closing = "]" if i == len(edges) - 2 else ")"
        label = names[i] if names else f"[{low:g},{high:g}{closing}"
        straddles = low < 0 < high
        far = 0.0 if straddles else (high if high > -low else low)
        bins.append(Bin(label, round(far)))
    return bins


def bin_of(value: float | None, edges: Sequence[float], bins: Sequence[Bin]) -> Bin | str:
    """The bin of a value, `beyond`, or `unknown` for None and NaN."""
    value = measured(value)
    if value is None:
        return UNKNOWN
    if value < edges[0] or value > edges[-1]:
        return BEYOND
    index = int(np.searchsorted(edges, value, side="right")) - 1
    return bins[min(index, len(bins) - 1)]


def label(bin_: Bin | str) -> str:
    """The word of a bin, as the tables have it."""
    return bin_ if isinstance(bin_, str) else bin_.label


def expression_bin(
    eye_open: float | None, mouth_open: float | None, smile: float | None, settings: BucketSettings
) -> str:
    """`eyes_closed` before `smile` before `mouth_open` before `neutral`.

    `unknown` as soon as a value that would be looked at is unmeasured.
    """
    eye_open = measured(eye_open)
    if eye_open is None:
        return UNKNOWN
    if eye_open < settings.eyes_closed_below:
        return "eyes_closed"
    smile = measured(smile)
    if smile is None:
        return UNKNOWN
    if smile >= settings.smile_from:
        return "smile"
    mouth_open = measured(mouth_open)
    if mouth_open is None:
        return UNKNOWN
    return "mouth_open" if mouth_open >= settings.mouth_open_from else "neutral"


def occlusion_bin(occlusion: float | None, settings: BucketSettings) -> str:
    """`none` < 0.1 <= `partial` <= 0.4 < `heavy`, or `unknown`."""
    occlusion = measured(occlusion)
    if occlusion is None:
        return UNKNOWN
    if occlusion > settings.occlusion_heavy_above:
        return "heavy"
    return "partial" if occlusion >= settings.occlusion_partial_from else "none"


def lighting_bin(
    luma_mean: float | None,
    clipped_share: float | None,
    usual_luma: float | None,
    settings: BucketSettings,
) -> str:
    """`dark`, `overexposed` or `normal`; `unknown` when unmeasured.

    Args:
        luma_mean: of the face, 0-255.
        clipped_share: share of the face's pixels that are blown.
        usual_luma: the person's own median; None takes the absolute bound alone.
        settings: bounds.
    """
    luma_mean, clipped_share = measured(luma_mean), measured(clipped_share)
    if luma_mean is None or clipped_share is None:
        return UNKNOWN
    if luma_mean > settings.overexposed_above or clipped_share >= settings.overexposed_clipped:
        return "overexposed"
    if luma_mean < settings.very_dark_below:
        return "dark"
    darkened = usual_luma is None or luma_mean < settings.dark_relative * usual_luma
    return "dark" if luma_mean < settings.dark_below and darkened else "normal"


def bucket_key(yaw: Bin | str, pitch: Bin | str, expression: str) -> str | None:
    """`yaw{bin}_pitch{bin}_{expression}`; None when the pose is beyond the bins or unknown."""
    if isinstance(yaw, str) or isinstance(pitch, str):
        return None
    return f"yaw{yaw.key}_pitch{pitch.key}_{expression}"


def assign_buckets(
    faces: pl.DataFrame,
    settings: BucketSettings,
    corrected: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
) -> pl.DataFrame:
    """The table `face_buckets`.

    Args:
        faces: face_id, frame_idx, person_id, yaw, pitch, eye_open, mouth_open, smile, occlusion,
            luma_mean and clipped_share; any of the measures may be null.
        settings: edges and thresholds.
        corrected: face_id → axis → the right bin, where a human says another one than measured. A
            bin of yaw by other edges is the one in which its middle lies.
    """
    yaw_bins = axis_bins(settings.yaw_edges)
    pitch_bins = axis_bins(settings.pitch_edges, PITCH_NAMES)
    rows = []
    usual = faces.with_columns(usual_luma=pl.col("luma_mean").median().over("person_id"))
    for face in usual.sort("frame_idx", "face_id").iter_rows(named=True):
        measured = {
            "yaw": bin_of(face["yaw"], settings.yaw_edges, yaw_bins),
            "pitch": bin_of(face["pitch"], settings.pitch_edges, pitch_bins),
            "expression": expression_bin(
                face["eye_open"], face["mouth_open"], face["smile"], settings
            ),
            "occlusion": occlusion_bin(face["occlusion"], settings),
            "lighting": lighting_bin(
                face["luma_mean"], face["clipped_share"], face["usual_luma"], settings
            ),
        }
        said = corrected.get(face["face_id"], {})
        right = {
            axis: _said(axis, word, settings, yaw_bins, pitch_bins) for axis, word in said.items()
        }
        shown = {**measured, **right}
        yaw, pitch, expression = shown["yaw"], shown["pitch"], str(shown["expression"])
        rows.append(
            {
                "face_id": face["face_id"],
                "frame_idx": face["frame_idx"],
                "person_id": face["person_id"],
                "yaw_bin": label(yaw),
                "pitch_bin": label(pitch),
                "expression_bin": expression,
                "occlusion_bin": shown["occlusion"],
                "lighting_bin": shown["lighting"],
                "yaw_key": None if isinstance(yaw, str) else yaw.key,
                "pitch_key": None if isinstance(pitch, str) else pitch.key,
                "bucket_key": bucket_key(yaw, pitch, expression),
                "measured_bins": [f"{axis}:{label(measured[axis])}" for axis in said] or None,
            }
        )
    return pl.DataFrame(rows, schema=TABLES["face_buckets"])


def _said(
    axis: str,
    word: str,
    settings: BucketSettings,
    yaw_bins: Sequence[Bin],
    pitch_bins: Sequence[Bin],
) -> Bin | str:
    """The bin that a human named; of yaw and pitch with its key."""
    if axis == "pitch":
        return next((each for each in pitch_bins if each.label == word), word)
    if axis != "yaw" or word == BEYOND:
        return word
    low, high = map(float, word.strip("[)]").split(","))
    return bin_of((low + high) / 2, settings.yaw_edges, yaw_bins)
