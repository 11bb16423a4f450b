"""Numbers of a recogniser that carries none, from rides without a label.

What belongs here: which faces the ride itself says are one person or two, and how the settings of a
pack's scale follow from their cosines. What does not: the calibration of a library, which goes on
from these (`core.matching.calibration`).

Short-term tracklets are taken, never stitched tracks: those were joined at a cosine, which is what
is to be found. Faces of one tracklet are one person, tracklets that share a frame are two; most
tracklets of different videos are two people as well, and a robust fit bears the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import polars as pl

from identity_pipeline.core.matching.calibration import calibrate
from identity_pipeline.core.matching.calibration_pairs import sample_faces, video_pairs
from identity_pipeline.core.matching.cross_pairs import pairs_across
from identity_pipeline.core.matching.templates import VideoTables, build_templates
from identity_pipeline.core.matching.thresholds import NAMES
from identity_pipeline.core.vectors import Matrix, normalise
from identity_pipeline.settings import MatchSettings
from identity_pipeline.tables import empty

FACES_MIN: Final = 10
"""Usable faces of a tracklet that counts: a second of video; false faces do not last so long."""
CENTRE_TRACKLETS_MIN: Final = 40
"""Tracklets that a centre is the mean of. Chosen: of few people the mean is theirs, and who is new
lies off it."""
CENTRED_BELOW: Final = 0.15
"""Median cosine of two people up to which no common direction is taken off. Chosen: in spaces
like ArcFace's it is about 0."""
_STABLE: Final = (
    "tracking.split_cos",
    "stability.stable_min",
    "selection.challenge_stable_min",
)
_Rows = Mapping[tuple[str, str], Mapping[str, Any]]
"""Rows of the table `calibration`, by level and name."""


@dataclass(frozen=True)
class PackNumbers:
    """The numbers of a recogniser and what they come from.

    Attributes:
        values: settings by dotted name; empty where too little is known.
        provenance: how each was found.
        evidence: on how many, and how they compare, in words.
        reason: why there are none; null where there are.
    """

    values: dict[str, float]
    provenance: dict[str, str]
    evidence: str
    reason: str | None


def of_tracklets(video: VideoTables) -> VideoTables:
    """The tables of a video as if each tracklet of enough usable faces were a rider's track."""
    tracks = video.tracks.select("face_id", "frame_idx", track_id="tracklet_id")
    usable = video.quality.filter("loose").select("face_id")
    counted = usable.join(tracks, on="face_id").group_by("track_id").len()
    kept = counted.filter(pl.col("len") >= FACES_MIN).sort("track_id")
    riders = kept.select("track_id", person_id="track_id", reason=pl.lit("rider"))
    return replace(video, tracks=tracks, riders=riders)


def pack_numbers(videos: Sequence[VideoTables], settings: MatchSettings) -> PackNumbers:
    """The numbers of the recogniser that some videos' faces were embedded by.

    Between templates, thresholds are those of the calibration at its rates of false accepts:
    `exclude` 1 in 100, `suggest` 1 in 1,000, `assign` 1 in 10,000, as estimated. Two tracklets of a
    ride are joined at `suggest`, and at `exclude` with a lead over the runner-up; over a cut they
    are parted again below `assign`, but never above what one in a hundred parts of one tracklet
    fall below. A face is a
    track's, and stable, above what one in a hundred of a person's own faces falls below, but no
    higher than one in a hundred faces of others reaches.

    Args:
        videos: tables of each, of one space; the tracks in them do not matter.
        settings: how many pairs are taken, and the rates.

    Raises:
        SpaceMismatchError: they are of more than one space.
    """
    own = [of_tracklets(video) for video in videos]
    parts = [build_templates(video, settings).table for video in own]
    templates = pl.concat([empty("track_templates"), *parts])
    told = (
        f"{templates.height} tracklets of {templates['video_id'].n_unique()} rides, without labels"
    )
    samples = pl.concat([empty("face_samples"), *(sample_faces(v, settings) for v in own)])
    of_videos = [video_pairs(video, settings) for video in own]
    across = pairs_across(templates, samples, {}, settings)
    pairs = pl.concat([empty("calibration_pairs"), *of_videos, across])
    if not pairs.height:
        return PackNumbers({}, {}, told, "no two tracklets with enough faces are there")
    # Neither pins nor intervals: what is estimated is taken.
    unbound = {f"pin_{name}": None for name in NAMES} | {"bootstrap_rounds": 0}
    table = calibrate(pairs, settings.model_copy(update=unbound))
    rows = {(row["level"], row["name"]): row for row in table.iter_rows(named=True)}
    reason = _why_not(rows)
    return PackNumbers({}, {}, told, reason) if reason else _found(rows, settings, told)


