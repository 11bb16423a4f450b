"""The open index: reading and writing points through whichever Qdrant client it is.

One collection per recognition space and vision encoders with the named vectors `e_id`, `e_vis_face`
and `e_vis_body`. Track templates and exemplars have `e_id` only; exported images have all three.
The collection's metadata says the spaces its vectors come from; vectors of another space never
get in. While a library goes over to another encoder, video by video, there are two collections.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from identity_pipeline.core.vectors import check_unit
from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.settings import IndexSettings
from identity_pipeline.storage.files import atomic
from identity_pipeline.storage.index.points import (
    BODY,
    COLLECTION_PREFIX,
    EXEMPLAR,
    IDENTITY,
    IMAGE,
    TEMPLATE,
    Kind,
    MixedSpacesError,
    Payload,
    VectorName,
    VideoPoints,
    checksum,
    collection_name,
    digest,
    encoders,
)
from identity_pipeline.storage.layout import check_video_id

if TYPE_CHECKING:
    from qdrant_client import QdrantClient, models

PAGE: Final = 5000
ALL_KINDS: Final[tuple[Kind, ...]] = (TEMPLATE, EXEMPLAR, IMAGE)


class ReadOnlyIndexError(IdentityPipelineError, RuntimeError):
    """A write into an index that was opened to be read: it would be lost."""


@dataclass(frozen=True)
class Collection:
    """A collection: its name, the spaces of its vectors, their lengths, and its points.

    `body_space` is null where bodies are seen by the encoder of the faces.
    """

    name: str
    space: str
    vision_space: str | None
    dimensions: dict[str, int]
    count: int
    body_space: str | None = None

    @property
    def encoders(self) -> str | None:
        """See `points.encoders`."""
        return encoders(self.vision_space, self.body_space)

    def space_of(self, vector: VectorName) -> str | None:
        """The space of one of the named vectors."""
        if vector == IDENTITY:
            return self.space
        return (self.body_space if vector == BODY else None) or self.vision_space


@dataclass(frozen=True)
class Replaced:
    """What writing a video did, in points."""

    written: int
    removed: int
    unchanged: int


@dataclass(frozen=True)
class VideoState:
    """What the index holds of a video: points, and a checksum that knows no order."""

    count: int
    checksum: str


@dataclass(frozen=True)
class Filter:
    """What a hit must be; an empty field asks for nothing.

    Attributes:
        kinds: kinds of points.
        sets: image sets.
        video_ids: only these videos.
        without_videos: none of these videos.
        person_ids: only these people.
        labelled: true: only points with a person; false: only those without.
        quality_min: smallest quality score.
    """

    kinds: Sequence[Kind] = ()
    sets: Sequence[str] = ()
    video_ids: Sequence[str] = ()
    without_videos: Sequence[str] = ()
    person_ids: Sequence[str] = ()
    labelled: bool | None = None
    quality_min: float | None = None


@dataclass(frozen=True)
class Hit(Payload):
    """A point that was found; `score` is the cosine."""

    score: float


def to_qdrant(where: Filter) -> models.Filter:
    """The filter in Qdrant's words."""
    from qdrant_client import models

    def among(key: str, values: Sequence[str]) -> models.FieldCondition:
        return models.FieldCondition(key=key, match=models.MatchAny(any=list(values)))

    fields = {
        "kind": where.kinds,
        "set": where.sets,
        "video_id": where.video_ids,
        "person_id": where.person_ids,
    }
    must: list[models.Condition] = [among(key, values) for key, values in fields.items() if values]
    must_not: list[models.Condition] = []
    if where.without_videos:
        must_not.append(among("video_id", where.without_videos))
    if where.labelled is not None:
        no_person = models.IsNullCondition(is_null=models.PayloadField(key="person_id"))
        (must_not if where.labelled else must).append(no_person)
    if where.quality_min is not None:
        must.append(models.FieldCondition(key="quality", range=models.Range(gte=where.quality_min)))
    return models.Filter(must=must or None, must_not=must_not or None)


