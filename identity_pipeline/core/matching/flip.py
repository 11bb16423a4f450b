"""What would flip an assignment: the numbers behind `explain`, and the sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from identity_pipeline.core.matching.thresholds import Thresholds
from identity_pipeline.settings import MatchSettings

ASKED = (
    *("assign_not_proven", "below_assign_above_suggest"),
    *("margin_too_small", "near_another_person"),
)
"""Rules by which somebody is suggested, so that there is something to confirm."""


@dataclass(frozen=True)
class Flip:
    """What it would take for a track to be assigned to its best person, or to lose it.

    Attributes:
        score_needed: the score from which it would be assigned; null where no score helps.
        score_missing: how much that is above the own score; negative: how much it is above.
        margin_needed: the lead it wants over the runner-up; null without one.
        margin_missing: how much that is above the own margin; negative: how much it is above.
        sentence: the same in words.
    """

    score_needed: float | None
    score_missing: float | None
    margin_needed: float | None
    margin_missing: float | None
    sentence: str


def what_would_flip(
    row: Mapping[str, Any], thresholds: Thresholds, people: int, settings: MatchSettings
) -> Flip:
    """What would flip one row of `PERSON_ASSIGNMENTS`.

    Args:
        row: the row.
        thresholds: those it was made with.
        people: number of known people it was made with.
        settings: the margin.
    """
    rule, score = row["rule"], row["score"]
    fixed = {
        "human_confirmed": "A human decided; only a human can change it (undo, move or reject).",
        "ignored": "A human ignores it; undo that event to see it again.",
        "not_a_face": "A human said that it is no face; undo that event to see it again.",
        "no_people": "No known person has a confirmed track; label one first.",
    }
    if rule in fixed or score is None:
        sentence = fixed.get(rule, "Every known person is ruled out for it.")
        return Flip(None, None, None, None, sentence)
    own: float = score
    margin: float | None = row["margin"]
    needed = thresholds.at("assign", row["reference_count"], people)
    if row["threshold"] is not None:  # of a person whom another one comes near, it is higher
        needed = max(needed, row["threshold"])
    wanted = None if margin is None else settings.margin_min
    lead = None if margin is None or wanted is None else wanted - margin
    sentence = _in_words(rule, own, needed, margin, settings)
    if thresholds.unproven is not None and rule != "evidence_rose":
        # No score is enough while nothing says how often the threshold is wrong.
        track = row["track_key"].removeprefix("track:")
        says = f"label {track} --name NAME"
        if rule in ASKED:
            says = f"confirm {track}"
        sentence = (
            "No score is enough until the threshold can be measured; a human may say who it is: "
            f"`identity-pipeline {says}`."
        )
        return Flip(None, None, wanted, lead, sentence)
    return Flip(needed, needed - own, wanted, lead, sentence)


def _in_words(
    rule: str, score: float, needed: float, margin: float | None, settings: MatchSettings
) -> str:
    parts = []
    if score < needed:
        parts.append(f"a score of {needed:.3f} instead of {score:.3f}")
    if margin is not None and margin < settings.margin_min:
        parts.append(
            f"a lead of {settings.margin_min:.3f} over the second person instead of {margin:.3f}"
        )
    if rule == "best_reference_above_assign":
        lost = f"It would be lost below a score of {needed:.3f} (now {score:.3f})"
        if margin is None:  # nobody else is known
            return f"{lost}."
        return f"{lost} or a lead of {settings.margin_min:.3f} (now {margin:.3f})."
    ruled_out = {
        "rejected_before": " Its better match was rejected by a human.",
        "lost_to_better_in_frame": " Its better match is another track of the same frame.",
        "evidence_rose": " It was turned down before, so only a human can assign it.",
    }
    wanted = " and ".join(parts) or "nothing more by score"
    return f"To be assigned it wants {wanted}.{ruled_out.get(rule, '')}"
