"""The cameras of a data folder: in which order their videos came, their versions, their models.

Each camera has a folder. `order.json` in it is a record that cannot be made again: the videos in
the order in which they were first finished, and where a version of the camera begins; who writes it
holds the camera's lock. `versions/` holds its models and `rides/` those of its ride, an edition
each (`storage.cameras.editions`).

What belongs here: where all that is, reading and writing it. What does not: when a version begins
or an edition is made (`stages.library.camera_model`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import polars as pl

from identity_pipeline.storage.cameras.editions import (
    Edition,
    EditionName,
    add_tables,
    names_in,
    open_edition,
    write_edition,
)
from identity_pipeline.storage.files import atomic, locks, small_files
from identity_pipeline.storage.files.inbox import slug
from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.layout import Layout
from identity_pipeline.tables import TABLES

NO_NAME: Final = "the camera without a name"
UNNAMED: Final = "unnamed"
"""The word for it in commands, and its folder."""
WAIT_S: Final = 60.0
CAMERA, RIDE = "camera", "ride"
"""What there are models of."""
MEND: Final = (
    "`identity-pipeline camera renew` makes models anew that are damaged; where the videos of one "
    "are gone, restore it from a backup, or move it away."
)
MEND_ORDER: Final = (
    "Restore it from a backup, or move it away: then the camera is learnt anew, from its videos in "
    "the order of their ids."
)


@dataclass(frozen=True)
class CameraVersion:
    """A stretch of videos during which a camera was one.

    Attributes:
        number: from 1.
        begins: how many videos of the camera came before it.
        moved: the camera was moved, so pose zero and seats begin anew; else they go on.
        causes: why it began, in sentences; none of the first.
        noticed: the video that made it plain, null of the first.
    """

    number: int = 1
    begins: int = 0
    moved: bool = True
    causes: tuple[str, ...] = ()
    noticed: str | None = None


@dataclass(frozen=True)
class CameraRecord:
    """What is noted of a camera.

    Attributes:
        camera: its name; null of the one without.
        videos: in the order in which they came.
        versions: at least one.
    """

    camera: str | None
    videos: tuple[str, ...] = ()
    versions: tuple[CameraVersion, ...] = field(default=(CameraVersion(),))

    def own(self, which: int) -> tuple[str, ...]:
        """The videos of a version.

        Args:
            which: its place among the versions; the last is -1.
        """
        begins = [*(each.begins for each in self.versions), len(self.videos)]
        at = which % len(self.versions)
        return self.videos[begins[at] : begins[at + 1]]

    def version_of(self, video: str) -> int:
        """The place among the versions of the one that a video is of."""
        at = self.videos.index(video)
        return max(k for k, each in enumerate(self.versions) if each.begins <= at)

    def noticed_by(self, video: str) -> int | None:
        """The place among the versions of the first one that a video made plain."""
        return next((k for k, each in enumerate(self.versions) if each.noticed == video), None)

    def standing_still(self, which: int) -> tuple[str, ...]:
        """The videos of a version, and those before it since the camera was last moved."""
        at = which % len(self.versions)
        moved = max(k for k, each in enumerate(self.versions[: at + 1]) if each.moved or k == 0)
        end = self.versions[at].begins + len(self.own(at))
        return self.videos[self.versions[moved].begins : end]

    def period(self, which: int) -> tuple[str, ...]:
        """The videos of a version, and all others between the same two moves of the camera."""
        last = which % len(self.versions)
        while last + 1 < len(self.versions) and not self.versions[last + 1].moved:
            last += 1
        return self.standing_still(last)


@dataclass(frozen=True)
class Cameras:
    """The folders in `data/cameras`; a camera is named by its name, null for the one without."""

    layout: Layout

    def names(self) -> list[str | None]:
        """The cameras that are known, the one without a name first.

        One whose record is damaged is passed over: see `damaged`.
        """
        found = list(small_files.readable(self._folders(), self.record_in))
        return sorted((each.camera for each in found), key=lambda name: (name is not None, name))

    def damaged(self) -> dict[str, DamagedFileError]:
        """What is wrong with each record that cannot be read, by the name of its folder."""
        return small_files.damaged(self._folders(), self.record_in)

    def record(self, camera: str | None) -> CameraRecord | None:
        """What is noted of a camera; None where nothing is.

        Raises:
            DamagedFileError: it cannot be read.
        """
        return self.record_in(folder_of(camera))

    def of_video(self, video_id: str) -> CameraRecord | None:
        """What is noted of the camera that filmed a video; None where no record has it.

        Records that are damaged are passed over: see `damaged`.
        """
        found = small_files.readable(self._folders(), self.record_in)
        return next((record for record in found if video_id in record.videos), None)

    def versions(self, camera: str | None) -> pl.DataFrame:
        """The table `camera_versions`; raises as `record` does."""
        found = self.record(camera) or CameraRecord(camera, versions=())
        rows = [
            {
                "version": each.number,
                "first_video": next(iter(found.videos[each.begins :]), None),
                "moved": each.moved,
                "causes": list(each.causes),
                "noticed": each.noticed,
            }
            for each in found.versions
        ]
        return pl.DataFrame(rows, schema=TABLES["camera_versions"])

    def editions(self, camera: str | None, of: str = CAMERA) -> list[EditionName]:
        """The models of a camera, or of its ride, the newest last; nothing is opened."""
        return names_in(self._models(camera, of))

    def in_force(self, camera: str | None, of: str = CAMERA) -> EditionName | None:
        """The model for a video that comes now; None: the camera, or its ride, is not known.

        Where its present version has none yet, that of an earlier one holds until the camera is
        moved: pose zero, seats and ride go on. Raises as `record` does.
        """
        found = self.record(camera)
        if found is None:
            return None
        since = max(each.number for each in found.versions if each.moved)
        known = [name for name in self.editions(camera, of) if name.version >= since]
        return known[-1] if known else None

    def model(self, camera: str | None, of: str = CAMERA) -> Edition | None:
        """The model in force; None where none is. Raises as `edition` and `record` do."""
        name = self.in_force(camera, of)
        return None if name is None else self.edition(camera, name, of)

    def edition(self, camera: str | None, which: str | EditionName, of: str = CAMERA) -> Edition:
        """A model: its tables are called `camera_...`, those of a ride `ride_...`.

        Args:
            camera: its name.
            which: `1.40`.
            of: `CAMERA` or `RIDE`.

        Raises:
            DamagedFileError: it is not what was written, or it is not there.
            EditionNameError: `which` names none.
        """
        name = EditionName.parse(which) if isinstance(which, str) else which
        return open_edition(self._models(camera, of) / str(name), MEND)

    def damage(self, camera: str | None, name: EditionName, of: str = CAMERA) -> str | None:
        """What is wrong with a model, after reading all of it; None: nothing."""
        try:
            self.edition(camera, name, of).check()
        except DamagedFileError as error:
            return str(error)
        return None

    def write_model(
        self,
        camera: str | None,
        name: EditionName,
        tables: Mapping[str, pl.DataFrame],
        about: Mapping[str, Any],
        of: str = CAMERA,
    ) -> None:
        """Writes a model; for who holds the lock. See `write_edition`.

        A damaged one of that name is replaced, and what a killed writer left half there goes.
        """
        atomic.sweep_temporaries(self._models(camera, of))
        write_edition(self._models(camera, of) / str(name), tables, about)

    def add_tables(
        self, camera: str | None, was: Edition, tables: Mapping[str, pl.DataFrame], of: str
    ) -> bool:
        """Adds tables to a model that lacks them; see `editions.add_tables`.

        Args:
            camera: its name.
            was: the model as the tables are made of it.
            tables: by name.
            of: `CAMERA` or `RIDE`.

        Returns:
            False where it is another by now, as where a video of it was forgotten: it stays so.

        Raises:
            DamagedFileError: it is not what was written.
        """
        with self.locked(camera, "adding tables to a model"):
            there = was.name in self.editions(camera, of)
            if not there or self.edition(camera, was.name, of).digests != was.digests:
                return False
            atomic.sweep_temporaries(self._models(camera, of))
            add_tables(was, tables)
        return True

    def locked(self, camera: str | None, purpose: str) -> AbstractContextManager[None]:
        """One writer of a camera's record, and of what is beside it, at a time."""
        return self.locked_folder(folder_of(camera), purpose)

    def locked_folder(self, folder: str, purpose: str) -> AbstractContextManager[None]:
        """The same by the name of its folder."""
        path = self.layout.camera(folder) / ".lock"
        return locks.exclusive(path, "the record of a camera", purpose, WAIT_S)

    def write_record(self, record: CameraRecord) -> None:
        """Puts a record in the place of the one before; for who holds the lock."""
        path = self.layout.camera_order(folder_of(record.camera))
        atomic.write_json(path, small_files.sealed(asdict(record)))

    def _folders(self) -> list[str]:
        root = self.layout.cameras
        return sorted(p.parent.name for p in root.glob("*/order.json")) if root.is_dir() else []

    def record_in(self, folder: str) -> CameraRecord | None:
        """The same by the name of its folder; raises as `record` does."""
        path = self.layout.camera_order(folder)
        found = small_files.read_sealed(path, CameraRecord, MEND_ORDER)
        if found is not None and (folder_of(found.camera) != folder or not found.versions):
            raise DamagedFileError(path, "it is of another camera, or of none", MEND_ORDER)
        return found

    def _models(self, camera: str | None, of: str) -> Path:
        places = {CAMERA: self.layout.camera_models, RIDE: self.layout.ride_models}
        return places[of](folder_of(camera))


def folder_of(camera: str | None) -> str:
    """The name of a camera's folder; its address on the desk, too."""
    if camera is None:
        return UNNAMED
    return f"{slug(camera, 'camera')}-{hashlib.sha256(camera.encode()).hexdigest()[:8]}"


def without_videos(record: CameraRecord, gone: Collection[str]) -> CameraRecord:
    """A record without some videos; a version that began with one begins with the next."""
    versions = []
    for each in record.versions:
        before = sum(video not in gone for video in record.videos[: each.begins])
        noticed = None if each.noticed in gone else each.noticed
        versions.append(replace(each, begins=before, noticed=noticed))
    left = tuple(video for video in record.videos if video not in gone)
    return replace(record, videos=left, versions=tuple(versions))
