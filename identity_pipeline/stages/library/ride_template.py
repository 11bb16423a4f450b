"""Models of the rides of cameras: the template of each, its phases, and who does not follow it.

An edition is made when twenty videos of a version of the camera are there, then forty, and so on.
Until twenty of them follow one course it is tried again with all that are there. One that is there
is made anew only where it is damaged. Where people say something of the ride that the newest does
not hold, another one is made of the same template.

What belongs here: which editions are wanted, and their tables. What does not: what a template is
(`core.ride`), and what a video keeps (`storage.cameras.pins`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

import numpy as np
import polars as pl

from identity_pipeline.core.camera.versions import edition
from identity_pipeline.core.ride.course import CHANNELS, Course, course_of
from identity_pipeline.core.ride.expectation import expected_of, good_by_phase
from identity_pipeline.core.ride.frame_phases import frame_phases
from identity_pipeline.core.ride.labels import PlacedLabel, with_labels
from identity_pipeline.core.ride.naming import name_phases
from identity_pipeline.core.ride.phases import Phase
from identity_pipeline.core.ride.placing import place_labels
from identity_pipeline.core.ride.template import (
    NoTemplate,
    Template,
    build_template,
    follow,
    other_ride_words,
)
from identity_pipeline.core.tracks.riders import rider_faces
from identity_pipeline.settings import Settings, chosen
from identity_pipeline.stages.library.copies_in_force import copies_in_force
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.stages.video.camera_view import camera_of_video
from identity_pipeline.stages.video.ride_phases import OTHER_RIDE, template_of
from identity_pipeline.storage.cameras.cameras import CameraRecord, Cameras
from identity_pipeline.storage.cameras.editions import (
    Edition,
    EditionName,
    labels_in,
    table_of_labels,
)
from identity_pipeline.storage.cameras.phase_labels import PhaseLabels
from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.video.tables import MissingTableError, TableStore
from identity_pipeline.tables import TABLES
from identity_pipeline.tables.ride import OF_VIDEO, RIDE_TABLES

CODE: Final = "2"
"""Of what is computed here and in `core.ride`; noted in each edition."""
SEEN_BY: Final = ("frames", "face_tracks", "riders", "face_quality")
"""The tables of a ride that say when a rider is seen well in it."""

_ROUNDED: Final = pl.col(pl.Float64).round_sig_figs(6)
"""So that the last bits of another processor's sums change no table."""


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
    cameras = Cameras(store.layout)
    found = [KnownRide(None, damage=str(error)) for error in cameras.damaged().values()]
    for camera in cameras.names():
        try:
            found.append(make_ride(store, settings, camera))
        except DamagedFileError as error:  # without its labels no edition is made
            found.append(KnownRide(camera, damage=str(error)))
    return found


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
    there = _there(cameras, record)
    newest = max(there, default=None)
    template, names = _due(store, settings, record, there)
    if newest and not names and not _is_damaged(cameras, camera, newest):
        template, names = _template_in(cameras, camera, newest), _said(cameras, camera, newest)
    if newest is None and isinstance(template, NoTemplate):
        return KnownRide(camera, template.sentence)
    if isinstance(template, Template):
        for name in names:
            _write(cameras, record, name, template, store, settings)
    return _told(cameras, camera, names[-1] if names else newest, names)


def _due(
    store: TableStore, settings: Settings, record: CameraRecord, there: Sequence[EditionName]
) -> tuple[Template | NoTemplate | None, list[EditionName]]:
    """The editions that videos make, or that are damaged, and their template; None: none are."""
    newest = max(there, default=None)
    damaged = list(filter(partial(_is_damaged, Cameras(store.layout), record.camera), there))
    videos = _videos(store, settings, record)
    if newest and not damaged and edition(len(videos), settings.camera) <= newest.videos:
        return None, []
    template = _template(store, settings, videos)
    if isinstance(template, NoTemplate):
        return template, []
    return template, damaged or _new(record, newest, template, settings)


