"""Everything that derives from a person, a ride or a track: what a forgetting takes.

What belongs here: finding it, and its form. What does not: who is meant by a word (`whom`), and
taking it away (`forgetting`). Only reads.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import polars as pl

from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.ledger import events as ev
from identity_pipeline.ledger import subjects as ids
from identity_pipeline.stages.curation.snapshot import LibrarySnapshot, video_of
from identity_pipeline.stages.datasets.manifest import datasets_in, read_manifest
from identity_pipeline.stages.library.copies_in_force import TABLE, Copies
from identity_pipeline.stages.library.view import Known, known_tracks
from identity_pipeline.storage.files import atomic
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.packs import members_read

Kind = Literal["person", "video", "track"]
How = Literal["confirmed", "machine", "named"]
"""Why a track goes: a human gave it to the person, the machine did, or it was named itself."""
Sources = Literal["whole", "all", "none"]
"""Whose source files go: of rides that go as a whole, of all rides they are in, or of none."""


class FootprintError(IdentityPipelineError, ValueError):
    """What is to be forgotten cannot be told; the sentence says what to do."""


@dataclass(frozen=True)
class Whom:
    """What a word means that names whom to forget.

    Attributes:
        kind: what was named.
        person_id: the person, with everybody who was merged into them; None for a ride or a track.
        videos: the ride or photo set, and its copies.
        tracks: subjects, where tracks were named.
    """

    kind: Kind
    person_id: str | None = None
    videos: tuple[str, ...] = ()
    tracks: tuple[str, ...] = ()


@dataclass(frozen=True)
class FaceAt:
    """One detected face.

    Attributes:
        face_id: `{frame_idx:06d}-{n}`.
        frame_idx: in the source's decode order; of a photo set the number of the picture.
        box: x1, y1, x2, y2 in pixels of the source.
        track_id: None for a face that is in no track.
    """

    face_id: str
    frame_idx: int
    box: tuple[float, float, float, float]
    track_id: int | None = None


@dataclass(frozen=True)
class TrackGone:
    """A track that goes."""

    subject: str
    video_id: str
    track_id: int
    how: How


@dataclass(frozen=True)
class Footprint:
    """What a forgetting takes.

    Attributes:
        kind: what was named.
        person_ids: the people, with all who were merged into them, sorted; empty for a ride or a
            track, for a person stays when one of their rides goes.
        names: every name that they ever had, sorted.
        tracks: by subject.
        faces: video or photo set -> each face of those tracks; of what goes whole, each face.
        videos: rides that go as a whole.
        photo_sets: sets of photographs that go as a whole.
        heads: projection heads whose training saw them.
        sessions: numbers of those trainings.
        datasets: folders of people's datasets that show them, relative to the data folder.
        exports: rides and photo sets of which there is an export.
        published: (folder of notes on a store, name), of what was copied to object stores.
        inbox: source files and photographs below the data folder that go, absolute.
        kept_sources: source files below the data folder that stay; everything that reads them
            paints over whom the redaction of the ride hides.
        elsewhere: source files outside of it: what somebody else keeps there is not the pipeline's
            to remove.
    """

    kind: Kind
    person_ids: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    tracks: tuple[TrackGone, ...] = ()
    faces: Mapping[str, tuple[FaceAt, ...]] = field(default_factory=dict)
    videos: tuple[str, ...] = ()
    photo_sets: tuple[str, ...] = ()
    heads: tuple[str, ...] = ()
    sessions: tuple[int, ...] = ()
    datasets: tuple[str, ...] = ()
    exports: tuple[str, ...] = ()
    published: tuple[tuple[str, str], ...] = ()
    inbox: tuple[str, ...] = ()
    kept_sources: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()

    @property
    def whole(self) -> tuple[str, ...]:
        """Rides and photo sets that go as a whole."""
        return tuple(sorted({*self.videos, *self.photo_sets}))

    @property
    def shared(self) -> tuple[str, ...]:
        """Rides of which others keep what is theirs."""
        return tuple(video for video in sorted(self.faces) if video not in self.whole)

    @property
    def subjects(self) -> tuple[str, ...]:
        """The tracks, as the ledger names them."""
        return tuple(track.subject for track in self.tracks)


def footprint_of(
    library: LibrarySnapshot,
    whom: Whom,
    *,
    confirmed_only: bool = False,
    sources: Sources = "whole",
) -> Footprint:
    """Everything that derives from whom a forgetting is about.

    Args:
        library: as it is now.
        whom: who or what was named.
        confirmed_only: of a person only tracks that humans confirmed; those that the machine gave
            them stay, under no name.
        sources: which source files go; where all stay no ride goes as a whole, for a source that
            stays needs its redaction.

    Raises:
        DamagedFileError: the pack of a ride that they are in is damaged.
    """
    return _Search(library, whom, confirmed_only, sources).footprint()


@dataclass(frozen=True)
class _Search:
    """One search through a library."""

    library: LibrarySnapshot
    whom: Whom
    confirmed_only: bool
    sources: Sources

    @property
    def _layout(self) -> Layout:
        return self.library.stores.layout

    @cached_property
    def _known(self) -> dict[str, Known]:
        """Whose each track is, also of copies of rides."""
        known = known_tracks(self.library)
        place = Copies.from_table(self.library.table(TABLE)).place
        return {**{copy: known[at] for copy, at in place.items() if at in known}, **known}

    @cached_property
    def _people(self) -> frozenset[str]:
        state, who = self.library.state, self.whom.person_id
        return frozenset(p for p in state.people if who is not None and state.survivor(p) == who)

    @cached_property
    def _tracks(self) -> dict[str, How]:
        found: dict[str, How] = dict.fromkeys(self.whom.tracks, "named")
        for key, known in self._known.items():
            human = known.origin != "auto"
            if known.person_id in self._people and (human or not self.confirmed_only):
                found[key] = "confirmed" if human else "machine"
        for video_id in self.whom.videos:
            found.update(dict.fromkeys(self._tracks_of(video_id), "named"))
        return {key: found[key] for key in sorted(found) if ids.parse(key).kind == "track"}

    def _tracks_of(self, video_id: str) -> list[str]:
        return [ids.track(video_id, n) for n in _numbers(self._faces_in(video_id))]

    def footprint(self) -> Footprint:
        """See `footprint_of`."""
        sets = set(self.library.stores.photos.ids())
        touched = self._touched()
        for video in set(touched) - set(self.whom.videos):
            # Of a damaged pack nobody could be found, and so nobody be hidden.
            members_read(self._layout, video)
        gone = {video for video in touched if self._goes_whole(video, video in sets)}
        faces = {video: self._faces_of(video, video in gone) for video in touched}
        sessions = tuple(self._sessions(faces))
        found = Footprint(
            kind=self.whom.kind,
            person_ids=tuple(sorted(self._people)),
            names=tuple(sorted(self._names())),
            tracks=tuple(self._tracks_gone()),
            faces=faces,
            videos=tuple(sorted(gone - sets)),
            photo_sets=tuple(sorted(gone & sets)),
            heads=tuple(sorted(self._heads(sessions))),
            sessions=sessions,
            exports=tuple(v for v in touched if self._layout.export(v).is_dir()),
            published=tuple(_published(self._layout, touched)),
        )
        return self._with_files(found)

    def _with_files(self, found: Footprint) -> Footprint:
        """With what lies in folders that tell by their content whom they show."""
        go = {"whole": found.videos, "all": (*found.videos, *found.shared), "none": ()}
        files = self._files(go[self.sources])
        stay = self._files((*found.videos, *found.shared)) - files
        elsewhere = {path for path in files | stay if not _is_within(path, self._layout)}
        inbox = (files - elsewhere) | set(self._photographs(found))
        return replace(
            found,
            datasets=tuple(self._datasets(found)),
            inbox=tuple(map(str, sorted(inbox))),
            kept_sources=tuple(map(str, sorted(stay - elsewhere))),
            elsewhere=tuple(map(str, sorted(elsewhere))),
        )

    def _touched(self) -> list[str]:
        """Rides and photo sets of which something goes."""
        seen = {video_of(key) for key in (*self._tracks, *self._single_faces)}
        return sorted({*seen, *self.whom.videos, *self._named_sets})

    def _tracks_gone(self) -> Iterator[TrackGone]:
        for key, how in self._tracks.items():
            track = ids.parse(key)
            if not track.lost:
                yield TrackGone(key, track.video_id, int(track.local_id), how)

    # faces and what goes whole -----------------------------------------------------------------

    @cached_property
    def _single_faces(self) -> frozenset[str]:
        """Faces that are in no track and that somebody said are theirs."""
        assigned = self.library.state.assigned
        return frozenset(
            subject
            for subject, person in assigned.items()
            if person in self._people and ids.parse(subject).kind == "face"
        ) - {s for s in assigned if ids.parse(s).lost}

    def _faces_in(self, video_id: str) -> pl.DataFrame:
        """Every face that was detected in a video: id, frame, box and track."""
        store = self.library.stores.tables
        if not store.outputs.has("face_detections", video_id):
            return _NO_FACES
        found = store.read("face_detections", video_id, _BOXES)
        if not store.outputs.has("face_tracks", video_id):
            return found.with_columns(track_id=pl.lit(None, pl.Int64))
        tracks = store.read("face_tracks", video_id, ("face_id", "track_id"))
        return found.join(tracks, on="face_id", how="left", maintain_order="left")

    def _faces_of(self, video_id: str, whole: bool) -> tuple[FaceAt, ...]:
        faces = self._faces_in(video_id)
        if not whole and video_id not in self.whom.videos:
            tracks = [int(ids.parse(k).local_id) for k in self._tracks if video_of(k) == video_id]
            single = [ids.parse(s).local_id for s in self._single_faces if video_of(s) == video_id]
            theirs = pl.col("track_id").is_in(tracks) | pl.col("face_id").is_in(single)
            faces = faces.filter(theirs)
        return tuple(
            FaceAt(face_id, frame, (x1, y1, x2, y2), track)
            for face_id, frame, x1, y1, x2, y2, track in faces.iter_rows()
        )

    @cached_property
    def _named_sets(self) -> frozenset[str]:
        """Photo sets that were taken in as theirs and of which nothing is known to be another's."""
        names = {ev.name_key(name) for name in self._names()}
        own = (one.set_id for one in self.library.stores.photos.all() if _called(one.name, names))
        return frozenset(set_id for set_id in own if not self._others_in(set_id))

    def _others_in(self, video_id: str) -> bool:
        """Whether somebody else is known to be in a ride or a photo set."""
        return any(
            video_of(key) == video_id and key not in self._tracks and who.person_id is not None
            for key, who in self._known.items()
        )

    def _goes_whole(self, video_id: str, is_set: bool) -> bool:
        """Whether nobody else is left in it.

        A photo set is of one person. Of a ride, nobody is left once all its riders go, unless
        somebody who is no rider there is known by name.
        """
        if self.sources == "none" and not is_set:
            return False
        if is_set or video_id in self.whom.videos:
            return True
        own = {int(ids.parse(key).local_id) for key in self._tracks if video_of(key) == video_id}
        riders = self._riders(video_id)
        return bool(riders) and riders <= own and not self._others_in(video_id)

    def _riders(self, video_id: str) -> set[int]:
        """Tracks of the riders; of a ride of which nobody was told yet, all tracks."""
        store = self.library.stores.tables
        if not store.outputs.has("riders", video_id):
            return _numbers(self._faces_in(video_id))
        riders = store.read("riders", video_id, ("track_id", "person_id"))
        return set(riders.drop_nulls("person_id")["track_id"].to_list())

    # names -------------------------------------------------------------------------------------

    def _names(self) -> set[str]:
        return names_borne(self.library.history.events, self._people)

    # what was made of them ---------------------------------------------------------------------

    def _sessions(self, faces: Mapping[str, tuple[FaceAt, ...]]) -> Iterator[int]:
        """Trainings that saw them; the numbers of tracks may have changed since, faces have not."""
        theirs = {(video, face.face_id) for video, several in faces.items() for face in several}
        trainings = self.library.stores.trainings
        for session in trainings.all():
            columns = ("person_id", "track_key", "face_id")
            rows = trainings.training_set(session).select(columns).iter_rows()
            if any(p in self._people or (video_of(key), face) in theirs for p, key, face in rows):
                yield session.number

    def _heads(self, sessions: Collection[int]) -> set[str]:
        stores = self.library.stores
        of_cards = {card.head_id for card in stores.heads.cards() if card.session in sessions}
        noted = {s.head_id for s in stores.trainings.all() if s.number in sessions}
        return of_cards | {head for head in noted if head is not None}

    def _datasets(self, found: Footprint) -> Iterator[str]:
        for folder in datasets_in(self._layout.datasets):
            if shows(read_manifest(folder), found):
                yield folder.relative_to(self._layout.root).as_posix()

    def _files(self, videos: Iterable[str]) -> set[Path]:
        """Files of some rides that are there."""
        records = self.library.stores.videos.readable(videos)
        paths = (Path(path) for record in records for path in (record.path, *record.links))
        return {path for path in paths if path.is_file()}

    def _photographs(self, found: Footprint) -> Iterator[Path]:
        """What lies in the inbox of photographs under one of their names."""
        names = {ev.name_key(name) for name in found.names}
        folder = self._layout.photos
        for path in folder.iterdir() if names and folder.is_dir() else ():
            if _called(path.name, names):
                yield from (file for file in path.rglob("*") if file.is_file())


