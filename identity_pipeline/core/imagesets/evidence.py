"""What was measured of a face, as the evidence that it was chosen by, or not.

What belongs here: gathering it from a row of `candidates`, and comparing it with another face's.
What does not: how it is measured (`core.faces`), how it is weighed (`portrait`, `selection`), and
its words (`media.wording`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import polars as pl

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
PICTURE_PARTS: Final = ("eyes", "view", "light", "sharp", "alone")
"""Parts of `picture_score`: mouth and pose are what a picture shows, whatever they are."""


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


class Comparison(NamedTuple):
    """Two faces as pictures of what they show.

    Attributes:
        own, other: their `picture_score`.
        part: in which the worse one is behind most; None where no part is.
        own_part, other_part: of both.
    """

    own: float
    other: float
    part: str | None = None
    own_part: float | None = None
    other_part: float | None = None


def compared(own: Evidence, other: Evidence) -> Comparison | None:
    """How two faces compare as pictures, and by which part most; None where one has no score."""
    if own.picture_score is None or other.picture_score is None:
        return None
    ahead = 1.0 if own.picture_score >= other.picture_score else -1.0
    theirs = dict(other.parts)
    leads: list[tuple[float, str, float, float]] = []
    for name, value in own.parts:
        beside = theirs.get(name)
        if name in PICTURE_PARTS and value is not None and beside is not None:
            leads.append((ahead * (value - beside), name, value, beside))
    most = max(leads, key=lambda lead: lead[0], default=None)
    if most is None or most[0] <= 0.0:
        return Comparison(own.picture_score, other.picture_score)
    return Comparison(own.picture_score, other.picture_score, *most[1:])


class Peers(NamedTuple):
    """A face among others that it competes with: those of its moment, or of its bucket.

    Attributes:
        faces: how many they are, with itself.
        rank: of the face among them, 1 for the best; None where it is out of the contest.
        other: the best of the others; None where there is none.
    """

    faces: int
    rank: int | None
    other: str | None


def peers_in_moment(face_id: str, moments: pl.DataFrame) -> Peers | None:
    """A face in its moment; None of one that is in none.

    Args:
        face_id: the face.
        moments: table `moments`.
    """
    own = moments.filter(pl.col("face_id") == face_id)
    if not own.height:
        return None
    together = moments.filter(pl.col("moment_id") == own["moment_id"][0])
    others = together.filter(pl.col("face_id") != face_id).drop_nulls("rank").sort("rank")
    return Peers(together.height, own["rank"][0], next(iter(others["face_id"]), None))


def peers_in_bucket(face_id: str, candidates: pl.DataFrame) -> Peers | None:
    """A face among the candidates of its rider and bucket, by picture score and highlight.

    Args:
        face_id: the face.
        candidates: table `candidates`.

    Returns:
        None where the face is no candidate, has no bucket, or nothing was scored.
    """
    own = candidates.filter(pl.col("face_id") == face_id, pl.col("standing") == "candidate")
    own = own.drop_nulls(["bucket_key", "picture_score"])
    if not own.height:
        return None
    same = [pl.col(name) == own[name][0] for name in ("person_id", "bucket_key", "standing")]
    ranked = (
        candidates.filter(*same)
        .with_columns(worth=pl.col("picture_score") + pl.col("bonus").fill_null(0.0))
        .sort(["worth", "face_id"], descending=[True, False], nulls_last=True)["face_id"]
        .to_list()
    )
    others = [other for other in ranked if other != face_id]
    return Peers(len(ranked), ranked.index(face_id) + 1, others[0] if others else None)


def _measured(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
