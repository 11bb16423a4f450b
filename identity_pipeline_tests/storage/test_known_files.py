"""The memory of files and contents: right after every loss, and what is known is not read again."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import pytest

from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.known_files import KnownFiles, stamps_of
from identity_pipeline.storage.video.registry import Registration, VideoRegistry


@pytest.fixture
def files(tmp_path: Path) -> KnownFiles:
    layout = Layout(tmp_path)
    layout.videos.mkdir()
    return KnownFiles(layout)


def test_a_registered_file_is_remembered_with_its_stamp_and_video(files: KnownFiles) -> None:
    path = files.layout.videos / "a.mp4"
    path.write_bytes(b"abc")
    record, is_new = VideoRegistry(files.layout).register_remembered(path)
    assert is_new
    known = files.all()[str(path)]
    assert known.video_id == record.video_id
    assert known.stamp == stamps_of([path])[str(path)]


def test_a_file_of_the_same_size_and_time_but_another_inode_is_another_file(
    files: KnownFiles,
) -> None:
    path, other = files.layout.videos / "a.mp4", files.layout.videos / "b.mp4"
    path.write_bytes(b"abc")
    VideoRegistry(files.layout).register_remembered(path)
    other.write_bytes(b"xyz")
    os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    other.replace(path)
    known, now = files.all()[str(path)].stamp, stamps_of([path])[str(path)]
    assert (known.size, known.mtime_ns) == (now.size, now.mtime_ns)
    assert known != now


def test_what_is_gone_is_forgotten_and_a_vanished_file_has_no_stamp(files: KnownFiles) -> None:
    path = files.layout.videos / "a.mp4"
    path.write_bytes(b"abc")
    VideoRegistry(files.layout).register_remembered(path)
    path.unlink()
    assert stamps_of([path]) == {}
    files.forget([str(path)])
    assert files.all() == {}


def test_a_lost_memory_costs_only_reading(files: KnownFiles) -> None:
    path = files.layout.videos / "a.mp4"
    path.write_bytes(b"abc")
    record, _ = VideoRegistry(files.layout).register_remembered(path)
    files.path.unlink()
    assert files.all() == {}
    assert VideoRegistry(files.layout).register_remembered(path) == (record, False)
    assert VideoRegistry(files.layout).ids() == [record.video_id]


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """Three registered files."""
    layout = Layout(tmp_path / "data")
    layout.videos.mkdir(parents=True)
    for n in range(3):
        VideoRegistry(layout).register_remembered(drop(layout, f"ride {n}.mp4", str(n)))
    return layout


def drop(layout: Layout, name: str, content: str) -> Path:
    path = layout.videos / name
    path.write_text(content)
    return path


def by_content(layout: Layout, content: str) -> Registration | None:
    return VideoRegistry(layout).by_digest(hashlib.sha256(content.encode()).hexdigest())


def test_every_content_is_found_and_no_other(layout: Layout) -> None:
    for n in range(3):
        found = by_content(layout, str(n))
        assert found is not None and found.video_id.startswith(f"ride-{n}-")
    assert by_content(layout, "3") is None


def test_new_files_are_found_without_listing_the_registry(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_content(layout, "0")
    listed: list[str] = []

    def scandir(path: Path) -> Iterator[os.DirEntry[str]]:
        listed.append(str(path))
        return real(path)  # type: ignore[return-value]

    real = os.scandir
    monkeypatch.setattr(os, "scandir", scandir)
    for n in range(10, 15):
        assert VideoRegistry(layout).register_remembered(drop(layout, f"new {n}.mp4", str(n)))[1]
        assert by_content(layout, str(n)) is not None
    assert str(layout.registry) not in listed


def test_the_contents_may_be_forgotten(layout: Layout) -> None:
    (layout.registry / "known_files.sqlite").unlink()
    assert not VideoRegistry(layout).register_remembered(drop(layout, "copy.mp4", "1"))[1]


def test_records_of_others_are_seen_and_lost_ones_passed_over(layout: Layout) -> None:
    one = by_content(layout, "1")
    assert one is not None
    layout.registration(one.video_id).unlink()
    assert by_content(layout, "1") is None
    digest = hashlib.sha256(b"brought").hexdigest()
    brought = Registration(f"other-{digest[:8]}", digest, "/elsewhere.mp4")
    layout.registration(brought.video_id).write_text(json.dumps(asdict(brought)))
    assert by_content(layout, "brought") == brought


def test_a_crash_before_the_record_leaves_no_known_content(layout: Layout) -> None:
    digest = hashlib.sha256(b"4").hexdigest()
    with (
        pytest.raises(OSError, match="disk"),
        KnownFiles(layout).writing_record(f"ride-4-{digest[:8]}", digest),
    ):
        raise OSError("disk full")
    assert by_content(layout, "4") is None
    assert VideoRegistry(layout).register_remembered(drop(layout, "ride 4.mp4", "4"))[1]


def test_the_memory_of_an_older_version_is_kept(layout: Layout) -> None:
    files = KnownFiles(layout)
    known = files.all()
    with closing(sqlite3.connect(files.path)) as database, database:
        database.execute("DROP TABLE contents")
        database.execute("DROP TABLE listed")
    digests = layout.registry / "digests"
    digests.mkdir()
    (digests / "index.sqlite").write_bytes(b"")
    assert by_content(layout, "1") is not None
    assert files.all() == known and len(known) == 3
    assert not digests.exists()


def test_a_folder_that_is_only_read_answers_from_the_names_of_its_records(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the memory is of a version that knew files alone."""
    record, _ = VideoRegistry(layout).register(drop(layout, "new.mp4", "new"))
    memory = KnownFiles(layout).path
    memory.unlink()
    with closing(sqlite3.connect(memory)) as old, old:
        old.execute("CREATE TABLE files (path TEXT PRIMARY KEY, size, mtime_ns, inode, video_id)")
    connect = sqlite3.connect
    monkeypatch.setattr(
        sqlite3, "connect", lambda path, timeout: connect(f"file:{path}?mode=ro", uri=True)
    )
    assert by_content(layout, "new") == record
    assert by_content(layout, "another") is None
