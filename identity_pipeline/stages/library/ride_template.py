"""Models of the rides of cameras: the template of each, its phases, and who does not follow it.

An edition of twenty is made of the first videos of which twenty follow one course: of twenty where
all do, else of as many more as it takes, up to forty. So it is the same whenever it is made, and
what came to nothing is tried again only when one of these forty is another. Where people say
something of the ride that the newest does not hold, another one is made of the same template.

What belongs here: which editions are wanted, and their tables. What does not: what a template is
(`core.ride`), writing editions (`stages.library.camera_editions`), and what a video keeps
(`storage.cameras.pins`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

import numpy as np
import polars as pl

from identity_pipeline.core.camera.versions import edition
from identity_pipeline.core.ride.course import CHANNELS, Course
from identity_pipeline.core.ride.labels import PhaseLabel, PlacedLabel, with_labels
from identity_pipeline.core.ride.naming import name_phases
from identity_pipeline.core.ride.phases import Phase
from identity_pipeline.core.ride.placing import place_labels
from identity_pipeline.core.ride.scenery import Seen
from identity_pipeline.core.ride.template import (
    Apart,
    NoTemplate,
    Template,
    build_template,
)
from identity_pipeline.settings import Settings, chosen
from identity_pipeline.stages.library.camera_editions import (
    Content,
    is_whole,
    make_editions,
    of_each_camera,
)
from identity_pipeline.stages.library.copies_in_force import copies_in_force
from identity_pipeline.stages.library.earlier_rides import add_later_tables
from identity_pipeline.stages.library.ride_faces import ROUNDED, tables_of_faces
from identity_pipeline.stages.library.ride_labels import courses_of, says_more
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.stages.video.camera_view import camera_of_video
from identity_pipeline.stages.video.ride_phases import (
    OTHER_RIDE,
    OTHER_SCENERY,
    seen_columns,
    template_of,
)
from identity_pipeline.storage.cameras import tried
from identity_pipeline.storage.cameras.cameras import RIDE, CameraRecord, Cameras
from identity_pipeline.storage.cameras.editions import (
    Edition,
    EditionName,
    labels_in,
    table_of_labels,
)
from identity_pipeline.storage.cameras.phase_labels import PhaseLabels
from identity_pipeline.storage.files.hashing import sha256_of_value
from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.video.tables import MissingTableError, TableStore
from identity_pipeline.tables import TABLES
from identity_pipeline.tables.ride import OF_COURSE

CODE: Final = "4"
"""Of what is computed here and in `core.ride`; noted in each edition."""
STEPS: Final = 4
"""Where too few follow one course, at most a quarter of those wanted is looked at besides."""
LOOKED_AT: Final = 2
"""Times those wanted, at most: where fewer than half follow one course, no more videos are laid."""


@dataclass(frozen=True)
class KnownRide:
    """What is known of the ride of a camera now.

    Attributes:
        camera: its name; None: the one without.
        sentence: of how many videos its model is, or what it lacks.
        made: the edition that was made just now, or got tables that it lacked.
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
        lambda camera, why: KnownRide(camera, damage=why),
    )


def make_ride(store: TableStore, settings: Settings, camera: str | None) -> KnownRide:
    """Makes the model of one camera's ride, where one is wanted and not there, or is damaged.

    Args:
        store: the tables.
        settings: in force.
        camera: its name; None: the one without.

    Raises:
        DamagedFileError: the record of the camera cannot be read, or what people say of its ride.
    """
    cameras = Cameras(store.layout)
    record = cameras.record(camera) or CameraRecord(camera)
    copies = copies_in_force(LibraryStores.of(store)).of
    ride = _Ride(cameras, store, settings, record, copies)
    added = add_later_tables(store, camera, ride.whole())
    return ride.known([*added, *make_editions(cameras, record, ride)])


