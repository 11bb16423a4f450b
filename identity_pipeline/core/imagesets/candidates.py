"""One row per rider face with everything the selection looks at, and what it may look at.

`standing` says how far a face got: `candidate`, or the stable code of the first thing that took it
out (`gate`, `no_prototype`, `not_embedded`, `below_floor`, `closer_to_rival`, `cut_by_frame`,
`other_face_in_crop`, `no_vision`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from identity_pipeline.core.geometry import Box, CropLimits, export_crop_box, neighbour_share
from identity_pipeline.settings import ExportSettings
from identity_pipeline.tables import TABLES


def box_of(row: Mapping[str, Any], prefix: str = "") -> Box:
    """The box in the columns `x1, y1, x2, y2` (with a prefix) of a row."""
    return Box(*(float(row[f"{prefix}{name}"]) for name in ("x1", "y1", "x2", "y2")))


def export_crops(
    faces: pl.DataFrame,
    detections: pl.DataFrame,
    frame_size: tuple[int, int],
    settings: ExportSettings,
) -> pl.DataFrame:
    """`face_id, crop_x1 .. crop_y2, crop_px, neighbour_share, crop_reason` of each face.

    Args:
        faces: face_ids to export.
        detections: table `face_detections`: every face of a frame limits its neighbours' crops.
        frame_size: (width, height).
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
    for neighbours in by_frame.values():
        for face_id, box in neighbours:
            if face_id not in wanted:
                continue
            others = [other for other_id, other in neighbours if other_id != face_id]
            rows.append({"face_id": face_id, **_crop(box, others, frame_size, settings)})
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
    *("lid_ratio", "mouth_open", "smile"),
)
"""Columns of `face_landmarks` that say whether a face is a portrait."""


def gather(
    stability: pl.DataFrame,
    gated_quality: pl.DataFrame,
    landmarks: pl.DataFrame,
    buckets: pl.DataFrame,
    detections: pl.DataFrame,
    vision: pl.DataFrame | None,
    frame_size: tuple[int, int],
    settings: ExportSettings,
) -> pl.DataFrame:
    """The table `candidates`: all observations of rider faces, sorted by person and time.

    Args:
        stability: table `identity_stability`: the riders' faces.
        gated_quality: `face_quality` after `gates.regate`.
        landmarks: table `face_landmarks`.
        buckets: table `face_buckets`.
        detections: table `face_detections`, of all faces.
        vision: table `vision_embeddings`, or None before it exists.
        frame_size: (width, height).
        settings: sizes of the exported crop.
    """
    crops = export_crops(stability, detections, frame_size, settings)
    joined = (
        stability.rename({"reason": "stability_reason"})
        .join(gated_quality.drop("frame_idx", "occlusion"), on="face_id", how="left")
        .join(
            landmarks.select("face_id", "yaw", "pitch", "roll", "occlusion", *EXPRESSION),
            on="face_id",
            how="left",
        )
        .join(buckets.drop("frame_idx", "person_id"), on="face_id", how="left")
        .join(detections.select("face_id", "timestamp_ms", "x1", "y1", "x2", "y2"), on="face_id")
        .join(crops, on="face_id", how="left")
    )
    seen = vision if vision is not None else pl.DataFrame(schema=TABLES["vision_embeddings"])
    joined = joined.join(
        seen.select("face_id", "e_vis_face", "e_vis_body", "look"), on="face_id", how="left"
    )
    blind = pl.col("e_vis_face").is_null() & pl.lit(vision is not None)
    standing = (
        pl.when(pl.col("stability_reason") == "no_prototype")
        .then(pl.lit("no_prototype"))
        .when(~pl.col("loose"))
        .then(pl.lit("gate"))
        .when(~pl.col("stable"))
        .then(pl.col("stability_reason"))
        .when(pl.col("crop_reason").is_not_null())
        .then(pl.col("crop_reason"))
        .when(blind)
        .then(pl.lit("no_vision"))
        .otherwise(pl.lit("candidate"))
    )
    table = joined.with_columns(standing=standing).sort("person_id", "frame_idx", "face_id")
    return table.select(TABLES["candidates"].keys())
