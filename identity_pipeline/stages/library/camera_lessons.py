"""All that the videos of cameras teach: making what is wanted, and telling what may be wanted.

Whether enough of its videos count for a next model takes reading them, and, of its ride, laying
them on each other. So what was tried in vain is noted as a hash, and not looked for again until the
camera has other videos: in what only tells what is to do. A run, and the night, always look; of a
ride they lay no videos on each other that came to nothing before.

What belongs here: all cameras at once. What does not: one model (`stages.library.camera_model`,
`stages.library.ride_template`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from identity_pipeline.settings import Settings, chosen
from identity_pipeline.stages.library import camera_model, ride_template
from identity_pipeline.stages.library.camera_model import Known, make_models
from identity_pipeline.stages.library.copies_in_force import copies_in_force
from identity_pipeline.stages.library.ride_template import KnownRide, make_rides
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.cameras import tried
from identity_pipeline.storage.cameras.cameras import CAMERA, RIDE, CameraRecord, Cameras
from identity_pipeline.storage.cameras.phase_labels import PhaseLabels
from identity_pipeline.storage.files.hashing import sha256_of_value
from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.video.tables import TableStore

TAUGHT: Final = {RIDE: "ride_template", CAMERA: "camera_model"}
"""The step of each kind of model, in their order."""


@dataclass(frozen=True)
class Learnt:
    """What was made just now.

    Attributes:
        rides: of each camera.
        models: likewise.
    """

    rides: Sequence[KnownRide]
    models: Sequence[Known]

    @property
    def sentences(self) -> list[str]:
        """What was made, and what is damaged."""
        told = [
            f"The ride of {_called(one.camera)} has a model now: {one.made}."
            for one in self.rides
            if one.made
        ]
        told += [
            f"There is a model of {_called(one.camera)} now: {name}."
            for one in self.models
            for name in one.made
        ]
        return told + [each.damage for each in (*self.rides, *self.models) if each.damage]


def learn(store: TableStore, settings: Settings) -> Learnt:
    """Makes all models that are wanted; those of rides first, for they say who is foreign."""
    return Learnt(learn_rides(store, settings), learn_models(store, settings))


def learn_rides(store: TableStore, settings: Settings) -> list[KnownRide]:
    """Makes the models of rides that are wanted; what comes to nothing is noted."""
    made = make_rides(store, settings)
    _note_tried(store, settings, RIDE)
    return made


def learn_models(store: TableStore, settings: Settings) -> list[Known]:
    """Makes the models of cameras that are wanted; what comes to nothing is noted."""
    made = make_models(store, settings)
    _note_tried(store, settings, CAMERA)
    return made


def waiting(store: TableStore, settings: Settings, of: str) -> list[str]:
    """The cameras whose videos may make a next model, as they are called; nothing is written.

    Args:
        store: the tables.
        settings: in force.
        of: `CAMERA` or `RIDE`.
    """
    cameras = Cameras(store.layout)
    due = _may_have(store, settings, of)
    copies = copies_in_force(LibraryStores.of(store)).of if due else {}
    return [
        _called(record.camera)
        for record in due
        if _tried(cameras, record, of) != _sign(store, record, settings, copies, of)
    ]


def _may_have(store: TableStore, settings: Settings, of: str) -> list[CameraRecord]:
    """The cameras that have as many videos as a next model takes."""
    may = ride_template.may_have_next if of == RIDE else camera_model.may_have_next
    cameras, found = Cameras(store.layout), []
    for camera in cameras.names():
        try:
            record = cameras.record(camera)
            if record is not None and may(cameras, record, settings):
                found.append(record)
        except DamagedFileError:
            continue  # its step tells of it
    return found


def _note_tried(store: TableStore, settings: Settings, of: str) -> None:
    cameras = Cameras(store.layout)
    due = _may_have(store, settings, of)
    copies = copies_in_force(LibraryStores.of(store)).of if due else {}
    for record in due:
        sign = _sign(store, record, settings, copies, of)
        if _tried(cameras, record, of) != sign:
            tried.note(cameras, record.camera, {of: sign})


def _tried(cameras: Cameras, record: CameraRecord, of: str) -> str | None:
    """The sign of what came to nothing."""
    return tried.recall(cameras, record.camera).get(of)


def _sign(
    store: TableStore,
    record: CameraRecord,
    settings: Settings,
    copies: Mapping[str, str],
    of: str,
) -> str:
    """What a try hangs on; the tables of its videos are left out, since a run looks anyhow."""
    code = camera_model.CODE, ride_template.CODE
    counted = [video for video in record.videos if video not in copies]
    begins = [(each.begins, each.moved) for each in record.versions]
    said = _said(store, record.camera) if of == RIDE else ""
    return sha256_of_value([counted, begins, code, said, chosen(settings, ("camera", "ride"))])


def _said(store: TableStore, camera: str | None) -> str:
    """What people say of a ride; where that cannot be read, why."""
    try:
        return repr(PhaseLabels(store.layout).of(camera))
    except DamagedFileError as error:
        return str(error)


def _called(camera: str | None) -> str:
    return f"camera {camera}" if camera else "the camera without a name"
