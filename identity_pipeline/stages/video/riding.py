"""Who rides in a video: its tracks, judged with what its camera and its ride teach."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from identity_pipeline.core.tracks.riders import find_riders, spans_of
from identity_pipeline.settings import Settings
from identity_pipeline.stages.video.camera_view import boarding_of, seating_of, size_of
from identity_pipeline.storage.cameras.editions import Edition


def riders_of(
    camera: Edition | None,
    ride: Edition | None,
    table_of: Callable[[str], pl.DataFrame],
    settings: Settings,
) -> pl.DataFrame:
    """The table `riders` of a video.

    Args:
        camera: the model of its camera that the video keeps; None where it keeps none.
        ride: the same of its ride.
        table_of: reads another table of the video by its name.
        settings: `riders`, and of models `camera` and `ride`.

    Raises:
        DamagedFileError: a model is not what was written.
    """
    seating = seating_of(camera, table_of, settings)
    frames = table_of("frames")
    return find_riders(
        table_of("face_tracks"),
        table_of("face_detections"),
        frames.height,
        size_of(table_of("ride_video")),
        settings.riders,
        spans_of(frames),
        table_of("face_quality"),
        seating,
        boarding_of(ride, seating, table_of, settings),
    )
