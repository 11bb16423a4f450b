"""Cleaning: what may go goes whole, what must stay is refused, whoever asks."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from identity_pipeline.storage.files import atomic
from identity_pipeline.storage.folder import disk
from identity_pipeline.storage.folder.disk import Droppable
from identity_pipeline.storage.layout import Layout, UnsafePathError
from identity_pipeline.storage.video.registry import Registration
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline.tables import empty

NOW = 2_000_000_000.0
FINISHED, OPEN = "ride-1-aaaaaaaa", "ride-2-bbbbbbbb"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path / "data")
    for video_id in (FINISHED, OPEN):
        folder = layout.crops(video_id)
        folder.mkdir(parents=True)
        (folder / "part-00000.parquet").write_bytes(b"0" * 100)
        chunk = layout.root / "chunks" / "watch" / video_id
        chunk.mkdir(parents=True)
        (chunk / "x").write_bytes(b"0" * 10)
    TableStore(layout).write("identity_dataset", FINISHED, empty("identity_dataset"), "f")
    source = layout.videos / "a.mp4"
    record = Registration(FINISHED, "0" * 64, str(source))
    atomic.write_json(layout.registration(FINISHED), asdict(record))
    for path in (layout.ledger, layout.export(FINISHED) / "manifest.json", source):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"0" * 7)
    return layout


def dead_process() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def old(path: Path) -> Path:
    os.utime(path, (NOW - 1e6, NOW - 1e6))
    return path


def names(things: list[Droppable]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for thing in things:
        found.setdefault(thing.kind, []).append(thing.path.name)
    return found


def test_crops_and_chunks_go_of_finished_videos_only(layout: Layout) -> None:
    assert names(disk.droppable(layout, NOW)) == {"crops": [FINISHED], "chunks": [FINISHED]}


def test_a_damaged_record_keeps_its_crops_and_stops_nothing(layout: Layout) -> None:
    layout.registration(FINISHED).write_text("junk")
    assert names(disk.droppable(layout, NOW)) == {"chunks": [FINISHED]}


def test_crops_stay_where_the_source_is_gone(layout: Layout) -> None:
    (layout.videos / "a.mp4").unlink()
    assert names(disk.droppable(layout, NOW)) == {"chunks": [FINISHED]}


def test_a_video_that_was_finished_lately_keeps_its_crops(layout: Layout) -> None:
    now = layout.manifest("identity_dataset", FINISHED).stat().st_mtime + 86_400
    assert names(disk.droppable(layout, now, older_than_days=2)) == {}
    assert "crops" in names(disk.droppable(layout, now, older_than_days=0.5))


def test_dropping_frees_what_was_said_and_leaves_the_rest(layout: Layout) -> None:
    before = disk.bytes_by_kind(layout, lambda folder: None)
    things = disk.droppable(layout, NOW)
    assert disk.drop(layout, things) == sum(thing.size for thing in things) == 110
    after = disk.bytes_by_kind(layout, lambda folder: None)
    assert {kind for kind in before if before[kind] != after[kind]} == {"crops", "chunks"}
    assert layout.crops(OPEN).is_dir()
    assert not layout.crops(FINISHED).exists()
    assert not [path for path in layout.root.rglob("*") if atomic.is_temporary(path)]


def test_dropping_twice_is_no_error(layout: Layout) -> None:
    things = disk.droppable(layout, NOW)
    disk.drop(layout, things)
    assert disk.drop(layout, things) == 0


@pytest.mark.parametrize(
    "name",
    ["videos", "ledger", "output", "registry", "tables", "tables/frames", "crops", ".", ".."],
)
def test_what_must_stay_is_refused(layout: Layout, name: str) -> None:
    folder = layout.root / name
    folder.mkdir(parents=True, exist_ok=True)
    with pytest.raises(UnsafePathError):
        disk.drop(layout, [Droppable("crops", folder, 0)])
    assert folder.exists()


def test_a_link_out_of_the_data_folder_is_not_followed(layout: Layout, tmp_path: Path) -> None:
    outside = tmp_path / "precious"
    outside.mkdir()
    (layout.root / "crops" / "ride-3-cccccccc").symlink_to(outside)
    assert "ride-3-cccccccc" not in names(disk.droppable(layout, NOW))["crops"]
    with pytest.raises(UnsafePathError):
        disk.drop(layout, [Droppable("crops", layout.root / "crops" / "ride-3-cccccccc", 0)])
    assert outside.is_dir()


def test_the_generation_in_force_and_the_one_before_stay(layout: Layout) -> None:
    for number in range(1, 5):
        (layout.generations / f"{number:06d}-abc").mkdir(parents=True)
    layout.library_tables.symlink_to(Path(".generations") / "000003-abc")
    # Its note is missing: of which head it is cannot be told, and the others go all the same.
    assert names(disk.droppable(layout, NOW))["generations"] == ["000001-abc"]
    with pytest.raises(UnsafePathError):
        disk.drop(layout, [Droppable("generations", layout.generations / "000003-abc", 0)])


def test_half_written_files_go_once_their_writer_is_dead(layout: Layout) -> None:
    folder = layout.tables / "frames"
    folder.mkdir(parents=True)
    living = atomic.temporary_beside(folder / "a.parquet")
    dead = folder / f"{atomic.TEMPORARY_MARK}b.parquet-{dead_process()}-0123abcd"
    young = folder / f"{atomic.TEMPORARY_MARK}c.parquet-{dead_process()}-0123abcd"
    for path in (living, dead, young):
        path.write_bytes(b"x")
    old(living), old(dead), os.utime(young, (NOW, NOW))
    assert names(disk.droppable(layout, NOW))["temporary"] == [dead.name]


def test_the_only_whole_export_is_not_dropped_though_its_name_is_temporary(layout: Layout) -> None:
    export = layout.export(FINISHED)
    aside = export.with_name(f"{atomic.TEMPORARY_MARK}{export.name}-{dead_process()}-0123abcd")
    export.rename(aside)
    old(aside)
    assert atomic.target_of(aside) == export
    assert "temporary" not in names(disk.droppable(layout, NOW))
    export.mkdir()
    assert names(disk.droppable(layout, NOW))["temporary"] == [aside.name]
