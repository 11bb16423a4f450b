"""Settings of what the videos of one camera teach."""

from __future__ import annotations

from identity_pipeline.settings.base import Group, tunable


class CameraSettings(Group):
    """What is learnt of a camera from its videos, and when it has changed."""

    videos_min: int = tunable(
        20,
        "With fewer videos the camera is not known: the product's defaults hold.",
        unit="videos",
        source="design",
        ge=8,
    )
    videos_max: int = tunable(
        320,
        "A model is made of at most so many videos, and made anew each time their number has "
        "doubled.",
        unit="videos",
        source="chosen: an interval of twenty videos is four times as wide",
        ge=8,
    )
    vote_faces_min: int = tunable(
        5,
        "A rider of whom fewer faces tell where they look has no say in the pose zero.",
        unit="faces",
        source="as `buckets.neutral_min_faces`: half a second of video",
        ge=1,
    )
    zero_half_width_max: float = tunable(
        2.5,
        "A pose zero whose 95 % interval is wider to either side is not used.",
        unit="degrees",
        source="geometry: half the narrowest pose bin (5 degrees), so that a face in the middle of "
        "a bin stays in it",
        gt=0,
        le=45,
    )
    seats_max: int = tunable(
        8,
        "Places at which people are seen again and again: at most so many are told apart.",
        unit="places",
        source="chosen: two rows of four",
        ge=1,
        le=24,
    )
    seat_filled_min: int = tunable(
        3,
        "A place is learnt only where somebody was in so many videos.",
        unit="videos",
        source="chosen: two may be chance",
        ge=2,
    )
    seat_sure: float = tunable(
        0.95,
        "Whose seat is less sure is in no seat.",
        unit="probability",
        source="convention: 95 %; ambiguous is unassigned, never guessed",
        ge=0.5,
        lt=1,
    )
    videos_per_false_alarm: int = tunable(
        2000,
        "A camera that has not changed raises at most one alarm in so many videos.",
        unit="videos",
        source="design",
        ge=20,
    )
