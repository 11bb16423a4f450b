"""The strict and the loose gate: verdicts with every reason, from the measured vector.

Reason codes are stable: `score_low`, `area_small`, `few_pixels`, `blurred`, `blurred_for_person`,
`too_dark`, `too_bright`, `occluded`, `cut_off`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, NamedTuple

import polars as pl

from identity_pipeline.core.faces.quality import OCCLUSION_WEIGHT
from identity_pipeline.settings import QualitySettings

FAILING_WORDS: Final = {
    "score_low": "not surely faces",
    "cut_off": "cut off",
    "area_small": "too small",
    "few_pixels": "too small",
    "blurred": "too blurred",
    "blurred_for_person": "too blurred for this person",
    "too_dark": "too dark",
    "too_bright": "too bright",
    "occluded": "covered",
}
"""What faces are that fail by a code."""


class Requirement(NamedTuple):
    """One condition of a gate: `column` must be at least (or at most) `bound`."""

    code: str
    column: str
    at_least: bool
    bound: float

    def fails(self, *, unmeasured_passes: bool) -> pl.Expr:
        """Whether each value fails; what is no number is decided by the setting, never silently."""
        known = _measured(self.column)
        beyond = known < self.bound if self.at_least else known > self.bound
        return beyond.fill_null(not unmeasured_passes)


class Failing(NamedTuple):
    """A condition that many faces fail.

    Attributes:
        code: of the requirement.
        bound: its bound.
        faces: how many fail it.
        of: how many were asked.
    """

    code: str
    bound: float
    faces: int
    of: int


def commonest_failure(fails: pl.Series, requirements: tuple[Requirement, ...]) -> Failing | None:
    """The condition of a gate that most of some faces fail; of two the first in the gate.

    Args:
        fails: list of codes of each face: `strict_fails` or `loose_fails`.
        requirements: of the gate.

    Returns:
        None where no face fails one.
    """
    failed = fails.explode().drop_nulls().to_list()
    counts = {each.code: failed.count(each.code) for each in requirements}
    worst = max(requirements, key=lambda each: counts[each.code])
    return Failing(worst.code, worst.bound, counts[worst.code], len(fails)) if failed else None


def measured(value: float | None) -> float | None:
    """The value; None for what is not a number."""
    return None if value is None or math.isnan(value) else value


def _measured(column: str) -> pl.Expr:
    """The values of a column as 64-bit floats; null for what is not a number."""
    return pl.col(column).cast(pl.Float64).fill_nan(None)


def loose_requirements(settings: QualitySettings) -> tuple[Requirement, ...]:
    """What every candidate must meet."""
    return (
        Requirement("score_low", "score", True, settings.loose_score),
        Requirement("cut_off", "outside_share", False, settings.max_outside),
        Requirement("blurred", "sharpness", True, settings.loose_sharpness),
        Requirement(
            "blurred_for_person", "relative_sharpness", True, settings.loose_relative_sharpness
        ),
        Requirement("occluded", "occlusion", False, settings.loose_occlusion),
    )


def strict_requirements(settings: QualitySettings) -> tuple[Requirement, ...]:
    """What a prototype frame and an anchor must meet; stricter in every respect than loose."""
    return (
        Requirement("score_low", "score", True, settings.strict_score),
        Requirement("cut_off", "outside_share", False, settings.max_outside),
        Requirement("area_small", "area_share", True, settings.strict_area),
        Requirement("few_pixels", "face_px", True, settings.strict_face_px),
        Requirement("blurred", "sharpness", True, settings.strict_sharpness),
        Requirement(
            "blurred_for_person", "relative_sharpness", True, settings.strict_relative_sharpness
        ),
        Requirement("too_dark", "luma_mean", True, settings.strict_luma_min),
        Requirement("too_bright", "luma_mean", False, settings.strict_luma_max),
        Requirement("occluded", "occlusion", False, settings.strict_occlusion),
    )


def apply_gates(measures: pl.DataFrame, settings: QualitySettings) -> pl.DataFrame:
    """Adds `strict`, `loose`, `strict_fails`, `loose_fails` and `unmeasured` to measured faces.

    Args:
        measures: the measure columns of the table `face_quality`.
        settings: thresholds.

    Returns:
        The faces with the codes of all requirements that each fails, in the order of the gate, and
        the names of the columns that are no number, in alphabetical order.
    """
    strict, loose = strict_requirements(settings), loose_requirements(settings)
    columns = sorted({r.column for r in (*strict, *loose)})
    passes = settings.unmeasured_passes
    return measures.with_columns(
        strict_fails=_named({r.code: r.fails(unmeasured_passes=passes) for r in strict}),
        loose_fails=_named({r.code: r.fails(unmeasured_passes=passes) for r in loose}),
        unmeasured=_named({name: _measured(name).is_null() for name in columns}),
    ).with_columns(
        strict=pl.col("strict_fails").list.len() == 0,
        loose=pl.col("loose_fails").list.len() == 0,
    )


def _named(conditions: Mapping[str, pl.Expr]) -> pl.Expr:
    """The names of the conditions that hold in each row, in their order."""
    return pl.concat_list(
        pl.when(holds).then(pl.lit(name)) for name, holds in conditions.items()
    ).list.drop_nulls()


LATE_MEASURES = ("occlusion", "relative_sharpness")
"""Measures that are only known once the riders and their landmarks are."""


def regate(
    quality: pl.DataFrame, landmarks: pl.DataFrame, settings: QualitySettings
) -> pl.DataFrame:
    """The gates again with the measures that need to know the rider.

    Args:
        quality: table `face_quality`.
        landmarks: table `face_landmarks`; faces that are not in it keep their verdict.
        settings: thresholds.

    Returns:
        `face_quality` with the late measures filled in, the score discounted by the occlusion and
        the verdicts renewed; same rows, same order.
    """
    late = landmarks.select("face_id", *(pl.col(c).alias(f"late_{c}") for c in LATE_MEASURES))
    verdicts = ("strict", "loose", "strict_fails", "loose_fails", "unmeasured")
    measures = (
        quality.drop(verdicts)
        .join(late, on="face_id", how="left", maintain_order="left")
        .with_columns(pl.coalesce(f"late_{c}", c).alias(c) for c in LATE_MEASURES)
        .with_columns(
            quality_score=pl.col("quality_score")
            * (1 - pl.col("late_occlusion").fill_null(0.0).clip(0, 1)) ** OCCLUSION_WEIGHT
        )
        .drop(f"late_{c}" for c in LATE_MEASURES)
    )
    return apply_gates(measures, settings).select(quality.columns)
