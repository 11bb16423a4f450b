"""The usual values of a camera, by phase: the table `camera_normals`, and a value held against it.

A gate that means the same everywhere asks too much of a tunnel and too little of a platform; what
is usual there says how a frame compares with the same moment of other rides.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from identity_pipeline.core.camera.watch import usual_band
from identity_pipeline.settings import CameraSettings
from identity_pipeline.tables import TABLES

FIGURES: Final = ("luma", "sharpness", "faces_per_frame", "detector_score", "usable_share")
"""Columns of `camera_figures` that have a usual value."""
OUTSIDE: Final = 0.001
"""Share of the videos whose value lies outside `low` and `high`, were they normal."""


def normals(figures: pl.DataFrame, settings: CameraSettings) -> pl.DataFrame:
    """The usual values of each phase, and of whole videos (`phase` null).

    Args:
        figures: `camera_figures` of all videos of a version, with `video_id`.
        settings: with fewer videos that measured it a figure has no usual value.
    """
    rows = []
    for (phase,), own in figures.sort("phase", "video_id", nulls_last=False).group_by(
        "phase", maintain_order=True
    ):
        rows += [_row(phase, name, own[name], settings) for name in FIGURES]
    return pl.DataFrame(rows, schema=TABLES["camera_normals"])


def _row(
    phase: object, name: str, values: pl.Series, settings: CameraSettings
) -> dict[str, object]:
    known = values.drop_nulls().cast(pl.Float64).to_numpy()
    row: dict[str, object] = {"phase": phase, "figure": name, "videos": len(known)}
    if len(known) < settings.videos_min:
        return row
    told = usual_band(name, known, OUTSIDE)
    if told is None:
        return row
    usual, low, high = told
    return {**row, "usual": usual, "low": low, "high": high}
