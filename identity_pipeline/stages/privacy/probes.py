"""What somebody is known again by in raw bytes: pieces of their vectors, crops and files; names.

What belongs here: whom to look for, and taking probes of them while they are still there. What does
not: looking for the probes (`stages.privacy.scanning`). Probes are personal data: they are held in
memory, or in a journal that goes with the forgetting.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from identity_pipeline.core.privacy.needles import pieces
from identity_pipeline.core.vectors import UNIT_TOLERANCE
from identity_pipeline.ledger import subjects
from identity_pipeline.ledger.events import name_key
from identity_pipeline.stages.privacy.footprint import Footprint
from identity_pipeline.stages.privacy.provenance import pictures_of
from identity_pipeline.storage.files.inbox import slug
from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.photos.photo_sets import PREFIX
from identity_pipeline.storage.video.crop_archive import CropArchive

if TYPE_CHECKING:
    from identity_pipeline.stages.stores import LibraryStores
    from identity_pipeline.storage.layout import Layout

EMBEDDING, CROP, PIXELS, FILE = "vector", "crop JPEG", "aligned pixels", "file"
NAME, NAMED_FILE = "name", "list of files"
KINDS: Final = (EMBEDDING, CROP, PIXELS, FILE, NAME, NAMED_FILE)
"""What is looked for."""
SHORTEST: Final = 64
"""Numbers of a list that is taken for an embedding; shorter ones are boxes, points and light."""
VECTORS_MOST: Final = 20_000
BLOBS_MOST: Final = 10_000
"""Probes of a kind; of more, as many are taken from all over (chosen: 20 MB of pieces)."""
PRECISIONS: Final = (("float32", "<f4", 3), ("float16", "<f2", 2), ("float64", "<f8", 2))
"""How a vector may be written: name, type, and pieces that are looked for."""
CONTROL_FACES: Final = 12
"""Faces of one track that stand for everybody who stays (chosen)."""
WHOLE_FILE: Final = 2**20
"""Bytes from the middle of a large file of which its pieces are taken."""


@dataclass(frozen=True)
class Sought:
    """Whom to look for.

    Attributes:
        person_ids: of the library, with those who were merged into one.
        names: that they ever had.
        faces: video or photo set -> ids of their faces.
        tracks: video -> numbers of their tracks.
        files: that show them and are to go, each by itself: exported pictures, sheets, photographs.
    """

    person_ids: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    faces: Mapping[str, Collection[str]] = field(default_factory=dict)
    tracks: Mapping[str, Collection[int]] = field(default_factory=dict)
    files: tuple[Path, ...] = ()


def sought_of(layout: Layout, footprint: Footprint) -> Sought:
    """Whom to look for after a forgetting; while all of it is still there."""
    faces = {video: [f.face_id for f in found] for video, found in footprint.faces.items()}
    tracks: dict[str, list[int]] = {}
    for track in footprint.tracks:
        tracks.setdefault(track.video_id, []).append(track.track_id)
    pictures = (*pictures_of(layout, faces, footprint.photo_sets), *map(Path, footprint.inbox))
    files = tuple(dict.fromkeys(path for path in pictures if path.suffix != ".txt"))
    return Sought(footprint.person_ids, footprint.names, faces, tracks, files)


@dataclass(frozen=True)
class Blob:
    """One vector, crop or file: what it is, and pieces of it by the form in which they lie."""

    kind: str
    pieces: tuple[tuple[str, bytes], ...]


@dataclass(frozen=True)
class Probes:
    """What is looked for.

    Attributes:
        blobs: vectors, crops and files.
        vectors: those of unit length by their length D, (N, D): found in whatever precision.
        names: as people write them.
        folders: how folders, files and ids that were made of a name begin.
        of: how many there were of each kind, where not all were taken.
    """

    blobs: tuple[Blob, ...] = ()
    vectors: Mapping[int, NDArray[np.float32]] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    of: Mapping[str, int] = field(default_factory=dict)

    def counts(self) -> dict[str, int]:
        """Probes by kind."""
        found: dict[str, int] = dict.fromkeys((EMBEDDING, CROP, PIXELS, FILE), 0)
        for blob in self.blobs:
            found[blob.kind] += 1
        return {**found, NAME: len(self.names)}

    def as_json(self) -> dict[str, Any]:
        """As it is kept while a forgetting is under way."""
        return {
            "blobs": [[b.kind, [[f, _encoded(p)] for f, p in b.pieces]] for b in self.blobs],
            "vectors": {str(d): _encoded(v.tobytes()) for d, v in self.vectors.items()},
            "names": list(self.names),
            "folders": list(self.folders),
            "of": dict(self.of),
        }

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Probes:
        """What `as_json` gave."""
        vectors = {
            int(d): np.frombuffer(base64.b64decode(v), "<f4").reshape(-1, int(d))
            for d, v in told["vectors"].items()
        }
        blobs = tuple(
            Blob(kind, tuple((form, base64.b64decode(piece)) for form, piece in found))
            for kind, found in told["blobs"]
        )
        return cls(blobs, vectors, tuple(told["names"]), tuple(told["folders"]), told["of"])


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def probes_of(stores: LibraryStores, sought: Sought) -> Probes:
    """Probes of somebody, from tables, crops, the library, heads and files; nothing is written.

    Args:
        stores: of the data folder; a table that cannot be read gives none.
        sought: whom, while they are still there.
    """
    vectors = _distinct(_vectors(stores, sought))
    pictures = list(_pictures(stores.layout, sought))
    kept, taken = _at_most(vectors, VECTORS_MOST), _at_most(pictures, BLOBS_MOST)
    of = {EMBEDDING: len(vectors)} if len(kept) < len(vectors) else {}
    if len(taken) < len(pictures):
        of |= Counter(blob.kind for blob in pictures)
    names = tuple(dict.fromkeys(name for name in sought.names if name.strip()))
    blobs = (*(vector_blob(vector) for vector in kept), *taken)
    return Probes(blobs, _units(kept), names, _folders(names, sought.person_ids), of)


def _units(vectors: Iterable[NDArray[np.float32]]) -> dict[int, NDArray[np.float32]]:
    """Those of unit length by how many numbers they are."""
    found: dict[int, list[NDArray[np.float32]]] = {}
    for vector in vectors:
        if abs(float(np.linalg.norm(vector)) - 1) <= UNIT_TOLERANCE:
            found.setdefault(len(vector), []).append(vector)
    return {length: np.stack(rows) for length, rows in found.items()}


def vector_blob(vector: NDArray[np.float32]) -> Blob:
    """Pieces of a vector in every precision in which it may be written."""
    found = [
        (form, piece)
        for form, dtype, count in PRECISIONS
        for piece in pieces(vector.astype(dtype).tobytes(), count)
    ]
    return Blob(EMBEDDING, tuple(found))


def picture_blob(kind: str, data: bytes, count: int) -> Blob:
    """Pieces of a picture's bytes; the first ones of a JPEG are the same in all."""
    start = len(data) // 4 if kind in (CROP, FILE) else 0
    return Blob(kind, tuple((kind, piece) for piece in pieces(data[start:], count)))


