"""Editions of what the videos of a camera teach, put in place: of its model and of its ride alike.

An edition is made of the first videos of a version: when there are twenty, then forty, and so on,
so it is the same whenever it is made, and rarely another one. One that is there is never made anew
but where it is damaged, of the videos that it was made of; settings and code that changed take
effect with the next.

What belongs here: which editions are damaged, and writing one. What does not: which is wanted next,
and what is in it (`stages.library.camera_model`, `stages.library.ride_template`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import polars as pl

from identity_pipeline.storage.cameras.cameras import CameraRecord, Cameras
from identity_pipeline.storage.cameras.editions import EditionName
from identity_pipeline.storage.files.small_files import DamagedFileError

T = TypeVar("T")


@dataclass(frozen=True)
class Content:
    """What an edition holds.

    Attributes:
        tables: by name.
        members: table that names its videos.
        about: what is said of it besides.
    """

    tables: Mapping[str, pl.DataFrame]
    members: str
    about: Mapping[str, Any]


class Taught(Protocol):
    """Something that the videos of one camera teach."""

    @property
    def of(self) -> str:
        """`CAMERA` or `RIDE`."""
        ...

    @property
    def tables(self) -> Collection[str]:
        """Those that each edition has had; one that lacks one is damaged."""
        ...

    def next_edition(self, which: int) -> EditionName | None:
        """The edition that a version of the camera can have now, and has not.

        Args:
            which: place of the version among those of the camera.
        """
        ...

    def content(self, which: int, name: EditionName) -> Content | None:
        """What an edition of a version holds; None where its videos are gone."""
        ...

    def is_still_said(self, name: EditionName, content: Content) -> bool:
        """Whether people say yet what an edition would hold of their words; asked under the lock.

        Where a ride that they name was forgotten meanwhile, they do not.
        """
        ...


def make_editions(cameras: Cameras, record: CameraRecord, taught: Taught) -> list[EditionName]:
    """Makes the editions of a camera that are damaged, and then the next of each version.

    So what stops a next one stops no mending.

    Args:
        cameras: the folders.
        record: of the camera, as it was a moment ago.
        taught: what they are of.

    Returns:
        Those that were made.
    """
    made = []
    for which, name in _due(cameras, record, taught):
        content = taught.content(which, name)
        if content is not None and _put(cameras, record.camera, taught, name, content):
            made.append(name)
    return made


def _due(
    cameras: Cameras, record: CameraRecord, taught: Taught
) -> Iterator[tuple[int, EditionName]]:
    """Version and name of each damaged edition, and of the next ones when these are made."""
    versions = {each.number: which for which, each in enumerate(record.versions)}
    for name in cameras.editions(record.camera, taught.of):
        if name.version in versions and not is_whole(cameras, record.camera, name, taught):
            yield versions[name.version], name
    for which in versions.values():
        if (newest := taught.next_edition(which)) is not None:
            yield which, newest


def is_whole(cameras: Cameras, camera: str | None, name: EditionName, taught: Taught) -> bool:
    """Whether an edition is as it was written; what only later code writes it may lack."""
    if cameras.damage(camera, name, taught.of):
        return False
    return set(taught.tables) <= set(cameras.edition(camera, name, taught.of).tables)


def _put(
    cameras: Cameras, camera: str | None, taught: Taught, name: EditionName, content: Content
) -> bool:
    """Puts an edition in place, unless a video that it names was forgotten meanwhile."""
    members = set(content.tables[content.members]["video_id"])
    with cameras.locked(camera, "putting a model in place"):
        now = cameras.record(camera) or CameraRecord(camera)
        if members <= set(now.videos) and taught.is_still_said(name, content):
            cameras.write_model(camera, name, content.tables, content.about, taught.of)
            return True
    return False


def of_each_camera(
    cameras: Cameras, make: Callable[[str | None], T], damaged: Callable[[str | None, str], T]
) -> list[T]:
    """What is made of each camera, and told of each of which something cannot be read.

    Args:
        cameras: the folders.
        make: by the name of the camera.
        damaged: by its name, where that is known, and what is wrong.
    """
    told = [damaged(None, str(error)) for error in cameras.damaged().values()]
    for camera in cameras.names():
        try:
            told.append(make(camera))
        except DamagedFileError as error:
            told.append(damaged(camera, str(error)))
    return told
