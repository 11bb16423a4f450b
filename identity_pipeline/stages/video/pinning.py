"""Which edition of the model of its camera, and of its ride, a video gets.

A video gets what holds when its first step that reads a model runs. One that was finished before
its pins were kept was made without models, so it keeps none: what is done is never outdated by
what other videos teach.
"""

from __future__ import annotations

from identity_pipeline.settings import Settings
from identity_pipeline.stages.specs.assets import VIDEO_SPECS
from identity_pipeline.stages.video.camera_view import camera_of_video
from identity_pipeline.storage.cameras.cameras import CAMERA, RIDE, CameraRecord, Cameras
from identity_pipeline.storage.cameras.pins import NOT_KNOWN, Pin, Pinned, Pins
from identity_pipeline.storage.video.tables import TableStore


def pin_video(store: TableStore, settings: Settings, video_id: str) -> Pinned:
    """What a video keeps; one that is not pinned is pinned now.

    Raises:
        DamagedFileError: a record of the camera, or the pins, cannot be read.
        MissingTableError: the video was never probed.
    """
    pins = Pins(store.layout)
    known = pins.of(video_id)
    if known is not None:
        return known
    camera = camera_of(store, settings, video_id)
    made = _is_made(store, video_id)
    pin = NOT_KNOWN if made else newest_pin(Cameras(store.layout), camera)
    return pins.pin(camera, video_id, pin)


def pin_to_be(store: TableStore, settings: Settings, video_id: str) -> Pinned:
    """The same, as a run would find it; nothing is written. Raises as `pin_video` does."""
    known = Pins(store.layout).of(video_id)
    if known is not None:
        return known
    models = any(store.layout.cameras.glob("*/*/[1-9]*.*"))
    if not models or not store.noted("ride_video", video_id) or _is_made(store, video_id):
        return Pinned(store.layout)  # without reading a table of each of thousands
    camera = camera_of(store, settings, video_id)
    return Pinned(store.layout, camera, newest_pin(Cameras(store.layout), camera))


def camera_of(store: TableStore, settings: Settings, video_id: str) -> str | None:
    """The name of the camera that filmed a video; None: it has none."""
    return camera_of_video(store.read("ride_video", video_id, ("path",)), settings)


def newest_pin(cameras: Cameras, camera: str | None, version: int | None = None) -> Pin:
    """The newest editions that hold for a version of a camera, or for a video that comes now.

    Args:
        cameras: the folders.
        camera: its name.
        version: of the camera; None: its last.

    Raises:
        DamagedFileError: the record of the camera cannot be read, or a model is damaged: no other
            one is taken for it.
    """
    record = cameras.record(camera)
    if record is None:
        return NOT_KNOWN
    last = version or record.versions[-1].number
    since = max(each.number for each in record.versions if each.moved and each.number <= last)
    return Pin(*(_newest(cameras, camera, of, range(since, last + 1)) for of in (CAMERA, RIDE)))


def version_of(record: CameraRecord, video_id: str) -> int:
    """The version of a camera that a video is of; the last of one that is not listed yet."""
    if video_id not in record.videos:
        return record.versions[-1].number
    return record.versions[record.version_of(video_id)].number


def _newest(cameras: Cameras, camera: str | None, of: str, versions: range) -> str:
    """The newest edition of some versions, which must be whole: a video keeps it for long."""
    there = [name for name in cameras.editions(camera, of) if name.version in versions]
    if not there:
        return ""
    cameras.edition(camera, there[-1], of).check()
    return str(there[-1])


def _is_made(store: TableStore, video_id: str) -> bool:
    """Whether something that would be made of models is there, so that it was made without."""
    return any(store.noted(spec.key, video_id) for spec in VIDEO_SPECS.values() if spec.camera)
