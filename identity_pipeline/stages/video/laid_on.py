"""The model of the ride on which a video was laid, and its phases, as its tables say.

What belongs here: reading what was made. What does not: making it (`stages.video.ride_phases`).
"""

from __future__ import annotations

import polars as pl

from identity_pipeline.storage.cameras.cameras import RIDE, Cameras
from identity_pipeline.storage.cameras.editions import Edition
from identity_pipeline.storage.video.tables import MissingTableError, TableStore


def phases_of(store: TableStore, video_id: str) -> pl.DataFrame | None:
    """The table `ride_phases` of a ride; None where the ride of its camera was not known.

    Raises:
        DamagedFileError: it cannot be read.
    """
    known = _laid_on(store, video_id) is not None
    return store.read("ride_phases", video_id) if known else None


def model_of(store: TableStore, video_id: str) -> Edition | None:
    """The model on which a ride was laid, whatever it is to keep by now; None: on none.

    Raises:
        DamagedFileError: the table is damaged, or the model is not there.
    """
    laid = _laid_on(store, video_id)
    return None if laid is None else Cameras(store.layout).edition(*laid, RIDE)


def _laid_on(store: TableStore, video_id: str) -> tuple[str | None, str] | None:
    """The camera and the edition."""
    try:
        course = store.read("ride_course", video_id, ("camera", "edition"))
    except MissingTableError:
        return None  # of a ride from before it was looked at
    camera, edition = course.row(0) if course.height else (None, None)
    return None if edition is None else (camera, edition)
