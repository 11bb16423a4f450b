"""The false-positive budget: how many strangers the library names at most, and the evidence.

A stranger is a track of somebody whom nobody has named. It is held against all known people at
once, and the budget (`match.fpir_assign`) is the share of such tracks that may be named as anybody
without asking.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from identity_pipeline.core.matching.thresholds import thresholds_of
from identity_pipeline.settings import MatchSettings


@dataclass(frozen=True)
class Budget:
    """What is known of naming without asking.

    Attributes:
        allowed: share of strangers that may be named: the setting.
        bound: upper confidence bound of the share that is named as anybody at the thresholds in
            effect; null where nothing was measured.
        confidence: of the bound, one-sided.
        unproven: why nobody is named without asking; null where somebody may be.
        method: of `assign`, see `core.matching.calibration`.
        in_effect: `assign` of one person with one reference.
        estimate: the same at the point estimate; null where nothing was measured.
        evidence: independent pairs that the bound comes from; null without any.
        source: `known` to be two people, or the `cohort` of different videos; null without any.
        counted: what the known pairs show without any model: upper bound of the share of
            comparisons that reach `in_effect`; null without any.
        people: in the gallery.
    """

    allowed: float
    bound: float | None
    confidence: float
    unproven: str | None
    method: str
    in_effect: float | None
    estimate: float | None
    evidence: int | None
    source: str | None
    counted: float | None
    people: int

    @property
    def sentence(self) -> str:
        """All of it in words."""
        if self.unproven is not None:
            return (
                "Nobody is named without asking, only suggested, for nothing shows how often a "
                f"stranger would be: {self.unproven}."
            )
        if self.bound is None:
            return (
                f"match.pin_assign names from {self.in_effect:.3f} on; nothing measured here says "
                f"how many strangers reach it (the budget is {one_in(self.allowed)})."
            )
        kind = "pairs known to be two people" if self.source == "known" else "pairs of tracks"
        told = (
            f"At most {one_in(self.bound)} strangers is named as any of "
            f"{self.people} known people ({self.confidence:.1%} sure, if they compare as "
            f"{self.evidence} independent {kind} do; the budget is {one_in(self.allowed)})."
        )
        over = self.bound > self.allowed * (1 + 1e-9)
        pin = " match.pin_assign lets in more than the budget: unset it." if over else ""
        return told + pin

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {**vars(self), "sentence": self.sentence}


def budget_of(
    calibration: pl.DataFrame, space: str, references: Sequence[int], settings: MatchSettings
) -> Budget:
    """The budget of a library.

    Args:
        calibration: table `calibration`.
        space: of its templates.
        references: how many each known person has.
        settings: the budget itself.
    """
    thresholds = thresholds_of(calibration, space, "template", settings)
    row = calibration.row(
        by_predicate=(pl.col("space") == space)
        & (pl.col("level") == "template")
        & (pl.col("name") == "assign")
        & pl.col("camera").is_null(),
        named=True,
    )
    known = row["safe_from"] == "known"
    return Budget(
        settings.fpir_assign,
        thresholds.bound(references),
        (1.0 + settings.interval) / 2,
        thresholds.unproven,
        row["method"],
        row["in_effect"],
        row["threshold"],
        (row["known_groups"] if known else row["impostor_groups"]) if row["safe_from"] else None,
        row["safe_from"],
        row["far_counted"],
        len(references),
    )


def references_of(table: pl.DataFrame) -> list[int]:
    """How many references each person of the table `person_references` has."""
    return table.group_by("person_id").len().sort("person_id")["len"].to_list()


def one_in(share: float) -> str:
    """`1 in 1,000`; rounded so that it never promises more than the share."""
    return f"1 in {int(1 / share * (1 + 1e-9)):,}" if share > 0 else "none of any number of"
