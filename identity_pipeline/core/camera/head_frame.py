"""The person-and-camera frame: angles of a head less those at which this rider looks ahead.

Three things lie between where a head points and what is measured: where the camera sits (its pose
zero), how the face is built (the person's own level, which is a matter of pitch alone) and the head
itself. Bins, anchors, `beyond` and coverage mean the head itself. Without a zero the camera is
taken to be where it always was: straight before the riders, at the usual level.

What belongs here: the change of frame. What does not: where the zero comes from
(`core.camera.pose_zero`), and bins (`core.faces.buckets`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import polars as pl

from identity_pipeline.core.faces.mesh_pose import USUAL_LEVEL, with_own_level
from identity_pipeline.settings import BucketSettings


class Zero(NamedTuple):
    """What is taken off the angles of a face, in degrees; None: not known, so the default holds.

    Attributes:
        yaw: of the camera, or of the seat.
        pitch: the level about which the people's own lie; of a pose that has no such level, the
            pitch itself.
        source: the `pose_source` it is of.
    """

    yaw: float | None = None
    pitch: float | None = None
    source: str | None = None


UNKNOWN: Final = Zero()
"""Of a camera that is not known: faces keep the angles that were measured."""


def zero_for(zeros: pl.DataFrame, seat: int | None) -> Zero:
    """The zero for a rider: of the seat where that is told apart from the camera's, else of this.

    Axis by axis. A seat's own holds where its interval leaves the camera's value out, or where the
    camera has none.

    Args:
        zeros: the table `camera_pose_zero`; without rows the camera is not known.
        seat: of the rider; None where it is not known.
    """
    whole = _row(zeros, None)
    own = _row(zeros, seat) if seat is not None else None
    if whole is None:
        return UNKNOWN
    yaw, pitch = (_axis(axis, whole, own) for axis in ("yaw", "pitch"))
    return UNKNOWN if yaw is pitch is None else Zero(yaw, pitch, whole["pose_source"])


def _row(zeros: pl.DataFrame, seat: int | None) -> dict[str, Any] | None:
    found = zeros.filter(pl.col("seat").eq_missing(seat))
    return found.row(0, named=True) if found.height else None


def _axis(axis: str, whole: dict[str, Any], own: dict[str, Any] | None) -> float | None:
    camera = whole[axis]
    if own is None or own[axis] is None:
        return camera
    told_apart = camera is None or not own[f"{axis}_low"] <= camera <= own[f"{axis}_high"]
    return own[axis] if told_apart else camera


def in_head_frame(
    faces: pl.DataFrame, zeros: Mapping[int, Zero], settings: BucketSettings
) -> pl.DataFrame:
    """The faces of a video with their angles in the person-and-camera frame.

    A person's own level is the median pitch of the faces that look where the zero is, kept within
    `own_level_max` of the zero's pitch, which stands for those of whom too few are seen.

    Args:
        faces: person_id, pose_source, yaw, pitch, pitch_raw, pitch_level: see `face_landmarks`.
        zeros: of each rider; a rider without one, and a face of another pose source, keeps the
            angles that were measured.
        settings: `neutral_min_faces` and `own_level_max`.

    Returns:
        The faces with `yaw`, `pitch` and `pitch_level` of that frame, `yaw_zero`, which is null
        where nothing was taken off, and whether each is `framed`: else it keeps its angles.
    """
    none = pl.lit(None, dtype=pl.Float32)
    known = faces.with_row_index("_row").with_columns(yaw_zero=none, framed=pl.lit(False))
    parts = known.partition_by("person_id", "pose_source", as_dict=True, maintain_order=True)
    framed = []
    for (person, source), own in parts.items():
        zero = zeros.get(person, UNKNOWN)
        whole = zero == UNKNOWN or source != zero.source
        framed.append(own if whole else _framed(own, zero, settings))
    return pl.concat([known.clear(), *framed]).sort("_row").drop("_row")


def _framed(own: pl.DataFrame, zero: Zero, settings: BucketSettings) -> pl.DataFrame:
    """Faces of one person, all posed by what the zero is of."""
    if zero.yaw is not None:
        taken = pl.lit(zero.yaw, dtype=pl.Float32)
        own = own.with_columns(yaw=pl.col("yaw") - taken, yaw_zero=taken)
    own = own.with_columns(framed=pl.lit(True))
    if zero.pitch is not None:
        own = own.with_columns(pitch=pl.col("pitch") - pl.lit(zero.pitch, dtype=pl.Float32))
    usual = USUAL_LEVEL if zero.pitch is None else zero.pitch
    return with_own_level(own, settings, usual)
