"""Detection: which true faces were found, and which detections are faces."""

from __future__ import annotations

import polars as pl

from identity_pipeline.core.evaluation import figures
from identity_pipeline.core.evaluation.evidence import Evidence
from identity_pipeline.core.evaluation.matching import FALSE, HIT, MISSED
from identity_pipeline.core.evaluation.report import Figure
from identity_pipeline.core.evaluation.truth import FACES, SEATS

NO_BOXES = "the truth of these clips names seats, not faces"
NO_SEATS = "the truth of these clips names faces, not seats"
NO_FACE = "no true face of at least 40 px that is less than half hidden is in a sampled frame"


def detection_figures(evidence: Evidence) -> list[Figure]:
    """Recall and precision at IoU 0.5 where faces are known, else the share of seats with a face.

    True faces of at least 40 px that are less than half hidden count; detections of others are
    neither right nor wrong.
    """
    boxed, seated = evidence.of_kind(FACES), evidence.of_kind(SEATS)
    found = pl.col("outcome") == HIT
    true = boxed.outcomes.filter(pl.col("outcome").is_in([HIT, MISSED]))
    shown = boxed.outcomes.filter(pl.col("outcome").is_in([HIT, FALSE]))
    riders = true.filter("rider")
    seats = seated.outcomes.filter(pl.col("outcome").is_in([HIT, MISSED]))
    nothing = NO_FACE if boxed.truths else NO_BOXES
    share = figures.share
    return [
        share(
            "detection.recall",
            "Faces found (recall)",
            true.select(found).to_series(),
            true["unit"].to_list(),
            boxed.scope,
            "true faces",
            nothing,
        ),
        share(
            "detection.recall_riders",
            "Riders' faces found",
            riders.select(found).to_series(),
            riders["unit"].to_list(),
            boxed.scope,
            "true faces of riders",
            nothing,
        ),
        share(
            "detection.precision",
            "Detections that are faces (precision)",
            shown.select(found).to_series(),
            # A false detection has no true track; drawing tracks would part wrong from right.
            shown["second"].to_list(),
            boxed.scope,
            "detections",
            nothing,
            drawn_from=figures.SECONDS,
        ),
        share(
            "detection.seats",
            "Seats in which a face was found",
            seats.select(found).to_series(),
            seats["unit"].to_list(),
            seated.scope,
            "seats",
            NO_SEATS,
        ),
    ]
