"""Settings of consent: whether it is asked for, and what holds where nothing was said."""

from __future__ import annotations

from typing import Literal

from identity_pipeline.settings.base import Group, tunable


class ConsentSettings(Group):
    """Who may be shown, kept and learned from."""

    required: bool = tunable(
        False,
        "Whether nothing of anybody is exported, published, learned from or kept over rides "
        "without their consent. Off: consent is not tracked, and every page says so.",
        unit="switch",
        source="chosen: trials and the demo run without; whoever runs rides of guests switches "
        "it on",
    )
    unknown: Literal["block", "allow"] = tunable(
        "block",
        "Once consent is required: what holds for somebody who was not asked, or whose grant is "
        "over.",
        unit="name",
        source="chosen: silence is no consent",
    )
    minors: Literal["block", "allow"] = tunable(
        "block",
        "Once consent is required: what holds for somebody who is under age, or of whom nobody "
        "said that they are not.",
        unit="name",
        source="chosen: many riders are children",
    )
