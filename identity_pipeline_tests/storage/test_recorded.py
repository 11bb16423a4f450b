"""Recorded is compared: a table that is not the one that was written is refused, and says why."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.registry import VideoRegistry
from identity_pipeline.storage.video.tables import DamagedTableError, Manifest, TableStore
from identity_pipeline_tests.storage.small_library import put

ONE, OTHER = "ride-01234567", "ride-89abcdef"


@pytest.fixture
def store(tmp_path: Path) -> TableStore:
    store = TableStore(Layout(tmp_path))
    for number, video_id in enumerate((ONE, OTHER)):
        rows = [{"face_id": f"{n:06d}-0", "frame_idx": n, "track_id": number} for n in range(20)]
        put(store, "face_tracks", video_id, rows)
    return store


def old(path: Path) -> None:
    """As if it had been written long ago: nobody is between table and manifest."""
    os.utime(path, ns=(1, 1))


def exchanged(path: Path, other: Path) -> None:
    shutil.copyfile(other, path)


def truncated(path: Path, other: Path) -> None:
    del other
    path.write_bytes(path.read_bytes()[:-100])


def emptied(path: Path, other: Path) -> None:
    del other
    path.write_bytes(b"")


def junk(path: Path, other: Path) -> None:
    del other
    path.write_bytes(os.urandom(512))


@pytest.mark.parametrize("damage", [exchanged, truncated, emptied, junk])
@pytest.mark.parametrize("columns", [None, ["face_id"]])
def test_a_table_that_is_not_the_recorded_one_is_refused(
    store: TableStore, damage: Callable[[Path, Path], None], columns: list[str] | None
) -> None:
    path = store.layout.table("face_tracks", ONE)
    damage(path, store.layout.table("face_tracks", OTHER))
    old(path)
    with pytest.raises(DamagedTableError) as caught:
        store.read("face_tracks", ONE, columns)
    assert caught.value.path == path
    assert str(path) in str(caught.value)
    assert "identity-pipeline run" in str(caught.value)
    assert store.read("face_tracks", OTHER, columns).height == 20


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"rows": "x"}', "\0\1", '"f"', "{"])
def test_a_damaged_manifest_counts_as_not_made(store: TableStore, text: str) -> None:
    store.layout.manifest("face_tracks", ONE).write_text(text)
    assert store.noted("face_tracks", ONE) is None
    assert store.manifest("face_tracks", ONE) is None
    assert store.versions(["face_tracks"], ONE) == {"face_tracks": None}
    with pytest.raises(DamagedTableError, match="manifest is missing or damaged"):
        store.read("face_tracks", ONE)


def test_table_and_manifest_of_another_video_are_refused(store: TableStore) -> None:
    for place in (store.layout.table, store.layout.manifest):
        shutil.copyfile(place("face_tracks", OTHER), place("face_tracks", ONE))
    with pytest.raises(DamagedTableError):
        store.read("face_tracks", ONE)


def test_a_manifest_of_an_older_version_is_read(store: TableStore) -> None:
    path = store.layout.manifest("face_tracks", ONE)
    noted = json.loads(path.read_text())
    del noted["of"]
    path.write_text(json.dumps(noted))
    assert store.read("face_tracks", ONE).height == 20
    path.write_text(json.dumps({**noted, "of_a_later_version": [1]}))
    assert store.noted("face_tracks", ONE) == Manifest("f", noted["data_version"], 20)


def test_rows_of_another_video_are_refused_whatever_is_recorded(store: TableStore) -> None:
    put(store, "track_templates", ONE, [{"video_id": OTHER, "track_id": 1}])
    with pytest.raises(DamagedTableError, match=OTHER):
        store.read("track_templates", ONE)


def test_some_columns_are_read_as_the_whole_table_would_be(store: TableStore) -> None:
    whole = store.read("face_tracks", ONE)
    assert store.read("face_tracks", ONE, ["track_id", "face_id"]).equals(
        whole.select(c for c in whole.columns if c in ("track_id", "face_id"))
    )


def test_a_table_that_is_being_replaced_does_not_look_damaged(store: TableStore) -> None:
    before = store.read("face_tracks", ONE)
    tables = [before.head(n) for n in (1, 2)]
    over = threading.Event()

    def write() -> None:
        while not over.is_set():
            for table in tables:
                store.write("face_tracks", ONE, table, "f")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        heights = {store.read("face_tracks", ONE).height for _ in range(150)}
    finally:
        over.set()
        writer.join()
    assert heights <= {1, 2, 20}


def test_the_command_that_mends_names_the_file_of_the_video(tmp_path: Path) -> None:
    store = TableStore(Layout(tmp_path / "data"))
    video = tmp_path / "a ride.mp4"
    video.write_bytes(b"ride")
    record, _ = VideoRegistry(store.layout).register(video)
    put(store, "face_tracks", record.video_id, [])
    path = store.layout.table("face_tracks", record.video_id)
    path.write_bytes(b"")
    with pytest.raises(DamagedFileError, match=f"identity-pipeline run '{video}'"):
        store.read("face_tracks", record.video_id)