def _said(cameras: Cameras, camera: str | None, newest: EditionName) -> list[EditionName]:
    """The edition that what people say makes; none where the newest holds all of it."""
    said = tuple(one.label for one in _labels_of(cameras, camera, newest))
    anew = said != PhaseLabels(cameras.layout).of(camera)
    return [newest._replace(said=newest.said + 1)] if anew else []


def _labels_of(cameras: Cameras, camera: str | None, name: EditionName) -> list[PlacedLabel]:
    """What people said when an edition was made."""
    return labels_in(cameras.ride_model(camera, str(name)).table("ride_labels"))


def _template_in(cameras: Cameras, camera: str | None, name: EditionName) -> Template:
    """The template of an edition, with the videos that it was made of."""
    model = cameras.ride_model(camera, str(name))
    rows = model.table("ride_members").select("video_id", "counts", "cost").rows()
    return replace(
        template_of(model)[0],
        members=tuple(video for video, counts, _ in rows if counts),
        others={video: cost for video, counts, cost in rows if not counts},
    )


def _there(cameras: Cameras, record: CameraRecord) -> list[EditionName]:
    """The editions since the camera was last moved."""
    since = max(each.number for each in record.versions if each.moved)
    return [name for name in cameras.ride_editions(record.camera) if name.version >= since]


def _template(
    store: TableStore, settings: Settings, videos: Sequence[str]
) -> Template | NoTemplate:
    """Of the first twenty, forty, ... videos; where too few of these follow, of all."""
    wanted = edition(len(videos), settings.camera) or len(videos)
    step_s = settings.ride.step_s
    found = build_template(_courses(store, videos[:wanted], step_s), settings.ride)
    if isinstance(found, NoTemplate) and wanted < len(videos):
        return build_template(_courses(store, videos, step_s), settings.ride)
    return found


def _new(
    record: CameraRecord,
    newest: EditionName | None,
    template: Template,
    settings: Settings,
) -> list[EditionName]:
    """The edition that a template makes; none where there is one of as many videos."""
    made_of = edition(max(len(template.members), settings.camera.videos_min), settings.camera)
    name = EditionName(record.versions[-1].number, made_of, made_of)
    return [name] if newest is None or name > newest else []


def other_rides(model: Edition) -> dict[str, str]:
    """The videos that were at hand when a model was made, and are another ride's, and why."""
    usual = template_of(model)[0].usual
    rows = model.table("ride_members").filter(~pl.col("counts"))
    return {
        video: other_ride_words(cost, usual)
        for video, cost in rows.select("video_id", "cost").iter_rows()
    }


def not_of_the_ride(store: TableStore, camera: str | None, videos: Sequence[str]) -> dict[str, str]:
    """Videos of a camera that show another ride than it does, each with a sentence."""
    cameras = Cameras(store.layout)
    found: dict[str, str] = {}
    for name in cameras.ride_editions(camera):
        try:
            found |= other_rides(cameras.ride_model(camera, str(name)))
        except DamagedFileError:
            continue  # the step that makes it tells of it, and mends it
    for video in videos:
        try:
            course = store.read("ride_course", video, ("state", "sentence"))
        except (MissingTableError, DamagedFileError):
            continue  # its own step tells of it
        state, sentence = course.row(0)
        if state == OTHER_RIDE:
            found[video] = sentence
    return {video: why for video, why in found.items() if video in set(videos)}


def _videos(store: TableStore, settings: Settings, record: CameraRecord) -> list[str]:
    """Those of the last version of a camera whose frames are there; no copies."""
    copies = copies_in_force(LibraryStores.of(store)).of
    return [
        video
        for video in record.standing_still(-1)
        if video not in copies and _is_of(store, settings, video, record.camera)
    ]


