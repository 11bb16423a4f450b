"""Tables of cameras: what one video says of its camera, and what all of them together come to.

Places and sizes are in picture heights, so that a camera means the same at any resolution; x and y
are counted from the upper left corner. `seat` and `place` count the places of one model.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from identity_pipeline.tables.base import COUNT, SHARE, STRINGS, VECTOR, Table

ANGLE: Final = (-90.0, 90.0)
COUNTS: Final = pl.List(pl.Int64)
_INTERVALS: Final = {
    f"{axis}{suffix}": dtype
    for axis in ("yaw", "pitch")
    for suffix, dtype in (
        ("", pl.Float64),  # degrees; null: none holds, and the default does
        ("_low", pl.Float64),  # of its 95 % interval, by video
        ("_high", pl.Float64),
        ("_reason", pl.String),  # why it does not hold; null: it holds
    )
}

TABLES: Final[dict[str, Table]] = {
    "camera_votes": Table(  # of a video: where each rider looks when nothing draws them aside
        {
            "person_id": pl.Int64,
            "pose_source": pl.String,
            "yaw": pl.Float64,  # degrees, mode of the rider's faces that tell
            "pitch": pl.Float64,  # without the person's own level, where a mesh posed the face
            "faces": pl.Int64,  # that tell
        },
        *("person_id", "pose_source"),
        ranges={"yaw": ANGLE, "pitch": ANGLE, "faces": COUNT},
    ),
    "camera_places": Table(  # of a video: where each track is
        {
            "track_id": pl.Int64,
            "x": pl.Float64,  # median over its faces of the middle of the box
            "y": pl.Float64,
            "size": pl.Float64,  # median of the square root of the box's area
            "presence": pl.Float64,  # share of the sampled frames
            "faces": pl.Int64,
            "tenths": COUNTS,  # faces in each tenth of the video
            "boarding_share": pl.Float64,  # of its faces; null: no phase is known there
            "boarding_usual": pl.Float64,  # the same of the sampled frames
            "beside": COUNTS,  # tracks that share a sampled frame with it
        },
        "track_id",
        ranges={
            "presence": SHARE,
            "size": COUNT,
            **dict.fromkeys(("boarding_share", "boarding_usual"), SHARE),
        },
    ),
    "camera_figures": Table(  # of a video: the light and the faces, by phase
        {
            "phase": pl.String,  # null: the whole video
            "frames": pl.Int64,  # sampled
            "luma": pl.Float64,  # median of the frames' means, 0-255
            "sharpness": pl.Float64,  # median of the frames', see table frames
            "faces_per_frame": pl.Float64,
            "detector_score": pl.Float64,  # mean; null: no face
            "usable_share": pl.Float64,  # of the faces, those that pass the loose gate
        },
        ranges={"detector_score": SHARE, "usable_share": SHARE, "faces_per_frame": COUNT},
    ),
    "camera_pose_zero": Table(
        {
            "seat": pl.Int64,  # null: all of the camera
            "pose_source": pl.String,  # of the votes that count
            "videos": pl.Int64,  # with votes
            "riders": pl.Int64,  # votes
            **_INTERVALS,
        },
        "seat",
    ),
    "camera_seats": Table(  # parts of the mixture; a place may have several
        {
            "place": pl.Int64,  # null: elsewhere, as likely anywhere
            "kind": pl.String,  # seat, boarding, passing; elsewhere
            "row": pl.Int64,  # of a seat, from 0 at the front; null of others
            "depth": pl.Float64,  # distance from the camera over that of the nearest seat
            "x": pl.Float64,
            "y": pl.Float64,
            "log_size": pl.Float64,  # natural logarithm
            "spread": VECTOR,  # xx, xy, xs, yy, ys, ss of the covariance; s the log size
            "weight": pl.Float64,  # of the part, among the tracks that stay
            "tracks": pl.Float64,  # that the part was seen on
            "videos": pl.Int64,  # in which somebody was there, of `of_videos`
            "of_videos": pl.Int64,
            "filled_low": pl.Float64,  # 95 % interval of their share (Wilson)
            "filled_high": pl.Float64,
        },
        ranges={"weight": SHARE, "filled_low": SHARE, "filled_high": SHARE},
    ),
    "camera_reach": Table(
        {
            "axis": pl.String,  # pose, yaw, pitch, expression, lighting
            "cell": pl.String,  # as in face_buckets; of pose both keys: yaw15_pitch0
            "riders": pl.Int64,  # that filled it
            "of_riders": pl.Int64,
            "low": pl.Float64,  # 95 % interval of the share (Wilson)
            "high": pl.Float64,
        },
        *("axis", "cell"),
        ranges={"low": SHARE, "high": SHARE},
    ),
    "camera_normals": Table(
        {
            "phase": pl.String,  # null: the whole video
            "figure": pl.String,  # a column of camera_figures
            "videos": pl.Int64,  # in which it was measured
            "usual": pl.Float64,  # median; null: too few videos
            "low": pl.Float64,  # of the figure of one video, 99.9 %
            "high": pl.Float64,
        },
        *("phase", "figure"),
    ),
    "camera_versions": Table(
        {
            "version": pl.Int64,  # from 1, in the order of the videos
            "first_video": pl.String,  # from which it holds; null: from the next that comes
            "moved": pl.Boolean,  # the camera was, so pose zero and seats begin anew
            "causes": STRINGS,  # why it began, in sentences; none of the camera's first
            "noticed": pl.String,  # the video that made it plain; null of the first
        },
        "version",
    ),
    "camera_members": Table(
        {
            "version": pl.Int64,  # null: of none
            "video_id": pl.String,
            "data_version": pl.String,  # of what it said; null: left out
            "geometry": pl.Boolean,  # it is one of those that make pose zero, seats and reach
            "normals": pl.Boolean,  # of those that make the usual values
            "left_out": pl.String,  # why it does not count; null: it does
        },
        *("version", "video_id"),
    ),
}
OF_A_MODEL: Final = (
    *("camera_seats", "camera_pose_zero", "camera_reach", "camera_normals", "camera_members"),
)
"""Tables of the model of a camera."""
