"""Which edition of the model of its camera, and of its ride, each video keeps.

What is made of a video once is made of the same model for ever, so a new edition outdates nothing.
A pin is written before the first step that reads a model computes, so that a run that was killed
goes on with the same one. It changes only when somebody asks for it (`camera renew`).

What belongs here: the record `pins.json` of each camera. What does not: which edition a video gets
(`stages.video.pinning`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Final

from identity_pipeline.storage.cameras.cameras import (
    CAMERA,
    RIDE,
    WAIT_S,
    CameraRecord,
    Cameras,
    folder_of,
)
from identity_pipeline.storage.cameras.editions import Edition, EditionName, EditionNameError
from identity_pipeline.storage.files import atomic, locks, small_files
from identity_pipeline.storage.files.hashing import sha256_of_value
from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.layout import Layout

MEND: Final = (
    "Restore it from a backup, or move it away: then its videos are made anew as if the camera "
    "were not known, until `identity-pipeline camera renew`."
)


@dataclass(frozen=True)
class Pin:
    """What a video keeps.

    Attributes:
        camera: an edition of the model of its camera, `1.40`; empty: the camera was not known.
        ride: the same of its ride.
    """

    camera: str = ""
    ride: str = ""

    @property
    def known(self) -> tuple[str, ...]:
        """`camera` and `ride`, those of which it has a model."""
        return tuple(name for name in (CAMERA, RIDE) if getattr(self, name))

    @property
    def words(self) -> str:
        """As lists show it."""
        return ", ".join(f"{of} {getattr(self, of)}" for of in self.known) or "none"


NOT_KNOWN: Final = Pin()


@dataclass(frozen=True)
class PinRecord:
    """The pins of one camera.

    Attributes:
        camera: its name; null of the one without.
        pins: by video.
    """

    camera: str | None = None
    pins: Mapping[str, Pin] = field(default_factory=dict)


@dataclass(frozen=True)
class Pinned:
    """A video with what it keeps.

    Attributes:
        layout: of the data folder.
        camera: name of the camera that it was pinned with; None: the one without.
        pin: what it keeps.
    """

    layout: Layout
    camera: str | None = None
    pin: Pin = NOT_KNOWN

    def edition(self, of: str) -> Edition | None:
        """The edition that it keeps.

        Args:
            of: `camera` or `ride`.

        Returns:
            None: it was not known.

        Raises:
            DamagedFileError: it is not there, or not what was written; no other is taken for it.
        """
        name = getattr(self.pin, of)
        return Cameras(self.layout).edition(self.camera, name, of) if name else None

    def editions(self) -> dict[str, Edition]:
        """Those that it keeps, by what they are of; raises as `edition` does."""
        found = {of: self.edition(of) for of in self.pin.known}
        return {of: edition for of, edition in found.items() if edition is not None}


@dataclass(frozen=True)
class Pins:
    """The records of all cameras."""

    layout: Layout

    def of(self, video_id: str) -> Pinned | None:
        """What a video keeps, with whatever camera it was pinned; None: it is not pinned.

        Raises:
            DamagedFileError: a record cannot be read.
        """
        for record in self.records():
            if video_id in record.pins:
                return Pinned(self.layout, record.camera, record.pins[video_id])
        return None

    def pin(self, camera: str | None, video_id: str, pin: Pin) -> Pinned:
        """Pins a video that is not pinned yet.

        Args:
            camera: that filmed it.
            video_id: which.
            pin: what it is to keep.

        Returns:
            What it keeps: of one that is pinned already, that.

        Raises:
            DamagedFileError: a record cannot be read.
        """
        with self._locked(folder_of(camera), "pinning a video to its model"):
            known = self.of(video_id)
            if known is not None:
                return known
            self._write(camera, {**self.of_camera(camera), video_id: pin})
        return Pinned(self.layout, camera, pin)

    def move(self, camera: str | None, pins: Mapping[str, Pin]) -> None:
        """Lets videos of a camera keep something else, with whatever camera they were pinned.

        One that is the camera's no more, since it was forgotten meanwhile, is passed over.

        Raises:
            DamagedFileError: a record cannot be read.
        """
        with self._locked(folder_of(camera), "pinning videos to another model"):
            known = Cameras(self.layout).record(camera) or CameraRecord(camera)
            moved = {video: pin for video, pin in pins.items() if video in set(known.videos)}
            self._write(camera, {**self.of_camera(camera), **moved})
        for record in list(self.records()):
            if record.camera != camera and moved.keys() & record.pins.keys():
                self.without_in(folder_of(record.camera), moved.keys())

    def of_camera(self, camera: str | None) -> Mapping[str, Pin]:
        """The pins of the videos of a camera.

        Raises:
            DamagedFileError: its record cannot be read.
        """
        found = _read(self.layout.camera_pins(folder_of(camera)))
        return found.pins if found else {}

    def damaged(self) -> list[str]:
        """What is wrong with each record that cannot be read."""
        root = self.layout.cameras
        paths = sorted(root.glob("*/pins.json")) if root.is_dir() else []
        keys = {path.as_posix(): path for path in paths}
        return list(map(str, small_files.damaged(keys, lambda key: _read(keys[key])).values()))

    def records(self) -> Iterator[PinRecord]:
        """Those of all cameras.

        Raises:
            DamagedFileError: one cannot be read.
        """
        root = self.layout.cameras
        for path in sorted(root.glob("*/pins.json")) if root.is_dir() else ():
            found = _read(path)
            if found is not None:
                yield found

    def without_in(self, folder: str, gone: Collection[str]) -> Path | None:
        """Takes videos out of the record of a camera.

        Returns:
            The record, where it named one.

        Raises:
            DamagedFileError: it cannot be read.
        """
        path = self.layout.camera_pins(folder)
        if not path.is_file():
            return None
        with self._locked(folder, "letting videos go"):
            found = _read(path)
            if found is None or not found.pins.keys() & set(gone):
                return None
            self._write(found.camera, {v: pin for v, pin in found.pins.items() if v not in gone})
        return path

    def _locked(self, folder: str, purpose: str) -> AbstractContextManager[None]:
        """A lock of its own: who watches the camera keeps that one's for long."""
        path = self.layout.camera(folder) / ".pins.lock"
        return locks.exclusive(path, "what the videos of a camera keep", purpose, WAIT_S)

    def _write(self, camera: str | None, pins: Mapping[str, Pin]) -> None:
        record = PinRecord(camera, dict(sorted(pins.items())))
        path = self.layout.camera_pins(folder_of(camera))
        atomic.write_json(path, small_files.sealed(asdict(record)))


