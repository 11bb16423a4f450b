"""One row per rider face with everything the selection looks at, and what it may look at.

`standing` says how far a face got: `candidate`, or the stable code of the first thing that took it
out (`no_prototype`, `gate`, `below_floor`, `closer_to_rival`, `cut_by_frame`, `other_face_in_crop`,
`not_the_best_of_its_moment`, `outranked`, `not_embedded`, `no_vision`); what a human rejected is
`rejected_by_a_human` or `near_a_rejected_picture` before all of them. Only the best face of a
moment can be a candidate, and of those only what was shortlisted: see `core.imagesets.moments`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from identity_pipeline.core.faces.angles import in_frame, without_frame
from identity_pipeline.core.geometry import (
    Box,
    CropLimits,
    FrameSize,
    export_crop_box,
    neighbour_share,
    size_of,
)
from identity_pipeline.core.imagesets.decided import (
    ACCEPTED,
    NEAR_REJECTED,
    NOTHING,
    REJECTED,
    DecidedPictures,
    with_decisions,
)
from identity_pipeline.core.video.highlights import Emphasis
from identity_pipeline.settings import ExportSettings
from identity_pipeline.tables import SCORES, TABLES


def box_of(row: Mapping[str, Any], prefix: str = "") -> Box:
    """The box in the columns `x1, y1, x2, y2` (with a prefix) of a row."""
    return Box(*(float(row[f"{prefix}{name}"]) for name in ("x1", "y1", "x2", "y2")))


def export_crops(
    faces: pl.DataFrame,
    detections: pl.DataFrame,
    frame_size: FrameSize,
    settings: ExportSettings,
) -> pl.DataFrame:
    """`face_id, crop_x1 .. crop_y2, crop_px, neighbour_share, crop_reason` of each face.

    Args:
        faces: face_ids to export.
        detections: table `face_detections`: every face of a frame limits its neighbours' crops.
        frame_size: (width, height), of all frames or of each.
        settings: sizes.

    Returns:
        The square, its side in px, and the share of it that neighbours' heads cover; or nulls with
        `cut_by_frame` or `other_face_in_crop` in `crop_reason`.
    """
    wanted = set(faces["face_id"].to_list())
    frames = set(detections.filter(pl.col("face_id").is_in(list(wanted)))["frame_idx"].to_list())
    by_frame: dict[int, list[tuple[str, Box]]] = {}
    for row in detections.filter(pl.col("frame_idx").is_in(list(frames))).iter_rows(named=True):
        by_frame.setdefault(row["frame_idx"], []).append((row["face_id"], box_of(row)))
    rows = []
    for frame, neighbours in by_frame.items():
        size = size_of(frame_size, frame)
        for face_id, box in neighbours:
            if face_id not in wanted:
                continue
            others = [other for other_id, other in neighbours if other_id != face_id]
            rows.append({"face_id": face_id, **_crop(box, others, size, settings)})
    return pl.DataFrame(rows, schema=_CROP_SCHEMA).sort("face_id")


_CROP_COLUMNS = ("crop_x1", "crop_y1", "crop_x2", "crop_y2")
_MEASURED_COLUMNS = ("crop_px", "neighbour_share")
_CROP_SCHEMA = {
    "face_id": pl.String,
    **{name: TABLES["candidates"][name] for name in (*_CROP_COLUMNS, *_MEASURED_COLUMNS)},
    "crop_reason": pl.String,
}


def crop_limits(settings: ExportSettings) -> CropLimits:
    """What bounds the exported square."""
    return CropLimits(
        settings.crop_expand,
        settings.crop_expand_min,
        settings.crop_expand_max,
        settings.min_side_px,
    )


def _crop(
    box: Box, others: list[Box], frame_size: tuple[int, int], settings: ExportSettings
) -> dict[str, float | str | None]:
    limits = crop_limits(settings)
    square = export_crop_box(box, *frame_size, others, limits)
    if square is not None:
        return {
            **dict(zip(_CROP_COLUMNS, square, strict=True)),
            "crop_px": square.width,
            "neighbour_share": neighbour_share(square, others),
            "crop_reason": None,
        }
    alone = export_crop_box(box, *frame_size, [], limits)
    reason = "cut_by_frame" if alone is None else "other_face_in_crop"
    return {**dict.fromkeys((*_CROP_COLUMNS, *_MEASURED_COLUMNS)), "crop_reason": reason}


EXPRESSION = (
    *("eyes", "wink", "gaze_aside", "gaze_offset"),
    *("lid_ratio", "mouth_open", "smile", "surround_luma"),
)
"""Columns of `face_landmarks` that say whether a face is a portrait."""


NOT_THE_BEST, OUTRANKED = "not_the_best_of_its_moment", "outranked"
"""Standings of faces that another one stands for, and of moments that others are better than."""
_POSE = ("yaw", "pitch", "roll", "yaw_camera", "pitch_camera")
_FROM_MOMENTS = ("moment_id", "representative_face_id", *SCORES)


def gather(
    stability: pl.DataFrame,
    gated_quality: pl.DataFrame,
    landmarks: pl.DataFrame,
    buckets: pl.DataFrame,
    moments: pl.DataFrame,
    detections: pl.DataFrame,
    vision: pl.DataFrame | None,
    frame_size: FrameSize,
    settings: ExportSettings,
    decided: DecidedPictures = NOTHING,
    rejected_within_s: float = 0.0,
) -> pl.DataFrame:
    """The table `candidates` but for highlights: all observations of rider faces.

    Args:
        stability: table `identity_stability`: the riders' faces.
        gated_quality: `face_quality` after `gates.regate`.
        landmarks: table `face_landmarks`.
        buckets: table `face_buckets`.
        moments: table `moments`.
        detections: table `face_detections`, of all faces.
        vision: table `vision_embeddings`, or None before it exists.
        frame_size: (width, height), of all frames or of each.
        settings: sizes of the exported crop.
        decided: what humans decided on these pictures.
        rejected_within_s: how far in time a picture is the same as a rejected one.

    Returns:
        Sorted by person and time; see `with_emphasis` for the columns that are left.
    """
    crops = export_crops(stability, detections, frame_size, settings)
    joined = (
        stability.rename({"reason": "stability_reason"})
        .join(gated_quality.drop("frame_idx", "occlusion"), on="face_id", how="left")
        .join(
            in_frame(landmarks, buckets).select("face_id", *_POSE, "occlusion", *EXPRESSION),
            on="face_id",
            how="left",
        )
        .join(without_frame(buckets).drop("frame_idx", "person_id"), on="face_id", how="left")
        .join(detections.select("face_id", "timestamp_ms", "x1", "y1", "x2", "y2"), on="face_id")
        .join(crops, on="face_id", how="left")
        .join(
            moments.select("face_id", *_FROM_MOMENTS, "representative", "shortlisted"),
            on="face_id",
            how="left",
        )
    )
    seen = vision if vision is not None else pl.DataFrame(schema=TABLES["vision_embeddings"])
    joined = joined.join(
        seen.select("face_id", "e_vis_face", "e_vis_body", "look"), on="face_id", how="left"
    )
    joined = with_decisions(joined, decided, rejected_within_s)
    table = joined.with_columns(standing=_standing(vision is not None))
    return table.sort("person_id", "frame_idx", "face_id").drop("representative", "shortlisted")


def _standing(seen: bool) -> pl.Expr:
    """The first thing that took a face out.

    What a human rejected comes first, then what is wrong with the face itself: a gate that a human
    overruled, by accepting the face, does not count. That it has no identity is said last: only
    faces that stand for others get one.

    Args:
        seen: whether vision embeddings have been made.
    """
    refused = pl.col("stability_reason").is_in(["below_floor", "closer_to_rival"])
    blind = pl.col("e_vis_face").is_null() & pl.lit(seen)
    overruled = (pl.col("decided") == ACCEPTED) & pl.col("shortlisted").fill_null(False)
    return (
        pl.when(pl.col("decided").is_in([REJECTED, NEAR_REJECTED]))
        .then(pl.col("decided"))
        .when(pl.col("stability_reason") == "no_prototype")
        .then(pl.lit("no_prototype"))
        .when(~pl.col("loose") & ~overruled.fill_null(False))
        .then(pl.lit("gate"))
        .when(refused)
        .then(pl.col("stability_reason"))
        .when(pl.col("crop_reason").is_not_null())
        .then(pl.col("crop_reason"))
        .when(~pl.col("representative").fill_null(False))
        .then(pl.lit(NOT_THE_BEST))
        .when(~pl.col("shortlisted").fill_null(False))
        .then(pl.lit(OUTRANKED))
        .when(~pl.col("stable"))
        .then(pl.col("stability_reason"))
        .when(blind)
        .then(pl.lit("no_vision"))
        .otherwise(pl.lit("candidate"))
    )


def with_emphasis(
    faces: pl.DataFrame, emphasis: Emphasis | None, first_ms: float = 0.0
) -> pl.DataFrame:
    """Adds `weight` and `bonus`: what a face's highlight adds to its worth.

    Args:
        faces: with timestamp_ms.
        emphasis: the video's highlights, in which faces are preferred; without any the weight is
            null and the bonus nothing.
        first_ms: time of the video's first frame, from which they count.
    """
    if emphasis is None:
        unweighted = pl.lit(None, dtype=pl.Float32)
        return faces.with_columns(weight=unweighted, bonus=unweighted)
    elapsed = (faces["timestamp_ms"] - first_ms).to_list()
    return faces.with_columns(
        weight=pl.Series([emphasis.weight(at) for at in elapsed], dtype=pl.Float32),
        bonus=pl.Series([emphasis.bonus(at) for at in elapsed], dtype=pl.Float32),
    )
