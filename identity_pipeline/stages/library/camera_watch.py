"""The watch of a camera: each video is held against those before it, and a change begins a version.

A video gets its place in the order of its camera when it is looked at first, and keeps it. The
order and the versions are a record; the figures that are watched are a memory beside it, which is
made anew from the tables of the videos where it is gone, or was made with other settings. A killed
look leaves videos in the order that nobody looked at; the next one takes them up.

What belongs here: the state of the watch on the disk. What does not: what is a change
(`core.camera.watch`), and models (`stages.library.camera_model`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import polars as pl

from identity_pipeline.core.camera.versions import (
    Version,
    advance,
    another_picture,
    figures_in,
    other_pictures,
)
from identity_pipeline.core.camera.watch import Figures, Verdict, judge
from identity_pipeline.settings import Settings, chosen
from identity_pipeline.stages.library.camera_sightings import Sightings
from identity_pipeline.stages.video.camera_view import camera_of_video
from identity_pipeline.storage.cameras import watched
from identity_pipeline.storage.cameras.cameras import (
    CameraRecord,
    Cameras,
    CameraVersion,
    folder_of,
)
from identity_pipeline.storage.cameras.watched import Watched, WatchedVideo
from identity_pipeline.storage.files import small_files
from identity_pipeline.storage.files.hashing import sha256_of_value
from identity_pipeline.storage.video.registry import VideoRegistry
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline.tables import TABLES

CODE: Final = "2"
"""Raised with every change of what is remembered: then it is made anew."""
Series = Sequence[tuple[str, Figures]]


@dataclass(frozen=True)
class Look:
    """What a video tells of its camera.

    Attributes:
        camera: its name; None: the one without.
        version: of the camera that the video is of, from 1.
        verdict: on the video, as the last of those of its version before it.
        figures: what is watched of it.
        told: videos and what is watched of each, up to this one. Where it made a change plain:
            also those before that change.
        causes: why a version began that this video made plain, in sentences.
        begun: its first video; None where it made none plain.
        left_out: why it does not count, in a sentence; None: it does.
    """

    camera: str | None
    version: int
    verdict: Verdict
    figures: Figures
    told: Series
    causes: tuple[str, ...] = ()
    begun: str | None = None
    left_out: str | None = None


def look(store: TableStore, settings: Settings, video_id: str) -> Look:
    """Holds a video against those of its camera before it, and notes what it tells.

    Args:
        store: the tables; those of the video are there.
        settings: in force.
        video_id: the video. One that was looked at before keeps its place; where its tables are
            others now, what was noted of it is replaced, and it begins no version.

    Raises:
        DamagedFileError: the record of the camera, or a table of the video, cannot be read.
        LockBusyError: somebody else is at the camera for long.
        MissingTableError: the video was forgotten meanwhile.
    """
    camera = camera_of_video(store.read("ride_video", video_id, ("path",)), settings)
    cameras = Cameras(store.layout)
    with cameras.locked(camera, f"noting {video_id}"):
        store.read("ride_video", video_id, ("path",))  # a forgetting may have held the lock
        watch = _Watch(cameras, Sightings(store, settings, camera), camera)
        watch.enter(video_id)
        return watch.look(video_id)


def series(store: TableStore, camera: str | None) -> Mapping[str, WatchedVideo]:
    """What is remembered of the videos of a camera, by video; nothing is made anew."""
    return watched.recall(store.layout, folder_of(camera)).videos


@dataclass
class _Watch:
    """The watch of one camera, while its lock is held."""

    cameras: Cameras
    sightings: Sightings
    camera: str | None
    is_new: bool = field(init=False)
    record: CameraRecord = field(init=False)
    known: dict[str, WatchedVideo] = field(init=False)
    version: Version = field(init=False)

    def __post_init__(self) -> None:
        """Recalls what is known, as far as it is of the present version."""
        noted_record = self.cameras.record(self.camera)
        self.is_new = noted_record is None
        self.record = noted_record or self._first_record()
        noted = watched.recall(self.cameras.layout, self._folder)
        if noted.made_with != self._made_with:
            noted = Watched()
        fits = noted.version == self.record.versions[-1].number
        own = () if fits else self._own(-1)
        self.known = {v: each for v, each in noted.videos.items() if v not in own}
        self._go_on(_table(noted.seats) if fits else None)

    def enter(self, video_id: str) -> None:
        """Gives a video its place in the order."""
        entered = tuple(dict.fromkeys([*self.record.videos, video_id]))
        if self.is_new or entered != self.record.videos:
            self.record = replace(self.record, videos=entered)
            self.cameras.write_record(self.record)
        self._old_list.unlink(missing_ok=True)

    def look(self, video_id: str) -> Look:
        """Looks at all videos that nobody looked at, in their order, and tells of one."""
        looks: dict[str, Look] = {}
        while waiting := self._waiting():
            looks.setdefault(waiting, self._first_look(waiting))
        if self._is_other(video_id):
            self.known[video_id] = self._told(video_id)
            self._go_on(self.version.seats)
        self._write()
        return looks.get(video_id) or self._again(video_id)

    # one video ------------------------------------------------------------------------------------

    def _waiting(self) -> str | None:
        """The first video of the present version that says something and was never looked at."""
        new = (video for video in self._own(-1) if video not in self.known)
        return next((video for video in new if self.sightings.find(video)), None)

    def _first_look(self, video: str) -> Look:
        self.known[video] = self._told(video)
        if video in self._left_out(-1):
            self._reshape(video)
            return self._again(video)
        order = self.record.videos.index
        if any(order(other) > order(video) for other in self.version.videos):
            self._go_on(self.version.seats)  # in its place; it begins no version
            return self._again(video)
        versions = [self.version]
        settings = self.sightings.settings.camera
        verdict = advance(versions, [video], self.sightings.find, settings)[video]
        for each in versions:
            self._keep(each)
        for each in versions[1:]:
            self._begin(each.first or video, each.moved, [c.sentence for c in each.causes], video)
        self.version = versions[-1]
        look = self._again(video, verdict)
        return replace(look, told=versions[1].before) if versions[1:] else look

    def _again(self, video: str, verdict: Verdict | None = None) -> Look:
        """The same of a video that was looked at before: it begins no version."""
        which, begun = self.record.version_of(video), self.record.noticed_by(video)
        why, told = self._left_out(which).get(video), self._series(which, video)
        if verdict is None and why is None:
            verdict = judge([figures for _, figures in told], self.sightings.settings.camera)
        look = Look(
            self.camera,
            self.record.versions[which].number,
            verdict or Verdict(len(told), (), ()),
            self.known[video].figures,
            told,
            left_out=why,
        )
        if begun is None:
            return look
        causes, first = self.record.versions[begun].causes, next(iter(self._own(begun)), None)
        return replace(look, causes=causes, begun=first)

    def _reshape(self, video: str) -> None:
        """Begins a version where the camera now gives another picture for good."""
        settings = self.sightings.settings.camera
        own = [each for each in self._own(-1) if each in self.known]
        if not another_picture([self.known[each].size for each in own], settings):
            return
        (wide, high), before = self.known[video].size, self.known[own[0]].size
        cause = f"the picture is another one: {wide} x {high}, before {before[0]} x {before[1]}"
        self._begin(own[-settings.videos_min], True, [cause], video)
        for each in own[-settings.videos_min : -1]:
            del self.known[each]  # they are looked at anew
        self.known[video] = self._told(video)
        self._go_on(None)

    # the state ------------------------------------------------------------------------------------

    def _begin(self, first: str, moved: bool, causes: Sequence[str], noticed: str) -> None:
        """Notes that a version begins."""
        number, begins = self.record.versions[-1].number + 1, self.record.videos.index(first)
        begun = CameraVersion(number, begins, moved, tuple(causes), noticed)
        self.record = replace(self.record, versions=(*self.record.versions, begun))
        self.cameras.write_record(self.record)

    def _go_on(self, seats: pl.DataFrame | None) -> None:
        """The present version by what is known of its videos."""
        present, out = self.record.versions[-1], self._left_out(-1)
        own = [v for v in self._own(-1) if v in self.known and v not in out]
        still = self.record.standing_still(-1)
        before = still[: len(still) - len(self._own(-1))]
        self.version = Version(
            present.number,
            moved=present.moved,
            earlier=[v for v in before if v not in out and self._says(v)],
            videos=own,
            told=[self.known[video].figures for video in own],
            seats=seats,
        )

    def _says(self, video: str) -> bool:
        """Whether a video says something of its camera, or did."""
        return video in self.known or self.sightings.find(video) is not None

    def _keep(self, version: Version) -> None:
        for video, figures in zip(version.videos, version.told, strict=True):
            known = {name: value for name, value in figures.items() if value is not None}
            self.known[video] = replace(self.known[video], figures=known)

    def _told(self, video: str) -> WatchedVideo:
        seen = self.sightings[video]
        figures = figures_in(seen, self.version.seats if video in self._own(-1) else None)
        known = {name: value for name, value in figures.items() if value is not None}
        other_ride = self.sightings.other_ride(video)
        return WatchedVideo(seen.data_version, seen.frame_size, known, other_ride)

    def _is_other(self, video: str) -> bool:
        """Whether the tables of a video are not those that were looked at."""
        noted = self.known.get(video)
        return noted is None or noted.data_version != self.sightings.data_version(video)

    def _series(self, which: int, until: str) -> Series:
        """What is watched of the videos of a version, up to one."""
        out, own = self._left_out(which), self._own(which)
        own = own[: own.index(until) + 1] if until in own else own
        return [(v, self.known[v].figures) for v in own if v in self.known and v not in out]

    def _left_out(self, which: int) -> dict[str, str]:
        """Videos up to a version's last that do not count, since the last move, and why."""
        still = [v for v in self.record.standing_still(which) if v in self.known]
        rides = {v: why for v in still if (why := self.known[v].other_ride) is not None}
        return rides | other_pictures({v: self.known[v].size for v in still})

    def _own(self, which: int) -> tuple[str, ...]:
        """The videos of a version, by its place in the record."""
        return self.record.own(which)

    def _write(self) -> None:
        seats = None if self.version.seats is None else self.version.seats.to_dicts()
        number = self.record.versions[-1].number
        noted = Watched(self._made_with, number, seats, self.known)
        watched.write(self.cameras.layout, self._folder, noted)

    # the first time -------------------------------------------------------------------------------

    def _first_record(self) -> CameraRecord:
        """Of a camera without one: as an earlier version listed its videos, then by their ids."""
        noted = small_files.recall(self._old_list, list[tuple[str, dict[str, float | None]]])
        listed = [video for video, _ in noted or ()]
        others = self.sightings.there(VideoRegistry(self.cameras.layout).ids())
        return CameraRecord(self.camera, tuple(dict.fromkeys([*listed, *others])))

    @property
    def _old_list(self) -> Path:
        return self.cameras.layout.cameras / f"{self._folder}.json"

    @property
    def _folder(self) -> str:
        return folder_of(self.camera)

    @property
    def _made_with(self) -> str:
        return sha256_of_value([CODE, chosen(self.sightings.settings, ("camera",))])


def _table(seats: list[dict[str, Any]] | None) -> pl.DataFrame | None:
    return None if seats is None else pl.DataFrame(seats, schema=TABLES["camera_seats"])
