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


def forget_videos(cameras: Cameras, gone: Collection[str]) -> list[Path]:
    """Writes what names some videos anew without them.

    A damaged file that may name one is removed: nothing can read it any more, and what it was made
    of is still there.

    Returns:
        What was written anew or removed.
    """
    root = cameras.layout.cameras
    folders = sorted(p for p in root.iterdir() if p.is_dir()) if root.is_dir() else []
    changed = [
        _removed(path)
        for path in sorted(root.glob("*.json"))  # lists that earlier versions kept
        if any(video.encode() in path.read_bytes() for video in gone)
    ]
    changed += PhaseLabels(cameras.layout).without_videos(gone)
    for folder in folders:
        with cameras.locked_folder(folder.name, "forgetting videos"):
            changed += [path for path in _without(cameras, folder.name, gone) if path is not None]
    return changed


def _without(cameras: Cameras, folder: str, gone: Collection[str]) -> Iterator[Path | None]:
    layout = cameras.layout
    yield _of_record(cameras, folder, gone)
    yield _of_pins(layout, folder, gone)
    yield _of_watch(layout, folder, gone)
    for models in (layout.camera_models(folder), layout.ride_models(folder)):
        for name in editions.names_in(models):
            yield _of_edition(models / str(name), gone)


def _of_record(cameras: Cameras, folder: str, gone: Collection[str]) -> Path | None:
    path = cameras.layout.camera_order(folder)
    try:
        record = cameras.record_in(folder)
    except DamagedFileError:
        return _removed(path)
    left = without_videos(record, gone) if record else None
    if left is None or left == record:
        return None
    cameras.write_record(left)
    return path


def _of_pins(layout: Layout, folder: str, gone: Collection[str]) -> Path | None:
    try:
        return Pins(layout).without_in(folder, gone)
    except DamagedFileError as error:
        return _removed(error.path)


def _of_watch(layout: Layout, folder: str, gone: Collection[str]) -> Path | None:
    known = watched.recall(layout, folder)  # removes a damaged one
    left = watched.without_videos(known, gone)
    if left == known:
        return None
    watched.write(layout, folder, left)
    return layout.camera_watch(folder)


def _of_edition(folder: Path, gone: Collection[str]) -> Path | None:
    try:
        edition = editions.open_edition(folder, "")
        return folder if editions.without_videos(edition, gone) else None
    except DamagedFileError:
        return _removed(folder)


def _removed(path: Path) -> Path:
    atomic.remove(path)
    return path