def _why_not(rows: _Rows) -> str | None:
    """Why the calibration gives no numbers; None where it does."""
    between, faces = rows["template", "exclude"], rows["probe", "exclude"]
    for row in (between, faces):
        if row["threshold"] is None:
            return row["reason"]
    if between["genuine_mean"] is None or faces["genuine_p01"] is None:
        return "no tracklet is long enough to compare with itself"
    if between["genuine_mean"] <= between["threshold"]:
        return "faces of one person are no nearer to each other than those of two people"
    return None


def _found(rows: _Rows, settings: MatchSettings, told: str) -> PackNumbers:
    between = {name: rows["template", name]["threshold"] for name in NAMES}
    others, own = rows["probe", "exclude"]["threshold"], rows["probe", "exclude"]["genuine_p01"]
    said = {
        name: f"1 in {round(1 / getattr(settings, f'far_{name}')):,} pairs of two people reach it"
        for name in NAMES
    }
    stable = "1 in 100 faces of others is as near"
    if own < others:
        stable = "1 in 100 of a person's own faces is farther from their mean"
    parts = rows["template", "exclude"]["genuine_p01"]
    part, parted = between["assign"], said["assign"]
    if parts < part:
        part, parted = parts, "1 in 100 parts of one tracklet are less alike"
    values = {
        "tracking.part_cos": (part, parted),
        "tracking.stitch_cos": (between["suggest"], said["suggest"]),
        "tracking.stitch_cos_with_margin": (between["exclude"], said["exclude"]),
        **dict.fromkeys(_STABLE, (min(others, own), stable)),
        **{f"match.default_{name}": (between[name], said[name]) for name in NAMES},
    }
    return PackNumbers(
        {name: round(float(value), 3) for name, (value, _) in values.items()},
        {name: f"measured on {told}: {words}" for name, (_, words) in values.items()},
        told,
        None,
    )


def centre_of(features: Sequence[Matrix]) -> tuple[Matrix, str | None]:
    """The mean of the raw features of faces, each tracklet counting once, and why not to use it.

    Args:
        features: (N, D) of each tracklet, as the recogniser gives them, not normalised.

    Returns:
        (1, D), and a reason where it should not be taken off.
    """
    if len(features) < CENTRE_TRACKLETS_MIN:
        reason = (
            f"{len(features)} tracklets are there, and a mean of fewer than {CENTRE_TRACKLETS_MIN} "
            "would be that of single people; run more rides"
        )
        return np.zeros((1, 0), dtype=np.float32), reason
    means = np.stack([each.astype(np.float64).mean(axis=0) for each in features])
    units = normalise(means)
    cosines = units @ units.T
    usual = float(np.median(cosines[np.triu_indices(len(units), k=1)]))
    reason = None
    if usual < CENTRED_BELOW:
        reason = (
            f"faces of different people lie at a median cosine of {usual:.2f} already, as in "
            "spaces like ArcFace's: there is no common direction to take off"
        )
    return means.mean(axis=0, keepdims=True).astype(np.float32), reason
