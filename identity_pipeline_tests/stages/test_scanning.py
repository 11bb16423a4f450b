"""What is left of somebody is found wherever it lies, and the control says whether it would be."""

from __future__ import annotations

import gzip
import json
import sqlite3
import zipfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from identity_pipeline.core.vectors import normalise
from identity_pipeline.settings import IndexSettings
from identity_pipeline.stages.privacy import containers
from identity_pipeline.stages.privacy.probes import (
    Probes,
    Sought,
    control_of,
    probes_of,
    words_that_stay,
)
from identity_pipeline.stages.privacy.provenance import pictures_of
from identity_pipeline.stages.privacy.scanning import ScanReport, scan, scan_index, scan_store
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.index.client import IndexPlace
from identity_pipeline.storage.index.points import IndexPoint, VideoPoints
from identity_pipeline.storage.index.vector_index import VectorIndex
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.crop_archive import CropArchive, part_in, write_part
from identity_pipeline.storage.video.registry import VideoRegistry
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline_tests.curated_library import FRAMES, write_video

NAME = "Kïm Bö"
SPACE = "pack/net@0123456789ab/128"


@pytest.fixture
def stores(tmp_path: Path) -> LibraryStores:
    """One ride with two riders, of whom track 1 will be sought."""
    store, rng = TableStore(Layout(tmp_path / "data")), np.random.default_rng(1)
    video = tmp_path / "ride.mp4"
    video.write_bytes(b"ride")
    record, _ = VideoRegistry(store.layout).register(video)
    looks = {n: normalise(rng.standard_normal((1, 128)))[0].tolist() for n in (1, 2)}
    write_video(store, record.video_id, looks, space=SPACE)
    rows = [
        {"face_id": f"{f:06d}-{n - 1}", "aligned": rng.bytes(37632), "region_jpeg": rng.bytes(9000)}
        for n in looks
        for f in FRAMES
    ]
    write_part(part_in(store.layout.crops(record.video_id), 0), rows)
    return LibraryStores.of(store)


def video_of(stores: LibraryStores) -> str:
    return stores.videos.ids()[0]


def first_rider(stores: LibraryStores) -> Sought:
    video = video_of(stores)
    faces = [f"{frame:06d}-0" for frame in FRAMES]
    return Sought(("5f2c0a11-0000",), (NAME,), {video: faces}, {video: [1]})


def erase(stores: LibraryStores) -> None:
    """Takes the first rider out of every table and the crops."""
    for path in stores.layout.root.rglob("*.parquet"):
        table = pl.read_parquet(path, memory_map=False)
        for column in ("face_id", "best_face_id"):
            if column in table.columns:
                table = table.filter(~pl.col(column).str.ends_with("-0"))
        table.write_parquet(path)


def scanned(stores: LibraryStores, probes: Probes, control: Probes | None = None) -> ScanReport:
    return scan(stores.layout.root, probes, control or Probes(), sought=first_rider(stores))


def test_who_is_there_is_found_and_who_is_erased_is_not(stores: LibraryStores) -> None:
    sought = first_rider(stores)
    probes, control = probes_of(stores, sought), control_of(stores, sought)
    probes = Probes.from_json(json.loads(json.dumps(probes.as_json())))  # as a journal keeps them
    before = scanned(stores, probes, control)
    assert before.positive and not before.clean
    assert {"vector", "crop JPEG", "aligned pixels", "list of files"} == {
        hit.kind for hit in before.hits
    }
    erase(stores)
    after = scanned(stores, probes, control)
    assert after.clean and not after.hits
    assert after.control["vector"] and after.control["crop JPEG"]
    assert set(after.planted.values()) == {(3, 3)}
    assert not list(stores.layout.root.glob(".*control*"))


def test_one_copy_left_anywhere_is_found(stores: LibraryStores) -> None:
    sought, root = first_rider(stores), stores.layout.root
    probes = probes_of(stores, sought)
    vector = next(iter(probes.vectors.values()))[0]
    archive = CropArchive(stores.layout.crops(video_of(stores)))
    crop = next(archive.rows(sought.faces[video_of(stores)], ["region_jpeg"]))["region_jpeg"]
    assert isinstance(crop, bytes)
    erase(stores)
    with zipfile.ZipFile(root / "old.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/note.json.gz", gzip.compress(json.dumps({"name": NAME}).encode()))
    with closing(sqlite3.connect(root / "old.sqlite")) as connection:
        connection.execute("CREATE TABLE t (data BLOB)")
        connection.execute("INSERT INTO t VALUES (?)", (gzip.compress(crop),))
        connection.commit()
    (root / "old.txt").write_text(json.dumps([round(float(v), 6) for v in vector]))
    (root / f"of {NAME}.txt").write_text("nothing")
    (root / "photos-kim-bo-1a2b3c4d.json").write_text("{}")
    (root / "photos-kim-1a2b3c4d.json").write_text("{}")
    found = {hit.file: hit.kind for hit in scanned(stores, probes).hits}
    assert found == {
        "old.zip": "name",
        "old.sqlite": "crop JPEG",
        "old.txt": "vector",
        f"of {NAME}.txt": "name",
        "photos-kim-bo-1a2b3c4d.json": "name",
    }


