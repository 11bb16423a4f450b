"""The parts of a ride as its page shows them: when each is, and in which no rider is seen well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from identity_pipeline.core.camera.usual_faces import FIGURES, failing_as_usual
from identity_pipeline.core.ride.expectation import expectations
from identity_pipeline.core.ride.phases import PHASES
from identity_pipeline.core.ride.spans import Span, called, spans_of
from identity_pipeline.settings import Settings
from identity_pipeline.stages.video.laid_on import model_of, phases_of
from identity_pipeline.stages.video.pinning import camera_of
from identity_pipeline.storage.cameras.cameras import RIDE, Cameras
from identity_pipeline.storage.cameras.editions import Edition
from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.video.tables import MissingTableError, TableStore

EXPECTED, FAILURES = "ride_expected", "ride_failures"


@dataclass(frozen=True)
class RidePhases:
    """What is said of the parts of a ride.

    Attributes:
        known: whether the ride of its camera is known by now, so that its parts can be named.
        spans: in the order of the video; none where the ride of its camera was not known.
        expected: parts in which riders are hardly ever seen well, in sentences.
        failing: faces that fail a gate where they do on most rides, in sentences.
        names: what a part may be said to be.
        damage: why nothing can be said; None where all is well.
    """

    known: bool = False
    spans: Sequence[Span] = ()
    expected: Sequence[str] = ()
    failing: Sequence[str] = ()
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
        told = expectations(spans, model.later_table(EXPECTED), settings.ride)
        return RidePhases(known, spans, told, _failing(store, settings, video_id, model, phases))
    except MissingTableError:
        return RidePhases()
    except DamagedFileError as error:
        return RidePhases(damage=str(error))


def _failing(
    store: TableStore, settings: Settings, video_id: str, model: Edition, phases: pl.DataFrame
) -> tuple[str, ...]:
    """Faces that fail a gate where they do on most rides; none where the model tells nothing."""
    if FAILURES not in model.tables:
        return ()
    columns = ("frame_idx", "person_id", "strict_fails", *FIGURES)
    faces = store.read("candidates", video_id, columns)
    return failing_as_usual(model.table(FAILURES), phases, faces, settings.camera.videos_min)
