"""Pose zero: the yaw and pitch at which a camera's riders look straight ahead.

A camera sits where there is room for it, so a rider who looks along the track is seen from the
side or from above, by the same angle in every video. Most faces that are symmetric by themselves
and look where their nose points look there; where people look into the camera or at the scenery
they are fewer, or spread. So the zero is a mode, not a mean: of each rider's faces first, for a
rider is one witness however long the ride, then of the riders. The interval is a bootstrap by
video, for two riders of one video are shown the same things.

Where seats are told apart each has a zero of its own besides: by perspective, a head that is held
along the camera's axis is seen turned by the angle at which its seat lies off that axis.

What belongs here: votes, and what they come to. What does not: which faces are symmetric
(`core.camera.symmetry`), and angles less the zero (`core.camera.head_frame`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from identity_pipeline.core.camera.rank_test import restless
from identity_pipeline.core.camera.robust import mode, modes, shorth_scale
from identity_pipeline.core.camera.symmetry import symmetric_faces
from identity_pipeline.core.evaluation.intervals import percentiles, resamples
from identity_pipeline.settings import BucketSettings, CameraSettings
from identity_pipeline.tables import TABLES

AXES: Final = ("yaw", "pitch")
BANDWIDTH_MIN: Final = 2.0
"""Degrees: how much the angles of successive faces of one person differ (`moments.margin_deg`);
what lies nearer is one place."""
SPREADS: Final = 1.5
"""Bandwidth of the riders' votes in their spreads: of normal votes the mode is then 0.86 times as
sharp as the mean, (1 + 2/h^2)^1.5 / (1 + 1/h^2)^3 for a bandwidth h (Welsch's estimate), and riders
who look elsewhere by four spreads hardly move it."""
DIGITS: Final = 2
"""Of an angle in degrees, so that the last bits of a product of matrices change no table."""
TOO_FEW, DISAGREE, RESTLESS = "too_few_videos", "riders_disagree", "camera_moves"


@dataclass(frozen=True)
class AxisZero:
    """The zero of one axis.

    Attributes:
        value: degrees; None where it does not hold.
        low: of its 95 % interval; None where nothing was measured.
        high: of its 95 % interval.
        reason: why it does not hold: `TOO_FEW`, `DISAGREE` (the interval is too wide) or `RESTLESS`
            (riders of successive videos agree, those of others do not); None where it holds.
    """

    value: float | None
    low: float | None
    high: float | None
    reason: str | None


def votes_of(
    faces: pl.DataFrame, buckets: BucketSettings, settings: CameraSettings
) -> pl.DataFrame:
    """Where each rider of a video looks: the table `camera_votes`.

    Args:
        faces: the table `face_landmarks` of a video, and `loose` of `face_quality`.
        buckets: what is covered.
        settings: how many faces a vote needs.

    Returns:
        A row per rider with enough faces that tell; none where the landmarks tell nothing. `pitch`
        is that of the rotation, without the person's own level, where a mesh posed the face.
    """
    told = symmetric_faces(faces, buckets).with_columns(
        pitch=pl.coalesce("pitch_raw", "pitch").cast(pl.Float64)
    )
    rows = []
    groups = told.partition_by("person_id", "pose_source", as_dict=True, maintain_order=True)
    for (person, source), own in groups.items():
        known = own.drop_nulls(AXES)
        if known.height < settings.vote_faces_min:
            continue
        angles = {axis: mode(known[axis].cast(pl.Float64), BANDWIDTH_MIN) for axis in AXES}
        rows.append({"person_id": person, "pose_source": source, "faces": known.height, **angles})
    return pl.DataFrame(rows, schema=TABLES["camera_votes"]).sort("person_id", "pose_source")


def pose_zeros(votes: pl.DataFrame, order: Sequence[str], settings: CameraSettings) -> pl.DataFrame:
    """The zero of the camera, and of each of its seats: the table `camera_pose_zero`.

    Only votes of the commonest `pose_source` count: another one has a zero of its own.

    Args:
        votes: `camera_votes` of all videos with `video_id` and `seat`, which may be null.
        order: the videos as they came.
        settings: how many videos, and how sure.

    Returns:
        One row of the camera (`seat` null) and one per seat, also where no zero holds.
    """
    source = _commonest(votes["pose_source"])
    place = pl.col("video_id").replace_strict({v: k for k, v in enumerate(order)})
    known = votes.filter(pl.col("pose_source") == source) if source else votes.clear()
    known = known.sort(place, "person_id")
    rows = [_row(None, source, known, settings)]
    for seat in sorted(known["seat"].drop_nulls().unique()):
        rows.append(_row(int(seat), source, known.filter(pl.col("seat") == seat), settings))
    return pl.DataFrame(rows, schema=TABLES["camera_pose_zero"])


def _commonest(sources: pl.Series) -> str | None:
    counted = (
        sources.drop_nulls()
        .value_counts(sort=False)
        .sort(["count", sources.name], descending=[True, False])
    )
    return counted[sources.name][0] if counted.height else None


def _row(
    seat: int | None, source: str | None, votes: pl.DataFrame, settings: CameraSettings
) -> dict[str, object]:
    row: dict[str, object] = {
        "seat": seat,
        "pose_source": source,
        "videos": votes["video_id"].n_unique(),
        "riders": votes.height,
    }
    for axis in AXES:
        zero = axis_zero(votes["video_id"].to_list(), votes[axis].to_numpy(), settings)
        row |= {
            axis: zero.value,
            f"{axis}_low": zero.low,
            f"{axis}_high": zero.high,
            f"{axis}_reason": zero.reason,
        }
    return row


def axis_zero(
    videos: list[str], angles: NDArray[np.floating], settings: CameraSettings
) -> AxisZero:
    """The mode of the riders' angles, with an interval by video.

    Args:
        videos: (N,) of each vote, as they came.
        angles: (N,) degrees.
        settings: with fewer videos, or a wider interval, there is none.
    """
    names = list(dict.fromkeys(videos))
    codes = np.array([names.index(video) for video in videos], dtype=np.int64)
    if len(names) < settings.videos_min:
        return AxisZero(None, None, None, TOO_FEW)
    values = np.asarray(angles, dtype=np.float64)
    means = np.bincount(codes, weights=values) / np.bincount(codes)
    if restless(means[:, None]):
        return AxisZero(None, None, None, RESTLESS)
    bandwidth = max(BANDWIDTH_MIN, SPREADS * shorth_scale(values))
    counts = np.vstack([np.ones(len(names), dtype=np.int64), resamples(len(names))])
    found = modes(values, counts[:, codes], bandwidth)
    interval = percentiles(found[1:])
    if interval is None:
        return AxisZero(None, None, None, DISAGREE)
    value, low, high = (round(float(v), DIGITS) for v in (found[0], *interval))
    if max(high - value, value - low) > settings.zero_half_width_max:
        return AxisZero(None, low, high, DISAGREE)
    return AxisZero(value, low, high, None)
