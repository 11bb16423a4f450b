"""The vector index: what is searched (track templates, exemplars, exported images) in Qdrant.

The index is a cache: everything in it comes from the tables, and `rebuild` makes it anew. Writing
is per video and idempotent. A marker file stands from before the first to after the last write of
a video, so a killed writer is known, and the next write of that video mends it. The embedded index
is opened briefly under a lock between processes; on a server, only writers take the lock, which
orders those of one machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field

from identity_pipeline.settings import IndexSettings
from identity_pipeline.storage.files import atomic, locks
from identity_pipeline.storage.index import client as index_client
from identity_pipeline.storage.index.client import IndexPlace
from identity_pipeline.storage.index.points import MixedSpacesError, VideoPoints
from identity_pipeline.storage.index.session import OpenIndex


@dataclass(frozen=True)
class Sources:
    """Where a rebuild takes the points from.

    Attributes:
        videos: ids of all videos; the first with vision vectors decides the encoder of its space.
        points_of: the points of one video.
        version_of: changes whenever the points of a video may have changed.
    """

    videos: Callable[[], Sequence[str]]
    points_of: Callable[[str], VideoPoints]
    version_of: Callable[[str], str]


@dataclass
class Rebuilt:
    """What a rebuild did: points and videos that are in, and the sentences of those refused."""

    points: int = 0
    videos: int = 0
    refused: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class VectorIndex:
    """The index at a place.

    Attributes:
        place: embedded folder or server.
        settings: the group `index`.
    """

    place: IndexPlace
    settings: IndexSettings

    @contextmanager
    def open(self, purpose: str, *, write: bool = False) -> Iterator[OpenIndex]:
        """Opens the index for the length of the block; keep it short.

        Args:
            purpose: what for, in the words that another process that waits will read.
            write: whether the block may write.

        Raises:
            LockBusyError: another process had it open for longer than `index.lock_wait_s`.
            IndexDamagedError: the embedded index cannot be read.
            IndexUnreachableError: the server does not answer.
        """
        with ExitStack() as stack:
            if self.place.url is None:
                stack.enter_context(self._locked(purpose))
                index_client.ensure_store(self.place)
                opened = index_client.embedded(self.place.store, write=write)
            else:
                if write:
                    stack.enter_context(self._locked(purpose))
                opened = index_client.server(self.place)
            with self._session(opened, write) as session:
                yield session

    def unfinished(self) -> list[str]:
        """Videos whose points were being written when the writer died, or are being written now."""
        if not self.place.markers.is_dir():
            return []
        paths = self.place.markers.iterdir()
        return sorted(path.name for path in paths if not atomic.is_temporary(path))

    def rebuild(
        self, sources: Sources, progress: Callable[[int, int], None] = lambda done, total: None
    ) -> Rebuilt:
        """Makes the whole index anew from the tables.

        The embedded one is built beside, while the old one stays in use; then, under the lock,
        videos whose tables changed meanwhile are done again, and a link is switched to the new
        store. On a server the collections are emptied and filled again, and searches meanwhile see
        a part of them.

        Args:
            sources: where the points come from.
            progress: called with videos done and in all.

        Raises:
            LockBusyError: another process had the index open for longer than `index.lock_wait_s`.
        """
        if self.place.url is not None:
            return self._refill(sources, progress)
        built, done = Rebuilt(), {}
        with ExitStack() as held:
            with index_client.new_store(self.place) as folder:
                with self._session(index_client.embedded(folder, write=True)) as session:
                    done = _fill(session, sources, built, progress)
                held.enter_context(self._locked("rebuilding the index"))
                with self._session(index_client.embedded(folder, write=True)) as session:
                    _catch_up(session, sources, done, built)
                    built.points = sum(c.count for c in session.collections())
            self._clear_markers()
        return built

    def _refill(self, sources: Sources, progress: Callable[[int, int], None]) -> Rebuilt:
        built = Rebuilt()
        with self.open("rebuilding the index", write=True) as session:
            for collection in session.collections():
                session.client.delete_collection(collection.name)
            _fill(session, sources, built, progress)
            built.points = sum(c.count for c in session.collections())
            self._clear_markers()
        return built

    def _clear_markers(self) -> None:
        for video_id in self.unfinished():
            (self.place.markers / video_id).unlink(missing_ok=True)

    def _locked(self, purpose: str) -> AbstractContextManager[None]:
        return locks.exclusive(
            self.place.lock, "The vector index", purpose, self.settings.lock_wait_s
        )

    @contextmanager
    def _session(self, opened: AbstractContextManager, write: bool = True) -> Iterator[OpenIndex]:
        with opened as client:
            session = OpenIndex(client, self.place.markers, self.settings, write)
            yield session
        session.settle()  # what was written is on the disk by now


def _fill(
    session: OpenIndex,
    sources: Sources,
    built: Rebuilt,
    progress: Callable[[int, int], None],
) -> dict[str, str]:
    """Writes all videos into an empty index and returns the version of each."""
    videos, done = sources.videos(), {}
    for n, video_id in enumerate(videos, start=1):
        done[video_id] = sources.version_of(video_id)
        try:
            session.insert(sources.points_of(video_id))
            built.videos += 1
        except MixedSpacesError as error:
            built.refused[video_id] = str(error)
        progress(n, len(videos))
    return done


def _catch_up(session: OpenIndex, sources: Sources, done: dict[str, str], built: Rebuilt) -> None:
    """Does videos again whose tables changed since, and forgets those that are gone."""
    videos = sources.videos()
    for video_id in videos:
        if sources.version_of(video_id) != done.get(video_id):
            try:
                session.replace(sources.points_of(video_id))
                built.videos += video_id not in done
            except MixedSpacesError as error:
                built.refused[video_id] = str(error)
    for video_id in sorted(done.keys() - set(videos)):
        session.forget(video_id)
