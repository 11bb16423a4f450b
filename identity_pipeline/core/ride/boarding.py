"""Who is there at boarding alone: staff, the queue, whoever waves, and no rider.

What belongs here: telling that by the phases of a ride, where the seats of its camera are not known
(`core.camera.seating` tells it where they are). What does not: who rides (`core.tracks.riders`).
"""

from __future__ import annotations

from math import comb
from typing import Final

import polars as pl

from identity_pipeline.core.ride.phases import BOARDING
from identity_pipeline.settings import RideSettings

HARD_TO_SEE: Final = ("dark", "flash", "glare", "high_motion")
"""Phases in which a rider need not be found."""
KNOWN_SHARE: Final = 0.8
"""Of a video whose phases are known for a smaller share of its frames, nobody is told from them."""


def at_boarding_alone(
    tracks: pl.DataFrame, phases: pl.DataFrame, settings: RideSettings
) -> frozenset[int]:
    """The tracks that are surely there at boarding alone.

    Somebody who is there all the ride, and as easily seen beside boarding as in it, is seen in k
    seconds of boarding alone with a probability that counting gives: the k seconds would be drawn
    among all in which faces can be seen (a hypergeometric one). Seconds, not frames, for frames of
    one second are one sight; in the dark, in glare and in high motion nobody need be seen. Who is
    seen in a frame whose phase is not known is seen beside boarding: it may be any phase.

    Args:
        tracks: `track_id, frame_idx` of each face.
        phases: table `ride_phases`.
        settings: `boarding_chance`: below it a track is of boarding alone.

    Returns:
        None of them where the phases of too few frames are known.
    """
    second = (pl.col("timestamp_ms") / 1000).floor().cast(pl.Int64)
    timed = phases.with_columns(second=second)
    known = timed.filter(pl.col("phase").is_not_null())
    if known.height < KNOWN_SHARE * max(phases.height, 1):
        return frozenset()
    boarding = (pl.col("phase") == BOARDING).fill_null(False)
    inside = known.filter(boarding)["second"].n_unique()
    everywhere = known.filter(~pl.col("phase").is_in(HARD_TO_SEE))["second"].n_unique()
    seen = tracks.select("track_id", "frame_idx").join(
        timed.select("frame_idx", "second", "phase"), on="frame_idx"
    )
    counted = seen.group_by("track_id").agg(
        at_boarding=pl.col("second").filter(boarding).n_unique(), beside=(~boarding).sum()
    )
    return frozenset(
        track
        for track, k, beside in counted.iter_rows()
        if not beside and comb(inside, k) / comb(everywhere, k) <= settings.boarding_chance
    )
