"""Models of cameras: pose zero, seats, reach and usual values of each version, as editions.

What belongs here: which editions are wanted, and their tables, made of those of their videos. What
does not: writing them (`stages.library.camera_editions`), versions (`stages.library.camera_watch`),
and which video keeps which edition.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import polars as pl

from identity_pipeline.core.camera.head_frame import in_head_frame, zero_for
from identity_pipeline.core.camera.normals import normals
from identity_pipeline.core.camera.pose_zero import pose_zeros
from identity_pipeline.core.camera.reach import CELLS, cells_of, reach
from identity_pipeline.core.camera.seating import seat_tracks
from identity_pipeline.core.camera.seats import find_seats
from identity_pipeline.core.camera.versions import (
    Sighting,
    edition,
    known_words,
    member_rows,
    other_pictures,
    with_names,
)
from identity_pipeline.core.faces.buckets import assign_buckets
from identity_pipeline.settings import CameraSettings, Settings, chosen
from identity_pipeline.stages.library.camera_editions import (
    Content,
    make_editions,
    of_each_camera,
)
from identity_pipeline.stages.library.camera_sightings import Sightings
from identity_pipeline.stages.library.copies_in_force import copies_in_force
from identity_pipeline.stages.library.ride_template import not_of_the_ride
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.cameras.cameras import CAMERA, CameraRecord, Cameras
from identity_pipeline.storage.cameras.editions import EditionName
from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.video.tables import MissingTableError, TableStore
from identity_pipeline.tables import TABLES
from identity_pipeline.tables.camera import OF_A_MODEL

CODE: Final = "2"
"""Of what is computed here and in `core.camera`; noted in each edition."""
A_COPY: Final = "it is a copy of another video's ride."
_SHAPED_BY: Final = ("camera", "buckets")
_FACES: Final = (
    *("face_id", "frame_idx", "person_id", "pose_source", "yaw", "pitch", "pitch_raw"),
    *("pitch_level", "eye_open", "mouth_open", "smile", "occlusion"),
)
"""Columns of `face_landmarks` that are read."""


@dataclass(frozen=True)
class Known:
    """What is known of a camera now.

    Attributes:
        camera: its name; None: the one without.
        version: its last.
        sentence: how many videos its model is of, or what it lacks.
        made: editions that were made just now.
        left_out: of its last version, videos that do not count, and why.
        damage: why nothing can be said of it; None where all is well.
    """

    camera: str | None
    version: int = 1
    sentence: str = ""
    made: tuple[EditionName, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    damage: str | None = None


@dataclass(frozen=True)
class _Member:
    """A video of a model.

    Attributes:
        sighting: what it says of its camera.
        faces: its usable faces, with what bins are told by.
        riders: track_id, person_id.
    """

    sighting: Sighting
    faces: pl.DataFrame
    riders: pl.DataFrame


@dataclass(frozen=True)
class _Counted:
    """Videos that count for a model, in order, and why others do not."""

    videos: Sequence[str]
    left_out: Mapping[str, str]


def make_models(store: TableStore, settings: Settings) -> list[Known]:
    """Makes the models of all cameras that are wanted and not there.

    Args:
        store: the tables.
        settings: in force.
    """
    return of_each_camera(
        Cameras(store.layout),
        partial(make_model, store, settings),
        lambda camera, why: Known(camera, damage=why),
    )


def make_model(store: TableStore, settings: Settings, camera: str | None) -> Known:
    """Makes the editions of one camera's model that are wanted and not there, or damaged.

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
    model = _Model(cameras, Sightings(store, settings, camera), record, copies)
    return model.known(make_editions(cameras, record, model))


def may_have_next(cameras: Cameras, record: CameraRecord, settings: Settings) -> bool:
    """Whether a version has as many videos as a next model takes; nothing of them is read."""
    return any(
        _most(cameras, record, settings.camera, which) is not None
        for which in range(len(record.versions))
    )


def _most(
    cameras: Cameras, record: CameraRecord, settings: CameraSettings, which: int
) -> EditionName | None:
    """The next model of a version if all of its videos count; None: there is none."""
    number = record.versions[which].number
    editions = cameras.editions(record.camera)
    there = max((name for name in editions if name.version == number), default=None)
    still, own = record.standing_still(which), record.own(which)
    most = EditionName(number, edition(len(still), settings), edition(len(own), settings))
    return most if most.videos and (there is None or _is_more(most, there)) else None


