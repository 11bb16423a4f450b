"""Letting videos keep the newest model of their camera: nothing else ever changes what they keep.

A video gets the newest edition of the version of the camera that filmed it, never that of a
version in which the camera stood otherwise. What is made of it is outdated by that, and a run makes
it anew.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.settings import Settings
from identity_pipeline.stages.library.camera_model import make_model
from identity_pipeline.stages.library.ride_template import make_ride
from identity_pipeline.stages.video.pinning import newest_pin, version_of
from identity_pipeline.storage.cameras.cameras import CameraRecord, Cameras
from identity_pipeline.storage.cameras.pins import NOT_KNOWN, Pin, Pinned, Pins
from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.video.tables import TableStore


class UnknownVideoError(IdentityPipelineError, LookupError):
    """A video that is none of the camera's."""


@dataclass(frozen=True)
class Renewal:
    """A video that is to keep another model.

    Attributes:
        video_id: which.
        before: what it keeps.
        after: what it is to keep.
    """

    video_id: str
    before: Pin
    after: Pin


def renewals(
    store: TableStore, camera: str | None, videos: Collection[str] | None = None
) -> list[Renewal]:
    """The videos of a camera that keep another model than holds for them now; nothing is written.

    Args:
        store: the tables.
        camera: its name; None: the one without.
        videos: some of them; all of the camera's when None.

    Raises:
        DamagedFileError: a record of the camera cannot be read.
        UnknownVideoError: one of `videos` is not the camera's.
    """
    cameras, pins = Cameras(store.layout), Pins(store.layout)
    record = cameras.record(camera) or CameraRecord(camera)
    wanted = record.videos if videos is None else _of(record, videos)
    newest = {each.number: newest_pin(cameras, camera, each.number) for each in record.versions}
    due = ((video, pins.of(video), newest[version_of(record, video)]) for video in wanted)
    return [
        Renewal(video, known.pin if known else NOT_KNOWN, after)
        for video, known, after in due
        if _moves(known, camera, after)
    ]


def _of(record: CameraRecord, videos: Collection[str]) -> list[str]:
    """Some videos of a camera, as they came; raises where one is none of them."""
    strange = sorted(set(videos) - set(record.videos))
    if strange:
        raise UnknownVideoError(f"{strange[0]} is no finished video of this camera.")
    return [video for video in record.videos if video in videos]


def _moves(known: Pinned | None, camera: str | None, after: Pin) -> bool:
    """Whether a video that is pinned so, or not at all, is to keep something else."""
    if known is None:
        return after != NOT_KNOWN
    elsewhere = known.camera != camera and bool(after.known or known.pin.known)
    return known.pin != after or elsewhere


def renew(
    store: TableStore,
    settings: Settings,
    camera: str | None,
    videos: Collection[str] | None = None,
) -> tuple[list[Renewal], list[str]]:
    """Lets videos of a camera keep what holds for them now, with what people say of its ride.

    Damaged models are made anew first. What cannot be made stops nothing else.

    Args:
        store: the tables.
        settings: in force.
        camera: its name; None: the one without.
        videos: some of them; all of the camera's when None.

    Returns:
        Those that moved, and what was damaged and stays so, in sentences.

    Raises:
        UnknownVideoError: one of `videos` is not the camera's.
    """
    moved, problems = list[Renewal](), list[str]()
    for make in (make_ride, make_model):
        try:
            make(store, settings, camera)
        except DamagedFileError as error:
            problems.append(str(error))
    try:
        moved = renewals(store, camera, videos)
        if moved:
            Pins(store.layout).move(camera, {each.video_id: each.after for each in moved})
    except DamagedFileError as error:
        return [], list(dict.fromkeys([*problems, str(error)]))
    return moved, list(dict.fromkeys(problems))
