"""Where each track of a video is, in the picture and in time: the table `camera_places`."""

from __future__ import annotations

from typing import Final

import polars as pl

from identity_pipeline.core.ride.phases import BOARDING
from identity_pipeline.tables import BOX, TABLES

TENTHS: Final = 10
SAME_FACE: Final = 0.3
"""Overlap (IoU) from which two boxes of a frame are one face: as between two detectors
(`core.recall.recapture`)."""


def places_of(
    tracks: pl.DataFrame,
    detections: pl.DataFrame,
    frames: pl.DataFrame,
    frame_size: tuple[int, int],
    phases: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """One row per track.

    Args:
        tracks: table `face_tracks`.
        detections: table `face_detections`.
        frames: table `frames`.
        frame_size: (width, height) in px.
        phases: frame_idx, phase (null where it is not known); None where no phases are known.
    """
    height, boarding = float(frame_size[1]), _boarding(frames, phases)
    wide, high = pl.col("x2") - pl.col("x1"), pl.col("y2") - pl.col("y1")
    faces = (
        tracks.select("face_id", "frame_idx", "track_id")
        .join(detections.drop("frame_idx", "tracklet_id"), on="face_id", validate="1:1")
        .join(_tenths(frames), on="frame_idx")
        .join(boarding, on="frame_idx")
        .sort("track_id", "frame_idx", "face_id")
    )
    rows = faces.group_by("track_id", maintain_order=True).agg(
        x=((pl.col("x1") + pl.col("x2")) / 2 / height).cast(pl.Float64).median(),
        y=((pl.col("y1") + pl.col("y2")) / 2 / height).cast(pl.Float64).median(),
        size=((wide * high).cast(pl.Float64).sqrt() / height).median(),
        presence=pl.col("frame_idx").n_unique() / max(frames.height, 1),
        faces=pl.len().cast(pl.Int64),
        tenths=pl.concat_list((pl.col("tenth") == k).sum().cast(pl.Int64) for k in range(TENTHS)),
        boarding_share=pl.col("boarding").mean(),
    )
    usual = boarding["boarding"].mean() if boarding.height else None
    beside = rows.select("track_id").join(_beside(faces), on="track_id", how="left")
    return rows.with_columns(
        beside=beside["beside"].fill_null([]),
        boarding_usual=pl.when(pl.col("boarding_share").is_not_null()).then(pl.lit(usual)),
    ).select(pl.col(name).cast(dtype) for name, dtype in TABLES["camera_places"].items())


def _tenths(frames: pl.DataFrame) -> pl.DataFrame:
    """`frame_idx, tenth` by time, so that frames which are sampled more often count no more."""
    start, end = pl.col("timestamp_ms").min(), pl.col("timestamp_ms").max()
    share = (pl.col("timestamp_ms") - start) / (end - start)
    tenth = (share.fill_nan(0.0) * TENTHS).floor().clip(0, TENTHS - 1).cast(pl.Int64)
    return frames.select("frame_idx", tenth=tenth)


def _boarding(frames: pl.DataFrame, phases: pl.DataFrame | None) -> pl.DataFrame:
    """`frame_idx, boarding`; null where the phase is not known."""
    if phases is None:
        return frames.select("frame_idx", boarding=pl.lit(None, dtype=pl.Float64))
    told = phases.select("frame_idx", boarding=(pl.col("phase") == BOARDING).cast(pl.Float64))
    return frames.select("frame_idx").join(told, on="frame_idx", how="left")


def _beside(faces: pl.DataFrame) -> pl.DataFrame:
    """`track_id, beside`: the tracks that are seen in one of its frames, of those with any.

    Two faces that lie on one another are one face that was found twice, and say nothing.
    """
    seen = faces.select("frame_idx", "track_id", *BOX)
    pairs = seen.join(seen, on="frame_idx").filter(pl.col("track_id") != pl.col("track_id_right"))
    return (
        pairs.filter(_overlap() < SAME_FACE)
        .select("track_id", pl.col("track_id_right").alias("beside"))
        .unique()
        .sort("track_id", "beside")
        .group_by("track_id", maintain_order=True)
        .agg("beside")
    )


def _overlap() -> pl.Expr:
    """Of the two boxes of a pair: intersection over union."""
    wide = pl.min_horizontal("x2", "x2_right") - pl.max_horizontal("x1", "x1_right")
    high = pl.min_horizontal("y2", "y2_right") - pl.max_horizontal("y1", "y1_right")
    both = wide.clip(0) * high.clip(0)
    one = (pl.col("x2") - pl.col("x1")) * (pl.col("y2") - pl.col("y1"))
    other = (pl.col("x2_right") - pl.col("x1_right")) * (pl.col("y2_right") - pl.col("y1_right"))
    return both / (one + other - both)
