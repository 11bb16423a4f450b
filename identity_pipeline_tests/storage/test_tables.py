"""Tables and crops at rest: schemas, byte identity, manifests, and parts of bounded size."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from identity_pipeline.storage.files.hashing import sha256_of_file, sha256_of_value
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.crop_archive import CropArchive, part_in, take_over, write_part
from identity_pipeline.storage.video.failures import FailureNote, FailureNotes
from identity_pipeline.storage.video.tables import (
    DamagedTableError,
    Manifest,
    MissingTableError,
    TableStore,
)
from identity_pipeline.tables import TABLES, SchemaError, conform, empty
from identity_pipeline_tests.core.builders import FEW, candidate, candidates

VIDEO = "ride-01234567"


@pytest.fixture
def store(tmp_path: Path) -> TableStore:
    return TableStore(Layout(tmp_path))


def faces(count: int = 5) -> pl.DataFrame:
    return candidates(*(candidate(i, yaw=None if i % 2 else 7.0) for i in range(count)))


def test_a_table_comes_back_as_it_went(store: TableStore) -> None:
    manifest = store.write("candidates", VIDEO, faces(), "f")
    assert store.read("candidates", VIDEO).equals(faces())
    assert manifest == store.manifest("candidates", VIDEO)
    assert (manifest.rows, manifest.fingerprint) == (5, "f")
    assert manifest.data_version == sha256_of_file(store.layout.table("candidates", VIDEO))
    assert store.videos_with("candidates") == [VIDEO]


@pytest.mark.parametrize("name", TABLES)
def test_every_table_can_be_empty(store: TableStore, name: str) -> None:
    store.write(name, VIDEO, empty(name), "f")
    assert store.read(name, VIDEO).schema == pl.Schema(TABLES[name])


def test_equal_tables_are_equal_bytes(store: TableStore, tmp_path: Path) -> None:
    shuffled = faces()[[4, 2, 0, 1, 3]].sort("frame_idx").select(reversed(faces().columns))
    store.write("candidates", VIDEO, faces(), "f")
    other = TableStore(Layout(tmp_path / "other"))
    other.write("candidates", VIDEO, shuffled, "g")
    one, two = (s.layout.table("candidates", VIDEO).read_bytes() for s in (store, other))
    assert one == two


def test_a_changed_file_has_no_manifest(store: TableStore) -> None:
    store.write("candidates", VIDEO, faces(), "f")
    path = store.layout.table("candidates", VIDEO)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(1, 1))
    assert store.manifest("candidates", VIDEO) is None
    assert store.noted("candidates", VIDEO) is not None
    path.unlink()
    assert store.manifest("candidates", VIDEO) is None


def test_a_table_that_was_never_written_says_what_to_do(store: TableStore) -> None:
    with pytest.raises(MissingTableError, match="identity-pipeline run"):
        store.read("riders", VIDEO)
    assert store.manifest("riders", VIDEO) is None
    assert store.videos_with("riders") == []


def test_a_file_of_an_older_version_is_refused(store: TableStore) -> None:
    path = store.layout.table("riders", VIDEO)
    path.parent.mkdir(parents=True)
    empty("riders").drop("reason").write_parquet(path)
    store.note("riders", VIDEO, Manifest("f", sha256_of_file(path), 0))
    with pytest.raises(DamagedTableError, match=r"another version .*reason"):
        store.read("riders", VIDEO)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (empty("riders").drop("reason"), r"missing \['reason'\]"),
        (empty("riders").with_columns(x=1), r"superfluous \['x'\]"),
        (
            pl.DataFrame([dict.fromkeys(TABLES["riders"], "abc")]),
            "table riders",
        ),
    ],
)
def test_a_table_of_another_shape_is_never_written(
    store: TableStore, table: pl.DataFrame, message: str
) -> None:
    with pytest.raises(SchemaError, match=message):
        store.write("riders", VIDEO, table, "f")
    assert not store.layout.table("riders", VIDEO).exists()


def test_conforming_orders_and_casts() -> None:
    loose = pl.DataFrame(
        {"frame_idx": [3], "face_id": ["a"]}, schema_overrides={"frame_idx": pl.Int8}
    )
    rest = {c: pl.lit(None) for c in TABLES["vision_embeddings"] if c not in loose.columns}
    table = conform("vision_embeddings", loose.with_columns(**rest))
    assert table.schema == pl.Schema(TABLES["vision_embeddings"])


def test_temporary_files_are_no_tables(store: TableStore) -> None:
    store.write("riders", VIDEO, empty("riders"), "f")
    path = store.layout.table("riders", VIDEO)
    path.with_name(f".partial-{path.name}").touch()
    path.with_name(".partial-b.parquet").touch()
    assert store.videos_with("riders") == [VIDEO]


def test_the_manifest_of_an_output_that_is_no_table(store: TableStore) -> None:
    store.note("face_crops", VIDEO, Manifest("f", "v", 7))
    assert store.noted("face_crops", VIDEO) == Manifest("f", "v", 7)


# --- hashes and notes --------------------------------------------------------------------------


def test_a_file_is_hashed_anew_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"one")
    first = sha256_of_file(path)
    path.write_bytes(b"two")
    os.utime(path, ns=(5, 5))
    assert sha256_of_file(path) != first
    assert first == "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"


def test_values_are_hashed_whatever_the_order_of_keys() -> None:
    assert sha256_of_value({"a": 1, "b": [2]}) == sha256_of_value({"b": [2], "a": 1})
    assert sha256_of_value({"a": 1}) != sha256_of_value({"a": "1"})


def test_a_failure_is_kept_until_the_video_succeeds(tmp_path: Path) -> None:
    notes = FailureNotes(Layout(tmp_path))
    note = FailureNote("empty", "ride.mp4 is empty.", "ride_video", True)
    assert notes.get(VIDEO) is None
    notes.put(VIDEO, note)
    assert notes.get(VIDEO) == note
    notes.clear(VIDEO)
    notes.clear(VIDEO)
    assert notes.get(VIDEO) is None


# --- crops -------------------------------------------------------------------------------------


def picture(i: int) -> NDArray[np.uint8]:
    """An aligned crop that no other number has."""
    return np.random.default_rng(i).integers(0, 256, (112, 112, 3)).astype(np.uint8)


def archive(folder: Path, count: int, per_part: int) -> CropArchive:
    folder.mkdir(parents=True, exist_ok=True)
    faces = [
        {
            "face_id": f"{i:06d}-0",
            "aligned": picture(i).tobytes(),
            "region_jpeg": bytes([i % 256]) * 2,
            "region_x": float(i),
            "region_y": 0.5,
            "region_scale": 1 / 3,
        }
        for i in range(count)
    ]
    for number, first in enumerate(range(0, count, per_part)):
        write_part(part_in(folder, number), faces[first : first + per_part])
    return CropArchive(folder)


@given(st.integers(0, 23), st.integers(1, 8))
@FEW
def test_parts_are_read_in_the_order_of_the_video(
    tmp_path_factory: pytest.TempPathFactory, count: int, per_part: int
) -> None:
    crops = archive(tmp_path_factory.mktemp("crops"), count, per_part)
    assert crops.count() == count
    ids = [row["face_id"] for row in crops.rows(None, ["region_x"])]
    assert ids == [f"{i:06d}-0" for i in range(count)]


def test_a_folder_named_like_a_pattern_is_no_pattern(tmp_path: Path) -> None:
    crops = archive(tmp_path / "rides [2026] *", 3, 2)
    assert crops.count() == 3
    assert len(list(crops.rows(None, ["region_x"]))) == 3


def test_wanted_faces_alone_are_decoded_in_the_order_of_the_video(tmp_path: Path) -> None:
    crops = archive(tmp_path / "c", 10, 3)
    wanted = {"000007-0", "000001-0", "000099-0"}
    found = list(crops.aligned(wanted))
    assert [face_id for face_id, _ in found] == ["000001-0", "000007-0"]
    assert all(np.array_equal(p, picture(int(face_id[:6]))) for face_id, p in found)
    rows = list(crops.rows(["000004-0"], ["region_x", "region_scale"]))
    assert rows == [{"face_id": "000004-0", "region_x": 4.0, "region_scale": 1 / 3}]
    assert list(crops.rows([], ["region_x"])) == []


def test_the_version_of_the_crops_is_that_of_their_bytes(tmp_path: Path) -> None:
    one, two, three = (
        archive(tmp_path / name, count, 4) for name, count in (("a", 9), ("b", 9), ("c", 10))
    )
    assert one.data_version() == two.data_version() != three.data_version()


def test_parts_are_taken_over_in_their_order_and_stay_where_they_were(tmp_path: Path) -> None:
    whole = archive(tmp_path / "whole", 5, 2)
    folder = tmp_path / "taken"
    folder.mkdir()
    take_over(whole.parts, folder)
    assert CropArchive(folder).data_version() == whole.data_version()
    assert len(whole.parts) == 3
