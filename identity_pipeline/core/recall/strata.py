"""The moments of a ride, and what became of each: what an audit draws from.

The ride is cut into moments of `recall.moment_s`, by time alone, so that a moment is the same one
however the ride is processed. For each rider each moment is in one stratum, the first of these that
holds:

============ ==================================================================================
exported     a picture of the rider's from it is exported
decided      a human has said already that a face in it is no picture; it is not asked again
beaten       a face of the rider in it could be a picture, and others stand for it
gated        a face of the rider in it was refused: by a gate, its pose, its crop, its identity
unassigned   no face of the rider is in it, but one that is no rider's
not_detected no face is in it that could be the rider's
============ ==================================================================================

What belongs here: this partition. What does not: which of them are looked at (`core.recall.audit`).
"""

from __future__ import annotations

from typing import Final

import polars as pl

from identity_pipeline.core.imagesets.frame_ledger import STATES
from identity_pipeline.settings import RecallSettings

EXPORTED, DECIDED = "exported", "decided"
BEATEN, GATED, UNASSIGNED, NOT_DETECTED = "beaten", "gated", "unassigned", "not_detected"
LEFT_OUT: Final = (BEATEN, GATED, UNASSIGNED, NOT_DETECTED)
"""What is audited."""
STRATUM_OF: Final = {
    "saved": EXPORTED,
    "rejected": DECIDED,
    **dict.fromkeys(("beaten", "too_similar", "after_stop"), BEATEN),
    **dict.fromkeys(("failed_gate", "no_set", "unstable", "not_croppable"), GATED),
    **dict.fromkeys(("no_vision", "beyond_bins"), GATED),
    "not_a_rider": UNASSIGNED,
}
"""Of each state of `frame_ledger`."""
ORDER: Final = (EXPORTED, DECIDED, *LEFT_OUT)
MOMENTS: Final = {
    "person_id": pl.Int64,  # rider
    "moment": pl.Int64,  # from 0, by time since the first sampled frame
    "stratum": pl.String,
    "frame_idx": pl.Int64,  # what is shown of it
    "face_id": pl.String,  # the face that is asked about; null: not detected
    "reason": pl.String,  # of that face's state; null: not detected
}


def moments_of(
    frames: pl.DataFrame, ledger: pl.DataFrame, settings: RecallSettings
) -> pl.DataFrame:
    """Every moment of every rider, with its stratum.

    Args:
        frames: table `frames`; a moment without a sampled frame is none.
        ledger: table `frame_ledger`.
        settings: how long a moment is.

    Returns:
        Columns of `MOMENTS`, by rider and time.
    """
    unknown = sorted(set(ledger["state"].unique()) - set(STATES))
    if unknown:
        raise ValueError(f"no such state of the frame ledger: {', '.join(unknown)}")
    begin = frames["timestamp_ms"].min()
    length_ms = settings.moment_s * 1000
    moment = ((pl.col("timestamp_ms") - begin) / length_ms).floor().cast(pl.Int64)
    sampled = frames.select("frame_idx", moment=moment).sort("frame_idx")
    shown = sampled.group_by("moment", maintain_order=True).agg(
        middle=pl.col("frame_idx").gather(pl.len() // 2).first()
    )
    riders = ledger.select("person_id").drop_nulls().unique().sort("person_id")
    faces = ledger.join(sampled, on="frame_idx", how="inner").with_columns(
        stratum=pl.col("state").replace_strict(STRATUM_OF, return_dtype=pl.String)
    )
    own = faces.filter(pl.col("person_id").is_not_null())
    others = faces.filter(pl.col("person_id").is_null()).drop("person_id")
    seen = pl.concat(
        [own.select(_FACE), riders.join(others, how="cross").select(_FACE)]
    ).with_columns(place=pl.col("stratum").replace_strict(_PLACES, return_dtype=pl.Int64))
    first = (
        seen.sort("person_id", "moment", "place", "frame_idx", "face_id")
        .group_by("person_id", "moment", maintain_order=True)
        .first()
    )
    return (
        riders.join(shown, how="cross")
        .join(first, on=["person_id", "moment"], how="left")
        .with_columns(
            stratum=pl.col("stratum").fill_null(NOT_DETECTED),
            frame_idx=pl.col("frame_idx").fill_null(pl.col("middle")),
        )
        .select(pl.col(name).cast(dtype) for name, dtype in MOMENTS.items())
        .sort("person_id", "moment")
    )


_PLACES: Final = {stratum: place for place, stratum in enumerate(ORDER)}
_FACE: Final = ("person_id", "moment", "stratum", "frame_idx", "face_id", "reason")
