"""What was measured of a face, as the evidence that it was chosen by, or not.

What belongs here: gathering it from a row of `candidates`, and comparing it with another face's.
What does not: how it is measured (`core.faces`), how it is weighed (`portrait`, `selection`), and
its words (`media.wording`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import polars as pl

from identity_pipeline.core.imagesets.portrait import (
    PICTURE_WEIGHTS,
    PORTRAIT_WEIGHTS,
    anchor_eligible,
)
from identity_pipeline.core.imagesets.score_parts import UNMEASURED
from identity_pipeline.settings import SelectionSettings

SHOWN: Final = "eyes and mouth"
"""What a `picture_score` has beside `PICTURE_WEIGHTS`: how well a face shows its expression."""
ALIKE: Final = 0.005
"""Scores that differ by less are printed as the same number."""


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
        known = [name for name in PORTRAIT_WEIGHTS if name in row]
        parts = tuple((name.removeprefix("score_"), _measured(row[name])) for name in known)
        return cls(**measured, parts=parts)


class Comparison(NamedTuple):
    """Two faces by one of their scores.

    Attributes:
        own, other: the scores.
        part: what sets them apart most; None where the scores are alike.
        own_part, other_part: that part of both; None where it is `SHOWN`.
    """

    own: float
    other: float
    part: str | None = None
    own_part: float | None = None
    other_part: float | None = None


def compared(own: Evidence, other: Evidence, *, portrait: bool = False) -> Comparison | None:
    """How two faces compare, and by which part most; None where one has no score.

    A score is a product of its parts, so what a part adds to the lead of one face is the logarithm
    of the parts' ratio, times its weight.

    Args:
        own: of the face.
        other: of the one beside it.
        portrait: whether as portraits; else as pictures of what they show.
    """
    ours, theirs = (e.portrait_score if portrait else e.picture_score for e in (own, other))
    if ours is None or theirs is None:
        return None
    if abs(ours - theirs) < ALIKE:
        return Comparison(ours, theirs)
    weights = PORTRAIT_WEIGHTS if portrait else PICTURE_WEIGHTS
    parts, beside = dict(own.parts), dict(other.parts)
    leads = {
        part: weight * _log_ratio(parts.get(part), beside.get(part))
        for part, weight in ((n.removeprefix("score_"), w) for n, w in weights.items())
    }
    whole = _log_ratio(ours, theirs)
    if not portrait:
        leads[SHOWN] = whole - sum(leads.values())
    part = max(leads, key=lambda name: math.copysign(1.0, whole) * leads[name])
    return Comparison(ours, theirs, part, parts.get(part), beside.get(part))


def _log_ratio(own: float | None, other: float | None) -> float:
    """Of two parts; a part that was not measured counts as `UNMEASURED`, nothing as very little."""
    values = [UNMEASURED if value is None else max(value, 1e-6) for value in (own, other)]
    return math.log(values[0] / values[1])


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
    """A candidate among those of its rider and bucket, as a picture; None of one without a bucket.

    Args:
        face_id: the face.
        candidates: table `candidates`.
    """
    weighed = candidates.filter(
        pl.col("standing") == "candidate", pl.col("bucket_key").is_not_null()
    )
    return _ranked(face_id, weighed, ("person_id", "bucket_key"), "picture_score")


def peers_as_anchor(
    face_id: str, candidates: pl.DataFrame, settings: SelectionSettings
) -> Peers | None:
    """A candidate among those of its rider that may be anchors; None of one that may not.

    Args:
        face_id: the face.
        candidates: table `candidates`.
        settings: what an anchor is.
    """
    fit = candidates.filter(pl.col("standing") == "candidate").filter(anchor_eligible(settings))
    return _ranked(face_id, fit, ("person_id",), "portrait_score")


def _ranked(face_id: str, faces: pl.DataFrame, groups: Sequence[str], score: str) -> Peers | None:
    """A face among those of its group, by a score and what a highlight adds to it."""
    own = faces.filter(pl.col("face_id") == face_id).drop_nulls(score)
    if not own.height:
        return None
    ranked = (
        faces.filter(*(pl.col(name) == own[name][0] for name in groups))
        .with_columns(worth=pl.col(score) + pl.col("bonus").fill_null(0.0))
        .sort(["worth", "face_id"], descending=[True, False], nulls_last=True)["face_id"]
        .to_list()
    )
    others = [other for other in ranked if other != face_id]
    return Peers(len(ranked), ranked.index(face_id) + 1, others[0] if others else None)


def _measured(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
