"""The unit of the library: one template per track, the mean direction of its usable faces.

What belongs here: which faces of a track count, how much, and what the track's row says. What does
not: who the track is (`core.matching.assignment`, `core.clustering.grouping`).

Tracks are those of `face_tracks`: contaminated tracklets are already split there, so no template
mixes the two sides of a cut. Reasons why a track has no template: `no_rider`, `too_few_usable`.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from identity_pipeline.core.vectors import (
    Matrix,
    check_unit,
    normalise,
    same_space,
    to_matrix,
)
from identity_pipeline.settings import MatchSettings
from identity_pipeline.tables import TABLES, Schema

TRACK_TEMPLATES: Final = TABLES["track_templates"]
NO_TEMPLATE: Final[Schema] = {
    "track_key": pl.String,
    "video_id": pl.String,
    "track_id": pl.Int64,
    "face_count": pl.Int64,
    "reason": pl.String,
}
BOX_COLUMNS: Final = ("x1", "y1", "x2", "y2")
MOST_CUTS: Final = 64
"""Places at which rows are put between others that stay where they are: chosen, for a table in very
many pieces is slow to read."""


@dataclass(frozen=True)
class Templates:
    """The templates of a video, and the tracks that have none with the reason."""

    table: pl.DataFrame
    without: pl.DataFrame


@dataclass(frozen=True)
class VideoTables:
    """The tables of one video that templates and calibration are made of."""

    video_id: str
    embeddings: pl.DataFrame
    quality: pl.DataFrame
    tracks: pl.DataFrame
    riders: pl.DataFrame
    detections: pl.DataFrame


def track_key(video_id: str, track_id: int) -> str:
    """The subject of a track."""
    return f"track:{video_id}:{track_id}"


def usable_faces(video: VideoTables) -> pl.DataFrame:
    """Embedded faces that passed the loose gate, with their track, in time order.

    Returns:
        face_id, frame_idx, timestamp_ms, track_id, rider, quality_score, x1..y2, space, e_id.
        Faces without a measured quality are left out: they could not be weighed.

    Raises:
        SpaceMismatchError: the embeddings are of more than one space.
    """
    usable = video.embeddings.filter(pl.col("because") == "usable")
    if usable.height:
        same_space(*usable["space"].unique().to_list())
    return (
        usable.select("face_id", "frame_idx", "space", "e_id")
        .join(video.quality.select("face_id", "quality_score"), on="face_id", how="inner")
        .filter(pl.col("quality_score").is_not_null())
        .join(video.tracks.select("face_id", "track_id"), on="face_id", how="inner")
        .join(video.riders.select("track_id", rider="person_id"), on="track_id", how="left")
        .join(
            video.detections.select("face_id", "timestamp_ms", *BOX_COLUMNS),
            on="face_id",
            how="inner",
        )
        .sort("track_id", "frame_idx", "face_id")
    )


def build_templates(
    video: VideoTables,
    settings: MatchSettings,
    *,
    all_tracks: bool = False,
    least: int | None = None,
) -> Templates:
    """The rows of `track_templates` of one video.

    Args:
        video: its tables.
        settings: how many faces a template wants, and how they are thinned.
        all_tracks: also tracks that are no rider.
        least: usable faces that a template wants; `match.template_min_faces` by default.

    Returns:
        Rows sorted by `track_key`, and the tracks without a template.

    Raises:
        SpaceMismatchError: the embeddings are of more than one space.
        NotUnitNormError: an embedding is not of unit length.
    """
    faces = usable_faces(video)
    wanted = settings.template_min_faces if least is None else least
    of_track = dict(by_track(faces))
    frames_of = {
        track: sorted(set(group["frame_idx"].to_list()))
        for track, group in by_track(video.tracks.sort("track_id", "frame_idx"))
    }
    rider_of = dict(video.riders.select("track_id", "person_id").iter_rows())
    rows, without = [], []
    for track, frames in frames_of.items():
        group = of_track.get(track, faces.clear())
        reason = None
        if rider_of.get(track) is None and not all_tracks:
            reason = "no_rider"
        elif group.height < wanted:
            reason = "too_few_usable"
        base = {
            "track_key": track_key(video.video_id, track),
            "video_id": video.video_id,
            "track_id": track,
            "face_count": group.height,
        }
        if reason:
            without.append(base | {"reason": reason})
        else:
            rows.append(base | {"rider": rider_of.get(track)} | _row(group, frames, settings))
    return Templates(
        pl.DataFrame(rows, schema=TRACK_TEMPLATES).sort("track_key"),
        pl.DataFrame(without, schema=NO_TEMPLATE).sort("track_key"),
    )


def by_track(table: pl.DataFrame) -> list[tuple[int, pl.DataFrame]]:
    """The rows of each track, in the order in which the tracks come."""
    return [
        (group["track_id"][0], group)
        for _, group in table.group_by("track_id", maintain_order=True)
    ]


def _row(faces: pl.DataFrame, frames: list[int], settings: MatchSettings) -> dict[str, Any]:
    vectors = check_unit(to_matrix(faces["e_id"]), "e_id")
    quality = faces["quality_score"].cast(pl.Float64).to_numpy()
    kept = thin(vectors, quality, settings.template_thin_cos)
    mean = vectors[kept].astype(np.float64).mean(axis=0)
    best = faces.sort(["quality_score", "face_id"], descending=[True, False]).row(0, named=True)
    template = weighted_direction(vectors[kept], quality[kept], settings.template_weight_floor)
    return {
        "quality": float(quality.mean()),
        "first_frame": frames[0],
        "last_frame": frames[-1],
        "frames": frames,
        "best_face_id": best["face_id"],
        "best_frame": best["frame_idx"],
        "box": [best[name] for name in BOX_COLUMNS],
        "spread": float(1.0 - np.linalg.norm(mean)),
        "space": best["space"],
        "template": template.tolist(),
    }


def weighted_direction(
    vectors: Matrix, quality: NDArray[np.float64], floor: float
) -> NDArray[np.float32]:
    """Unit vector (D,) along the mean of (N, D) unit vectors weighted by max(quality, floor)."""
    weights = np.maximum(quality, floor)
    return normalise((vectors.astype(np.float64) * weights[:, None]).sum(axis=0, keepdims=True))[0]


def thin(vectors: Matrix, quality: NDArray[np.float64], cosine: float) -> NDArray[np.int64]:
    """Indices of (N, D) unit vectors in time order that remain without near-identical successors.

    A vector at or above the cosine to the first one of its run belongs to that run; the run's
    best vector by quality stays (ties: the first).
    """
    kept: list[int] = []
    head = -1
    for i, vector in enumerate(vectors):
        if head >= 0 and float(vector @ vectors[head]) >= cosine:
            if quality[i] > quality[kept[-1]]:
                kept[-1] = i
        else:
            head = i
            kept.append(i)
    return np.asarray(kept, dtype=np.int64)


def in_order(templates: pl.DataFrame) -> pl.DataFrame:
    """The table by `track_key`; as it is where it is so already, for vectors are dear to copy."""
    return templates if templates["track_key"].is_sorted() else templates.sort("track_key")


def together_in_order(templates: pl.DataFrame, more: pl.DataFrame) -> pl.DataFrame:
    """The rows of two tables by `track_key`, where each is by it already.

    Where few come, they are put between rows that stay where they are in memory: see `in_order`.
    """
    places = templates["track_key"].search_sorted(more["track_key"], "left").to_list()
    cuts = sorted(set(places))
    if len(cuts) > MOST_CUTS:
        return in_order(pl.concat([templates, more]))
    pieces, done, put = [], 0, 0
    for cut in cuts:
        behind = bisect_right(places, cut)
        pieces += [templates[done:cut], more[put:behind]]
        done, put = cut, behind
    pieces.append(templates[done:])
    return pl.concat([piece for piece in pieces if piece.height] or pieces)


def template_matrix(templates: pl.DataFrame) -> Matrix:
    """The (N, D) templates of a table, checked for unit length and for one space.

    Raises:
        SpaceMismatchError: they are of more than one space.
        NotUnitNormError: one is not of unit length.
    """
    if templates.height:
        same_space(*templates["space"].unique().to_list())
    return check_unit(to_matrix(templates["template"]), "template")
