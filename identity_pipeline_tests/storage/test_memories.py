"""Caches and memories: a damaged one is told of once, put away, and begun anew."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from identity_pipeline.core.progress.costs import Sample
from identity_pipeline.core.progress.shares import Batch
from identity_pipeline.stages.publishing.publishing import PublishingNotes, Refusal
from identity_pipeline.storage.cameras import watched
from identity_pipeline.storage.cameras.watched import Watched, WatchedVideo
from identity_pipeline.storage.files.locks import holder
from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.progress.batches import BatchBook
from identity_pipeline.storage.progress.costs import Costs
from identity_pipeline.storage.progress.heartbeat import Heartbeat, Heartbeats
from identity_pipeline.storage.progress.pause import Pause, pause, paused
from identity_pipeline.storage.video.archive import Archive, ArchiveMark
from identity_pipeline.storage.video.chunks import DIGESTS, ChunkStore
from identity_pipeline.storage.video.failures import NOTE_DAMAGED, FailureNote, FailureNotes
from identity_pipeline.storage.video.known_files import KnownFiles
from identity_pipeline.storage.video.registry import VideoRegistry
from identity_pipeline.storage.video.tables import Manifest, TableStore

VIDEO = "ride-01234567"
DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "truncated": lambda data: data[: len(data) // 2],
    "junk": lambda data: bytes(range(256)),
    "list": lambda data: b"[]",
    "object": lambda data: b"{}",
    "null": lambda data: b"null",
    "number": lambda data: b"7",
    "wrong types": lambda data: json.dumps(
        [["x", "y"]] if data[:1] == b"[" else {key: [1] for key in json.loads(data)}
    ).encode(),
    "too deep": lambda data: b"[" * 5000,
}


@pytest.fixture(params=DAMAGES)
def damage(request: pytest.FixtureRequest) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        path.write_bytes(DAMAGES[request.param](path.read_bytes()))

    return spoil


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "data")


Damage = Callable[[Path], None]


def test_what_is_watched_of_a_camera_begins_anew(
    layout: Layout, damage: Damage, caplog: pytest.LogCaptureFixture
) -> None:
    known = Watched("a", 1, None, {"v-1": WatchedVideo("d", (16, 9), {"luma": 1.0})})
    watched.write(layout, "cam", known)
    assert watched.recall(layout, "cam") == known
    damage(path := layout.camera_watch("cam"))
    assert watched.recall(layout, "cam") == Watched()
    assert sum(str(path) in record.message for record in caplog.records) <= 1


def test_the_book_of_batches_begins_anew(layout: Layout, damage: Damage) -> None:
    first = Batch(1, 0.0, "new", {"v": {"s": 1.0}}, {})
    assert BatchBook(layout).update(lambda before: (first,)) == (first,)
    assert BatchBook(layout).update(lambda before: before) == (first,)
    damage(layout.progress / "batches.json")
    seen: list[int] = []

    def look(before: tuple[Batch, ...]) -> tuple[Batch, ...]:
        seen.append(len(before))
        return (first,)

    BatchBook(layout).update(look)
    assert seen == [0]
    assert BatchBook(layout).update(lambda before: before) == (first,)


def test_a_line_of_costs_that_makes_no_sense_is_passed_over(layout: Layout, damage: Damage) -> None:
    costs, sample = Costs(layout), Sample(1.0, 2, None)
    costs.add("watch", sample, "")
    path = layout.progress / "costs" / "watch.jsonl"
    damage(path)
    with path.open("ab") as stream:
        stream.write(b"\n")
    costs.add("watch", sample, "")
    assert costs.samples("watch", "") == [sample]


def test_a_live_file_that_makes_no_sense_is_passed_over(layout: Layout, damage: Damage) -> None:
    live = Heartbeats(layout)
    for name in ("one", "two"):
        live.put(Heartbeat(name, "watch", VIDEO, 0.0))
    damage(live.folder / "one-watch.json")
    assert [step.run_id for step in live.all()] == ["two"]


def test_a_pause_that_cannot_be_read_is_one(layout: Layout, damage: Damage) -> None:
    assert pause(layout, Pause("2020-01-01T00:00:00+00:00", "me"))
    damage(layout.pause)
    order = paused(layout)
    assert order is not None and "continue" in order.sentence()


def test_notes_on_an_object_store_are_forgotten(layout: Layout, damage: Damage) -> None:
    notes = PublishingNotes(layout, "s3://x")
    notes.note_sent(None, "v", "g", 1)
    notes.note_refused(VIDEO, Refusal("why", "s"))
    notes.note_refused("ride-89abcdef", Refusal("why", "s"))
    damage(notes.sent / "library.json")
    damage(notes.refused / f"{VIDEO}.json")
    assert notes.generation() is None
    assert notes.refusals() == {"ride-89abcdef": Refusal("why", "s")}


def test_a_damaged_failure_note_is_a_failure(layout: Layout, damage: Damage) -> None:
    notes = FailureNotes(layout)
    notes.put(VIDEO, FailureNote("empty", "It is empty.", "ride_video", True))
    path = layout.root / "failures" / f"{VIDEO}.json"
    damage(path)
    note = notes.get(VIDEO)
    assert note is not None and note.code == NOTE_DAMAGED and str(path) in note.sentence
    assert not note.permanent
    notes.a_run_works(VIDEO)
    notes.clear(VIDEO)
    assert notes.get(VIDEO) is None


def test_a_damaged_mark_of_the_archive_is_a_mark(layout: Layout, damage: Damage) -> None:
    archive = Archive(layout)
    archive.put(VIDEO, ArchiveMark("2020", "2019"))
    damage(layout.root / "archive" / f"{VIDEO}.json")
    assert archive.get(VIDEO) is not None and archive.ids() == {VIDEO}


def test_what_an_output_was_made_of_is_forgotten(layout: Layout, damage: Damage) -> None:
    store = TableStore(layout)
    store.note_made_of("riders", VIDEO, {"inputs": {}})
    path = layout.made_of("riders", VIDEO)
    damage(path)
    assert store.made_of("riders", VIDEO) in (None, {}, {"inputs": [1]})
    store.note("riders", VIDEO, Manifest("f", "v", 1))
    damage(layout.manifest("riders", VIDEO))
    assert store.noted("riders", VIDEO) is None


def test_a_damaged_chunk_and_what_follows_it_are_done_again(layout: Layout, damage: Damage) -> None:
    chunks = ChunkStore(layout.chunks("watch", VIDEO) / "key")

    def write(folder: Path) -> None:
        (folder / "rows").write_bytes(b"x")

    for number in range(2):
        chunks.put(number, write)
    assert len(list(chunks.finished())) == 2
    damage(layout.chunks("watch", VIDEO) / "key" / "00001" / DIGESTS)
    assert len(list(chunks.finished())) == 1


def test_a_lock_whose_holder_cannot_be_read_has_no_name(layout: Layout, damage: Damage) -> None:
    path = layout.root / ".lock"
    path.parent.mkdir()
    path.write_text(json.dumps({"pid": 1, "host": "h", "purpose": "p", "since": "s"}))
    assert holder(path) == "p (process 1 on h, since s)"
    damage(path)
    assert holder(path) is None


def test_a_damaged_registration_is_its_videos_failure_and_is_written_anew(
    layout: Layout, damage: Damage, tmp_path: Path
) -> None:
    registry = VideoRegistry(layout)
    one, other = tmp_path / "one.mp4", tmp_path / "other.mp4"
    for path in (one, other):
        path.write_bytes(path.name.encode())
    record, _ = registry.register(one)
    kept, _ = registry.register(other)
    path = layout.registration(record.video_id)
    damage(path)
    with pytest.raises(DamagedFileError, match=f"{path} is damaged: .*identity-pipeline run"):
        registry.get(record.video_id)
    assert list(registry.all()) == [kept]
    assert registry.find("other.mp4") == kept
    assert list(registry.damaged()) == [record.video_id]
    renamed = one.rename(tmp_path / "renamed.mp4")
    again, _ = registry.register(renamed)
    assert again.video_id == record.video_id
    assert registry.get(record.video_id) == again


def test_the_record_of_another_video_is_not_taken_for_its_own(
    layout: Layout, tmp_path: Path
) -> None:
    registry = VideoRegistry(layout)
    records = []
    for name in ("one.mp4", "other.mp4"):
        (tmp_path / name).write_bytes(name.encode())
        records.append(registry.register(tmp_path / name)[0])
    data = layout.registration(records[1].video_id).read_bytes()
    layout.registration(records[0].video_id).write_bytes(data)
    with pytest.raises(DamagedFileError, match="it is the record of"):
        registry.get(records[0].video_id)


# --- databases ---------------------------------------------------------------------------------


def other_tables(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as database, database:
        for table in ("files", "videos", "seen"):
            database.execute(f"CREATE TABLE {table} (other TEXT)")


def odd_rows(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        (table,) = database.execute(
            "SELECT name FROM sqlite_master WHERE name IN ('files', 'videos')"
        ).fetchone()
        column = "video_id" if table == "files" else "id"
        database.execute(f"UPDATE {table} SET {column} = '../../x'")  # noqa: S608


def broken_pages(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[100:] = os.urandom(len(data) - 100)
    path.write_bytes(data)


@pytest.mark.parametrize(
    "spoil",
    [
        other_tables,
        odd_rows,
        broken_pages,
        lambda path: path.write_bytes(b"not a database" * 100),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:1000]),
    ],
)
def test_the_memory_of_files_and_contents_is_made_anew(
    layout: Layout, spoil: Callable[[Path], None]
) -> None:
    layout.videos.mkdir(parents=True)
    path = layout.videos / "a.mp4"
    path.write_bytes(b"a")
    files = KnownFiles(layout)
    registry = VideoRegistry(layout)
    record, _ = registry.register_remembered(path)
    spoil(files.path)
    assert str(path) not in files.all()
    assert registry.register_remembered(path) == (record, False)
    assert files.all()[str(path)].video_id == record.video_id
    assert files.ids_of_content(record.sha256) == [record.video_id]


def test_a_busy_database_is_no_damaged_one(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("identity_pipeline.storage.video.known_files.WAIT_S", 0.01)
    files = KnownFiles(layout)
    files.forget([])
    with closing(sqlite3.connect(files.path)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            files.forget([])
