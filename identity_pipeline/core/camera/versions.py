"""Versions of a camera: from which video on it is another one, and of which videos a model is made.

The videos of a camera are gone through in the order in which they came. A change
(`core.camera.watch`) begins a version at its first video. Only a camera that was moved has another
pose zero and other seats; after a change of lens or light these go on, and what is usual begins
anew. So a camera that changes every day is never known, and the defaults hold.

A model is made of the first videos of its version: 20, then 40, 80 and so on up to a bound, so that
it is the same whenever it is made, and rarely another one.

What belongs here: the order of things. What does not: what a model holds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

import numpy as np
import polars as pl

from identity_pipeline.core.camera.mixture import log_densities
from identity_pipeline.core.camera.seating import mixture_of
from identity_pipeline.core.camera.seats import SEAT, features, find_seats, with_stay
from identity_pipeline.core.camera.watch import BUMPED, Change, Figures, Verdict, judge
from identity_pipeline.settings import CameraSettings
from identity_pipeline.tables import TABLES

PLACES: Final = ("x", "y", "log_size")
"""What is watched of where riders are; told by seats alone."""


@dataclass(frozen=True)
class Sighting:
    """What one video says of its camera.

    Attributes:
        video_id: the video.
        data_version: of what is said.
        frame_size: (width, height) of the picture, px.
        places: table `camera_places`.
        votes: table `camera_votes`.
        figures: table `camera_figures`.
    """

    video_id: str
    data_version: str
    frame_size: tuple[int, int]
    places: pl.DataFrame
    votes: pl.DataFrame
    figures: pl.DataFrame

    @property
    def aspect(self) -> float:
        """Width of the picture over its height."""
        return self.frame_size[0] / self.frame_size[1]


@dataclass
class Version:
    """A stretch of videos during which a camera was one.

    Attributes:
        number: from 1.
        causes: why it began, the likeliest first; none for the first.
        moved: the camera was, so pose zero and seats begin anew.
        noticed: the video that made it plain; None for the first.
        first: from which video on it holds; None: from the beginning.
        earlier: videos before it since the camera was last moved.
        videos: its own, in order.
        told: what is watched, of each of its videos.
        seats: by which the places of its videos are watched; None while too few are known.
        before: videos, and what was watched of each, when it was plain that it had begun.
    """

    number: int = 1
    causes: tuple[Change, ...] = ()
    moved: bool = True
    noticed: str | None = None
    first: str | None = None
    earlier: list[str] = field(default_factory=list)
    videos: list[str] = field(default_factory=list)
    told: list[Figures] = field(default_factory=list)
    seats: pl.DataFrame | None = None
    before: tuple[tuple[str, Figures], ...] = ()

    @property
    def standing_still(self) -> list[str]:
        """The videos since the camera was last moved: those of pose zero, seats and reach."""
        return [*self.earlier, *self.videos]


def other_pictures(sizes: Mapping[str, tuple[int, int]]) -> dict[str, str]:
    """Videos whose picture has another shape than most: they are of another camera.

    Args:
        sizes: (width, height) of the picture by video.

    Returns:
        A sentence by video.
    """
    shapes = [_shape(size) for size in sizes.values()]
    usual = max(sorted(set(shapes)), key=shapes.count, default=0.0)
    return {
        video: f"its picture is {size[0]} x {size[1]}; those of this camera are {usual:g} times as "
        "wide as high."
        for video, size in sizes.items()
        if abs(_shape(size) - usual) > 0.01
    }


def another_picture(sizes: Sequence[tuple[int, int]], settings: CameraSettings) -> bool:
    """Whether the last videos have all one shape of picture, which those before had not.

    Args:
        sizes: (width, height) of each, in the order in which they came.
        settings: how many are needed.
    """
    shapes = [_shape(size) for size in sizes]
    last = set(shapes[-settings.videos_min :])
    return len(shapes) > settings.videos_min and len(last) == 1 and shapes[0] not in last


def _shape(size: tuple[int, int]) -> float:
    return round(size[0] / size[1], 2)


def advance(
    versions: list[Version],
    videos: Sequence[str],
    sighting_of: Callable[[str], Sighting | None],
    settings: CameraSettings,
) -> dict[str, Verdict]:
    """Goes on through the videos of a camera; each version that one makes plain is begun.

    Args:
        versions: those so far, at least one; the last goes on, and others may follow.
        videos: the next ones, in the order in which they came.
        sighting_of: what a video says of its camera, also one of the last version's; None where it
            says nothing any more.
        settings: how many videos are needed, and how rare a false alarm is.

    Returns:
        The verdict on each when it came.
    """
    verdicts: dict[str, Verdict] = {}
    waiting, known = deque(videos), dict[str, Figures]()
    while waiting:
        video, version = waiting.popleft(), versions[-1]
        told = known.get(video)
        verdict = _add(version, video, told, sighting_of, settings)
        verdicts.setdefault(video, verdict)
        if verdict.changes:
            begun, since = _begun(version, verdict.changes, video), verdict.changes[0].since
            for again, figures in zip(version.videos[since:], version.told[since:], strict=True):
                known[again] = _without_places(figures) if begun.moved else figures
            waiting.extendleft(reversed(version.videos[since:]))
            del version.videos[since:], version.told[since:]
            versions.append(begun)
    return verdicts


def _begun(version: Version, changes: tuple[Change, ...], video: str) -> Version:
    """The version that follows one, still without videos."""
    since, moved = changes[0].since, any(each.kind == BUMPED for each in changes)
    return Version(
        version.number + 1,
        changes,
        moved,
        video,
        version.videos[since],
        [] if moved else [*version.earlier, *version.videos[:since]],
        seats=None if moved else version.seats,
        before=tuple(zip(version.videos, version.told, strict=True)),
    )


def _add(
    version: Version,
    video: str,
    told: Figures | None,
    sighting_of: Callable[[str], Sighting | None],
    settings: CameraSettings,
) -> Verdict:
    """Adds a video to a version, and says what it tells of the camera.

    Args:
        version: gets the video.
        video: the next one.
        told: what is watched of it, where that is known.
        sighting_of: see `advance`.
        settings: see `advance`.
    """
    version.videos.append(video)
    version.told.append(told or _figures_of(video, sighting_of, version.seats))
    if version.seats is None and len(version.standing_still) >= settings.videos_min:
        says = (found for v in version.standing_still if (found := sighting_of(v)) is not None)
        first = list(islice(says, settings.videos_min))
        order = [each.video_id for each in first]
        if len(order) == settings.videos_min:
            places = with_names(first, "places")
            version.seats = find_seats(places, order, first[-1].aspect, settings)
            version.told = [
                _figures_of(each, sighting_of, version.seats) or known
                for each, known in zip(version.videos, version.told, strict=True)
            ]
    return judge(version.told, settings)


def _figures_of(
    video: str, sighting_of: Callable[[str], Sighting | None], seats: pl.DataFrame | None
) -> Figures:
    """What is watched of a video; nothing of one that says nothing any more."""
    found = sighting_of(video)
    return {} if found is None else figures_in(found, seats)


def _without_places(figures: Figures) -> Figures:
    """What is told of a video where no seats are known."""
    return {name: value for name, value in figures.items() if name not in PLACES}


def with_names(sightings: Sequence[Sighting], table: str) -> pl.DataFrame:
    """A table of some videos as one, with `video_id`.

    Args:
        sightings: at least one.
        table: `places`, `votes` or `figures`.
    """
    return pl.concat(
        getattr(each, table).with_columns(video_id=pl.lit(each.video_id)) for each in sightings
    )


def figures_in(sighting: Sighting, seats: pl.DataFrame | None) -> Figures:
    """What is watched of a video; null where it was not measured.

    Args:
        sighting: the video.
        seats: table `camera_seats`; without, nothing is said of places.
    """
    whole = sighting.figures.filter(pl.col("phase").is_null())
    told = whole.row(0, named=True) if whole.height else {}
    looks = {axis: sighting.votes[axis].mean() for axis in ("yaw", "pitch")}
    found = {**told, **looks, **_moved(sighting, seats)}
    return {
        name: float(value)
        for name, value in found.items()
        if isinstance(value, (int, float)) and name not in ("frames", "phase")
    }


def _moved(sighting: Sighting, seats: pl.DataFrame | None) -> dict[str, float]:
    """How far the riders are from the seats nearest to them: medians over those who stay.

    Whoever sits nearest a seat is taken to sit there, sure or not: after a bump nobody is sure.
    """
    if seats is None or not (seats["kind"] == SEAT).any():
        return {}
    known = with_stay(sighting.places.with_columns(video_id=pl.lit(sighting.video_id)))
    stay = known.filter(~pl.col("brief") & ~pl.col("only_boarding").fill_null(False))
    if not stay.height:
        return {}
    mixture, owners = mixture_of(seats, sighting.aspect)
    kinds = dict(seats.select("place", "kind").drop_nulls().iter_rows())
    sitting = [k for k, place in enumerate(owners) if kinds[place] == SEAT]
    at = features(stay)
    nearest = np.array(sitting)[log_densities(mixture, at)[:, sitting].argmax(axis=1)]
    off = np.median(at - mixture.means[nearest], axis=0)
    return dict(zip(PLACES, off.tolist(), strict=True))


def edition(videos: int, settings: CameraSettings) -> int:
    """Of how many of so many videos a model is made; 0: too few.

    The largest doubling of `videos_min` that there is, up to `videos_max`.
    """
    if videos < settings.videos_min:
        return 0
    made = settings.videos_min
    while 2 * made <= min(videos, settings.videos_max):
        made *= 2
    return made


def known_words(made_of: int, videos: int, settings: CameraSettings) -> str:
    """Of how many videos a camera's model is, or how many it lacks.

    Args:
        made_of: videos of the model; 0: there is none.
        videos: since the camera was last moved.
        settings: how many are needed, and at most used.
    """
    if not made_of and videos < settings.videos_min:
        return f"not known yet ({videos} of {settings.videos_min} videos)"
    if not made_of:
        return (
            f"not known yet ({videos} videos; the nightly job makes the model, if at least "
            f"{settings.videos_min} of them count: a copy does not)"
        )
    if 2 * made_of > settings.videos_max:
        return f"is of {made_of} videos, {videos} known; not made anew while the camera stays"
    return f"is of {made_of} videos, {videos} known; made anew at {2 * made_of}"


def kept_words(camera: str, version: int, videos: int) -> str:
    """What a video says of the model that it keeps, and from where its angles are then.

    Args:
        camera: what the camera is called.
        version: of the model.
        videos: that it is of.
    """
    return (
        f"{camera}, version {version} (of {videos} videos): angles are from straight ahead of the "
        "rider"
    )


def member_rows(
    version: int,
    geometry: Sequence[Sighting],
    normals: Sequence[Sighting],
    left_out: Mapping[str, str],
) -> pl.DataFrame:
    """The table `camera_members`: which videos a model is made of, and which are left out.

    Args:
        version: of the camera.
        geometry: the videos of pose zero, seats and reach.
        normals: those of the usual values.
        left_out: videos that do not count, and why.
    """
    of = {each.video_id: each for each in (*geometry, *normals)}
    ins = [{each.video_id for each in part} for part in (geometry, normals)]
    rows = [
        (version, name, each.data_version, *(name in part for part in ins), None)
        for name, each in sorted(of.items())
    ]
    rows += [(None, name, None, False, False, why) for name, why in sorted(left_out.items())]
    return pl.DataFrame(rows, schema=TABLES["camera_members"], orient="row")