def _folders(names: Iterable[str], person_ids: Iterable[str]) -> tuple[str, ...]:
    """How what is called after a name begins: profiles and datasets, photo sets, pictures.

    Not the slug alone: in lower case many a name is a word like any other (`max`).
    """
    ids = [str(person_id)[:8] for person_id in person_ids]
    made: dict[str, None] = {}
    for name in names:
        own = slug(name, "")
        if own:
            made |= dict.fromkeys(f"{own}-{start}" for start in ids)
            made |= {f"{PREFIX}{own}-": None, f"{own}_0": None}
    return tuple(made)


def _at_most(found: Sequence[Any], most: int) -> list[Any]:
    if len(found) <= most:
        return list(found)
    return [found[i] for i in np.linspace(0, len(found) - 1, most).astype(int).tolist()]


def _distinct(vectors: Iterable[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
    return list({vector.tobytes(): vector for vector in vectors}.values())


def _vectors(stores: LibraryStores, sought: Sought) -> Iterator[NDArray[np.float32]]:
    heads = (stores.in_space(card.head_id) for card in stores.heads.cards())
    for outputs in (tables.outputs for tables in (stores.tables, *heads)):
        for video in sorted({*sought.faces, *sought.tracks}):
            for asset in outputs.assets(video):
                read = partial(outputs.read, asset, video)
                yield from _of_table(read, _rows_of(sought, video))
    for path in sorted(stores.layout.generations.glob("*/*.parquet")):
        yield from _of_table(path.read_bytes, _rows_of_people(sought))
    yield from _centres(stores, sought)


def _of_table(
    read: Callable[[], bytes], rows: Mapping[str, Collection[Any]]
) -> Iterator[NDArray[np.float32]]:
    """Vectors of the rows that have one of some values in a column."""
    try:
        data = BytesIO(read())
        schema = pl.read_parquet_schema(data)
        vectors = [name for name, dtype in schema.items() if _is_vectors(dtype)]
        keys = [name for name in rows if name in schema]
        if not vectors or not keys:
            return
        data.seek(0)
        table = pl.read_parquet(data, columns=[*keys, *vectors])
    except (pl.exceptions.PolarsError, OSError, DamagedFileError):
        return
    wanted = (_among(pl.col(key), list(rows[key]), schema[key]) for key in keys)
    table = table.filter(pl.any_horizontal(wanted))
    for name in vectors:
        yield from _embeddings(table[name])


def _is_vectors(dtype: pl.DataType) -> bool:
    return isinstance(dtype, pl.List) and dtype.inner.is_float()


def _among(column: pl.Expr, values: list[Any], dtype: pl.DataType) -> pl.Expr:
    return column.is_in(pl.Series(values, dtype=dtype).implode())


def _embeddings(column: pl.Series) -> Iterator[NDArray[np.float32]]:
    """The lists of a column that are long enough, and finite."""
    for values in column.drop_nulls().unique(maintain_order=True):
        vector = _float32(values)
        if len(vector) >= SHORTEST and np.isfinite(vector).all():
            yield vector


def _float32(values: Any) -> NDArray[np.float32]:
    return np.ascontiguousarray(values, dtype=np.float32)


def _rows_of(sought: Sought, video: str) -> dict[str, Collection[Any]]:
    faces, tracks = list(sought.faces.get(video, ())), list(sought.tracks.get(video, ()))
    keys = [subjects.track(video, number) for number in tracks]
    return {"face_id": faces, "best_face_id": faces, "track_id": tracks, "track_key": keys}


def _rows_of_people(sought: Sought) -> dict[str, Collection[Any]]:
    keys = [subjects.track(v, number) for v, tracks in sought.tracks.items() for number in tracks]
    return {"person_id": list(sought.person_ids), "reference": keys}


def _centres(stores: LibraryStores, sought: Sought) -> Iterator[NDArray[np.float32]]:
    """Centres of k-means heads of the people."""
    from identity_pipeline.errors import IdentityPipelineError

    for space in stores.kmeans_heads.spaces() if sought.person_ids else ():
        try:
            heads = stores.kmeans_heads.load(space).heads.people
        except IdentityPipelineError:
            continue
        for head in heads:
            if head.person_id in sought.person_ids:
                yield from (_float32(centre) for centre in head.centres)


def _pictures(layout: Layout, sought: Sought) -> Iterator[Blob]:
    for video, faces in sorted(sought.faces.items()):
        archive = CropArchive(layout.crops(video))
        try:
            for row in archive.rows(set(faces), ["aligned", "region_jpeg"]):
                for kind, column, count in ((PIXELS, "aligned", 3), (CROP, "region_jpeg", 4)):
                    if isinstance(data := row[column], bytes):
                        found = picture_blob(kind, data, count)
                        yield from [found] if found.pieces else []
        except (pl.exceptions.PolarsError, OSError, DamagedFileError):
            continue
    for path in sought.files:
        if path.is_file():
            yield picture_blob(FILE, _middle(path), 4)


def _middle(path: Path) -> bytes:
    """A file, or what lies in its middle."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        stream.seek(max(0, size // 2 - WHOLE_FILE // 2))
        return stream.read(WHOLE_FILE)


def control_of(stores: LibraryStores, sought: Sought) -> Probes:
    """Probes of somebody who stays, by which it is seen that a scan finds who is there.

    Another person of the library where there is one, else a track that nobody named; of videos that
    do not show whom is sought, where there are such.

    Args:
        stores: of the data folder.
        sought: who goes.

    Returns:
        Probes; without any where nobody stays.
    """
    state = stores.ledger.history().state
    gone = {name_key(name) for name in sought.names}
    for person_id, members in sorted(state.members.items()):
        person = state.people[person_id]
        if person_id in sought.person_ids or (person.name and name_key(person.name) in gone):
            continue
        found = _of_one(stores, sought, members)
        if found.faces:
            names = (person.name,) if person.name else ()
            return probes_of(stores, Sought((person_id,), names, found.faces, found.tracks))
    videos = sorted(stores.tables.videos_with("track_templates"), key=lambda v: v in sought.faces)
    for video in videos:
        found = _of_one(stores, sought, _tracks_in(stores, video))
        if found.faces:
            return probes_of(stores, found)
    return Probes()


def words_that_stay(stores: LibraryStores, sought: Sought, gone: Collection[str] = ()) -> set[str]:
    """Words in which a name may stand without being the person's: names of others, ids, files.

    Args:
        stores: of the data folder.
        sought: who goes.
        gone: videos and photo sets that go as a whole.
    """
    people = stores.ledger.history().state.people
    others = {p.name for person_id, p in people.items() if person_id not in sought.person_ids}
    videos = set(stores.videos.ids()) - set(gone)
    photos = set(stores.photos.ids()) - set(gone)
    paths = [
        Path(path)
        for record in stores.videos.readable(sorted(videos))
        for path in (record.path, *record.links)
    ]
    files = {path.name for path in paths} | {path.stem for path in paths}
    return {word for word in (*others, *videos, *photos, *files) if word}


def _tracks_in(stores: LibraryStores, video: str) -> list[str]:
    try:
        data = stores.tables.outputs.read("track_templates", video)
        return pl.read_parquet(data, columns=["track_key"])["track_key"].to_list()
    except (pl.exceptions.PolarsError, OSError, DamagedFileError):
        return []


def _of_one(stores: LibraryStores, sought: Sought, keys: Iterable[str]) -> Sought:
    """Some faces of the first of some tracks that is not sought, and lies elsewhere if any does."""
    known = [one for one in map(subjects.parse, keys) if one.kind == "track" and not one.lost]
    for one in sorted(known, key=lambda t: (t.video_id in sought.faces, t.video_id)):
        video, track = one.video_id, int(one.local_id)
        if track in sought.tracks.get(video, ()):
            continue
        gone = set(sought.faces.get(video, ()))
        faces = [face for face in _faces_of(stores, video, track) if face not in gone]
        if faces:
            some = _at_most(faces, CONTROL_FACES)
            return Sought(faces={video: some}, tracks={video: [track]})
    return Sought()


def _faces_of(stores: LibraryStores, video: str, track: int) -> list[str]:
    try:
        data = stores.tables.outputs.read("face_tracks", video)
        table = pl.read_parquet(data, columns=["face_id", "track_id"])
    except (pl.exceptions.PolarsError, OSError, DamagedFileError):
        return []
    return table.filter(pl.col("track_id") == track)["face_id"].sort().to_list()