def may_have_next(cameras: Cameras, record: CameraRecord, settings: Settings) -> bool:
    """Whether there are as many videos as a next model takes, or people said something else.

    Nothing of the videos is read, so what people said may count for nothing.

    Raises:
        DamagedFileError: what people say of the ride cannot be read.
    """
    newest = cameras.in_force(record.camera, RIDE)
    if _most(len(record.period(-1)), settings) > (newest.videos if newest else 0):
        return True
    held = None if newest is None else _labels_in(cameras, record.camera, newest)
    return held is not None and held != PhaseLabels(cameras.layout).of(record.camera)


def _most(videos: int, settings: Settings) -> int:
    """Of how many of so many a model would be made if all followed the ride; 0: too few."""
    return edition(min(videos, settings.ride.videos_max), settings.camera)


def _labels_in(
    cameras: Cameras, camera: str | None, name: EditionName
) -> tuple[PhaseLabel, ...] | None:
    """What people said when an edition was made; None where that cannot be read."""
    try:
        table = cameras.edition(camera, name, RIDE).table("ride_labels")
    except DamagedFileError:
        return None
    return tuple(one.label for one in labels_in(table))


@dataclass
class _Ride:
    """The ride of one camera, by its record as it was when it began."""

    cameras: Cameras
    store: TableStore
    settings: Settings
    record: CameraRecord
    copies: Collection[str]
    _templates: dict[tuple[int, int], Template | NoTemplate] = field(default_factory=dict)
    _read: dict[str, Course | None] = field(default_factory=dict)

    @property
    def of(self) -> str:
        return RIDE

    @property
    def tables(self) -> Collection[str]:
        return OF_COURSE

    def known(self, made: Sequence[EditionName]) -> KnownRide:
        """What is known of the ride now."""
        camera = self.record.camera
        last = len(self.record.versions) - 1
        name = self.cameras.in_force(camera, RIDE)
        if name is None:
            least = self._template(last, self.settings.camera.videos_min)
            return KnownRide(camera, least.sentence if isinstance(least, NoTemplate) else "")
        if damage := self.cameras.damage(camera, name, RIDE):
            return KnownRide(camera, damage=damage)
        model = self.cameras.edition(camera, name, RIDE)
        words = f"The ride of this camera is known, of {model.about['videos']} videos."
        return KnownRide(camera, words, made[-1] if made else None, other_rides(model))

    def next_edition(self, which: int) -> EditionName | None:
        """The next of the last version, of more videos or of what people say; see the module."""
        if which < len(self.record.versions) - 1:
            return None
        camera = self.record.camera
        newest = self.cameras.in_force(camera, RIDE)
        larger = self._larger(which, newest.videos if newest else 0)
        if larger is not None or newest is None:
            return larger
        return self._relabelled(newest)

    def _relabelled(self, newest: EditionName) -> EditionName | None:
        """The edition that what people say makes; none where that changes nothing."""
        said = PhaseLabels(self.cameras.layout).of(self.record.camera)
        if self.cameras.damage(self.record.camera, newest, RIDE):
            return None
        model = self.cameras.edition(self.record.camera, newest, RIDE)
        more = says_more(self.store, model, said)
        return newest._replace(said=newest.said + 1) if more else None

    def _larger(self, which: int, there: int) -> EditionName | None:
        most = _most(len(self._videos(which)), self.settings)
        while most > there and most >= self.settings.camera.videos_min:
            if isinstance(self._template(which, most), Template):
                return EditionName(self.record.versions[which].number, most, most)
            most //= 2
        return None

    def content(self, which: int, name: EditionName) -> Content | None:
        """What an edition holds; None: of a damaged one, whose videos are gone."""
        template = self._template_of(which, name)
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
        placed = self._placed(name, template)
        least = round(self.settings.ride.phase_min_s / template.track.course.step_s)
        phases = with_labels(name_phases(template, self.settings.ride), placed, least)
        tables = tables_of(template, phases, versions)
        tables["ride_labels"] = table_of_labels(placed)
        tables |= tables_of_faces(self.store, template, phases)
        return Content(tables, "ride_members", about)

    def is_still_said(self, name: EditionName, content: Content) -> bool:
        """Whether the file says what it would hold, or the edition that it takes the place of."""
        held = _labels_in(self.cameras, self.record.camera, name) or ()
        new = {one.label for one in labels_in(content.tables["ride_labels"])} - set(held)
        return not new or new <= set(PhaseLabels(self.cameras.layout).of(self.record.camera))

    def _placed(self, name: EditionName, template: Template) -> list[PlacedLabel]:
        """What people say of the ride, on the template of an edition that is to be made.

        Of one that is damaged what they said then, if that can be read. Where the video of a label
        is gone, it lies where it lay on the newest other edition.
        """
        camera, there = self.record.camera, name in self._editions()
        held = _labels_in(self.cameras, camera, name) if there else None
        labels = PhaseLabels(self.cameras.layout).of(camera) if held is None else held
        step_s = template.track.course.step_s
        courses = courses_of(self.store, {label.video for label in labels}, step_s)
        whole = [other for other in self.whole() if other != name]
        if not labels or not whole:
            return place_labels(labels, courses, template)
        before = self.cameras.edition(camera, whole[-1], RIDE)
        earlier = (template_of(before)[0], labels_in(before.later_table("ride_labels")))
        return place_labels(labels, courses, template, earlier)

    def _editions(self) -> list[EditionName]:
        return self.cameras.editions(self.record.camera, RIDE)

    def whole(self) -> list[EditionName]:
        """The editions that are not damaged."""
        cameras, camera = self.cameras, self.record.camera
        return [name for name in self._editions() if is_whole(cameras, camera, name, self)]

    def _template_of(self, which: int, name: EditionName) -> Template | NoTemplate:
        """The template of an edition: that of another one of the same videos, if there is one."""
        same = (o for o in self.whole() if o[:2] == name[:2] and o != name)
        other = next(same, None)
        if other is None:
            return self._template(which, name.videos)
        return _template_in(self.cameras.edition(self.record.camera, other, RIDE))

    def _template(self, which: int, followers: int) -> Template | NoTemplate:
        """Of the first videos of which so many follow one course."""
        if (which, followers) not in self._templates:
            videos = self._videos(which)[: LOOKED_AT * followers]
            name = EditionName(self.record.versions[which].number, followers, followers)
            found = self._tried(name, videos) or self._grown(videos, followers)
            self._templates[which, followers] = found
            laid = len(videos) >= followers and None not in self._read.values()
            if isinstance(found, NoTemplate) and laid:  # that there are too few is no work to tell
                self._note(name, videos, found)
        return self._templates[which, followers]

    def _tried(self, name: EditionName, videos: Sequence[str]) -> NoTemplate | None:
        """What came of the same videos before, where that was no template."""
        noted = tried.recall(self.cameras, self.record.camera).get(f"{RIDE} {name}", "")
        sign, _, why = noted.partition(" ")
        return NoTemplate(why) if sign == self._sign(videos) else None

    def _note(self, name: EditionName, videos: Sequence[str], found: NoTemplate) -> None:
        if self._tried(name, videos) is None:
            noted = {f"{RIDE} {name}": f"{self._sign(videos)} {found.sentence}"}
            tried.note(self.cameras, self.record.camera, noted)

    def _sign(self, videos: Sequence[str]) -> str:
        """All that a template of some videos hangs on."""
        frames = [(video, self.store.versions(("frames",), video)["frames"]) for video in videos]
        return sha256_of_value([CODE, chosen(self.settings, ("camera", "ride")), frames])

    def _grown(self, videos: Sequence[str], followers: int) -> Template | NoTemplate:
        """Of as many more as it takes; by ever larger steps, for each is work."""
        settings, looked_at, step = self.settings.ride, followers, 1
        while True:
            courses = self._courses_of(videos[:looked_at])
            found = build_template(courses, settings, self.settings.camera.videos_min)
            follow = found.followers if isinstance(found, NoTemplate) else len(found.members)
            if isinstance(found, Template) and follow >= min(followers, settings.videos_max):
                return found
            looked_at += max(min(followers - follow, followers // STEPS), step)
            step *= 2
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
        new = [video for video in videos if video not in self._read]
        self._read |= dict.fromkeys(new) | courses_of(self.store, new, self.settings.ride.step_s)
        found = {video: self._read[video] for video in videos}
        return {video: course for video, course in found.items() if course is not None}


def _template_in(model: Edition) -> Template:
    """The template of an edition, with the videos that it was made of."""
    table = model.table("ride_members")
    return replace(
        template_of(model)[0],
        members=tuple(table.filter("counts")["video_id"]),
        others=_others_in(table),
    )


def _others_in(members: pl.DataFrame) -> dict[str, Apart]:
    """Who is another ride's, by a table `ride_members`."""
    rows = members.filter(~pl.col("counts")).drop("frames_version", "counts")
    return {
        video: Apart(cost, None if seconds is None else Seen(seconds, fit, usual, False))
        for video, cost, seconds, fit, usual in rows.iter_rows()
    }


def _too_few(found: Template | NoTemplate, followers: int) -> NoTemplate:
    """Why there is no template of so many."""
    if isinstance(found, NoTemplate):
        return found
    follow = len(found.members)
    return NoTemplate(f"{follow} of the {followers} videos that it takes are there.", follow)


def other_rides(model: Edition) -> dict[str, str]:
    """The videos that were at hand when a model was made, and are another ride's, and why."""
    usual = template_of(model)[0].usual
    others = _others_in(model.table("ride_members"))
    return {video: apart.words(usual) for video, apart in others.items()}


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


def other_ride(
    store: TableStore, video: str, states: Collection[str] = (OTHER_RIDE, OTHER_SCENERY)
) -> str | None:
    """Why a video says that it does not show the ride of its camera; None where it may.

    Args:
        store: the tables.
        video: its id.
        states: of `ride_course` that say so.
    """
    try:
        (row,) = store.read("ride_course", video, ("state", "sentence")).rows()
    except (MissingTableError, DamagedFileError):
        return None  # its own step tells of it
    state, sentence = row
    return sentence if state in states else None


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
        **_scenery_columns(template),
    }
    for channel, name in enumerate(CHANNELS):
        columns[name] = course.values[:, channel]
        columns[f"{name}_spread"] = template.spread[:, channel]
    track = pl.DataFrame(columns).select(list(TABLES["ride_track"])).fill_nan(None)
    scales = {f"{n}_scale": s for n, s in zip(CHANNELS, template.track.scale, strict=True)}
    told = {"cost": usual.cost, "limit": usual.limit, "videos": usual.n}
    if template.scenery and (fit := template.scenery.fit):
        told |= {"fit": fit.usual, "rate": fit.rate}
    stretches = [
        (number, one.start, one.end, one.phase, one.title, one.source)
        for number, one in enumerate(phases)
    ]
    members = [
        {"video_id": video, "frames_version": versions.get(video), **_membership(template, video)}
        for video in sorted([*template.members, *template.others])
    ]
    usual_row = _rows("ride_usual", [{"step_s": course.step_s, **scales, **told}])
    return {
        "ride_track": track.with_columns(ROUNDED),
        "ride_usual": usual_row.with_columns(ROUNDED),
        "ride_stretches": _rows("ride_stretches", stretches),
        "ride_members": _rows("ride_members", members),
    }


def _scenery_columns(template: Template) -> dict[str, Any]:
    scenery = template.scenery
    if scenery is None:
        return dict.fromkeys(("scenery", "tells"))
    return {"scenery": [row.tobytes() for row in scenery.mean], "tells": scenery.tells}


def _membership(template: Template, video: str) -> dict[str, Any]:
    apart = template.others.get(video)
    if apart is None:
        return {"counts": True}
    return {"counts": False, "cost": apart.cost, **seen_columns(apart.seen)}


def _rows(name: str, rows: Sequence[Any]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=TABLES[name], orient="row" if rows else None)
