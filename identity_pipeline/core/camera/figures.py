"""What a video looks like as a whole and in each phase: the table `camera_figures`."""

from __future__ import annotations

import re

import polars as pl

from identity_pipeline.tables import TABLES


def camera_of(stem: str, pattern: str) -> str | None:
    """The camera that a file is of: the first group of the pattern found in its stem.

    Args:
        stem: file name without folder and suffix.
        pattern: setting `ingest.camera_pattern`; empty: no camera has a name.
    """
    found = re.search(pattern, stem) if pattern else None
    return (found[1] or None) if found else None


def figures_of(
    frames: pl.DataFrame,
    detections: pl.DataFrame,
    quality: pl.DataFrame,
    phases: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """One row of the whole video and one per phase; null where there is nothing to measure it on.

    Args:
        frames: table `frames`.
        detections: table `face_detections`.
        quality: table `face_quality`.
        phases: frame_idx, phase (null where it is not known); None where no phases are known.
    """
    faces = detections.select("face_id", "frame_idx", "score").join(
        quality.select("face_id", "loose"), on="face_id", how="left"
    )
    whole = frames.with_columns(phase=pl.lit(None, dtype=pl.String))
    rows = [_row(whole, faces)]
    if phases is not None:
        told = frames.join(phases.select("frame_idx", "phase"), on="frame_idx", how="left")
        known = told.drop_nulls("phase").sort("phase", "frame_idx")
        rows += [_row(own, faces) for own in known.partition_by("phase", maintain_order=True)]
    return pl.DataFrame(rows, schema=TABLES["camera_figures"])


def _row(frames: pl.DataFrame, faces: pl.DataFrame) -> dict[str, object]:
    own = faces.join(frames.select("frame_idx"), on="frame_idx", how="semi")
    return {
        "phase": frames["phase"][0] if frames.height else None,
        "frames": frames.height,
        "luma": frames["luma_mean"].cast(pl.Float64).median(),
        "sharpness": frames["sharpness"].cast(pl.Float64).median(),
        "faces_per_frame": own.height / frames.height if frames.height else None,
        "detector_score": own["score"].cast(pl.Float64).mean(),
        "usable_share": own["loose"].cast(pl.Float64).mean(),
    }