def names_borne(events: Iterable[ev.Event], person_ids: Collection[str]) -> set[str]:
    """Every name that some people ever had, also by decisions that were taken back."""
    found: set[str] = set()
    for event in events:
        match event:
            case ev.Created() | ev.Renamed() if event.person_id in person_ids:
                found.add(event.name)
            case ev.Split() if event.new_person_id in person_ids and event.new_name is not None:
                found.add(event.new_name)
    return found


def shows(manifest: Mapping[str, Any], found: Footprint) -> bool:
    """Whether a dataset of people shows somebody who goes, or a ride of which something goes."""
    if any(person.get("person_id") in found.person_ids for person in manifest.get("people", ())):
        return True
    theirs = {(video, face.face_id) for video, several in found.faces.items() for face in several}
    rows = [row for name in _ROWS for row in manifest.get(name, ())]
    return any(
        (row.get("source_id"), row.get("face_id")) in theirs
        or (row.get("rival_source_id"), row.get("rival_face_id")) in theirs
        or row.get("source_id") in found.whole
        for row in rows
    )


def _published(layout: Layout, videos: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Of some rides, those of which a note says that an object store has them."""
    wanted = set(videos)
    for note in sorted(layout.published.glob("*/*.json")):
        if note.stem in wanted and not atomic.is_temporary(note):
            yield note.parent.name, note.stem


def _is_within(path: Path, layout: Layout) -> bool:
    return path.resolve().is_relative_to(layout.root.resolve())


def _called(name: str, names: Collection[str]) -> bool:
    return ev.name_key(name) in names


def _numbers(faces: pl.DataFrame) -> set[int]:
    return set(faces["track_id"].drop_nulls().to_list())


_ROWS = ("pictures", "not_chosen", "not_written", "sources")
"""Parts of a dataset's manifest that name a ride or a face."""
_BOXES = ("face_id", "frame_idx", "x1", "y1", "x2", "y2")
_NO_FACES = pl.DataFrame(
    schema={
        "face_id": pl.String,
        "frame_idx": pl.Int64,
        **dict.fromkeys(("x1", "y1", "x2", "y2"), pl.Float32),
        "track_id": pl.Int64,
    }
)
