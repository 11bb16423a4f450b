"""The angles of a face that bins, anchors and scores of pose go by.

Where the camera is known they are those of the head, in the person-and-camera frame
(`core.camera.head_frame`), which `face_buckets` has; else, and of a face that is not in that frame,
they are those that were measured. What is about the picture (expression, cover, likeness, captions,
what a consumer can take, truth) goes by the measured ones, which are those before the lens.

Wherever both are told, `yaw` and `pitch` are what bins go by, `yaw_camera` and `pitch_camera` what
was measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import polars as pl

from identity_pipeline.tables import IN_FRAME

ANGLES: Final = ("yaw", "pitch")
MEASURED_ANGLES: Final = ("yaw_camera", "pitch_camera")
"""The same as they were measured, where these are others."""


def in_frame(landmarks: pl.DataFrame, buckets: pl.DataFrame) -> pl.DataFrame:
    """`face_landmarks` with the angles that bins go by.

    Args:
        landmarks: face_id, yaw, pitch, in degrees as measured, and any others.
        buckets: table `face_buckets`; a face that it lacks keeps what was measured.

    Returns:
        The same rows with `yaw` and `pitch` of the frame, and the measured ones as `yaw_camera` and
        `pitch_camera` where these are others; null where they are the same.
    """
    framed = buckets.select("face_id", *(pl.col(a).alias(f"{a}_framed") for a in ANGLES))
    known = pl.any_horizontal(pl.col(f"{a}_framed").is_not_null() for a in ANGLES)
    return (
        landmarks.join(framed, on="face_id", how="left", maintain_order="left")
        .with_columns(
            *(pl.when(known).then(pl.col(a)).alias(f"{a}_camera") for a in ANGLES),
            *(pl.coalesce(f"{a}_framed", a).alias(a) for a in ANGLES),
        )
        .drop(f"{a}_framed" for a in ANGLES)
    )


def before_lens(measures: Mapping[str, Any], axis: str) -> Any:
    """The angle of a head before the lens: how far it is turned in the picture.

    Args:
        measures: columns of the table `candidates` by name.
        axis: `yaw`, `pitch` or `roll`, which is the same in both frames.
    """
    angle = measures.get(f"{axis}_camera")
    return measures.get(axis) if angle is None else angle


def without_frame(buckets: pl.DataFrame) -> pl.DataFrame:
    """`face_buckets` without the angles of its frame, beside a table that has them."""
    return buckets.drop(IN_FRAME)
