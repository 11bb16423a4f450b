"""What is known of a camera, for people: its versions, its model, what was left out of it.

What belongs here: reading what stands, for pages and commands. What does not: making models
(`stages.library.camera_model`), and what a video says of its camera (`camera_watch`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import polars as pl

from identity_pipeline.core.camera.versions import known_words
from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.settings import CameraSettings
from identity_pipeline.storage.cameras.cameras import (
    CAMERA,
    NO_NAME,
    RIDE,
    UNNAMED,
    CameraRecord,
    Cameras,
    folder_of,
)
from identity_pipeline.storage.cameras.editions import EarlierEditionError, Edition
from identity_pipeline.storage.cameras.phase_labels import PhaseLabels
from identity_pipeline.storage.cameras.pins import Pins
from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.layout import Layout
from identity_pipeline.tables.camera import OF_A_MODEL

DAMAGED: Final = "is damaged"
"""Instead of how many videos a model is of."""
RIDE_SHOWN: Final = (
    *("ride_track", "ride_stretches", "ride_labels"),
    *("ride_expected", "ride_expressions", "ride_faces"),
)
_PRINTED: Final = ("ride_stretches", "ride_expected", "ride_expressions", "ride_faces")
"""Of the ride, what a command prints with `--json`: not its course, nor what people wrote."""


class NoCameraError(IdentityPipelineError, LookupError):
    """There is no such camera."""


@dataclass(frozen=True)
class CameraAccount:
    """What is known of a camera now.

    Attributes:
        name: its name; None: the one without.
        videos: of it that are known, in the order in which they came.
        versions: table `camera_versions`.
        model: the edition in force; None: the camera is not known.
        known: of how many videos the model is, or what it lacks, in words.
        tables: of the model; none where it is damaged, or there is none.
        ride: tables of the newest model of its ride; none where it is not known, or damaged.
        problems: what of it is damaged, or of an earlier version of the program, in sentences.
    """

    name: str | None
    videos: tuple[str, ...]
    versions: pl.DataFrame
    model: Edition | None
    known: str
    tables: dict[str, pl.DataFrame] = field(default_factory=dict)
    ride: dict[str, pl.DataFrame] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """What is known of it."""
        there = self.model is not None or self.known == DAMAGED
        return f"The {'model' if there else 'camera is'} {self.known}"

    @property
    def called(self) -> str:
        """Its name, or what it is called without one."""
        return self.name or NO_NAME

    @property
    def word(self) -> str:
        """What commands call it."""
        return word_of(self.name)

    @property
    def folder(self) -> str:
        """Its address on the desk."""
        return folder_of(self.name)

    @property
    def version(self) -> int:
        """Its present version."""
        return int(self.versions["version"][-1])

    @property
    def last_alarm(self) -> str | None:
        """What the last change was, and which video made it plain; None: there was none."""
        told = self.versions.filter(pl.col("causes").list.len() > 0)
        if not told.height:
            return None
        row = told.row(-1, named=True)
        seen = f", noticed at {row['noticed']}" if row["noticed"] else ""
        return f"{'; '.join(row['causes'])}{seen}"

    @property
    def left_out(self) -> list[tuple[str, str]]:
        """Videos that do not count for the model, and why."""
        members = self.tables.get("camera_members")
        if members is None:
            return []
        return list(members.drop_nulls("left_out").select("video_id", "left_out").iter_rows())

    def as_json(self) -> dict[str, Any]:
        """What a command prints of it in a list."""
        return {
            "camera": self.name,
            "version": self.version,
            "videos": len(self.videos),
            "model": str(self.model.name) if self.model else None,
            "known": self.known,
            "last_alarm": self.last_alarm,
            "damage": " ".join(self.problems) or None,
        }

    def in_full(self) -> dict[str, Any]:
        """What a command prints of it alone: with the tables of its models, row by row."""
        tables = self.tables | {name: self.ride[name] for name in _PRINTED if name in self.ride}
        shown = {name: table.rows(named=True) for name, table in tables.items()}
        return {**self.as_json(), "versions": self.versions.rows(named=True), "tables": shown}


def word_of(camera: str | None) -> str:
    """What commands call a camera: see `named`."""
    return folder_of(camera) if camera == UNNAMED else camera or UNNAMED


def named(layout: Layout, word: str) -> str | None:
    """The name of the camera that a command calls so; None: the one without.

    Args:
        layout: of the data folder.
        word: its name, `unnamed`, or the name of its folder.

    Raises:
        NoCameraError: no video of it is known.
        DamagedFileError: its record cannot be read.
    """
    cameras = Cameras(layout)
    for name in cameras.names():
        if word in (name or UNNAMED, folder_of(name)):
            return name
    damaged = cameras.damaged().get(folder_of(None if word == UNNAMED else word))
    if damaged is not None:
        raise damaged
    raise NoCameraError(
        f"no video of {word} is known; `identity-pipeline camera list` names the cameras."
    )


def account_of(layout: Layout, settings: CameraSettings, camera: str | None) -> CameraAccount:
    """What is known of a camera.

    Args:
        layout: of the data folder.
        settings: how many videos it takes.
        camera: its name; None: the one without.

    Raises:
        NoCameraError: no video of it is known.
        DamagedFileError: its record cannot be read.
    """
    record = Cameras(layout).record(camera)
    if record is None:
        raise NoCameraError(f"no video of {camera or NO_NAME} is known.")
    return _account(Cameras(layout), record, settings)


def account_in(layout: Layout, settings: CameraSettings, folder: str) -> CameraAccount:
    """The same by the name of its folder; raises as `account_of` does."""
    cameras = Cameras(layout)
    # Only a folder that is there: what an address says is never joined to a path unseen.
    there = layout.cameras.is_dir() and folder in {path.name for path in layout.cameras.iterdir()}
    record = cameras.record_in(folder) if there else None
    if record is None:
        raise NoCameraError("There is no such camera; the list of cameras has all that are known.")
    return _account(cameras, record, settings)


def accounts(layout: Layout, settings: CameraSettings) -> tuple[list[CameraAccount], list[str]]:
    """All cameras, and what is wrong with records of cameras that cannot be read."""
    cameras, found, damaged = Cameras(layout), list[CameraAccount](), list[str]()
    damaged += map(str, cameras.damaged().values())
    damaged += Pins(layout).damaged()
    for camera in cameras.names():
        try:
            found.append(account_of(layout, settings, camera))
        except DamagedFileError as error:  # since a moment ago
            damaged.append(str(error))
    return found, damaged


def _account(cameras: Cameras, record: CameraRecord, settings: CameraSettings) -> CameraAccount:
    camera = record.camera
    name = cameras.in_force(camera)
    model, tables, problems = _model(cameras, camera, CAMERA, OF_A_MODEL)
    damaged = name is not None and not tables
    _, ride, of_ride = _model(cameras, camera, RIDE, RIDE_SHOWN)
    out = _left_out(tables)
    still = [video for video in record.standing_still(-1) if video not in out]
    return CameraAccount(
        name=camera,
        videos=record.videos,
        versions=cameras.versions(camera),
        model=model,
        known=DAMAGED if damaged else known_words(name.videos if name else 0, len(still), settings),
        tables=tables,
        ride=ride,
        problems=(*problems, *of_ride, *_of_labels(cameras.layout)),
    )


def _model(
    cameras: Cameras, camera: str | None, of: str, names: Collection[str]
) -> tuple[Edition | None, dict[str, pl.DataFrame], list[str]]:
    """The newest model, its tables, and what is wrong with it; a damaged one has no tables."""
    model = None
    tables: dict[str, pl.DataFrame] = {}
    lacking: list[str] = []
    try:
        model = cameras.model(camera, of)
        if model is None:
            return None, {}, []
        for name in names:
            try:
                tables[name] = model.table(name)
            except EarlierEditionError as error:
                lacking.append(str(error))
    except DamagedFileError as error:
        return model, {}, [str(error)]
    return model, tables, lacking[:1]


def _of_labels(layout: Layout) -> list[str]:
    """Why what people say of rides cannot be read."""
    try:
        PhaseLabels(layout).all()
    except DamagedFileError as error:
        return [str(error)]
    return []


def _left_out(tables: dict[str, pl.DataFrame]) -> Sequence[str]:
    members = tables.get("camera_members")
    return [] if members is None else members.drop_nulls("left_out")["video_id"].to_list()
