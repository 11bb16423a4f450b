"""What is kept of cameras without some videos: records, what is watched, and models name them.

The means of a model stay: they are of twenty videos or more, and of nobody. A video is taken from
the lists of what it is made of. What people said of its ride stays without its id.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from identity_pipeline.storage.cameras import editions, watched
from identity_pipeline.storage.cameras.cameras import Cameras, without_videos
from identity_pipeline.storage.cameras.phase_labels import PhaseLabels
from identity_pipeline.storage.cameras.pins import Pins
from identity_pipeline.storage.files import atomic
from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.layout import Layout


def forget_videos(
    cameras: Cameras, gone: Collection[str], changed: Collection[str] = ()
) -> list[Path]:
    """Writes what names some videos anew without them.

    A damaged file that names one is removed: nothing can read it any more. So are damaged models of
    a camera that one was of: what they were made of is still there.

    Args:
        cameras: the folders.
        gone: the videos.
        changed: videos that stay, and show somebody less: what is watched of them goes, it is told
            anew.

    Returns:
        What was written anew or removed.
    """
    root = cameras.layout.cameras
    folders = sorted(p for p in root.iterdir() if p.is_dir()) if root.is_dir() else []
    written = [
        _removed(path)
        for path in sorted(root.glob("*.json"))  # lists that earlier versions kept
        if _names_one(path, gone)
    ]
    written += PhaseLabels(cameras.layout).without_videos(gone)
    for folder in folders:
        with cameras.locked_folder(folder.name, "forgetting videos"):
            found = _without(cameras, folder.name, gone, changed)
            written += [path for path in found if path is not None]
    return written


def _without(
    cameras: Cameras, folder: str, gone: Collection[str], changed: Collection[str]
) -> Iterator[Path | None]:
    layout = cameras.layout
    was_of = _was_of(cameras, folder, gone)
    yield _of_record(cameras, folder, gone)
    yield _of_pins(layout, folder, gone)
    yield _of_watch(layout, folder, {*gone, *changed})
    for models in (layout.camera_models(folder), layout.ride_models(folder)):
        for name in editions.names_in(models):
            yield _of_edition(models / str(name), gone, was_of)


def _was_of(cameras: Cameras, folder: str, gone: Collection[str]) -> bool:
    """Whether one of the videos may be of a camera: of a damaged record it cannot be told."""
    try:
        record = cameras.record_in(folder)
    except DamagedFileError:
        return True
    return record is None or not set(gone).isdisjoint(record.videos)


def _names_one(path: Path, gone: Collection[str]) -> bool:
    data = path.read_bytes()
    return any(video.encode() in data for video in gone)


def _of_record(cameras: Cameras, folder: str, gone: Collection[str]) -> Path | None:
    path = cameras.layout.camera_order(folder)
    try:
        record = cameras.record_in(folder)
    except DamagedFileError:
        return _removed(path) if _names_one(path, gone) else None
    left = without_videos(record, gone) if record else None
    if left is None or left == record:
        return None
    cameras.write_record(left)
    return path


def _of_pins(layout: Layout, folder: str, gone: Collection[str]) -> Path | None:
    try:
        return Pins(layout).without_in(folder, gone)
    except DamagedFileError as error:
        return _removed(error.path) if _names_one(error.path, gone) else None


def _of_watch(layout: Layout, folder: str, gone: Collection[str]) -> Path | None:
    known = watched.recall(layout, folder)  # removes a damaged one
    left = watched.without_videos(known, gone)
    if left == known:
        return None
    watched.write(layout, folder, left)
    return layout.camera_watch(folder)


def _of_edition(folder: Path, gone: Collection[str], was_of: bool) -> Path | None:
    try:
        edition = editions.open_edition(folder, "")
        return folder if editions.without_videos(edition, gone) else None
    except DamagedFileError:
        return _removed(folder) if was_of else None


def _removed(path: Path) -> Path:
    atomic.remove(path)
    return path
