"""What was measured of a face, as the evidence that it was chosen by, or not.

What belongs here: gathering it from a row of `candidates`. What does not: how it is measured
(`core.faces`), how it is weighed (`portrait`, `selection`), and its words (`media.wording`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

SCORE_PARTS: Final = (
    "score_eyes",
    "score_mouth",
    "score_view",
    "score_light",
    "score_sharp",
    "score_pose",
    "score_alone",
)
"""Columns of the parts of a picture's score, in the order in which people read them."""


@dataclass(frozen=True)
class Evidence:
    """What was measured of one face. None is "not measured", never 0.

    Attributes:
        eyes: `open`, `lowered`, `closed` or `unknown`.
        wink, gaze_aside: whether one eye is shut; whether they look elsewhere than the nose points.
        lid_ratio: gap of the lids over the person's usual one.
        mouth_open: how far the mouth is open, over its width.
        smile: in [0, 1].
        occlusion: share of the face that something covers.
        luma_mean: mean luma of the face, in [0, 255].
        surround_luma: of what is around it: a face much darker than that is backlit.
        sharpness: variance of the Laplacian on the aligned crop.
        neighbour_share: share of the crop that heads of other people cover.
        portrait_score: as a frontal reference, in [0, 1].
        picture_score: as a picture of what it shows, whatever pose and expression, in [0, 1].
        parts: parts of both scores by name without `score_`, in [0, 1].
        moment_id: of its moment, among the rider's.
    """

    eyes: str | None = None
    wink: bool | None = None
    gaze_aside: bool | None = None
    lid_ratio: float | None = None
    mouth_open: float | None = None
    smile: float | None = None
    occlusion: float | None = None
    luma_mean: float | None = None
    surround_luma: float | None = None
    sharpness: float | None = None
    neighbour_share: float | None = None
    portrait_score: float | None = None
    picture_score: float | None = None
    parts: tuple[tuple[str, float | None], ...] = ()
    moment_id: int | None = None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Evidence:
        """From a row of `candidates`; a column that an older table lacks was not measured."""
        names = [name for name in cls.__dataclass_fields__ if name != "parts"]
        measured = {name: _measured(row.get(name)) for name in names}
        known = [name for name in SCORE_PARTS if name in row]
        parts = tuple((name.removeprefix("score_"), _measured(row[name])) for name in known)
        return cls(**measured, parts=parts)


def _measured(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
