"""Finding a content among many records: right after every loss, and without listing them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.digests import DigestIndex
from identity_pipeline.storage.video.known_files import KnownFiles
from identity_pipeline.storage.video.registry import Registration, VideoRegistry


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """Three registered files."""
    layout = Layout(tmp_path / "data")
    layout.videos.mkdir(parents=True)
    for n in range(3):
        KnownFiles(layout).register(drop(layout, f"ride {n}.mp4", str(n)))
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
        assert KnownFiles(layout).register(drop(layout, f"new {n}.mp4", str(n)))[1]
        assert by_content(layout, str(n)) is not None
    assert str(layout.registry) not in listed


def test_the_index_may_be_deleted(layout: Layout) -> None:
    shutil.rmtree(layout.registry / "digests")
    assert by_content(layout, "1") is not None
    (layout.registry / "known_files.sqlite").unlink()
    assert not KnownFiles(layout).register(drop(layout, "copy.mp4", "1"))[1]


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
        DigestIndex(layout).writing(f"ride-4-{digest[:8]}", digest),
    ):
        raise OSError("disk full")
    assert by_content(layout, "4") is None
    assert KnownFiles(layout).register(drop(layout, "ride 4.mp4", "4"))[1]