def _is_of(store: TableStore, settings: Settings, video: str, camera: str | None) -> bool:
    try:
        source = store.read("ride_video", video, ("path",))
    except (MissingTableError, DamagedFileError):
        return False
    there = store.noted("frames", video) is not None
    return there and camera_of_video(source, settings) == camera


def _courses(store: TableStore, videos: Iterable[str], step_s: float) -> dict[str, Course]:
    found = {}
    for video in videos:
        try:
            found[video] = course_of(store.read("frames", video), step_s)
        except (MissingTableError, DamagedFileError):
            continue  # its own step tells of it
    return found


def _is_damaged(cameras: Cameras, camera: str | None, name: EditionName) -> bool:
    """Whether an edition is not as it was written, or lacks a table that one has now."""
    try:
        model = cameras.ride_model(camera, str(name))
        model.check()
    except DamagedFileError:
        return True
    return not set(RIDE_TABLES) - set(OF_VIDEO) <= set(model.tables)


def _placed(
    cameras: Cameras, camera: str | None, name: EditionName, template: Template, store: TableStore
) -> list[PlacedLabel]:
    """What people say of the ride, on the template of an edition that is to be made.

    Where the video of a label is gone, it lies where it lay on the newest other edition.
    """
    labels = PhaseLabels(store.layout).of(camera)
    step_s = template.track.course.step_s
    courses = _courses(store, {label.video for label in labels}, step_s)
    whole = [
        other
        for other in cameras.ride_editions(camera)
        if other != name and not _is_damaged(cameras, camera, other)
    ]
    if not labels or not whole:
        return place_labels(labels, courses, template)
    before = cameras.ride_model(camera, str(whole[-1]))
    earlier = (template_of(before)[0], labels_in(before.table("ride_labels")))
    return place_labels(labels, courses, template, earlier)


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


def _write(
    cameras: Cameras,
    record: CameraRecord,
    name: EditionName,
    template: Template,
    store: TableStore,
    settings: Settings,
) -> None:
    members = [*template.members, *template.others]
    versions = {video: store.versions(("frames",), video)["frames"] for video in members}
    about: dict[str, Any] = {
        "camera": record.camera,
        "version": name.version,
        "videos": template.usual.n,
        "code": CODE,
        "settings": chosen(settings, ("ride",)),
    }
    placed = _placed(cameras, record.camera, name, template, store)
    least = round(settings.ride.phase_min_s / template.track.course.step_s)
    phases = with_labels(name_phases(template, settings.ride), placed, least)
    tables = tables_of(template, phases, versions)
    tables["ride_labels"] = table_of_labels(placed)
    tables["ride_expected"] = _expected(store, template, phases)
    with cameras.locked(record.camera, "putting the model of its ride in place"):
        now = cameras.record(record.camera) or CameraRecord(record.camera)
        if set(members) <= set(now.videos):  # none was forgotten meanwhile
            cameras.write_ride_model(record.camera, name, tables, about)


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
    usual_row = _rows("ride_usual", [{"step_s": course.step_s, **scales, **told}])
    return {
        "ride_track": track.with_columns(_ROUNDED),
        "ride_usual": usual_row.with_columns(_ROUNDED),
        "ride_stretches": _rows("ride_stretches", stretches),
        "ride_members": _rows("ride_members", members),
    }


def _rows(name: str, rows: Sequence[Any]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=TABLES[name], orient="row" if rows else None)


def _told(
    cameras: Cameras,
    camera: str | None,
    name: EditionName | None,
    made: Sequence[EditionName] = (),
) -> KnownRide:
    if name is None:
        return KnownRide(camera)
    try:
        model = cameras.ride_model(camera, str(name))
        videos, others = model.about["videos"], other_rides(model)
    except DamagedFileError as error:
        return KnownRide(camera, damage=str(error))
    words = f"The ride of this camera is known, of {videos} videos."
    return KnownRide(camera, words, made[-1] if made else None, others)
