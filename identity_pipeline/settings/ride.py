"""Settings of the course of a ride: when a camera's rides are known, and what a phase is."""

from __future__ import annotations

from identity_pipeline.settings.base import Group, tunable


class RideSettings(Group):
    """How videos of one ride are laid on each other, and how the parts of it are named."""

    step_s: float = tunable(
        0.2,
        "Time between two points of the course of a ride.",
        unit="s",
        source="chosen: less than half of the half second within which a phase is to be known",
        gt=0,
        le=1,
    )
    videos_max: int = tunable(
        64,
        "A template is made of at most so many; which ones, a hash of their ids decides.",
        unit="videos",
        source="chosen: the median of 64 is within a sixth of their spread",
        ge=6,
    )
    other_ride_rate: float = tunable(
        0.001,
        "Share of videos of the ride itself that may be taken for another ride's.",
        unit="share",
        source="design: 99.9 % of the camera's own spread",
        gt=0,
        le=0.05,
    )
    dark_stops: float = tunable(
        2.0,
        "A part of the ride that has so many stops less light than the ride usually has is dark.",
        unit="stops",
        source="sRGB: two stops take a mean luma of 80, where gates lie well, to the strict gate's "
        "40 (80 x 2^(-2/2.2) = 43)",
        gt=0,
    )
    glare_share: float = tunable(
        0.1,
        "A part in which more of the picture than that is blown is glare.",
        unit="share of the picture",
        source="chosen: as large as the face of a rider near the camera",
        gt=0,
        le=1,
    )
    flash_s: float = tunable(
        1.0,
        "Glare that is shorter than that is a flash.",
        unit="s",
        source="chosen: lamps of ride photographs burn for less",
        ge=0,
    )
    high_motion_times: float = tunable(
        2.0,
        "A part in which the picture changes so many times as fast as it usually does is of high "
        "motion.",
        unit="times",
        source="chosen: blur grows with the speed, and sharpness falls by its square",
        gt=1,
    )
    phase_min_s: float = tunable(
        1.0,
        "A shorter part is none, unless it is a flash.",
        unit="s",
        source="chosen: twice the half second within which a phase is to be known",
        ge=0,
    )
    no_good_share: float = tunable(
        0.14,
        "A phase in which fewer rides than that have a good frame of a rider, by the exact bound "
        "at 95 %, is named as one without.",
        unit="share of the rides",
        source="statistics: twenty rides without one have the bound 1 - 0.05^(1/20) = 0.139",
        gt=0,
        le=1,
    )
    boarding_chance: float = tunable(
        0.001,
        "Where the seats of the camera are not known: who is seen at boarding, and never beside "
        "it, is no rider where chance would let a rider be missed so with less than this "
        "probability.",
        unit="probability",
        source="design: 99.9 %; with a fifth of the ride at boarding that takes five seconds",
        gt=0,
        lt=1,
    )
