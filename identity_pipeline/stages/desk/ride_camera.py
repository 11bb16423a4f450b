"""A ride and the camera that filmed it: which model it keeps, and what its riders lack of it.

What belongs here: what the page of a ride says of its camera. What does not: the page of the camera
(`stages.desk.cameras`).
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from identity_pipeline.core.camera.reach import COVERED, lacking
from identity_pipeline.core.camera.shown_where import Cell, where_shown, with_places
from identity_pipeline.core.camera.versions import kept_words, known_words
from identity_pipeline.media.wording import shown_bin
from identity_pipeline.settings import CameraSettings, Settings
from identity_pipeline.stages.desk.pictures import RiderShown, RideShown
from identity_pipeline.stages.library.camera_account import word_of
from identity_pipeline.stages.video.laid_on import model_of, phases_of
from identity_pipeline.stages.video.pinning import newest_pin, version_of
from identity_pipeline.storage.cameras.cameras import NO_NAME, CameraRecord, Cameras, folder_of
from identity_pipeline.storage.cameras.pins import CAMERA, Pinned, Pins
from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.video.tables import TableStore

COUNTED: Final = ("anchor", "coverage")
"""Sets that are to show what a rider looks like from all sides."""
ZERO: Final = "camera_pose_zero"
SHOWN_WHERE: Final = "ride_expressions"
OLD_FRAME: Final = "angles of this ride are those before the lens."


@dataclass(frozen=True)
class RideCamera:
    """What is said of a ride's camera.

    Attributes:
        sentence: which camera, and which model of it the ride keeps; empty: nothing is known.
        folder: address of its page; None: there is none.
        lacking: by seat of the ride: axis and bin that no picture shows, and who reaches it.
        commands: by which the ride is made anew by the model of its camera; none where it is, or
            where there is no model for it.
    """

    sentence: str = ""
    folder: str | None = None
    lacking: Mapping[int, Sequence[tuple[str, str]]] = field(default_factory=dict)
    commands: Sequence[str] = ()


def ride_camera(tables: TableStore, settings: Settings, ride: RideShown) -> RideCamera:
    """What the page of a ride says of its camera.

    Args:
        tables: of the data folder.
        settings: edges of the bins, and how many riders say something.
        ride: as it is shown.
    """
    layout, video_id = tables.layout, ride.video_id
    cameras = Cameras(layout)
    record = cameras.of_video(video_id)
    folder = folder_of(record.camera) if record else None
    try:
        pinned = Pins(layout).of(video_id) or Pinned(layout)
        model = pinned.edition(CAMERA)
        if model is None:
            return _without(cameras, record, video_id, settings.camera)
        reach, zero = model.table("camera_reach"), model.digest(ZERO)
    except DamagedFileError as error:
        return RideCamera(str(error), folder)
    words = kept_words(_called(pinned.camera), model.name.version, model.name.videos)
    if _zero_of(tables, video_id) != zero:
        return RideCamera(f"{words}, by which it is yet to be made.", folder, {}, [_run(video_id)])
    where = _where(tables, settings, video_id)
    lacks = {
        rider.seat: _lacking(rider, reach, where.get(rider.seat, {}), settings)
        for rider in ride.riders
        if rider.sets
    }
    return RideCamera(f"{words}.", folder, lacks)


def _without(
    cameras: Cameras, record: CameraRecord | None, video_id: str, settings: CameraSettings
) -> RideCamera:
    """Of a ride that keeps no model: whether there is one now, or how many videos it lacks."""
    if record is None:
        return RideCamera()
    called, folder = _called(record.camera), folder_of(record.camera)
    if cameras.in_force(record.camera) is None:
        known = known_words(0, len(record.standing_still(-1)), settings)
        return RideCamera(f"{called} is {known}: {OLD_FRAME}", folder)
    now = newest_pin(cameras, record.camera, version_of(record, video_id)).camera
    word = shlex.quote(word_of(record.camera))
    renew = f"identity-pipeline camera renew {word} --videos {video_id}"
    sentence = f"{called} was not known when this ride was made: {OLD_FRAME}"
    return RideCamera(sentence, folder, {}, [renew, _run(video_id)] if now else ())


def _run(video_id: str) -> str:
    return f"identity-pipeline run {video_id}"


def _zero_of(tables: TableStore, video_id: str) -> str | None:
    """Digest of the pose zero from which the angles of a ride are; None: of none."""
    made = tables.made_of("face_buckets", video_id) or {}
    return made.get("camera", {}).get("of", {}).get(ZERO)


def _called(camera: str | None) -> str:
    return f"Camera {camera}" if camera else NO_NAME.capitalize()


def _where(
    tables: TableStore, settings: Settings, video_id: str
) -> Mapping[int, Mapping[Cell, str]]:
    """Of each rider, where others show most what this one may lack; nothing if that is not known.

    Nor where a table or the model of the ride is damaged: the parts of the ride, on the same page,
    say so.
    """
    try:
        model, phases = model_of(tables, video_id), phases_of(tables, video_id)
        if model is None or phases is None or SHOWN_WHERE not in model.tables:
            return {}
        faces = tables.read("candidates", video_id, ("frame_idx", "person_id", "loose"))
        return where_shown(model.table(SHOWN_WHERE), phases, faces, settings.camera.videos_min)
    except DamagedFileError:
        return {}


def _lacking(
    rider: RiderShown, reach: pl.DataFrame, where: Mapping[Cell, str], settings: Settings
) -> list[tuple[str, str]]:
    """Bins that no picture of a rider shows, those that riders reach before those nobody does."""
    told = [one.bins for own in rider.sets if own.kind in COUNTED for one in own.pictures]
    filled = {axis: {str(bins[axis]) for bins in told} for axis in COVERED}
    found = with_places(lacking(reach, filled, settings), where)
    return sorted(
        ((shown_bin(*which), words) for which, words in found.items()),
        key=lambda row: row[1].startswith("never"),
    )
