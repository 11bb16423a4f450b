"""Settings of the audit that says how many of a person's usable moments are shown."""

from __future__ import annotations

from identity_pipeline.settings.base import Group, tunable


class RecallSettings(Group):
    """What is looked at of what was left out."""

    moment_s: float = tunable(
        0.5,
        "A ride is cut into moments of this length; of each it is asked whether it was missed.",
        unit="s",
        source="as moments.span_s",
        gt=0,
        le=5,
    )
    clicks: int = tunable(
        40,
        "So many moments of a ride are shown to somebody who audits it.",
        unit="moments",
        source="design: at most 40",
        ge=4,
        le=40,
    )
    clicks_min: int = tunable(
        3,
        "Of each reason for which a rider's moments were left out at least so many are shown, or "
        "all where there are fewer.",
        unit="moments",
        source="chosen: of two riders and four reasons that is 24 of 40",
        ge=1,
    )
