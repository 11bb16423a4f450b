"""Models of the rides of cameras: the template of each, its phases, and who does not follow it.

An edition of twenty is made of the first videos of which twenty follow one course: of twenty where
all do, else of as many more as it takes. So it is the same whenever it is made.

What belongs here: which editions are wanted, and their tables. What does not: what a template is
(`core.ride`), writing editions (`stages.library.camera_editions`), and what a video keeps
(`storage.cameras.pins`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import numpy as np
import polars as pl

from identity_pipeline.core.camera.versions import edition
from identity_pipeline.core.ride.course import CHANNELS, Course, course_of
from identity_pipeline.core.ride.expectation import expected_of, good_by_phase
from identity_pipeline.core.ride.frame_phases import frame_phases
from identity_pipeline.core.ride.naming import Phase, name_phases
from identity_pipeline.core.ride.template import (
    NoTemplate,
    Template,
    build_template,
    follow,
    other_ride_words,
)
from identity_pipeline.core.tracks.riders import rider_faces
from identity_pipeline.settings import Settings, chosen
from identity_pipeline.stages.library.camera_editions import (
    Content,
    make_editions,
    of_each_camera,
)
from identity_pipeline.stages.library.copies_in_force import copies_in_force
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.stages.video.camera_view import camera_of_video
from identity_pipeline.stages.video.ride_phases import OTHER_RIDE, template_of
from identity_pipeline.storage.cameras.cameras import RIDE, CameraRecord, Cameras
from identity_pipeline.storage.cameras.editions import Edition, EditionName
from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.video.tables import MissingTableError, TableStore
from identity_pipeline.tables import TABLES
from identity_pipeline.tables.ride import OF_VIDEO, RIDE_TABLES

CODE: Final = "2"
"""Of what is computed here and in `core.ride`; noted in each edition."""
STEPS: Final = 4
"""Where too few follow one course, at most a quarter of those wanted is looked at besides."""
SEEN_BY: Final = ("frames", "face_tracks", "riders", "face_quality")
"""The tables of a ride that say when a rider is seen well in it."""


@dataclass(frozen=True)
class KnownRide:
    """What is known of the ride of a camera now.

    Attributes:
        camera: its name; None: the one without.
        sentence: of how many videos its model is, or what it lacks.
        made: the edition that was made just now.
        others: videos that do not follow it, and why.
        damage: why nothing can be said of it; None where all is well.
    """

    camera: str | None
    sentence: str = ""
    made: EditionName | None = None
    others: Mapping[str, str] = field(default_factory=dict)
    damage: str | None = None


def make_rides(store: TableStore, settings: Settings) -> list[KnownRide]:
    """Makes the models of the rides of all cameras that are wanted and not there.

    Args:
        store: the tables.
        settings: in force.
    """
    return of_each_camera(
        Cameras(store.layout),
        partial(make_ride, store, settings),
        lambda why: KnownRide(None, damage=why),
    )


def make_ride(store: TableStore, settings: Settings, camera: str | None) -> KnownRide:
    """Makes the model of one camera's ride, where one is wanted and not there, or is damaged.

    Args:
        store: the tables.
        settings: in force.
        camera: its name; None: the one without.

    Raises:
        DamagedFileError: the record of the camera cannot be read.
    """
    cameras = Cameras(store.layout)
    record = cameras.record(camera) or CameraRecord(camera)
    copies = copies_in_force(LibraryStores.of(store)).of
    ride = _Ride(cameras, store, settings, record, copies)
    return ride.known(make_editions(cameras, record, ride))


@dataclass
class _Ride:
    """The ride of one camera, by its record as it was when it began."""

    cameras: Cameras
    store: TableStore
    settings: Settings
    record: CameraRecord
    copies: Collection[str]
    _templates: dict[tuple[int, int], Template | NoTemplate] = field(default_factory=dict)
    _courses: dict[str, Course | None] = field(default_factory=dict)

    @property
    def of(self) -> str:
        return RIDE

    @property
    def tables(self) -> Collection[str]:
        return set(RIDE_TABLES) - set(OF_VIDEO)

    def known(self, made: Sequence[EditionName]) -> KnownRide:
        """What is known of the ride now."""
        camera = self.record.camera
        last = len(self.record.versions) - 1
        name = self.cameras.in_force(camera, RIDE)
        if name is None:
            least = self._template(last, self.settings.camera.videos_min)
            return KnownRide(camera, least.sentence if isinstance(least, NoTemplate) else "")
        try:
            model = self.cameras.edition(camera, name, RIDE)
            videos, others = model.about["videos"], other_rides(model)
        except DamagedFileError as error:
            return KnownRide(camera, damage=str(error))
        words = f"The ride of this camera is known, of {videos} videos."
        return KnownRide(camera, words, made[-1] if made else None, others)

    def next_edition(self, which: int) -> EditionName | None:
        """The largest that the last version can have and has not; one before it has its own."""
        settings = self.settings.camera
        if which < len(self.record.versions) - 1:
            return None
        newest = self.cameras.in_force(self.record.camera, RIDE)
        there = newest.videos if newest else 0
        most = edition(min(len(self._videos(which)), self.settings.ride.videos_max), settings)
        while most > there and most >= settings.videos_min:
            if isinstance(self._template(which, most), Template):
                return EditionName(self.record.versions[which].number, most, most)
            most //= 2
        return None

    def content(self, which: int, name: EditionName) -> Content | None:
        """What an edition holds; None: of a damaged one, whose videos are gone."""
        template = self._template(which, name.videos)
        if isinstance(template, NoTemplate):
            return None
        members = [*template.members, *template.others]
        versions = {v: self.store.versions(("frames",), v)["frames"] for v in members}
        about = {
            "camera": self.record.camera,
            "version": name.version,
            "videos": len(template.members),
            "code": CODE,
            "settings": chosen(self.settings, ("ride",)),
        }
        phases = name_phases(template, self.settings.ride)
        tables = tables_of(template, phases, versions)
        tables["ride_expected"] = _expected(self.store, template, phases)
        return Content(tables, "ride_members", about)

    def _template(self, which: int, followers: int) -> Template | NoTemplate:
        """Of the first videos of which so many follow one course; in steps, for each is work."""
        if (which, followers) not in self._templates:
            self._templates[which, followers] = self._grown(self._videos(which), followers)
        return self._templates[which, followers]

    def _grown(self, videos: Sequence[str], followers: int) -> Template | NoTemplate:
        settings, looked_at = self.settings.ride, followers
        while True:
            found = build_template(self._courses_of(videos[:looked_at]), settings)
            follow = found.followers if isinstance(found, NoTemplate) else len(found.members)
            if isinstance(found, Template) and follow >= min(followers, settings.videos_max):
                return found
            looked_at += max(min(followers - follow, followers // STEPS), 1)
            if looked_at > len(videos):
                return _too_few(found, followers)

    def _videos(self, which: int) -> list[str]:
        """Those while the camera stood as in a version, whose frames are there; no copies."""
        return [
            video
            for video in self.record.period(which)
            if video not in self.copies and self._is_its(video)
        ]

    def _is_its(self, video: str) -> bool:
        try:
            source = self.store.read("ride_video", video, ("path",))
        except (MissingTableError, DamagedFileError):
            return False
        there = self.store.noted("frames", video) is not None
        return there and camera_of_video(source, self.settings) == self.record.camera

    def _courses_of(self, videos: Sequence[str]) -> dict[str, Course]:
        for video in videos:
            if video not in self._courses:
                self._courses[video] = self._course(video)
        found = {video: self._courses[video] for video in videos}
        return {video: course for video, course in found.items() if course is not None}

    def _course(self, video: str) -> Course | None:
        try:
            return course_of(self.store.read("frames", video), self.settings.ride.step_s)
        except (MissingTableError, DamagedFileError):
            return None  # its own step tells of it


def _too_few(found: Template | NoTemplate, followers: int) -> NoTemplate:
    """Why there is no template of so many."""
    if isinstance(found, NoTemplate):
        return found
    follow = len(found.members)
    return NoTemplate(f"{follow} of the {followers} videos that it takes are there.", follow)


def other_rides(model: Edition) -> dict[str, str]:
    """The videos that were at hand when a model was made, and are another ride's, and why."""
    usual = template_of(model)[0].usual
    rows = model.table("ride_members").filter(~pl.col("counts"))
    return {
        video: other_ride_words(cost, usual)
        for video, cost in rows.select("video_id", "cost").iter_rows()
    }


