"""Whether a video looks unlike the last ones of its camera.

A dirty lens, a turned mount, a new light: unusual, not wrong. A person looks, nothing stops.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import polars as pl

from identity_pipeline.settings import DriftSettings

Figures = Mapping[str, float | None]
MAD_TO_DEVIATION = 1.4826
"""Of a normal distribution."""
WORDS = {
    "faces_per_frame": "faces per frame",
    "luma": "mean luma",
    "detector_score": "mean detector score",
    "usable_share": "share of usable faces",
}


def camera_of(stem: str, pattern: str) -> str | None:
    """The camera that a file is of: the first group of the pattern found in its stem.

    Args:
        stem: file name without folder and suffix.
        pattern: setting `ingest.camera_pattern`; empty: no camera has a name.
    """
    found = re.search(pattern, stem) if pattern else None
    return (found[1] or None) if found else None


def figures_of(frames: pl.DataFrame, detections: pl.DataFrame, quality: pl.DataFrame) -> Figures:
    """What is compared of a video; null where there is nothing to measure it on.

    Args:
        frames: table `frames`.
        detections: table `face_detections`.
        quality: table `face_quality`.
    """
    return {
        "faces_per_frame": detections.height / frames.height if frames.height else None,
        "luma": _mean(frames["luma_mean"]),
        "detector_score": _mean(detections["score"]),
        "usable_share": _mean(quality["loose"].cast(pl.Float64)),
    }


def _mean(column: pl.Series) -> float | None:
    return (
        column.drop_nulls().cast(pl.Float64).to_frame("value").select(pl.col("value").mean()).item()
    )


@dataclass(frozen=True)
class Comparison:
    """One figure against the last videos of the camera.

    Attributes:
        name: of the figure.
        value: of this video; null when not measured.
        usual: median of the others; null when too few have it.
        deviations: how far from it, in robust standard deviations.
        unlike: whether that is too far.
    """

    name: str
    value: float | None
    usual: float | None
    deviations: float | None
    unlike: bool

    @property
    def sentence(self) -> str:
        """For an operator."""
        return f"{WORDS[self.name]} {self.value:.3g}, usually {self.usual:.3g}"


def compare(
    figures: Figures, history: Sequence[Figures], settings: DriftSettings
) -> list[Comparison]:
    """Each figure of a video against the last videos of its camera.

    Args:
        figures: of this video.
        history: of the others, oldest first.
        settings: how many, and how far is too far.
    """
    return [
        _compare(name, figures.get(name), [past.get(name) for past in history], settings)
        for name in WORDS
    ]


def _compare(
    name: str, value: float | None, past: Sequence[float | None], settings: DriftSettings
) -> Comparison:
    known = [other for other in past[-settings.videos :] if other is not None]
    if value is None or len(known) < settings.videos_min:
        return Comparison(name, value, None, None, False)
    usual = median(known)
    spread = MAD_TO_DEVIATION * median(abs(other - usual) for other in known)
    deviation = max(spread, settings.floor * abs(usual))
    away = abs(value - usual)
    if not deviation:  # all of them zero
        return Comparison(name, value, usual, None, away > 0)
    return Comparison(name, value, usual, away / deviation, away > settings.deviations * deviation)
