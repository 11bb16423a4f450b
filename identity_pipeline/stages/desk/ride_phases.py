"""The parts of a ride as its page shows them: when each is, and in which no rider is seen well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from identity_pipeline.core.ride.expectation import expectations
from identity_pipeline.core.ride.phases import PHASES
from identity_pipeline.core.ride.spans import Span, called, spans_of
from identity_pipeline.settings import Settings
from identity_pipeline.stages.video.pinning import camera_of
from identity_pipeline.storage.cameras.cameras import RIDE, Cameras
from identity_pipeline.storage.cameras.editions import Edition
from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.video.tables import MissingTableError, TableStore

EXPECTED: Final = "ride_expected"


@dataclass(frozen=True)
class RidePhases:
    """What is said of the parts of a ride.

    Attributes:
        known: whether the ride of its camera is known by now, so that its parts can be named.
        spans: in the order of the video; none where the ride of its camera was not known.
        expected: parts in which riders are hardly ever seen well, in sentences.
        names: what a part may be said to be.
        damage: why nothing can be said; None where all is well.
    """

    known: bool = False
    spans: Sequence[Span] = ()
    expected: Sequence[str] = ()
    names: Sequence[str] = PHASES
    damage: str | None = None

    @property
    def parts(self) -> list[tuple[str, str, str, str | None]]:
        """From and to in seconds since the first frame, what it is called, its phase."""
        first = self.spans[0].start_ms if self.spans else 0.0
        return [
            (f"{(s.start_ms - first) / 1000:.1f}", f"{(s.end_ms - first) / 1000:.1f}",
             called(s), s.phase)
            for s in self.spans
        ]  # fmt: skip


def ride_phases(store: TableStore, settings: Settings, video_id: str) -> RidePhases:
    """What the page of a ride says of its parts.

    Args:
        store: the tables.
        settings: which parts are named, and which camera filmed a video.
        video_id: a ride.
    """
    try:
        camera = camera_of(store, settings, video_id)
        known = bool(Cameras(store.layout).editions(camera, RIDE))
        phases, model = phases_of(store, video_id), model_of(store, video_id)
        if phases is None or model is None:
            return RidePhases(known)
        spans = spans_of(phases)
        if EXPECTED not in model.tables:  # an edition of an earlier version of the program
            return RidePhases(known, spans)
        told = expectations(spans, model.table(EXPECTED), settings.ride)
        return RidePhases(known, spans, told)
    except MissingTableError:
        return RidePhases()
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