def not_of_the_ride(store: TableStore, camera: str | None, videos: Sequence[str]) -> dict[str, str]:
    """Videos of a camera that show another ride than it does, each with a sentence.

    The newest model of the ride for which a video was at hand says so; what the video says itself
    holds where it was for none.
    """
    cameras = Cameras(store.layout)
    found = {video: why for video in videos if (why := other_ride(store, video))}
    for name in cameras.editions(camera, RIDE):
        try:
            model = cameras.edition(camera, name, RIDE)
            known, others = set(model.table("ride_members")["video_id"]), other_rides(model)
        except DamagedFileError:
            continue  # the step that makes it tells of it, and mends it
        found = {video: why for video, why in found.items() if video not in known} | others
    return {video: why for video, why in found.items() if video in set(videos)}


def other_ride(store: TableStore, video: str) -> str | None:
    """Why a video says that it does not show the ride of its camera; None where it may."""
    try:
        (row,) = store.read("ride_course", video, ("state", "sentence")).rows()
    except (MissingTableError, DamagedFileError):
        return None  # its own step tells of it
    state, sentence = row
    return sentence if state == OTHER_RIDE else None


def _expected(store: TableStore, template: Template, phases: Sequence[Phase]) -> pl.DataFrame:
    """The table `ride_expected`: of the rides that the template is made of."""
    step_s = template.track.course.step_s
    rides = []
    for video in template.members:
        try:
            frames, *seen = (store.read(name, video) for name in SEEN_BY)
        except (MissingTableError, DamagedFileError):
            continue  # its own step tells of it
        followed = follow(course_of(frames, step_s), template)
        tracks, riders, quality = seen
        faces = rider_faces(tracks, riders).join(quality.select("face_id", "loose"), on="face_id")
        rides.append(good_by_phase(frame_phases(frames, followed, phases, step_s), faces))
    return expected_of(rides)


