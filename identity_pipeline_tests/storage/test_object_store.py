"""An object store: a reader sees the old version or the new one, and every byte is checked."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from identity_pipeline.settings import load_settings
from identity_pipeline.storage.layout import UnsafePathError
from identity_pipeline.storage.publishing.object_store import (
    Contents,
    ObjectStore,
    ObjectStoreError,
    Version,
    subject_of,
    version_of,
)

RIDE = subject_of("ride-1-aaaaaaaa")
OLD: Contents = {"export/a b.jpg": b"old picture", "tables/faces.parquet": b"old"}
NEW: Contents = {"export/a b.jpg": b"new picture", "export/deep/c.jpg": b"", "t.json": b"{}"}
BUCKET = "identities"


class Died(BaseException):
    """The writer was killed."""


@pytest.fixture(scope="module")
def season(s3: Any) -> str:
    """A bucket."""
    s3.mkdir(BUCKET)
    return f"s3://{BUCKET}"


COUNT = itertools.count()


@pytest.fixture(params=["file", "memory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    """An empty store of each kind."""
    name = f"season-{next(COUNT)}"
    if request.param == "s3":
        return ObjectStore(f"{request.getfixturevalue('season')}/{name}")
    return ObjectStore(f"memory://{name}" if request.param == "memory" else f"file://{tmp_path}/s")


def test_everything_that_lies_there_is_read_whoever_put_it_there(store: ObjectStore) -> None:
    assert list(store.everything()) == []
    made = store.put(RIDE, OLD, keep=2)
    store.root.joinpath("videos").joinpath("note.txt").write_bytes(b"left by hand")
    found = dict(store.everything())
    assert found["videos/note.txt"] == b"left by hand"
    assert found[f"{RIDE}/{made.version}/export/a b.jpg"] == b"old picture"
    assert len(found) == len(OLD) + 2


def contents_of(store: ObjectStore, version: Version | None) -> Contents:
    assert version is not None
    return store.read(RIDE, version)


def test_what_was_put_comes_back_byte_for_byte(store: ObjectStore) -> None:
    assert store.version(RIDE) is None and store.subjects() == []
    put = store.put(RIDE, OLD, keep=2)
    assert store.version(RIDE) == put
    assert contents_of(store, put) == OLD
    assert store.subjects() == [RIDE]
    assert store.wrong(RIDE, put) == []


def test_the_same_files_are_the_same_version_and_others_another() -> None:
    assert version_of(OLD).version == version_of(dict(reversed(OLD.items()))).version
    assert version_of(OLD).version != version_of({**OLD, "x": b""}).version
    assert version_of(OLD).version != version_of({**OLD, "tables/faces.parquet": b"oId"}).version


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("at", ["the files", "the manifest", "clearing up"])
def test_a_writer_that_dies_leaves_the_old_version_or_the_new_one(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch, at: str, half: bool
) -> None:
    """Killed before each of its steps, or when half of what the step writes is written."""
    store.put(RIDE, OLD, keep=1)
    left = {"the files": 0, "the manifest": 1, "clearing up": 2}[at]

    def step(method: Any) -> Any:
        def dying(self: ObjectStore, given: Any) -> None:
            nonlocal left
            left -= 1
            if left >= 0:
                method(self, given)
                return
            if half and isinstance(given, dict) and len(given) > 1:
                method(self, dict(list(given.items())[: len(given) // 2]))
            raise Died

        return dying

    for name in ("_write", "_remove"):
        monkeypatch.setattr(ObjectStore, name, step(getattr(ObjectStore, name)))
    with pytest.raises(Died):
        store.put(RIDE, NEW, keep=1)
    monkeypatch.undo()
    expected = NEW if at == "clearing up" else OLD
    assert contents_of(store, store.version(RIDE)) == expected
    assert contents_of(store, store.put(RIDE, NEW, keep=1)) == NEW


def test_only_as_many_versions_stay_as_wanted(store: ObjectStore) -> None:
    versions = [store.put(RIDE, {"file": f"{n}".encode()}, keep=2).version for n in range(4)]
    kept = {p.name for p in (store.root / RIDE).iterdir()}
    assert kept == {"manifest.json", *versions[2:]}
    there = store.version(RIDE)
    assert there is not None and (there.version, *there.older) == (versions[3], versions[2])


@pytest.mark.parametrize("how", ["changed", "missing", "cut short"])
def test_what_was_tampered_with_is_found_refused_and_mended(store: ObjectStore, how: str) -> None:
    put = store.put(RIDE, OLD, keep=2)
    path = store.root / RIDE / put.version / "export/a b.jpg"
    if how == "missing":
        path.fs.rm(path.path)
    else:
        path.fs.pipe_file(path.path, b"old" if how == "cut short" else b"oId picture")
    assert store.wrong(RIDE, put) == ["export/a b.jpg"]
    with pytest.raises(ObjectStoreError, match=r"1 files .*a b\.jpg.*publish --verify"):
        contents_of(store, put)
    assert store.put(RIDE, OLD, keep=2).version == put.version
    assert store.wrong(RIDE, put) == []


@pytest.mark.parametrize("text", [b"", b"[]", b'{"version": "../x", "files": {}, "older": []}'])
def test_a_manifest_that_is_none_is_refused(store: ObjectStore, text: bytes) -> None:
    manifest = store.root / RIDE / "manifest.json"
    if store.url.startswith("file:"):
        Path(manifest.path).parent.mkdir(parents=True)
    manifest.fs.pipe_file(manifest.path, text)
    with pytest.raises((ObjectStoreError, UnsafePathError)):
        store.version(RIDE)


@pytest.mark.parametrize("path", ["../other", "/etc/passwd", "a/../../b", "a\\b", "*", ""])
def test_no_file_leads_out_of_its_version(path: str) -> None:
    with pytest.raises(UnsafePathError):
        version_of({path: b""})


def test_a_store_that_cannot_be_reached_says_so_in_one_sentence(
    s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ObjectStoreError, match="no-such-bucket"):
        ObjectStore("s3://no-such-bucket/x").put(RIDE, OLD, keep=1)
    with pytest.raises(ObjectStoreError, match="did not do what was asked"):
        ObjectStore("nonsense://x").version(RIDE)


@pytest.mark.parametrize(
    "url", ["s3://key:secret@bucket/x", "s3://token@bucket/x", "/srv/folder", "bucket"]
)
def test_an_address_with_a_key_or_without_a_kind_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"publish\.url"):
        load_settings(publish={"url": url})
    assert load_settings(publish={"url": "s3://bucket/x/"}).publish.url == "s3://bucket/x"
