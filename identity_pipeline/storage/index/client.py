"""Which Qdrant it is, and how the embedded one is opened.

The embedded client lives in memory while the index is open and lies in one Parquet file between
(`index_file`). The index is a cache that `identity-pipeline index rebuild` makes anew from the
tables. A server is named by QDRANT_URL.
"""

from __future__ import annotations

import os
import shutil
import uuid
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from identity_pipeline.errors import IdentityPipelineError, without_secrets
from identity_pipeline.storage.files import atomic, private
from identity_pipeline.storage.index import file
from identity_pipeline.storage.layout import Layout

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

URL_VARIABLE = "QDRANT_URL"
KEY_VARIABLE = "QDRANT_API_KEY"
REBUILD = "`identity-pipeline index rebuild` makes it anew from the tables."
STORE_PREFIX = "store-"
UNREADABLE = (pl.exceptions.PolarsError, OSError, ValueError, KeyError, TypeError)
"""What reading a torn or foreign store raises."""
TOO_LARGE = "Local mode is not recommended"


class IndexDamagedError(IdentityPipelineError, RuntimeError):
    """The embedded index cannot be read."""


class IndexUnreachableError(IdentityPipelineError, ConnectionError):
    """The server does not answer."""


@dataclass(frozen=True)
class IndexPlace:
    """Where the index is: a server when `QDRANT_URL` is set, else below the data folder.

    Attributes:
        folder: `data/index`: the embedded store, the lock, the markers of unfinished videos.
        url: the server.
        api_key: its key; never shown.
    """

    folder: Path
    url: str | None = field(default=None, repr=False)
    api_key: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, layout: Layout, environment: Mapping[str, str] = os.environ) -> IndexPlace:
        """The place that the environment names."""
        url = environment.get(URL_VARIABLE) or None
        return cls(layout.index, url, (environment.get(KEY_VARIABLE) or None) if url else None)

    @property
    def store(self) -> Path:
        """Where the embedded index lies."""
        return self.folder / "qdrant"

    @property
    def lock(self) -> Path:
        """The lock of the embedded index, and of all writers."""
        return self.folder / "qdrant.lock"

    @property
    def markers(self) -> Path:
        """One file per video whose points are being written."""
        return self.folder / "unfinished"

    def __str__(self) -> str:
        """For people; without the key."""
        return f"server {without_secrets(self.url)}" if self.url else f"embedded in {self.store}"


@contextmanager
def new_store(place: IndexPlace) -> Iterator[Path]:
    """A folder to fill with a store that takes the old one's place when the block ends well.

    `data/index/qdrant` is a link, and changing it is one rename: a reader, and a kill at any
    moment, finds the old store or the new one. The caller holds the lock when the block ends.
    """
    private.make_folder(place.folder)
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
        with new_store(place) as folder, embedded(folder, write=True):
            pass


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
def embedded(folder: Path, *, write: bool) -> Iterator[QdrantClient]:
    """A client in memory with what lies in a folder; the caller holds the lock.

    Args:
        folder: of the index; one without a file is an empty index.
        write: whether the file is replaced when the block ends well; after an error it stays.

    Raises:
        IndexDamagedError: the file cannot be read.
    """
    from qdrant_client import QdrantClient

    path = folder / file.FILE
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=TOO_LARGE)
        client = QdrantClient(":memory:")
        try:
            if path.exists():
                file.load(client, path)
        except UNREADABLE as error:
            raise IndexDamagedError(f"{path} cannot be read ({error}). {REBUILD}") from error
        try:
            yield client
            if write:
                file.save(client, path)
        finally:
            client.close()
