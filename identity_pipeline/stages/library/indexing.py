"""The points of a video, and keeping the index equal to the tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import polars as pl

from identity_pipeline.core.matching.templates import track_key
from identity_pipeline.core.vectors import all_embeddings
from identity_pipeline.ledger import subjects
from identity_pipeline.stages.library.spaces import head_of_space, projected
from identity_pipeline.stages.progress.protocol import Progress, silent
from identity_pipeline.stages.specs.damage import PassedOver
from identity_pipeline.stages.specs.exported import exported_rows
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.files.hashing import sha256_of_value
from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.index.points import (
    IDENTITY,
    IMAGE,
    TEMPLATE,
    VISION,
    IndexPoint,
    MixedSpacesError,
    Vector,
    VideoPoints,
    checksum,
)
from identity_pipeline.storage.index.session import OpenIndex, Replaced, VideoState
from identity_pipeline.storage.index.vector_index import Rebuilt, Sources, VectorIndex
from identity_pipeline.storage.library.generations import Generations
from identity_pipeline.storage.library.snapshots import Snapshot
from identity_pipeline.storage.video.embeddings import IDENTITY_TABLES
from identity_pipeline.storage.video.tables import DamagedTableError, Manifest, TableStore
from identity_pipeline.tables import SET_ASSETS, empty

FACE_TABLES: Final = (*IDENTITY_TABLES, "vision_embeddings", "face_tracks")
CHOSEN: Final = "photo_faces"
SOURCES: Final = ("track_templates", *FACE_TABLES, *SET_ASSETS, "identity_dataset", CHOSEN)
"""Per-video tables that points are made of."""
INDEX: Final = "index"
"""The step that brings the names of people into the index; the points are steps of the videos."""


@dataclass(frozen=True)
class Known:
    """What the index is told of a generation of the library.

    Attributes:
        people: track key -> person_id of the tracks whose person is known. Suggestions are not
            people: their points stay without a person.
        space: in which it was computed; empty before there is a library.
    """

    people: Mapping[str, str] = field(default_factory=dict)
    space: str = ""


NOBODY: Final = Known()


def known_in_force(stores: LibraryStores) -> Known:
    """Of the generation in force."""
    snapshot = stores.generations.find()
    if snapshot is None:
        return NOBODY
    with snapshot:
        return known_of(snapshot)


def known_of(snapshot: Snapshot) -> Known:
    """Of one generation."""
    table = snapshot.table("person_assignments")
    known = table.filter((pl.col("state") == "known") & pl.col("person_id").is_not_null())
    return Known(dict(known.select("track_key", "person_id").iter_rows()), snapshot.space)


def points_of_video(stores: LibraryStores, video_id: str, known: Known = NOBODY) -> VideoPoints:
    """The points of a video: its track templates and its exported images.

    Those of a photo set are its template and the faces that are its person.

    Identity vectors are of the space that the library in force was computed in. A table that is
    not there yet gives no points.

    Args:
        stores: of the data folder.
        video_id: partition key.
        known: by the library, see `known_in_force`.

    Raises:
        MixedSpacesError: the video's own tables are of different embedding spaces.
    """
    people, space = known.people, known.space
    templates = _read(stores.in_space(head_of_space(space)), "track_templates", video_id)
    images, image_spaces, vision_spaces, body_spaces = _images(stores, video_id, people, space)
    points = [*_templates(templates, people), *images]
    spaces = {*templates["space"].to_list(), *image_spaces}
    vision_space = _one(vision_spaces, video_id, "vision")
    body_space = _one(body_spaces, video_id, "vision (upper body)")
    return VideoPoints(
        video_id,
        _one(spaces, video_id, "recognition"),
        vision_space,
        tuple(points),
        None if body_space == vision_space else body_space,
    )


def sync_video(stores: LibraryStores, index: OpenIndex, video_id: str) -> Replaced:
    """Makes the index hold what the tables of one video say."""
    return index.replace(points_of_video(stores, video_id, known_in_force(stores)))


def indexed_videos(store: TableStore) -> list[str]:
    """Videos and photo sets with anything to index, in alphabetical order."""
    return sorted(
        {v for asset in ("track_templates", *SET_ASSETS) for v in store.videos_with(asset)}
    )


# --- comparing and rebuilding --------------------------------------------------------------------


@dataclass(frozen=True)
class Difference:
    """A video whose points are not those of the tables.

    Attributes:
        video_id: the video.
        state: missing, changed, superfluous, unfinished or refused.
        wanted: points by the tables; null when they cannot be indexed.
        found: points in the index.
        sentence: what is wrong.
    """

    video_id: str
    state: str
    wanted: int | None
    found: int
    sentence: str


def check(
    stores: LibraryStores, index: VectorIndex, progress: Progress = silent
) -> list[Difference]:
    """Compares counts and checksums per video; an empty list means that all is equal.

    Raises:
        LockBusyError, IndexDamagedError, IndexUnreachableError: the index cannot be opened.
    """
    unfinished = set(index.unfinished())
    with index.open("checking the index") as session:
        found = session.contents(lambda done: progress("index", done, None, "points"))
    known, videos = known_in_force(stores), indexed_videos(stores.tables)
    differences = []
    for n, video_id in enumerate(sorted({*videos, *found, *unfinished}), start=1):
        there = found.get(video_id, VideoState(0, checksum([])))
        difference = _difference(stores, video_id, there, known, video_id in unfinished)
        differences += [difference] if difference else []
        progress("tables", n, len(videos), "videos")
    return differences


def _difference(
    stores: LibraryStores, video_id: str, found: VideoState, known: Known, unfinished: bool
) -> Difference | None:
    try:
        digests = points_of_video(stores, video_id, known).digests()
    except (MixedSpacesError, DamagedTableError) as error:
        return Difference(video_id, "refused", None, found.count, str(error))
    wanted = VideoState(len(digests), checksum(digests.values()))
    states = {
        "unfinished": (unfinished, "its writer died before the end, or is at work now"),
        "missing": (found.count == 0 < wanted.count, "the index has none of it"),
        "superfluous": (wanted.count == 0 < found.count, "the tables have none of it"),
        "changed": (found != wanted, "its points are not those of the tables"),
    }
    for state, (holds, sentence) in states.items():
        if holds:
            return Difference(video_id, state, wanted.count, found.count, sentence)
    return None


def rebuild(stores: LibraryStores, index: VectorIndex, progress: Progress = silent) -> Rebuilt:
    """Makes the index anew from the tables; see `VectorIndex.rebuild`."""
    return index.rebuild(
        sources_of(stores), lambda done, total: progress("index", done, total, "videos")
    )


def sync(
    stores: LibraryStores, index: VectorIndex, known: Known | None = None
) -> dict[str, Replaced]:
    """Writes the videos that differ from the tables and removes those that are gone.

    What a library run calls when people were named: only payloads that changed are written. Videos
    whose tables cannot be read are left as they are.

    Returns:
        What was done, by video; equal ones are left out.

    Raises:
        MixedSpacesError: the tables of a video are of different embedding spaces.
    """
    known, done, passed_over = known or known_in_force(stores), {}, PassedOver()
    wanted: dict[str, VideoPoints] = {}
    for video_id in indexed_videos(stores.tables):
        with passed_over.reading(video_id):
            wanted[video_id] = points_of_video(stores, video_id, known)
    with index.open("bringing the index up to date", write=True) as session:
        found, unfinished = session.contents(), set(index.unfinished())
        for video_id, points in wanted.items():
            digests = points.digests()
            state = VideoState(len(digests), checksum(digests.values()))
            same = found.get(video_id, VideoState(0, checksum([]))) == state
            if not same or video_id in unfinished:
                done[video_id] = session.replace(points)
        # What the index has of a video whose tables cannot be read stays until they can.
        for video_id in sorted({*found, *unfinished} - wanted.keys() - passed_over.why.keys()):
            done[video_id] = Replaced(0, session.forget(video_id), 0)
    return done


def put_names_in(
    stores: LibraryStores, index: VectorIndex, progress: Progress = silent
) -> dict[str, Replaced]:
    """Brings the names of the generation in force into the index, and notes that in it.

    Where an earlier generation noted the same, only videos with a track that is somebody else now
    are looked at; else all are compared, as by `sync`.

    Returns:
        What was done, by video.

    Raises:
        LockBusyError, IndexDamagedError, IndexUnreachableError: the index cannot be opened.
        MixedSpacesError: the tables of a video are of different embedding spaces.
    """
    generations = stores.generations
    snapshot = generations.find()
    if snapshot is None:
        return sync(stores, index)
    with snapshot:
        now = known_of(snapshot)
        then = None if index.unfinished() else _noted_before(generations)
        if then is None or then.space != now.space:
            done = sync(stores, index, now)
        else:
            done = _moved(stores, index, then, now, progress)
        _note_names(stores, snapshot)
    return {video: replaced for video, replaced in done.items() if replaced.written}


def _noted_before(generations: Generations) -> Known | None:
    """Of the generation whose names were last brought into the index; None where it is gone."""
    try:
        before = generations.newest_with(INDEX)
        if before is None:
            return None
        with before:
            return known_of(before)
    except DamagedFileError:
        return None


def _moved(
    stores: LibraryStores, index: VectorIndex, then: Known, now: Known, progress: Progress
) -> dict[str, Replaced]:
    """Writes the videos with a track that is somebody else now."""
    people = then.people.keys() | now.people.keys()
    moved = {key for key in people if then.people.get(key) != now.people.get(key)}
    there = set(indexed_videos(stores.tables))
    videos = sorted({subjects.parse(key).video_id for key in moved} & there)
    done: dict[str, Replaced] = {}
    if videos:
        with index.open("bringing names into the index", write=True) as session:
            for n, video_id in enumerate(videos, 1):
                done[video_id] = session.replace(points_of_video(stores, video_id, now))
                progress("names", n, len(videos), "videos")
    return done


def note_names(stores: LibraryStores) -> None:
    """Notes in the generation in force that its names are in the index."""
    snapshot = stores.generations.find()
    if snapshot is not None:
        with snapshot:
            _note_names(stores, snapshot)


def _note_names(stores: LibraryStores, snapshot: Snapshot) -> None:
    version = snapshot.generation.fingerprint
    snapshot.note(INDEX, Manifest(version, version, len(indexed_videos(stores.tables))))


def sources_of(stores: LibraryStores) -> Sources:
    """The tables as the source of a rebuild."""
    generations = stores.generations
    known: dict[str | None, Known] = {}

    def points_of(video_id: str) -> VideoPoints:
        in_force = generations.in_force()
        if in_force not in known:
            known[in_force] = known_in_force(stores)
        return points_of_video(stores, video_id, known[in_force])

    def version_of(video_id: str) -> str:
        noted = [stores.tables.noted(asset, video_id) for asset in SOURCES]
        return sha256_of_value([generations.in_force(), *(n and n.data_version for n in noted)])

    return Sources(lambda: indexed_videos(stores.tables), points_of, version_of)


# --- points from tables --------------------------------------------------------------------------


def _read(store: TableStore, asset: str, video_id: str) -> pl.DataFrame:
    there = store.outputs.has(asset, video_id)
    return store.read(asset, video_id) if there else empty(asset)


def _templates(templates: pl.DataFrame, people: Mapping[str, str]) -> list[IndexPoint]:
    return [
        IndexPoint(
            kind=TEMPLATE,
            subject=row["track_key"],
            video_id=row["video_id"],
            track_id=row["track_id"],
            frame_idx=row["best_frame"],
            face_id=row["best_face_id"],
            rider=row["rider"],
            quality=row["quality"],
            person_id=people.get(row["track_key"]),
            set=None,
            vectors={IDENTITY: _vector(row["template"])},
        )
        for row in templates.iter_rows(named=True)
    ]


def _images(
    stores: LibraryStores, video_id: str, people: Mapping[str, str], space: str
) -> tuple[list[IndexPoint], set[str], set[str], set[str]]:
    """The exported images, or the faces of a photo set, with the spaces of their vectors."""
    store = stores.tables
    columns = ("face_id", "frame_idx", "person_id", "quality_score")
    exported = (
        exported_rows(store, asset, video_id, _read(store, asset, video_id)).select(
            *columns, set=pl.lit(asset.removesuffix("_set"))
        )
        for asset in SET_ASSETS
    )
    sets = pl.concat([*exported, _chosen_faces(store, video_id).select(*columns, "set")])
    witnesses, of_moments, vision, tracks = (_read(store, asset, video_id) for asset in FACE_TABLES)
    faces = all_embeddings(witnesses, of_moments)
    head_id = head_of_space(space)
    if head_id is not None:
        faces = projected(faces, stores.heads.load(head_id), space)
    seen = vision.select(
        "face_id", *VISION, vision_space="space", body_space=pl.coalesce("body_space", "space")
    )
    rows = (
        sets.join(faces.select("face_id", IDENTITY, "space"), on="face_id", how="inner")
        .join(seen, on="face_id", how="left")
        .join(tracks.select("face_id", "track_id"), on="face_id", how="left")
        .sort("face_id")
    )
    points = [_image(video_id, row, people) for row in rows.iter_rows(named=True)]
    spaces = (rows[name].drop_nulls() for name in ("space", "vision_space", "body_space"))
    identity, face, body = (set(column.to_list()) for column in spaces)
    return points, identity, face, body


def _chosen_faces(store: TableStore, set_id: str) -> pl.DataFrame:
    """The faces of a photo set that are its person; none of a ride."""
    chosen = _read(store, CHOSEN, set_id).drop_nulls("face_id").select("face_id", "frame_idx")
    if not chosen.height:  # what else a ride has need not be readable here
        return chosen.with_columns(
            person_id=pl.lit(None, pl.Int64),
            quality_score=pl.lit(None, pl.Float32),
            set=pl.lit(None, pl.String),
        )
    quality = _read(store, "face_quality", set_id).select("face_id", "quality_score")
    return chosen.join(quality, on="face_id", how="left").with_columns(
        person_id=pl.lit(0, pl.Int64), set=pl.lit("photo")
    )


def _image(video_id: str, row: Mapping[str, Any], people: Mapping[str, str]) -> IndexPoint:
    track = row["track_id"]
    return IndexPoint(
        kind=IMAGE,
        subject=f"face:{video_id}:{row['face_id']}",
        video_id=video_id,
        track_id=track,
        frame_idx=row["frame_idx"],
        face_id=row["face_id"],
        rider=row["person_id"],
        quality=row["quality_score"],
        person_id=None if track is None else people.get(track_key(video_id, track)),
        set=row["set"],
        vectors={n: _vector(row[n]) for n in (IDENTITY, *VISION) if row[n] is not None},
    )


def _vector(values: list[float]) -> Vector:
    return np.asarray(values, dtype=np.float32)


def _one(spaces: set[str], video_id: str, what: str) -> str | None:
    if len(spaces) > 1:
        raise MixedSpacesError(
            f"the tables of {video_id} hold {what} vectors of {', '.join(sorted(spaces))}; "
            "process the video again with one model."
        )
    return next(iter(spaces), None)
