"""What is truly in a video: the tables that a truth file becomes.

Two forms. `faces`: every face of a frame with its box and more. `seats`: only where the face of
each rider must lie. Both are rows of one table; a seat is a box in which nothing else is known.
Null means "the truth does not say", never zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import polars as pl

from identity_pipeline.tables import Schema

FACES, SEATS = "faces", "seats"
RENDERED, REAL = "rendered", "real"
ORIGIN_WORDS: Final = {RENDERED: "rendered clips", REAL: "real clips"}
LIGHTINGS: Final = ("dark", "normal", "overexposed")

TRUTH_FRAMES: Final[Schema] = {
    "frame_idx": pl.Int64,  # decode order in the source, from 0
    "lighting": pl.String,
    "motion_blur": pl.Boolean,
    "occluder": pl.Boolean,
    "scene_cut": pl.Boolean,
}
TRUTH_FACES: Final[Schema] = {
    "frame_idx": pl.Int64,
    "person": pl.String,  # at most once a frame
    "rider": pl.Boolean,
    **dict.fromkeys(("true_x1", "true_y1", "true_x2", "true_y2"), pl.Float64),  # px
    **dict.fromkeys(("true_pitch", "true_yaw", "true_roll"), pl.Float64),  # degrees
    "true_occlusion": pl.Float64,  # share
    "true_eye_open": pl.Float64,  # relative to the person's own neutral
    "true_mouth_open": pl.Float64,
    "true_smile": pl.Float64,
    "true_lighting": pl.String,
    "true_landmarks": pl.List(pl.Float64),  # x, y of 68 points, flattened
}
TRUE_BOX: Final = ("true_x1", "true_y1", "true_x2", "true_y2")


@dataclass(frozen=True)
class Truth:
    """The truth of one video.

    Attributes:
        origin: `rendered` or `real`.
        kind: `faces` or `seats`.
        people: the riders from left to right; the same name is the same person everywhere.
        traits: what else is said of the clip, e.g. `twins`.
        frames: table `TRUTH_FRAMES`.
        faces: table `TRUTH_FACES`; of kind `seats` the boxes are seats.
    """

    origin: str
    kind: str
    people: tuple[str, ...]
    traits: tuple[str, ...]
    frames: pl.DataFrame
    faces: pl.DataFrame
