"""What a video says of its camera: where tracks are, where riders look, how light and sharp it is.

Everything is told by tables; no pixel is looked at. Models of cameras are made of this alone.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl

from identity_pipeline.core.camera.figures import camera_of, figures_of
from identity_pipeline.core.camera.places import places_of
from identity_pipeline.core.camera.pose_zero import votes_of
from identity_pipeline.core.camera.seating import SEATED, seat_tracks
from identity_pipeline.core.ride.boarding import at_boarding_alone
from identity_pipeline.settings import Settings
from identity_pipeline.stages.specs.assets import outputs_of
from identity_pipeline.storage.cameras.editions import Edition

CAMERA_VIEW = outputs_of("camera_view")


def camera_view(
    name: str,
    table_of: Callable[[str], pl.DataFrame],
    settings: Settings,
) -> pl.DataFrame:
    """One of the tables `camera_places`, `camera_votes` and `camera_figures` of a video.

    Args:
        name: which.
        table_of: reads another table of the video by its name.
        settings: `buckets` and `camera`.
    """
    detections, quality = table_of("face_detections"), table_of("face_quality")
    if name == "camera_places":
        size = size_of(table_of("ride_video"))
        tracks, phases = table_of("face_tracks"), table_of("ride_phases")
        return places_of(tracks, detections, table_of("frames"), size, phases)
    if name == "camera_votes":
        faces = table_of("face_landmarks").join(quality.select("face_id", "loose"), on="face_id")
        return votes_of(faces, settings.buckets, settings.camera)
    return figures_of(table_of("frames"), detections, quality, table_of("ride_phases"))


def size_of(ride_video: pl.DataFrame) -> tuple[int, int]:
    """(width, height) of the upright video in px."""
    return int(ride_video["width"][0]), int(ride_video["height"][0])


def seating_of(
    model: Edition | None, table_of: Callable[[str], pl.DataFrame], settings: Settings
) -> pl.DataFrame | None:
    """Who of a video sits where: see `core.camera.seating.seat_tracks`.

    Args:
        model: of the video's camera; None where the video keeps none.
        table_of: reads a table of the video by its name.
        settings: `camera.seat_sure`.

    Returns:
        None where the seats of the camera are not known.

    Raises:
        DamagedFileError: the model is not what was written.
    """
    seats = model.table("camera_seats") if model else None
    if seats is None or seats.is_empty():
        return None
    size = size_of(table_of("ride_video"))
    shown = (table_of("face_tracks"), table_of("face_detections"), table_of("frames"), size)
    places = places_of(*shown, table_of("ride_phases")).with_columns(video_id=pl.lit(""))
    return seat_tracks(places, seats, size[0] / size[1], settings.camera)


def boarding_of(
    ride: Edition | None,
    seating: pl.DataFrame | None,
    table_of: Callable[[str], pl.DataFrame],
    settings: Settings,
) -> frozenset[int]:
    """The tracks that are there at boarding alone; none where seats tell who rides.

    Args:
        ride: the model of the ride that the video keeps; None where it keeps none.
        seating: see `seating_of`.
        table_of: reads a table of the video by its name.
        settings: `ride.boarding_chance`.
    """
    seated = seating is not None and (seating["standing"] == SEATED).any()
    if ride is None or seated:
        return frozenset()
    return at_boarding_alone(table_of("face_tracks"), table_of("ride_phases"), settings.ride)


def camera_of_video(ride_video: pl.DataFrame, settings: Settings) -> str | None:
    """The name of the camera that filmed a video; None: it has none.

    Args:
        ride_video: the table of that name, or its column `path`.
        settings: `ingest.camera_pattern`.
    """
    return camera_of(Path(ride_video["path"][0]).stem, settings.ingest.camera_pattern)
