"""The memory of files: a known file is not read again, a changed one is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.known_files import KnownFiles, stamps_of
from identity_pipeline.storage.video.registry import VideoRegistry


@pytest.fixture
def files(tmp_path: Path) -> KnownFiles:
    layout = Layout(tmp_path)
    layout.videos.mkdir()
    return KnownFiles(layout)


def test_a_registered_file_is_remembered_with_its_stamp_and_video(files: KnownFiles) -> None:
    path = files.layout.videos / "a.mp4"
    path.write_bytes(b"abc")
    record, is_new = files.register(path)
    assert is_new
    known = files.all()[str(path)]
    assert known.video_id == record.video_id
    assert known.stamp == stamps_of([path])[str(path)]


def test_a_file_of_the_same_size_and_time_but_another_inode_is_another_file(
    files: KnownFiles,
) -> None:
    path, other = files.layout.videos / "a.mp4", files.layout.videos / "b.mp4"
    path.write_bytes(b"abc")
    files.register(path)
    other.write_bytes(b"xyz")
    os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    other.replace(path)
    known, now = files.all()[str(path)].stamp, stamps_of([path])[str(path)]
    assert (known.size, known.mtime_ns) == (now.size, now.mtime_ns)
    assert known != now


def test_what_is_gone_is_forgotten_and_a_vanished_file_has_no_stamp(files: KnownFiles) -> None:
    path = files.layout.videos / "a.mp4"
    path.write_bytes(b"abc")
    files.register(path)
    path.unlink()
    assert stamps_of([path]) == {}
    files.forget([str(path)])
    assert files.all() == {}


def test_a_lost_memory_costs_only_reading(files: KnownFiles) -> None:
    path = files.layout.videos / "a.mp4"
    path.write_bytes(b"abc")
    record, _ = files.register(path)
    files.path.unlink()
    assert files.all() == {}
    assert files.register(path) == (record, False)
    assert VideoRegistry(files.layout).ids() == [record.video_id]
