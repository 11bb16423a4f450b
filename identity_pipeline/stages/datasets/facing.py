"""How far a head in a picture is turned, and which picture is shown first.

What belongs here: what is read of the measured pose. What does not: measuring it (`core.faces`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from identity_pipeline.core.datasets.captions import FRONTAL
from identity_pipeline.core.faces.angles import before_lens
from identity_pipeline.core.faces.gates import measured
from identity_pipeline.stages.datasets.pictures import Picture

UNKNOWN_POSE: Final = 90.0
"""Degrees; a head whose pose was not measured is taken for one in profile where views are chosen,
so that it is never put first."""


def degrees(picture: Picture, angle: str) -> float | None:
    """Yaw, pitch or roll of the head before the lens, null where it was not measured."""
    return measured(before_lens(picture.measured, angle))


def off_frontal(picture: Picture) -> float:
    """Degrees between nose and camera, by the larger of yaw and pitch."""
    angles = (degrees(picture, "yaw"), degrees(picture, "pitch"))
    return max(UNKNOWN_POSE if angle is None else abs(angle) for angle in angles)


def portraits_first(pictures: Sequence[Picture], count: int) -> list[Picture]:
    """Some calm frontal pictures before all others, each kind by rank.

    Args:
        pictures: of one person, the best first.
        count: so many portraits at most come first: the one of `first_of`, then further anchors.
    """
    if not pictures:
        return []
    first = first_of(pictures)
    anchors = (p for p in pictures if p.role == "anchor" and off_frontal(p) <= FRONTAL)
    chosen = [first, *(picture for picture in anchors if picture is not first)][:count]
    return chosen + [picture for picture in pictures if picture not in chosen]


def first_of(pictures: Sequence[Picture]) -> Picture:
    """The picture to show first, or alone: the best anchor that is frontal.

    Anchors show a calm face. Where none is frontal it is the best frontal picture, and where there
    is none, the picture nearest to frontal.

    Args:
        pictures: of one person, at least one, the best first.
    """
    frontal = [picture for picture in pictures if off_frontal(picture) <= FRONTAL]
    anchors = (picture for picture in frontal if picture.role == "anchor")
    nearest = min(pictures, key=lambda picture: (off_frontal(picture), picture.rank))
    return next(anchors, next(iter(frontal), nearest))