@dataclass
class _Model:
    """The model of one camera, by its record as it was when it began."""

    cameras: Cameras
    sightings: Sightings
    record: CameraRecord
    copies: Collection[str]
    _members: dict[str, _Member | str | None] = field(default_factory=dict)

    @property
    def of(self) -> str:
        return CAMERA

    @property
    def tables(self) -> Collection[str]:
        return OF_A_MODEL

    @property
    def settings(self) -> Settings:
        return self.sightings.settings

    def known(self, made: Sequence[EditionName]) -> Known:
        """What is known of the camera now."""
        camera, settings = self.record.camera, self.settings.camera
        last = len(self.record.versions) - 1
        in_force = self.cameras.in_force(camera)
        damage = self.cameras.damage(camera, in_force) if in_force else None
        still = self.record.standing_still(last)
        left_out = self._noted(in_force)
        if not in_force and len(still) >= settings.videos_min:
            left_out = dict(self._counted(still, settings.videos_min).left_out)
        there = [v for v in still if v not in left_out]
        words = known_words(in_force.videos if in_force else 0, len(there), settings)
        number = self.record.versions[last].number
        return Known(camera, number, words, tuple(made), left_out, damage)

    def _noted(self, name: EditionName | None) -> dict[str, str]:
        """Who was left out when an edition was made, and why."""
        if name is None or self.cameras.damage(self.record.camera, name):
            return {}
        members = self.cameras.edition(self.record.camera, name).table("camera_members")
        return dict(members.drop_nulls("left_out").select("video_id", "left_out").iter_rows())

    def next_edition(self, which: int) -> EditionName | None:
        """The edition that a version can have now; None where it has it."""
        most = _most(self.cameras, self.record, self.settings.camera, which)
        if most is None:
            return None  # without reading anything
        still = self._counted(self.record.standing_still(which), most.videos).videos
        own = self._counted(self.record.own(which), most.own).videos
        settings, number = self.settings.camera, most.version
        can = EditionName(number, edition(len(still), settings), edition(len(own), settings))
        there = [n for n in self.cameras.editions(self.record.camera) if n.version == number]
        return can if can.videos and all(_is_more(can, other) for other in there[-1:]) else None

    def _of(self, videos: Sequence[str]) -> list[_Member]:
        found = (self._member(video) for video in videos)
        return [each for each in found if isinstance(each, _Member)]

    def _counted(self, videos: Sequence[str], wanted: int) -> _Counted:
        """The first of some videos of which so many count; fewer where not so many do.

        Who counts is told among these first ones alone, so it is the same whatever came since.
        """
        looked_at = wanted
        while True:
            found = self._who_counts(videos[:looked_at])
            lacking = wanted - len(found.videos)
            if lacking <= 0 or looked_at >= min(len(videos), 2 * self.settings.camera.videos_max):
                return _Counted(found.videos[:wanted], found.left_out)
            looked_at += lacking

    def _who_counts(self, videos: Sequence[str]) -> _Counted:
        """Which of some videos count, and why others do not."""
        said = {video: self._member(video) for video in videos}
        unread = {video: each for video, each in said.items() if isinstance(each, str)}
        read = {video: each for video, each in said.items() if isinstance(each, _Member)}
        sizes = {video: each.sighting.frame_size for video, each in read.items()}
        foreign = not_of_the_ride(self.sightings.store, self.record.camera, list(sizes))
        copied = dict.fromkeys(sizes.keys() & set(self.copies), A_COPY)
        out = {**unread, **other_pictures(sizes), **foreign, **copied}
        return _Counted([video for video in read if video not in out], out)

    def _member(self, video: str) -> _Member | str | None:
        """A video with all that a model reads of it; why it cannot be read; None: it says nothing.

        Each is read once.
        """
        if video not in self._members:
            seen = self.sightings.find(video)
            try:
                found = _member_of(self.sightings.store, seen) if seen else None
            except (MissingTableError, DamagedFileError) as error:
                found = str(error)
            self._members[video] = found
        return self._members[video]

    def content(self, which: int, name: EditionName) -> Content | None:
        """What an edition holds; None: of a damaged one, whose videos are gone."""
        still = self._counted(self.record.period(which), name.videos)
        own = self._counted(self.record.own(which), name.own)
        if (len(still.videos), len(own.videos)) != (name.videos, name.own):
            return None
        geometry = self._of(still.videos)
        of_own = [member.sighting for member in self._of(own.videos)]
        left_out = {**still.left_out, **own.left_out}
        tables = model_of(name.version, geometry, of_own, left_out, self.settings)
        about = {
            "camera": self.record.camera,
            "version": name.version,
            "videos": len(geometry),
            "own_videos": len(of_own),
            "aspect": geometry[0].sighting.aspect,
            "code": CODE,
            "settings": chosen(self.settings, _SHAPED_BY),
        }
        return Content(tables, "camera_members", about)

    def is_still_said(self, name: EditionName, content: Content) -> bool:
        """It holds no words of people."""
        return True


