"""The angles of a face that bins, anchors and scores of pose go by.

Where the camera is known they are those of the head, in the person-and-camera frame
(`core.camera.head_frame`), which `face_buckets` has; else, and of a face that is not in that frame,
they are those that were measured. What is about the picture (expression, cover, likeness) takes the
measured ones itself.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from identity_pipeline.tables import IN_FRAME

ANGLES: Final = ("yaw", "pitch")


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


def without_frame(buckets: pl.DataFrame) -> pl.DataFrame:
    """`face_buckets` without the angles of its frame, beside a table that has them."""
    return buckets.drop(IN_FRAME)
