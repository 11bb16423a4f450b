"""The parts of a ride as its page shows them: when each is, and in which no rider is seen well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from identity_pipeline.core.ride.expectation import expectations
from identity_pipeline.core.ride.spans import Span, spans_of
from identity_pipeline.settings import RideSettings
from identity_pipeline.storage.cameras.cameras import RIDE, Cameras
from identity_pipeline.storage.cameras.editions import Edition
from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.video.tables import MissingTableError, TableStore


@dataclass(frozen=True)
class RidePhases:
    """What is said of the parts of a ride.

    Attributes:
        spans: in the order of the video; none where the ride of its camera was not known.
        expected: parts in which riders are hardly ever seen well, in sentences.
        damage: why nothing can be said; None where all is well.
    """

    spans: Sequence[Span] = ()
    expected: Sequence[str] = ()
    damage: str | None = None


def ride_phases(store: TableStore, settings: RideSettings, video_id: str) -> RidePhases:
    """What the page of a ride says of its parts.

    Args:
        store: the tables.
        settings: which parts are named.
        video_id: a ride.
    """
    try:
        phases, model = phases_of(store, video_id), model_of(store, video_id)
        if phases is None or model is None:
            return RidePhases()
        spans = spans_of(phases)
        return RidePhases(spans, expectations(spans, model.table("ride_expected"), settings))
    except DamagedFileError as error:
        return RidePhases(damage=str(error))


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