def test_a_scan_that_finds_nothing_because_it_cannot_read_proves_nothing(
    stores: LibraryStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    probes = probes_of(stores, first_rider(stores))
    erase(stores)
    monkeypatch.delitem(containers.DECODERS, "Parquet")
    blind = scanned(stores, probes)
    assert not blind.positive and not blind.clean
    assert blind.planted["zstd.parquet"][0] < 3 == blind.planted["rows.sqlite"][0]


def test_what_cannot_be_taken_apart_is_told(stores: LibraryStores) -> None:
    (stores.layout.root / "torn.parquet").write_bytes(b"PAR1 torn")
    (stores.layout.root / "torn.zip").write_bytes(b"PK\x03\x04 torn")
    report = scanned(stores, Probes())
    assert {"torn.parquet", "torn.zip"} == {file for file, _, _ in report.not_decoded}


def test_what_lies_across_two_blocks_is_found(
    stores: LibraryStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    probes = probes_of(stores, first_rider(stores))
    vector = next(iter(probes.vectors.values()))[0]
    erase(stores)
    monkeypatch.setattr(containers, "BLOCK", 4096)
    monkeypatch.setattr(containers, "OVERLAP", 1024)
    fill = np.random.default_rng(8).bytes(4096 - 250)
    (stores.layout.root / "torn.bin").write_bytes(b"\0" + fill + vector.tobytes() + fill)
    (stores.layout.root / "torn.txt").write_text("x " * 2047 + NAME + " y" * 2047)
    assert {hit.file for hit in scanned(stores, probes).hits} == {"torn.bin", "torn.txt"}


def test_a_folder_that_cannot_be_read_is_told(
    stores: LibraryStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    probes, listed = probes_of(stores, first_rider(stores)), Path.iterdir
    erase(stores)

    def refused(folder: Path) -> Iterator[Path]:
        if folder.name == "crops":
            raise PermissionError(13, "Permission denied", str(folder))
        return listed(folder)

    monkeypatch.setattr(Path, "iterdir", refused)
    report = scanned(stores, probes)
    assert report.unreadable == (("crops", "Permission denied"),) and not report.clean


def test_a_disk_that_a_link_leads_to_is_scanned_too(stores: LibraryStores, tmp_path: Path) -> None:
    elsewhere = tmp_path / "other disk"
    elsewhere.mkdir()
    (elsewhere / "note.txt").write_text(NAME)
    (stores.layout.root / "output").symlink_to(elsewhere)
    report = scan(stores.layout.root, Probes(names=(NAME,)), Probes())
    assert [hit.file for hit in report.hits] == ["output/note.txt"]
    left_out = scan(stores.layout.root, Probes(names=(NAME,)), Probes(), leave_out=[elsewhere])
    assert not left_out.hits


def test_a_list_that_still_names_the_face_is_a_hit(stores: LibraryStores) -> None:
    video, faces = video_of(stores), first_rider(stores).faces
    face = faces[video][0]
    export = stores.layout.export(video)
    note = export / "meta" / "a_meta.json"
    note.parent.mkdir(parents=True)
    note.write_text(json.dumps({"file": "a.jpg", "members": [{"face_id": face}]}))
    (export / "a.jpg").write_bytes(np.random.default_rng(2).bytes(5000))
    assert list(pictures_of(stores.layout, faces)) == [export / "a.jpg"]
    with_file = probes_of(stores, replace(first_rider(stores), files=(export / "a.jpg",)))
    erase(stores)
    (stores.layout.root / "copied.jpg").write_bytes((export / "a.jpg").read_bytes())
    found = {(hit.kind, Path(hit.file).name) for hit in scanned(stores, with_file).hits}
    assert found == {("list of files", "a_meta.json"), ("file", "a.jpg"), ("file", "copied.jpg")}


def test_words_of_others_are_not_the_name(stores: LibraryStores, tmp_path: Path) -> None:
    video = tmp_path / "with Kïm.mp4"
    video.write_bytes(b"another")
    stores.videos.register(video)
    sought = Sought(names=("Kïm",))
    kept = words_that_stay(stores, sought)
    report = scan(stores.layout.root, Probes(names=("Kïm",)), Probes(), kept=kept)
    assert not report.hits and report.shared


def test_index_and_store_are_scanned_by_what_they_list(
    stores: LibraryStores, tmp_path: Path
) -> None:
    sought, video = first_rider(stores), video_of(stores)
    probes = probes_of(stores, sought)
    vector = next(iter(probes.vectors.values()))[0]
    control = control_of(stores, sought)
    assert control.vectors[128][0].tobytes() != vector.tobytes()
    index = VectorIndex(IndexPlace(tmp_path / "index"), IndexSettings())
    points = tuple(
        IndexPoint(
            *("template", f"track:{video}:{n}", video, n, 0, f"000000-{n - 1}", n, 0.5, None, None),
            vectors={"e_id": row},
        )
        for n, row in ((1, vector), (2, control.vectors[128][0]))
    )
    for kept, left in ((points, {"vector"}), (points[1:], set())):
        with index.open("a test", write=True) as session:
            session.replace(VideoPoints(video, SPACE, None, kept))
        report = scan_index(index, probes, control)
        assert {hit.kind for hit in report.hits} == left and report.positive
    assert not scan_index(index, probes, Probes()).positive  # nobody to find, so nothing is proved

    (tmp_path / "store" / "videos").mkdir(parents=True)
    published = tmp_path / "store" / "videos" / "e.parquet"
    published.write_bytes(stores.layout.table("face_embeddings", video).read_bytes())
    found = scan_store((tmp_path / "store").as_uri(), probes, Probes())
    assert found.files == 1 and {hit.file for hit in found.hits} == {"videos/e.parquet"}
    erase(stores)
    published.write_bytes(stores.layout.table("face_embeddings", video).read_bytes())
    assert scan_store((tmp_path / "store").as_uri(), probes, control_vectors(control)).clean


def control_vectors(control: Probes) -> Probes:
    """Of a control what a table of embeddings holds."""
    return Probes(tuple(b for b in control.blobs if b.kind == "vector"), control.vectors)
