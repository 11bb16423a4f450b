"""Which Qdrant it is, and how the embedded one is opened safely.

The embedded client allows one process at a time, reads its whole folder into memory when it opens,
and keeps each point as a *pickle* in SQLite; qdrant-client 1.20 offers no other format. Nothing of
ours is pickled, and the index is a cache that `identity-pipeline index rebuild` makes anew from the
tables. Yet a pickle can run code when it is read, so before the client sees the folder every stored
point is read by an unpickler that knows inert data and the client's own point type only; anything
else is refused. A server (QDRANT_URL) has no pickles.
"""

from __future__ import annotations

import io
import os
import pickle  # noqa: TID251  the embedded client's format; see above
import shutil
import sqlite3
import uuid
import warnings
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from identity_pipeline.storage import atomic
from identity_pipeline.storage.layout import Layout

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

URL_VARIABLE = "QDRANT_URL"
KEY_VARIABLE = "QDRANT_API_KEY"
REBUILD = "`identity-pipeline index rebuild` makes it anew from the tables."
POINT_TYPE = ("qdrant_client.http.models.models", "PointStruct")
STORE_PREFIX = "store-"
UNREADABLE = (sqlite3.DatabaseError, ValueError, KeyError, TypeError, EOFError)
"""What reading a torn or foreign store raises."""
TOO_LARGE = "Local mode is not recommended"


class IndexDamagedError(RuntimeError):
    """The embedded index cannot be read, or holds what no index of ours holds."""


class IndexUnreachableError(RuntimeError):
    """The server does not answer, or another program has the embedded folder open."""


@dataclass(frozen=True)
class IndexPlace:
    """Where the index is: a server when `QDRANT_URL` is set, else below the data folder.

    Attributes:
        folder: `data/index`: the embedded store, the lock, the markers of unfinished videos.
        url: the server.
        api_key: its key; never shown.
    """

    folder: Path
    url: str | None = None
    api_key: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, layout: Layout, environment: Mapping[str, str] = os.environ) -> IndexPlace:
        """The place that the environment names."""
        url = environment.get(URL_VARIABLE) or None
        return cls(layout.index, url, (environment.get(KEY_VARIABLE) or None) if url else None)

    @property
    def store(self) -> Path:
        """The embedded client's folder."""
        return self.folder / "qdrant"

    @property
    def lock(self) -> Path:
        """The lock of the embedded client's folder, and of all writers."""
        return self.folder / "qdrant.lock"

    @property
    def markers(self) -> Path:
        """One file per video whose points are being written."""
        return self.folder / "unfinished"

    def __str__(self) -> str:
        """For people; without the key."""
        return f"server {self.url}" if self.url else f"embedded in {self.store}"


@contextmanager
def new_store(place: IndexPlace) -> Iterator[Path]:
    """A folder to fill with a store that takes the old one's place when the block ends well.

    `data/index/qdrant` is a link, and changing it is one rename: a reader, and a kill at any
    moment, finds the old store or the new one. The caller holds the lock when the block ends.
    """
    place.folder.mkdir(parents=True, exist_ok=True)
    target = place.folder / f"{STORE_PREFIX}{uuid.uuid4().hex[:8]}"
    with atomic.new_folder(target) as folder:
        yield folder
    if place.store.is_dir() and not place.store.is_symlink():  # a copy that followed the link
        place.store.rename(place.folder / f"{STORE_PREFIX}copied")
    link = atomic.temporary_beside(place.store)
    link.symlink_to(target.name, target_is_directory=True)
    link.replace(place.store)
    atomic.flush(place.folder)
    for old in place.folder.glob(f"{STORE_PREFIX}*"):
        if old != target:
            shutil.rmtree(old, ignore_errors=True)


def ensure_store(place: IndexPlace) -> None:
    """Makes an empty store when there is none; the caller holds the lock."""
    if not place.store.exists():
        with new_store(place) as folder:
            _client(folder).close()


@contextmanager
def server(place: IndexPlace) -> Iterator[QdrantClient]:
    """A client of the server.

    Raises:
        IndexUnreachableError: it does not answer as it should.
    """
    from qdrant_client.http.exceptions import ApiException

    client = server_client(place)
    try:
        yield client
    except (ApiException, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise IndexUnreachableError(
            f"the Qdrant server at {place.url} did not do what was asked ({reason}); check "
            f"{URL_VARIABLE} and {KEY_VARIABLE}, or unset them to use the embedded index."
        ) from error
    finally:
        client.close()


def server_client(place: IndexPlace) -> QdrantClient:
    """A client of the server, not yet connected."""
    from qdrant_client import QdrantClient

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Api key is used with an insecure connection")
        return QdrantClient(url=place.url, api_key=place.api_key, check_compatibility=False)


@contextmanager
def embedded(folder: Path) -> Iterator[QdrantClient]:
    """The embedded client of a folder.

    The caller holds the lock. Commits are not flushed one by one (qdrant-client commits every
    point; of 256 numbers, 52 points a second were measured with flushing, 3400 without); the files
    are flushed when the block ends. A killed process loses nothing by that; a power cut may damage
    the file, which the next open says, and the markers tell which videos were being written.

    Raises:
        IndexDamagedError: it cannot be read.
        IndexUnreachableError: another program has it open.
    """
    _refuse_foreign_pickles(folder)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=TOO_LARGE)
        client = _client(folder)
        try:
            yield client
        finally:
            client.close()
            for path in sorted(folder.rglob("storage.sqlite")):
                atomic.flush(path)


def _client(folder: Path) -> QdrantClient:
    from qdrant_client import QdrantClient

    try:
        client = QdrantClient(path=str(folder))
    except RuntimeError as error:
        raise IndexUnreachableError(
            f"another program has {folder} open without this pipeline's lock; close it, then try "
            "again."
        ) from error
    except UNREADABLE as error:
        sentence = f"the index in {folder} cannot be read ({error}). {REBUILD}"
        raise IndexDamagedError(sentence) from error
    return client


def defer_flushing(client: QdrantClient) -> None:
    """Lets the embedded client commit without a flush per point; nothing for a server."""
    local: Any = client._client
    for collection in getattr(local, "collections", {}).values():
        collection.storage.storage.execute("PRAGMA synchronous=OFF")


def _refuse_foreign_pickles(folder: Path) -> None:
    for path in sorted(folder.rglob("storage.sqlite")):
        try:
            with closing(sqlite3.connect(path)) as database:
                database.execute("CREATE TABLE IF NOT EXISTS points (id TEXT PRIMARY KEY, point)")
                for (value,) in database.execute("SELECT point FROM points"):
                    _OnlyPoints(io.BytesIO(value)).load()
        except (*UNREADABLE, pickle.UnpicklingError) as error:
            raise IndexDamagedError(f"{path} cannot be read ({error}). {REBUILD}") from error


class _Inert:
    """Stands for a stored point: takes its fields and does nothing."""

    def __setstate__(self, state: object) -> None:
        del state


class _OnlyPoints(pickle.Unpickler):
    """Reads pickles of plain data and of the client's points, and refuses all others."""

    def find_class(self, module_name: str, global_name: str, /) -> type:
        if (module_name, global_name) != POINT_TYPE:
            raise IndexDamagedError(
                f"the index holds a pickle of {module_name}.{global_name}, which no index of ours "
                f"does; it was not opened. {REBUILD}"
            )
        return _Inert