def _is_more(one: EditionName, other: EditionName) -> bool:
    """Whether an edition is of more videos than another, and of fewer in nothing."""
    return one != other and one.videos >= other.videos and one.own >= other.own


def _member_of(store: TableStore, seen: Sighting) -> _Member:
    name = seen.video_id
    quality = store.read("face_quality", name, ("face_id", "loose", "luma_mean", "clipped_share"))
    faces = store.read("face_landmarks", name, _FACES).join(
        quality.filter("loose").drop("loose"), on="face_id", maintain_order="left"
    )
    riders = store.read("riders", name, ("track_id", "person_id")).drop_nulls()
    return _Member(seen, faces, riders)


def model_of(
    version: int,
    geometry: Sequence[_Member],
    of_own: Sequence[Sighting],
    left_out: Mapping[str, str],
    settings: Settings,
) -> dict[str, pl.DataFrame]:
    """The tables of a model.

    Args:
        version: of the camera.
        geometry: the videos of pose zero, seats and reach, in order; at least one.
        of_own: the videos of the usual values, in order.
        left_out: videos that do not count, and why.
        settings: `camera` and `buckets`.
    """
    seen = [member.sighting for member in geometry]
    order, aspect = [each.video_id for each in seen], seen[0].aspect
    seats = find_seats(with_names(seen, "places"), order, aspect, settings.camera)
    sitting = [_seats_of_people(member, seats, settings) for member in geometry]
    votes = pl.concat(
        member.sighting.votes.with_columns(
            video_id=pl.lit(member.sighting.video_id),
            seat=pl.col("person_id").replace_strict(own, default=None, return_dtype=pl.Int64),
        )
        for member, own in zip(geometry, sitting, strict=True)
    )
    zeros = pose_zeros(votes, order, settings.camera)
    cells = [
        _cells(member, own, zeros, settings) for member, own in zip(geometry, sitting, strict=True)
    ]
    figures = with_names(of_own, "figures") if of_own else pl.DataFrame()
    return {
        "camera_seats": seats,
        "camera_pose_zero": zeros,
        "camera_reach": reach(pl.concat(cells), settings.buckets),
        "camera_normals": normals(figures, settings.camera)
        if of_own
        else pl.DataFrame(schema=TABLES["camera_normals"]),
        "camera_members": member_rows(version, seen, of_own, left_out),
    }


def _seats_of_people(member: _Member, seats: pl.DataFrame, settings: Settings) -> dict[int, int]:
    """The seat of each rider of a video of whom one seat alone is told."""
    if seats.is_empty():
        return {}
    seen = member.sighting
    places = seen.places.with_columns(video_id=pl.lit(seen.video_id))
    seated = seat_tracks(places, seats, seen.aspect, settings.camera).drop_nulls("seat")
    told = member.riders.join(seated, on="track_id").group_by("person_id").agg("seat")
    one = told.filter(pl.col("seat").list.n_unique() == 1)
    return dict(one.select("person_id", pl.col("seat").list.first()).iter_rows())


def _cells(
    member: _Member, sitting: Mapping[int, int], zeros: pl.DataFrame, settings: Settings
) -> pl.DataFrame:
    """What the riders of a video reached, in the person-and-camera frame."""
    if member.faces.is_empty():
        return pl.DataFrame(schema=CELLS)
    people = member.faces["person_id"].unique().to_list()
    own = {person: zero_for(zeros, sitting.get(person)) for person in people}
    framed = in_head_frame(member.faces, own, settings.buckets)
    return cells_of(member.sighting.video_id, assign_buckets(framed, settings.buckets))