def _read(path: Path) -> PinRecord | None:
    try:
        state = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        reason = f"it cannot be read ({error.strerror or error})"
        raise DamagedFileError(path, reason, MEND) from error
    return _read_once(path, (state.st_mtime_ns, state.st_size, state.st_ino))


@lru_cache(maxsize=64)
def _read_once(path: Path, _stamp: tuple[int, int, int]) -> PinRecord | None:
    """A record as of a stamp: it is asked for once a video, and has a line for each."""
    found = small_files.read_sealed(path, PinRecord, MEND)
    if found is None:
        return None
    if folder_of(found.camera) != path.parent.name:
        raise DamagedFileError(path, "it is of another camera", MEND)
    for pin in found.pins.values():
        for of in pin.known:
            try:
                EditionName.parse(getattr(pin, of))
            except EditionNameError as error:
                raise DamagedFileError(path, str(error).rstrip("."), MEND) from None
    return found


def kept_models(layout: Layout) -> dict[str, str]:
    """The videos that keep a model, each with what tells it from another; damage is one, too."""
    try:
        records = list(Pins(layout).records())
    except DamagedFileError as error:
        return {"": str(error)}
    signs: dict[tuple[str | None, Pin], str] = {}
    found = {}
    for record in records:
        for video_id, pin in record.pins.items():
            if not pin.known:
                continue
            key = (record.camera, pin)
            if key not in signs:
                signs[key] = _sign(Pinned(layout, *key))
            found[video_id] = signs[key]
    return found


def _sign(pinned: Pinned) -> str:
    try:
        kept = {of: dict(edition.digests) for of, edition in pinned.editions().items()}
    except DamagedFileError as error:
        return str(error)
    return sha256_of_value(kept)
