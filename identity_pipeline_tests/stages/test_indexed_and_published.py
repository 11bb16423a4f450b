"""What leaves the index and the object stores when somebody is forgotten, and what stays there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from identity_pipeline.settings import Settings
from identity_pipeline.stages.library import indexing
from identity_pipeline.stages.privacy.footprint import FaceAt, Footprint, TrackGone
from identity_pipeline.stages.privacy.indexed import erase_indexed, unreached_in_index
from identity_pipeline.stages.privacy.published import UnknownAddressError, erase_published
from identity_pipeline.stages.publishing.publishing import PublishingNotes
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.index import client as index_client
from identity_pipeline.storage.index.client import IndexPlace
from identity_pipeline.storage.index.vector_index import VectorIndex
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.publishing.object_store import (
    ObjectStore,
    ObjectStoreError,
    subject_of,
)
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline_tests.storage.small_library import RIDE_A, RIDE_B, name_track, write_ride

ADA = "11111111-1111-4111-8111-111111111111"
RIDE_C = "ride-c-00000003"


@pytest.fixture
def store(tmp_path: Path) -> TableStore:
    store = TableStore(Layout(tmp_path / "data"))
    for n, ride in enumerate((RIDE_A, RIDE_B, RIDE_C), 1):
        write_ride(store, ride, seed=n)
    name_track(store, RIDE_A, 0, ADA)
    return store


@pytest.fixture
def footprint(store: TableStore) -> Footprint:
    """Ada is rider 0 of one ride, and the whole of another."""
    own = store.read("face_tracks", RIDE_A)
    frames = own.filter(own["track_id"] == 0)["frame_idx"].to_list()
    faces = tuple(FaceAt(f"{n:06d}-0", n, (0.0, 0.0, 1.0, 1.0), 0) for n in frames)
    return Footprint(
        "person",
        person_ids=(ADA,),
        tracks=(TrackGone(f"track:{RIDE_A}:0", RIDE_A, 0, "confirmed"),),
        faces={RIDE_A: faces, RIDE_B: ()},
        videos=(RIDE_B,),
    )


def without(store: TableStore, footprint: Footprint) -> None:
    """The tables as they are once they are redacted."""
    for ride, faces in footprint.faces.items():
        theirs = {face.face_id for face in faces}
        for path in store.layout.tables.glob(f"*/{ride}.parquet"):
            asset = path.parent.name
            table = store.read(asset, ride)
            column = "best_face_id" if asset == "track_templates" else "face_id"
            if ride in footprint.videos:
                path.unlink()
                store.layout.manifest(asset, ride).unlink()
            elif column in table.columns:
                store.write(asset, ride, table.filter(~table[column].is_in(theirs)), "f")


def vectors(index: VectorIndex) -> dict[str, np.ndarray]:
    with index.open("testing") as session:
        return {
            f"{payload['kind']} {payload['subject']}": np.asarray(found["e_id"], "<f4")
            for _, payload, found in session.everything()
        }


class Served:
    """Qdrant's own client in memory, which keeps its points while clients come and go."""

    def __init__(self) -> None:
        from qdrant_client import QdrantClient

        self.client = QdrantClient(":memory:")
        self.deleted: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    def delete_collection(self, name: str) -> None:
        self.deleted.append(name)
        self.client.delete_collection(name)

    def close(self) -> None:
        """A connection ends; the server goes on."""


@pytest.fixture(params=["at rest", "served"])
def index(
    request: pytest.FixtureRequest, store: TableStore, monkeypatch: pytest.MonkeyPatch
) -> Iterator[VectorIndex]:
    stores, settings = LibraryStores.of(store), Settings()
    if request.param == "served":
        served = Served()
        monkeypatch.setenv("QDRANT_URL", "http://qdrant.example:6333")
        monkeypatch.setattr(index_client, "server_client", lambda place: served)
    indexing.rebuild(stores, stores.index(settings))
    yield stores.index(settings)


def test_no_point_of_theirs_stays_in_the_index_and_the_others_are_as_they_were(
    store: TableStore, index: VectorIndex, footprint: Footprint
) -> None:
    stores, settings, before = LibraryStores.of(store), Settings(), vectors(index)
    without(store, footprint)
    [removed] = erase_indexed(stores, settings, footprint)
    after = vectors(index)
    gone = before.keys() - after.keys()
    assert removed.count == len(gone) == 15  # a template and 4 images; 2 templates and 8 images
    assert {RIDE_A, RIDE_B} == {name.split(":")[1] for name in gone}
    assert not any(RIDE_B in name for name in after)
    assert after.keys() and all(np.array_equal(before[name], after[name]) for name in after)
    assert indexing.check(stores, index) == []
    if index.place.url is None:
        theirs = [before[name].tobytes() for name in gone]
        [file] = store.layout.index.rglob("*.parquet")
        held = [np.asarray(v, "<f4").tobytes() for v in vectors(index).values()]
        assert not set(theirs) & set(held)
        assert not any(name.encode() in file.read_bytes() for name in (RIDE_B, ADA))
    else:
        with index.open("testing") as session:
            collections = [c.name for c in session.collections()]
            served: Any = session.client
        assert set(collections) <= set(served.deleted), "marking would leave their bytes there"
        assert any(
            "disk of the Qdrant" in one.place for one in unreached_in_index(stores, settings)
        )
    assert erase_indexed(stores, settings, footprint)[0].count == 0  # once more


