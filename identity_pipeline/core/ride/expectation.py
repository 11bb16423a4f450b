"""What to expect of a part of a ride: whether riders are seen well there, told by earlier rides.

What belongs here: counting rides by phase, and the sentence that follows. What does not: which
frame of a ride is in which phase (`core.ride.frame_phases`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import polars as pl
from scipy.special import betaincinv

from identity_pipeline.core.ride.spans import Span
from identity_pipeline.core.video.clock import clock
from identity_pipeline.settings import RideSettings
from identity_pipeline.tables import TABLES

CONFIDENCE: Final = 0.95


def good_by_phase(phases: pl.DataFrame, faces: pl.DataFrame) -> pl.DataFrame:
    """Whether a rider is seen well in each phase that a ride passes.

    Args:
        phases: table `ride_phases`.
        faces: `frame_idx, loose` of the riders' faces.

    Returns:
        `phase_number, good`: whether one of them passes the loose gate there. No row where nobody
        rides, for nothing can be said of riders then.
    """
    known = phases.drop_nulls("phase_number")
    passed = known.select("phase_number").unique().sort("phase_number")
    seen = known.join(faces.filter("loose"), on="frame_idx", how="semi")["phase_number"].unique()
    told = passed.with_columns(good=pl.col("phase_number").is_in(seen.to_list()))
    return told if faces.height else told.clear()


def expected_of(rides: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """The table `ride_expected`.

    Args:
        rides: of each, what `good_by_phase` says of it.
    """
    if not rides:
        return pl.DataFrame(schema=TABLES["ride_expected"])
    counted = pl.concat(rides).group_by("phase_number")
    good = pl.col("good").sum().cast(pl.Int64)
    return counted.agg(with_good=good, rides=pl.len().cast(pl.Int64)).sort("phase_number")


def expectations(
    spans: Sequence[Span], expected: pl.DataFrame, settings: RideSettings
) -> tuple[str, ...]:
    """What not to expect, such as "No good frames 0:41 to 0:58: tunnel (0 of 24 rides)".

    Args:
        spans: of a video, or of the template itself.
        expected: table `ride_expected` of the template.
        settings: `no_good_share`: where the bound of the share of rides with a good frame is below
            it, the phase is named.
    """
    rows = {number: (good, rides) for number, good, rides in expected.iter_rows()}
    sentences = []
    for span in spans:
        good, rides = rows.get(span.number, (0, 0))
        if _bound(good, rides) <= settings.no_good_share:
            hardly = "Hardly any" if good else "No"
            when = f"{clock(span.start_ms)} to {clock(span.end_ms)}"
            sentences.append(
                f"{hardly} good frames {when}: {span.words} ({good} of {rides} rides)."
            )
    return tuple(sentences)


def _bound(good: int, rides: int) -> float:
    """The one-sided exact upper bound of a share (Clopper and Pearson 1934)."""
    return 1.0 if good >= rides else float(betaincinv(good + 1, rides - good, CONFIDENCE))