def tables_of(
    template: Template, phases: Sequence[Phase], versions: Mapping[str, str | None]
) -> dict[str, pl.DataFrame]:
    """The tables of an edition.

    Args:
        template: of the ride.
        phases: of it.
        versions: data version of the frames of each video that was at hand.
    """
    course, usual = template.track.course, template.usual
    columns: dict[str, Any] = {
        "point": np.arange(template.length),
        "position_s": course.times_s,
        "passed": template.passed,
    }
    for channel, name in enumerate(CHANNELS):
        columns[name] = course.values[:, channel]
        columns[f"{name}_spread"] = template.spread[:, channel]
    track = pl.DataFrame(columns).select(list(TABLES["ride_track"])).fill_nan(None)
    scales = {f"{n}_scale": s for n, s in zip(CHANNELS, template.track.scale, strict=True)}
    told = {"cost": usual.cost, "limit": usual.limit, "videos": usual.n}
    stretches = [
        (number, one.start, one.end, one.phase, one.title, one.source)
        for number, one in enumerate(phases)
    ]
    members = [
        (video, versions.get(video), video not in template.others, template.others.get(video))
        for video in sorted([*template.members, *template.others])
    ]
    return {
        "ride_track": track,
        "ride_usual": _rows("ride_usual", [{"step_s": course.step_s, **scales, **told}]),
        "ride_stretches": _rows("ride_stretches", stretches),
        "ride_members": _rows("ride_members", members),
    }


def _rows(name: str, rows: Sequence[Any]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=TABLES[name], orient="row" if rows else None)
