"""The list of a season: which state each video is in, and what is opened for it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from identity_pipeline.stages.planning.video_list import Kind, VideoList
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.progress.pause import Pause, pause
from identity_pipeline.storage.video.archive import Archive, ArchiveMark
from identity_pipeline.storage.video.failures import FailureNote, FailureNotes
from identity_pipeline.storage.video.registry import VideoRegistry
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline.tables import empty
from identity_pipeline_tests.curated_library import call


@pytest.fixture
def store(tmp_path: Path) -> TableStore:
    """Six videos, the first the oldest: done, archived, failed, begun, and two that wait."""
    store = TableStore(Layout(tmp_path / "data"))
    for n in range(6):
        file = tmp_path / f"ride_{n}.mp4"
        file.write_bytes(str(n).encode())
        record, _ = VideoRegistry(store.layout).register(file)
        os.utime(store.layout.registration(record.video_id), (1000 + n, 1000 + n))
    done, archived, failed, begun = oldest(store)[:4]
    for video_id in (done, archived, failed):
        store.write("identity_dataset", video_id, empty("identity_dataset"), "f")
        store.layout.export(video_id).mkdir(parents=True)
    Archive(store.layout).put(archived, ArchiveMark("now", "then"))
    note = FailureNote("not_a_video", "It is [none].", "ride_video", permanent=True)
    FailureNotes(store.layout).put(failed, note)
    store.write("frames", begun, empty("frames"), "f")
    return store


def oldest(store: TableStore) -> list[str]:
    return VideoList.of(store).ids[::-1]  # type: ignore[return-value]


def test_each_video_is_in_one_state(store: TableStore) -> None:
    known = VideoList.of(store)
    assert [known.kind(v) for v in oldest(store)] == [
        Kind.DONE, Kind.ARCHIVED, Kind.FAILED, Kind.BEGUN, Kind.WAITING, Kind.WAITING,
    ]  # fmt: skip
    assert known.words(oldest(store)[3]) == "begun: frames is there"
    for gone in oldest(store)[:2]:
        shutil.rmtree(store.layout.export(gone))
    assert [VideoList.of(store).kind(v) for v in oldest(store)[:2]] == [
        Kind.WAITING, Kind.ARCHIVED,
    ]  # fmt: skip
    pause(store.layout, Pause("now", "somebody"))
    assert VideoList.of(store).kind(oldest(store)[3]) is Kind.PAUSED
    assert VideoList.of(TableStore(Layout(store.layout.root / "none"))).ids == ()


def test_the_newest_are_listed_and_the_rest_is_counted(store: TableStore) -> None:
    root = store.layout.root.parent
    few = call(root, "videos", "--limit", "2")
    assert "ride_5" in few and "ride_4" in few and "ride_3" not in few
    assert "… and 4 more, --all shows them." in few
    assert "6 videos: 1 failed, 1 done, 1 archived, 1 begun, 2 waiting." in few
    assert all(f"ride_{n}" in call(root, "videos", "--limit", "2", "--all") for n in range(6))
    failed = call(root, "videos", "--state", "failed")
    assert "not_a_video - It is [none]." in failed and "ride_0" not in failed
    two = call(root, "videos", "--state", "done", "--state", "archived")
    assert "ride_0" in two and "done (archived)" in two and "ride_2" not in two


def test_what_is_not_shown_is_not_read(store: TableStore) -> None:
    for n, video_id in enumerate(oldest(store)[:4]):
        store.layout.registration(video_id).write_text("no JSON")
        os.utime(store.layout.registration(video_id), (n, n))
    assert "ride_5" in call(store.layout.root.parent, "videos", "--limit", "2")


def test_a_name_that_copies_have_in_common_is_listed_once(store: TableStore) -> None:
    root = store.layout.root.parent
    for copy in (root / "again" / "ride_5.mp4", root / "again" / "other.mp4"):
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(b"5")
        VideoRegistry(store.layout).register(copy)
    said = call(root, "videos", "--limit", "1")
    assert said.count("ride_5.mp4") == said.count("other.mp4") == 1
