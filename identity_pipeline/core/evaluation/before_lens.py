"""Bins of pose in the frame in which truth and labels are told: that of the picture.

Where the camera of a video is known its bins are those of the head (`core.faces.angles`). Truth and
whoever looks at a picture say how far a head is turned before the lens, so it is held against what
was measured there.
"""

from __future__ import annotations

import polars as pl

from identity_pipeline.core.faces.angles import ANGLES
from identity_pipeline.core.faces.buckets import PITCH_NAMES, axis_bins, bin_of, label
from identity_pipeline.settings import BucketSettings


def binned_before_lens(
    buckets: pl.DataFrame, landmarks: pl.DataFrame, settings: BucketSettings
) -> pl.DataFrame:
    """`face_buckets` with the bins of yaw and pitch before the lens.

    Args:
        buckets: the table; a face that is in no other frame keeps its bins.
        landmarks: table `face_landmarks`.
        settings: edges of the bins.
    """
    bins = {
        "yaw": (settings.yaw_edges, axis_bins(settings.yaw_edges)),
        "pitch": (settings.pitch_edges, axis_bins(settings.pitch_edges, PITCH_NAMES)),
    }
    framed = buckets.filter(pl.any_horizontal(pl.col(axis).is_not_null() for axis in ANGLES))
    faces = landmarks.join(framed, on="face_id", how="semi")
    seen = {
        f"{axis}_bin": [label(bin_of(angle, *of)) for angle in faces[axis]]
        for axis, of in bins.items()
    }
    schema = dict.fromkeys(seen, pl.String)
    return buckets.update(faces.select("face_id").hstack(pl.DataFrame(seen, schema)), on="face_id")