@dataclass
class OpenIndex:
    """The index while it is open; see `VectorIndex.open`."""

    client: QdrantClient
    markers: Path
    settings: IndexSettings
    write: bool = True
    _ready: dict[tuple[str, str | None, str | None], Collection] = field(default_factory=dict)
    _finished: list[Path] = field(default_factory=list)

    def collections(self) -> list[Collection]:
        """Our collections, sorted by name; others on the same server are left alone."""
        names = sorted(c.name for c in self.client.get_collections().collections)
        return [self._facts(name) for name in names if name.startswith(COLLECTION_PREFIX)]

    def _facts(self, name: str) -> Collection:
        info = self.client.get_collection(name)
        notes = info.config.metadata or {}
        vectors = info.config.params.vectors
        dimensions = {n: v.size for n, v in vectors.items()} if isinstance(vectors, dict) else {}
        count = self.client.count(name).count
        spaces = notes["space"], notes.get("vision_space")
        return Collection(name, *spaces, dimensions, count, notes.get("body_space"))

    def replace(self, video: VideoPoints, kinds: Sequence[Kind] = ALL_KINDS) -> Replaced:
        """Makes the index hold exactly these points of the given kinds of a video.

        Points that are equal already are not written; those of the video that are no longer there,
        or lie in another collection, are removed.
        """
        collection = self._collection_for(video)
        target = collection.name if collection else None
        with self._unfinished(video.video_id):
            chosen = to_qdrant(Filter(kinds=kinds, video_ids=[video.video_id]))
            removed = self._remove(chosen, but=target)
            if collection is None or target is None:
                return Replaced(0, removed, 0)
            seen_by = collection.encoders
            found = {str(p.id): _digest(p, seen_by) for p in self._points(target, chosen)}
            wanted = video.digests()
            gone = sorted(found.keys() - wanted.keys())
            if gone:
                self.client.delete(target, points_selector=list(gone))
            changed = {id_ for id_, value in wanted.items() if found.get(id_) != value}
            self._upsert(target, video, changed)
            return Replaced(len(changed), removed + len(gone), len(wanted) - len(changed))

    def insert(self, video: VideoPoints) -> None:
        """Writes a video's points into an index that has none of it, without looking."""
        collection = self._collection_for(video)
        if collection is not None:
            self._upsert(collection.name, video, video.digests().keys())

    def forget(self, video_id: str) -> int:
        """Removes all points of a video and says how many there were."""
        self._check_writable()
        chosen = to_qdrant(Filter(video_ids=[video_id]))
        with self._unfinished(video_id):
            return self._remove(chosen)

    def search(
        self,
        space: str,
        vector: NDArray[np.floating],
        limit: int = 10,
        where: Filter | None = None,
        using: VectorName = IDENTITY,
    ) -> list[Hit]:
        """The nearest points, best first, equal scores in the order of their subjects.

        Args:
            space: key of the vector's space: of the recogniser for `e_id`, else of its encoder.
            vector: (D,) of unit length.
            limit: at most so many.
            where: what a hit must be.
            using: which of the named vectors to compare with.

        Raises:
            MixedSpacesError: the index has points, but none in this space.
            NotUnitNormError: the vector is not of unit length.
        """
        query = check_unit(np.asarray(vector)[None], "query")[0]
        hits: list[Hit] = []
        for name in self._searched(space, using):
            found = self.client.query_points(
                name,
                query=query.tolist(),
                using=using,
                limit=limit,
                query_filter=to_qdrant(where or Filter()),
            ).points
            hits += [Hit(**(point.payload or {}), score=point.score) for point in found]
        return sorted(hits, key=lambda hit: (-hit.score, hit.subject))[:limit]

    def _searched(self, space: str, using: VectorName) -> list[str]:
        """Names of the collections with vectors of a space; none where the index is empty.

        Raises:
            MixedSpacesError: the index has points, but none in this space.
        """
        held = {c.name: c.space_of(using) for c in self.collections() if c.count}
        fitting = [name for name, own in held.items() if own == space]
        if held and not fitting:
            raise MixedSpacesError(
                f"the index holds {using} of {', '.join(sorted(set(map(str, held.values()))))}, "
                f"and the query is of {space}; vectors of two models say nothing about each other. "
                "Process the videos with the model of the query, or query with the model of the "
                "index."
            )
        return fitting

    def contents(
        self, progress: Callable[[int], None] = lambda done: None
    ) -> dict[str, VideoState]:
        """What the index holds of every video; reads all points."""
        digests: dict[str, list[str]] = {}
        done = 0
        for collection in self.collections():
            for point in self._points(collection.name, None):
                value = _digest(point, collection.encoders)
                digests.setdefault(point.payload["video_id"], []).append(value)
                done += 1
                progress(done)
        return {v: VideoState(len(d), checksum(d)) for v, d in sorted(digests.items())}

    def drop_snapshots(self) -> None:
        """Removes the copies of our collections that a server keeps; it makes none by itself."""
        self._check_writable()
        for collection in self.collections():
            for snapshot in self.client.list_snapshots(collection.name):
                self.client.delete_snapshot(collection.name, snapshot.name, wait=True)

    def snapshots_of_the_server(self) -> int:
        """Copies of everything that a server holds, ours and what others keep there."""
        return len(self.client.list_full_snapshots())

    def settle(self) -> None:
        """Takes the markers of finished videos away; the files are on the disk by then."""
        for path in self._finished:
            path.unlink(missing_ok=True)

    # -- inside ---------------------------------------------------------------------------------

    def _check_writable(self) -> None:
        if not self.write:
            raise ReadOnlyIndexError("the index was opened to be read; open it with write=True")

    @contextmanager
    def _unfinished(self, video_id: str) -> Iterator[None]:
        marker = self.markers / check_video_id(video_id)
        atomic.write_bytes(marker, b"")
        yield
        self._finished.append(marker)

    def _collection_for(self, video: VideoPoints) -> Collection | None:
        """The collection of a video's spaces, made and given its vectors when needed.

        Raises:
            ReadOnlyIndexError: the index was opened without `write`.
        """
        from qdrant_client import models

        self._check_writable()
        if video.space is None:
            return None
        spaces = video.space, video.vision_space, video.body_space
        dimensions = video.dimensions()
        have = self._ready.get(spaces) or self._fitting(*spaces)
        if have is None:
            have = self._new_collection(*spaces, dimensions)
        if have.vision_space is None and video.vision_space is not None:
            metadata = {"vision_space": video.vision_space, "body_space": video.body_space}
            self.client.update_collection(have.name, metadata=metadata)
            have = self._facts(have.name)
        for vector in sorted(dimensions.keys() - have.dimensions.keys()):
            dense = models.DenseVectorConfig(size=dimensions[vector], distance=models.Distance.DOT)
            self.client.create_vector_name(
                have.name, vector, models.DenseVectorNameConfig(dense=dense), wait=True
            )
            have = self._facts(have.name)
        self._ready[spaces] = have
        return have

    def _fitting(
        self, space: str, vision_space: str | None, body_space: str | None
    ) -> Collection | None:
        """A collection of these spaces, or one of the recogniser that has no encoder yet.

        Points without vision vectors fit into any of their recogniser.
        """
        own = [c for c in self.collections() if c.space == space]
        if vision_space is None:
            return next(iter(own), None)
        by_encoders = {c.encoders: c for c in reversed(own)}
        return by_encoders.get(encoders(vision_space, body_space)) or by_encoders.get(None)

    def _new_collection(
        self,
        space: str,
        vision_space: str | None,
        body_space: str | None,
        dimensions: Mapping[Any, int],
    ) -> Collection:
        from qdrant_client import models

        name = collection_name(space)
        if self.client.collection_exists(name):  # with vectors of another encoder
            name = collection_name(space, encoders(vision_space, body_space))
        self.client.create_collection(
            name,
            vectors_config={
                str(vector): models.VectorParams(size=size, distance=models.Distance.DOT)
                for vector, size in sorted(dimensions.items())
            },
            metadata={"space": space, "vision_space": vision_space, "body_space": body_space},
        )
        return self._facts(name)

    def _upsert(self, name: str, video: VideoPoints, wanted: Iterable[str]) -> None:
        from qdrant_client import models

        chosen = set(wanted)
        structs = [
            models.PointStruct(
                id=id_,
                vector={str(n): v.tolist() for n, v in point.vectors.items()},
                payload=point.payload(),
            )
            for point in video.points
            if (id_ := point.point_id(str(video.space))) in chosen
        ]
        for start in range(0, len(structs), self.settings.batch):
            self.client.upsert(name, points=structs[start : start + self.settings.batch], wait=True)

    def _remove(self, chosen: Any, but: str | None = None) -> int:
        """Removes points from all collections but one and says how many there were."""
        counts = {c.name: self._count(c.name, chosen) for c in self.collections() if c.name != but}
        for name in (n for n, count in counts.items() if count):
            self.client.delete(name, points_selector=chosen)
        return sum(counts.values())

    def _count(self, name: str, chosen: Any) -> int:
        return self.client.count(name, count_filter=chosen, exact=True).count

    def everything(self) -> Iterator[tuple[str, dict[str, Any], Mapping[str, Sequence[float]]]]:
        """Collection, payload and vectors of every point, as they are stored."""
        for collection in self.collections():
            for point in self._points(collection.name, None):
                yield collection.name, point.payload or {}, point.vector or {}

    def _points(self, name: str, chosen: Any) -> Iterator[Any]:
        offset = None
        while True:
            points, offset = self.client.scroll(
                name, scroll_filter=chosen, limit=PAGE, offset=offset, with_vectors=True
            )
            yield from points
            if offset is None:
                return


def _digest(point: Any, seen_by: str | None) -> str:
    return digest(str(point.id), point.payload or {}, point.vector or {}, seen_by)
