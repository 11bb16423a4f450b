"""Which lines of `data/cameras/phases.csv` count for the ride of a camera, and why others do not.

What belongs here: what people say, held against what is known of cameras, videos and rides. What
does not: the file (`storage.cameras.phase_labels`), and making a model of what counts
(`stages.library.ride_template`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

import polars as pl

from identity_pipeline.core.ride.course import Course, course_of
from identity_pipeline.core.ride.labels import PhaseLabel, PlacedLabel
from identity_pipeline.core.ride.placing import place_labels
from identity_pipeline.settings import Settings
from identity_pipeline.stages.video.camera_view import camera_of_video
from identity_pipeline.stages.video.ride_phases import template_of
from identity_pipeline.storage.cameras.cameras import NO_NAME, RIDE, Cameras
from identity_pipeline.storage.cameras.editions import Edition, labels_in
from identity_pipeline.storage.cameras.phase_labels import PhaseLabels, SaidLabel
from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.layout import UnsafePathError
from identity_pipeline.storage.video.tables import MissingTableError, TableStore

WAITS: Final = (
    "waits for the next model of the ride: the night makes it, or `identity-pipeline camera renew`."
)


def courses_of(store: TableStore, videos: Iterable[str], step_s: float) -> dict[str, Course]:
    """What each video shows from moment to moment; without those whose frames cannot be read."""
    found = {}
    for video in videos:
        try:
            found[video] = course_of(store.read("frames", video), step_s)
        except (MissingTableError, DamagedFileError, UnsafePathError):
            continue  # its own step tells of it, and of what is no id its label
    return found


def placed_on(store: TableStore, model: Edition, said: Sequence[PhaseLabel]) -> list[PlacedLabel]:
    """Where labels lie on the template of an edition, in their order.

    What lies on it already stays there; all else is laid on it now.

    Raises:
        DamagedFileError: the edition is not what was written.
    """
    held = {one.label: one for one in labels_in(model.table("ride_labels")) if one.why is None}
    new = [label for label in said if label not in held]
    if new:
        template, _ = template_of(model)
        videos = {label.video for label in new}
        courses = courses_of(store, videos, template.track.course.step_s)
        held |= {one.label: one for one in place_labels(new, courses, template)}
    return [held[label] for label in said]


def says_more(store: TableStore, model: Edition, said: Sequence[PhaseLabel]) -> bool:
    """Whether people say other things of a ride than an edition holds; what lies nowhere is none.

    Raises:
        DamagedFileError: the edition is not what was written.
    """
    held = labels_in(model.table("ride_labels"))
    if [one.label for one in held if one.why is None] == list(said):
        return False  # without laying anything on it
    return _counting(held) != _counting(placed_on(store, model, said))


def _counting(placed: Iterable[PlacedLabel]) -> list[tuple[int | None, int | None, str, str]]:
    return [
        (one.start, one.end, one.label.phase, one.label.title or "")
        for one in placed
        if one.why is None
    ]


def unheeded(store: TableStore, camera: str | None) -> list[str]:
    """Which lines count for nothing on the ride of a camera, or not yet, and why, in sentences.

    Nothing is said where the ride has no whole model, or the file cannot be read: that is said
    where these are.
    """
    try:
        model = Cameras(store.layout).model(camera, RIDE)
        said = PhaseLabels(store.layout).of(camera)
        if model is None or not said:
            return []
        digests = frozenset(model.digests.items())
        versions = frozenset(_versions(store, "frames", (label.video for label in said)).items())
        return list(_unheeded(_Held(store, said, digests, versions, model)))
    except DamagedFileError:
        return []


@dataclass(frozen=True)
class _Held:
    """Lines that are held against an edition, told by all that decides what comes of it."""

    store: TableStore
    said: tuple[PhaseLabel, ...]
    digests: frozenset[tuple[str, str]]
    versions: frozenset[tuple[str, str | None]]
    model: Edition = field(compare=False)


@lru_cache(maxsize=8)
def _unheeded(asked: _Held) -> tuple[str, ...]:
    """See `unheeded`: a page asks again and again, and laying a video on a ride takes a while."""
    labels = labels_in(asked.model.table("ride_labels"))
    held = {one.label for one in labels if one.why is None}
    placed = placed_on(asked.store, asked.model, asked.said)
    new = (one for one in placed if one.label not in held)
    return tuple(one.sentence or f"{one.label.words} {WAITS}" for one in new)


def strangers(store: TableStore, settings: Settings) -> list[str]:
    """Lines of the file of a camera that is not known, or not the video's, each in a sentence."""
    try:
        said = PhaseLabels(store.layout).all()
    except DamagedFileError:
        return []  # whoever reads the labels of a camera tells of it
    names = set(Cameras(store.layout).names())
    versions = _versions(store, "ride_video", (each.label.video for each in said))
    of = {video: _camera_of(store, settings, video, version) for video, version in versions.items()}
    return [
        f"Line {each.line} of phases.csv {why}"
        for each in said
        for why in _strange(of, names, each)
    ]


def _strange(
    cameras: Mapping[str, Sequence[str | None]], names: set[str | None], said: SaidLabel
) -> Iterator[str]:
    camera, video = said.camera or None, said.label.video
    if camera not in names:
        called = f"camera {camera}" if camera else NO_NAME
        yield f"is of {called}, of which no video is known: it counts for nothing."
        return
    of = cameras[video]
    if of and of != [camera]:
        yield f"is of {camera or NO_NAME}, but {video} is of {of[0] or NO_NAME}."


def _versions(store: TableStore, table: str, videos: Iterable[str]) -> dict[str, str | None]:
    """Of each video the version of a table, by its note alone; None where it has none."""
    found = dict[str, str | None]()
    for video in dict.fromkeys(videos):
        try:
            found[video] = store.versions((table,), video)[table]
        except UnsafePathError:
            found[video] = None
    return found


def _camera_of(
    store: TableStore, settings: Settings, video: str, version: str | None
) -> Sequence[str | None]:
    """The camera of a video; nothing where that is not known."""
    try:
        return [camera_of_video(_path_of(store, video, version), settings)]
    except (MissingTableError, DamagedFileError, UnsafePathError):
        return []


@lru_cache(maxsize=4096)
def _path_of(store: TableStore, video: str, version: str | None) -> pl.DataFrame:
    del version  # it says whether it is another one
    return store.read("ride_video", video, ("path",))
