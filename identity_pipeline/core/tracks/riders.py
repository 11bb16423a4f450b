"""Who rides: the one or two main tracks of a video, and why every other track is none.

Reasons: `rider`, `too_short` (present in too few sampled frames), `too_small` (beside the largest
track), `bystander` (all seats are taken by better tracks), `never_beside_rider` (never in one
frame with the first rider, so a fragment or a later passer-by), `never_clear` (hardly one of its
faces passes the loose gate: what a detector took for a face in blur and shade).

Where the seats of the camera are known they come first: whoever sits in the front row that is taken
rides, however small, and two in two seats are two people. Then there are `row_behind` (seated
farther back), `boarding_only` (seen while the car boards and never else: staff, the queue) and
`no_seat` (where people are seen in many videos, and do not ride). Who is in no known seat is judged
as without seats, if a rider's place is left. Where the seats are not known and the phases of the
ride are, these tell who is there while the car boards, and never else.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from types import MappingProxyType
from typing import Any, Final

import polars as pl

from identity_pipeline.settings import RiderSettings

HALF_DIAGONAL_NORM = 0.7071
"""Distance from the centre to a corner of the frame in normalised units."""


def score_tracks(
    tracks: pl.DataFrame,
    detections: pl.DataFrame,
    sampled_frames: int,
    frame_size: tuple[int, int],
    settings: RiderSettings,
    spans: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """One row per track with `track_score` and its three parts, each in [0, 1].

    Args:
        tracks: table `face_tracks`.
        detections: table `face_detections`.
        sampled_frames: number of sampled frames of the video, >= 1.
        frame_size: (width, height) in pixels.
        settings: weights.
        spans: see `spans_of`; where it is given, presence is a share of the time.
    """
    width, height = frame_size
    frame_area = float(width * height)
    centre_x = (pl.col("x1") + pl.col("x2")) / 2 / width
    centre_y = (pl.col("y1") + pl.col("y2")) / 2 / height
    distance = ((centre_x - 0.5) ** 2 + (centre_y - 0.5) ** 2).sqrt()
    area = (pl.col("x2") - pl.col("x1")) * (pl.col("y2") - pl.col("y1"))
    per_track = (
        tracks.select("face_id", "frame_idx", "track_id")
        .join(detections.drop("frame_idx"), on="face_id", how="inner", validate="1:1")
        .sort("track_id", "frame_idx", "face_id")
        .group_by("track_id", maintain_order=True)
        .agg(
            face_count=pl.len().cast(pl.Int64),
            frames=pl.col("frame_idx").n_unique(),
            mean_area_share=area.cast(pl.Float64).mean() / frame_area,
            mean_distance=distance.cast(pl.Float64).mean(),
            mean_centre_x_norm=centre_x.cast(pl.Float64).mean(),
            mean_centre_y_norm=centre_y.cast(pl.Float64).mean(),
            first_ms=pl.col("timestamp_ms").min(),
            last_ms=pl.col("timestamp_ms").max(),
        )
    )
    present = pl.col("frames") / sampled_frames
    if spans is not None:
        per_track = per_track.join(_spanned(tracks, spans), on="track_id", how="left")
        present = pl.col("span") / spans["span"].sum()
    return (
        per_track.with_columns(
            size_score=pl.col("mean_area_share") / pl.col("mean_area_share").max(),
            centre_score=(1 - pl.col("mean_distance") / HALF_DIAGONAL_NORM).clip(0, 1),
            length_score=present.clip(0, 1),
        )
        .with_columns(
            presence=pl.col("length_score"),
            track_score=settings.size_weight * pl.col("size_score")
            + settings.centre_weight * pl.col("centre_score")
            + settings.length_weight * pl.col("length_score"),
        )
        .drop("frames", "mean_distance", "span", strict=False)
    )


def spans_of(frames: pl.DataFrame) -> pl.DataFrame | None:
    """`frame_idx, span`: the time in s that each sampled frame stands for, where rates differ.

    Of a highlight more frames are sampled; whoever is seen in it must not seem to be there longer.

    Args:
        frames: table `frames`.

    Returns:
        None where one rate holds throughout.
    """
    if frames["sampling_fps"].null_count():
        return None
    return frames.select("frame_idx", span=1 / pl.col("sampling_fps").cast(pl.Float64))


def _spanned(tracks: pl.DataFrame, spans: pl.DataFrame) -> pl.DataFrame:
    """`track_id, span`: the time in s that each track is seen."""
    seen = tracks.select("track_id", "frame_idx").unique().sort("track_id", "frame_idx")
    joined = seen.join(spans, on="frame_idx", how="inner", maintain_order="left")
    return joined.group_by("track_id", maintain_order=True).agg(pl.col("span").sum())


SEATED, ONLY_BOARDING = "seated", "only_boarding"
NO_RIDERS: Final = MappingProxyType({ONLY_BOARDING: "boarding_only", "not_a_seat": "no_seat"})
"""Why who stands so to the seats is no rider; see `core.camera.seating`."""


def choose_riders(
    scored: pl.DataFrame,
    frames_of_track: dict[int, set[int]],
    settings: RiderSettings,
    clear_faces: dict[int, int] | None = None,
    seating: pl.DataFrame | None = None,
    at_boarding: AbstractSet[int] = frozenset(),
) -> pl.DataFrame:
    """Adds `person_id`, `seat`, `row` and `reason` to the scored tracks; see the module.

    Args:
        scored: result of `score_tracks`.
        frames_of_track: sampled frames in which each track is seen.
        settings: thresholds.
        clear_faces: how many faces of each track pass the loose gate; None where it is not known.
        seating: track_id, seat, row, standing: see `core.camera.seating`; None where the seats of
            the camera are not known.
        at_boarding: tracks that are there at boarding alone, told without seats.

    Returns:
        The table `riders`. `person_id` counts the riders from left to right; `seat` and `row` are
        null where they are not known.
    """
    scored = _with_seats(scored, seating).with_columns(
        standing=pl.when(pl.col("track_id").is_in(list(at_boarding)))
        .then(pl.lit(ONLY_BOARDING))
        .otherwise(pl.col("standing"))
    )
    front = _front_row(scored, settings, clear_faces)
    ahead = pl.col("row").eq_missing(front) & pl.col("row").is_not_null()
    best_first = scored.with_columns(ahead=ahead).sort(
        ["ahead", "track_score", "track_id"], descending=[True, True, False]
    )
    reasons: dict[int, str] = {}
    riders: list[dict[str, Any]] = []
    for row in best_first.iter_rows(named=True):
        reason = _reason(row, riders, frames_of_track, settings)
        if reason == "rider" and riders and clear_faces is not None:
            clear = clear_faces.get(row["track_id"], 0) >= settings.min_clear_faces
            reason = "rider" if clear else "never_clear"
        reasons[row["track_id"]] = reason
        if reason == "rider":
            riders.append(row)
    seats = sorted(riders, key=lambda row: (row["mean_centre_x_norm"], row["track_id"]))
    person_of = {row["track_id"]: person for person, row in enumerate(seats)}
    ids = scored["track_id"].to_list()
    return scored.drop("standing").with_columns(
        person_id=pl.Series([person_of.get(i) for i in ids], dtype=pl.Int64),
        reason=pl.Series([reasons[i] for i in ids], dtype=pl.String),
    )


def _with_seats(scored: pl.DataFrame, seating: pl.DataFrame | None) -> pl.DataFrame:
    """The tracks with `seat`, `row` and `standing`; all null where nobody is seated."""
    unknown = scored.select("track_id").with_columns(
        seat=pl.lit(None, dtype=pl.Int64),
        row=pl.lit(None, dtype=pl.Int64),
        standing=pl.lit(None, dtype=pl.String),
    )
    if seating is None or not (seating["standing"] == SEATED).any():
        return scored.join(unknown, on="track_id", how="left", maintain_order="left")
    told = seating.select(unknown.columns)
    return scored.join(told, on="track_id", how="left", maintain_order="left")


def _front_row(
    scored: pl.DataFrame, settings: RiderSettings, clear_faces: dict[int, int] | None
) -> int | None:
    """The first row in which somebody is seen; what a detector took for a face is nobody."""
    there = scored.filter(pl.col("presence") >= settings.min_presence)
    rows = [
        row
        for track, row in there.select("track_id", "row").drop_nulls().iter_rows()
        if clear_faces is None or clear_faces.get(track, 0) >= settings.min_clear_faces
    ]
    return min(rows, default=None)


def _reason(
    track: dict[str, Any],
    riders: list[dict[str, Any]],
    frames_of_track: dict[int, set[int]],
    settings: RiderSettings,
) -> str:
    if track["presence"] < settings.min_presence:
        return "too_short"
    if track["standing"] in NO_RIDERS:
        return NO_RIDERS[track["standing"]]
    if track["row"] is not None and not track["ahead"]:
        return "row_behind"
    if len(riders) >= settings.max_riders:
        return "bystander"
    if not riders or _in_another_seat(track, riders):
        return "rider"
    return _beside_the_first(track, riders, frames_of_track, settings)


def _in_another_seat(track: dict[str, Any], riders: list[dict[str, Any]]) -> bool:
    """Whether the track is surely another person than the riders by where it sits."""
    taken = {rider["seat"] for rider in riders}
    return track["seat"] is not None and None not in taken and track["seat"] not in taken


def _beside_the_first(
    track: dict[str, Any],
    riders: list[dict[str, Any]],
    frames_of_track: dict[int, set[int]],
    settings: RiderSettings,
) -> str:
    """A second rider without a seat is as near as the first, and seen together with them."""
    if track["size_score"] < settings.min_size_ratio:
        return "too_small"
    shared = frames_of_track[int(track["track_id"])] & frames_of_track[int(riders[0]["track_id"])]
    return "rider" if len(shared) >= settings.min_seen_together else "never_beside_rider"


def find_riders(
    tracks: pl.DataFrame,
    detections: pl.DataFrame,
    sampled_frames: int,
    frame_size: tuple[int, int],
    settings: RiderSettings,
    spans: pl.DataFrame | None = None,
    quality: pl.DataFrame | None = None,
    seating: pl.DataFrame | None = None,
    at_boarding: AbstractSet[int] = frozenset(),
) -> pl.DataFrame:
    """The table `riders` of one video; see `score_tracks` and `choose_riders`."""
    scored = score_tracks(tracks, detections, sampled_frames, frame_size, settings, spans)
    frames_of_track: dict[int, set[int]] = {}
    for track_id, frame in tracks.select("track_id", "frame_idx").iter_rows():
        frames_of_track.setdefault(track_id, set()).add(frame)
    clear = None
    if quality is not None:
        usable = quality.filter("loose").select("face_id").join(tracks, on="face_id")
        clear = dict(usable.group_by("track_id").len().iter_rows())
    return choose_riders(scored, frames_of_track, settings, clear, seating, at_boarding)


def rider_faces(tracks: pl.DataFrame, riders: pl.DataFrame) -> pl.DataFrame:
    """`face_id, frame_idx, track_id, person_id` of the riders' faces, in time order."""
    seats = riders.filter(pl.col("person_id").is_not_null()).select("track_id", "person_id")
    return (
        tracks.join(seats, on="track_id", how="inner")
        .select("face_id", "frame_idx", "track_id", "person_id")
        .sort("person_id", "frame_idx", "face_id")
    )