def test_an_index_at_rest_beside_a_server_and_one_that_cannot_be_read_are_made_anew(
    store: TableStore, footprint: Footprint, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores, settings = LibraryStores.of(store), Settings()
    at_rest = stores.index(settings)
    indexing.rebuild(stores, at_rest)
    [file] = store.layout.index.rglob("*.parquet")
    file.write_bytes(b"torn" + file.read_bytes())
    served = Served()
    monkeypatch.setenv("QDRANT_URL", "http://qdrant.example:6333")
    monkeypatch.setattr(index_client, "server_client", lambda place: served)
    without(store, footprint)
    erase_indexed(stores, settings, footprint)
    assert (
        vectors(VectorIndex(IndexPlace(store.layout.index), settings.index)).keys()
        == vectors(stores.index(settings)).keys()
    )


# --- object stores -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bucket(s3: Any) -> str:
    """A bucket that keeps every version of every object."""
    s3.mkdir("versioned")
    s3.make_bucket_versioned("versioned")
    return "s3://versioned"


def published(url: str, layout: Layout, ride: str | None, *several: bytes) -> None:
    notes = PublishingNotes(layout, url)
    notes.note_address()
    for data in several:
        made = ObjectStore(url).put(subject_of(ride), {"tables/faces.parquet": data}, keep=1)
        notes.note_sent(ride, made.version, "1-a", 1)


def everything_kept(url: str) -> dict[str, bytes]:
    """Every version of every object that a bucket has, whether one can list it or not."""
    boto3 = pytest.importorskip("boto3")
    s3, prefix = boto3.client("s3"), url.rpartition("/")[2]
    listed = s3.list_object_versions(Bucket="versioned", Prefix=prefix).get("Versions", ())
    named = [{"Key": one["Key"], "VersionId": one["VersionId"]} for one in listed]
    return {
        "{Key} {VersionId}".format(**one): s3.get_object(Bucket="versioned", **one)["Body"].read()
        for one in named
    }


def test_every_version_goes_from_a_bucket_and_from_the_stores_of_before(
    bucket: str, tmp_path: Path, footprint: Footprint
) -> None:
    layout, url, before = Layout(tmp_path / "data"), f"{bucket}/season", f"file://{tmp_path}/old"
    for address in (url, before):
        published(address, layout, RIDE_A, b"ada old", b"ada new")
        published(address, layout, RIDE_B, b"ada alone")
        published(address, layout, RIDE_C, b"of others")
        published(address, layout, None, b"ada by name")
    assert sum(b"ada" in data for data in everything_kept(url).values()) == 4
    ObjectStore(url).root.fs.rm(f"versioned/season/videos/{RIDE_B}", recursive=True)
    assert sum(b"ada" in data for data in everything_kept(url).values()) == 4, "only hidden"
    settings = Settings.model_validate({"publish": {"url": url}})
    [removed] = erase_published(layout, settings, footprint)
    assert removed.count >= 8 and removed.bytes
    kept = everything_kept(url)
    assert not any(b"ada" in data for data in kept.values()) and b"of others" in kept.values()
    assert not any(RIDE_A in name or RIDE_B in name for name in kept)
    assert ObjectStore(url).subjects() == ObjectStore(before).subjects() == [subject_of(RIDE_C)]
    assert sorted(path.stem for path in layout.published.glob("*/*-*.json")) == [RIDE_C, RIDE_C]
    assert erase_published(layout, settings, footprint) == []


def test_a_store_that_is_away_or_unknown_ends_with_what_to_do(
    tmp_path: Path, footprint: Footprint, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout, url = Layout(tmp_path / "data"), f"file://{tmp_path}/store"
    published(url, layout, RIDE_A, b"ada")
    for note in layout.published.glob("*/address.json"):
        note.unlink()  # as earlier versions left it
    with pytest.raises(UnknownAddressError, match=r"Set publish\.url"):
        erase_published(layout, Settings(), footprint)
    settings = Settings.model_validate({"publish": {"url": url}})
    with monkeypatch.context() as broken, pytest.raises(ObjectStoreError, match="did not do"):
        broken.setattr("fsspec.implementations.local.LocalFileSystem.rm", _away)
        erase_published(layout, settings, footprint)
    assert list(layout.published.glob(f"*/{RIDE_A}.json")), "it is known to be there still"
    [removed] = erase_published(layout, settings, footprint)
    assert removed.count == 2
    with contextlib.suppress(FileNotFoundError):
        assert not list((tmp_path / "store").rglob("*.parquet"))


def _away(*_: object, **__: object) -> None:
    raise OSError("the share is not mounted")
