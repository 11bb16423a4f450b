"""The vector index, and how somebody's points go out of it so that no byte of them stays.

What belongs here: emptying and refilling the index, at rest and in a server. What does not: the
points of a video (`library.indexing`), and looking for what is left (`scanning`).

A Qdrant server only marks a point as deleted: its vector stays in the segment and in the log of
writes until the server optimises it, which it does from a fifth of deleted points on. Deleting a
whole collection removes its files. So every collection is deleted and filled anew from the tables,
which have nothing of the forgotten by then. The index at rest is one file, which is replaced.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from identity_pipeline.settings import Settings
from identity_pipeline.stages.library.indexing import (
    Known,
    indexed_videos,
    known_in_force,
    points_of_video,
    sources_of,
)
from identity_pipeline.stages.library.spaces import head_of_space
from identity_pipeline.stages.privacy.footprint import Footprint
from identity_pipeline.stages.privacy.receipts import Removed, Unreached
from identity_pipeline.stages.progress.protocol import Progress, silent
from identity_pipeline.stages.specs.damage import PassedOver
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.index.client import IndexDamagedError, IndexPlace
from identity_pipeline.storage.index.points import VideoPoints
from identity_pipeline.storage.index.vector_index import Sources, VectorIndex

FLOAT_BYTES = 4


def erase_indexed(
    stores: LibraryStores, settings: Settings, footprint: Footprint, progress: Progress = silent
) -> list[Removed]:
    """Makes every index anew from the tables: the one at rest, and the server's where there is one.

    It is done also where no point of theirs is found, for one may be marked as deleted. Called
    after the tables are without them. What cannot be read of a video is left out, as elsewhere.

    Args:
        stores: of the data folder.
        settings: all settings.
        footprint: what goes.
        progress: told of points and videos.

    Raises:
        LockBusyError, IndexUnreachableError: the index cannot be opened; asking again goes on.
        MixedSpacesError: the tables of a video are of different embedding spaces.
    """
    sources, removed = _sources(stores, footprint), []
    for index in indexes(stores, settings):
        gone = _Gone(footprint)
        try:
            with index.open("looking for what is to go") as session:
                for n, (_, payload, vectors) in enumerate(session.everything(), 1):
                    gone.look(payload, vectors)
                    progress("points", n, None, "points")
        except IndexDamagedError:  # it is replaced without being read
            pass
        if index.place.url is not None:
            with index.open("removing snapshots of the index", write=True) as session:
                session.drop_snapshots()
        index.rebuild(sources, lambda done, total: progress("index", done, total, "videos"))
        removed += gone.removed(index.place)
    return removed


def indexes(stores: LibraryStores, settings: Settings) -> Iterator[VectorIndex]:
    """The index at rest where there is one, also beside a server that is used instead of it."""
    used = stores.index(settings)
    at_rest = replace(used, place=IndexPlace(used.place.folder))
    if at_rest.place.store.exists():
        yield at_rest
    if used.place.url is not None:
        yield used


def unreached_in_index(stores: LibraryStores, settings: Settings) -> Iterator[Unreached]:
    """What a server may hold still of collections that were deleted, in sentences."""
    for index in indexes(stores, settings):
        if index.place.url is None:
            continue
        yield Unreached(
            "the disk of the Qdrant server",
            "its collections were deleted and made anew, which removes their files there; that "
            "can be asked of the server, not seen from here",
        )
        with index.open("listing snapshots of the server") as session:
            count = session.snapshots_of_the_server()
        if count:
            yield Unreached(
                f"{count} snapshots of the whole Qdrant server",
                "they are backups of whoever runs it, and hold the points as they were; "
                "to be deleted there",
            )


@dataclass
class _Gone:
    """Points of theirs, and the bytes of their vectors."""

    footprint: Footprint
    points: int = 0
    bytes: int = 0

    def __post_init__(self) -> None:
        self._faces = {v: {f.face_id for f in own} for v, own in self.footprint.faces.items()}
        self._tracks, self._whole = {*self.footprint.subjects}, {*self.footprint.whole}

    def look(self, payload: Mapping[str, Any], vectors: Mapping[str, Any]) -> None:
        """Counts a point that is theirs."""
        video = payload.get("video_id", "")
        if (
            video in self._whole
            or payload.get("subject") in self._tracks
            or payload.get("face_id") in self._faces.get(video, ())
        ):
            self.points += 1
            self.bytes += sum(FLOAT_BYTES * len(vector) for vector in vectors.values())

    def removed(self, place: IndexPlace) -> list[Removed]:
        """As the receipt says it."""
        name = "vector index" if place.url is None else "vector index (server)"
        return [Removed(name, "biometric", self.points, self.bytes, "rewritten")]


def _sources(stores: LibraryStores, footprint: Footprint) -> Sources:
    """The tables, under no name of theirs; videos that cannot be read have no points."""
    known, passed_over, gone = _known(stores, footprint), PassedOver(), {*footprint.whole}

    def points_of(video_id: str) -> VideoPoints:
        with passed_over.reading(video_id):
            return points_of_video(stores, video_id, known)
        return VideoPoints(video_id, None, None, ())

    def videos() -> list[str]:
        return [video for video in indexed_videos(stores.tables) if video not in gone]

    return replace(sources_of(stores), videos=videos, points_of=points_of)


def _known(stores: LibraryStores, footprint: Footprint) -> Known:
    """Of the generation in force, without them; of a head that goes, its space is nobody's."""
    known = known_in_force(stores)
    people = {key: who for key, who in known.people.items() if who not in footprint.person_ids}
    goes = head_of_space(known.space) in footprint.heads
    return Known(people, "" if goes else known.space)
