"""Which video is which: ids, links, and names that must not lead anywhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_pipeline.storage.files.hashing import sha256_of_file
from identity_pipeline.storage.files.inbox import slug
from identity_pipeline.storage.layout import (
    VIDEO_ID,
    Layout,
    UnsafePathError,
    check_video_id,
    inside,
)
from identity_pipeline.storage.video import registry
from identity_pipeline.storage.video.registry import (
    VideoRegistry,
    video_files,
    video_id_for,
    which_of,
)
from identity_pipeline_tests.core.builders import MODEST

DIGEST = "0123456789abcdef" * 4


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path / "data")
    layout.videos.mkdir(parents=True)
    return layout


def drop(layout: Layout, name: str, content: bytes = b"x") -> Path:
    path = layout.videos / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("stem", "expected"),
    [
        ("Ride 7", "ride-7"),
        ("Fahrt Zürich é", "fahrt-zurich-e"),
        ("..", "video"),
        ("../../etc/passwd", "etc-passwd"),
        ("", "video"),
        ("観覧車", "video"),
        ("___", "video"),
        ("_a_b-", "a_b"),
        ("a" * 200, "a" * 48),
        ("a" * 47 + "--b", "a" * 47),
        ("x;rm -rf $HOME", "x-rm-rf-home"),
    ],
)
def test_the_slug_of_a_stem(stem: str, expected: str) -> None:
    assert slug(stem) == expected


@given(st.text(max_size=80))
@MODEST
def test_any_name_makes_a_safe_id(stem: str) -> None:
    video_id = video_id_for(stem, DIGEST)
    assert VIDEO_ID.fullmatch(video_id)
    assert video_id.endswith("-01234567")


@pytest.mark.parametrize(
    "bad",
    ["", "..", "../a", "a/b", "/a", "A", "-a", "_a", "a b", "a.b", "a\n", "a" * 65, "é", "a\x00"],
)
def test_other_ids_are_refused_everywhere(layout: Layout, bad: str) -> None:
    with pytest.raises(UnsafePathError):
        check_video_id(bad)
    for path in (layout.registration, layout.crops, layout.export):
        with pytest.raises(UnsafePathError):
            path(bad)
    for path in (layout.table, layout.manifest):
        with pytest.raises(UnsafePathError):
            path("riders", bad)


def test_everything_of_a_video_lies_below_the_data_folder(layout: Layout) -> None:
    for path in (layout.table("riders", "a-1"), layout.crops("a-1"), layout.export("a-1")):
        assert path.is_relative_to(layout.root)
        assert inside(layout.root, path) == path.resolve()


def test_a_path_or_link_out_of_its_folder_is_refused(layout: Layout, tmp_path: Path) -> None:
    (tmp_path / "secret").touch()
    (layout.videos / "link").symlink_to(tmp_path / "secret")
    for path in (layout.root / ".." / "secret", layout.videos / "link"):
        with pytest.raises(UnsafePathError):
            inside(layout.root, path)


def test_a_new_file_is_registered_under_its_slug_and_content(layout: Layout) -> None:
    registry = VideoRegistry(layout)
    record, new = registry.register(drop(layout, "Ride 1.mp4"))
    assert new
    assert record.video_id == f"ride-1-{record.sha256[:8]}"
    assert registry.get(record.video_id) == record
    assert registry.by_digest(record.sha256) == record
    assert list(registry.all()) == [record]


def test_the_same_file_again_changes_nothing(layout: Layout) -> None:
    registry = VideoRegistry(layout)
    path = drop(layout, "a.mp4")
    record, _ = registry.register(path)
    written = layout.registration(record.video_id).stat().st_mtime_ns
    assert registry.register(path) == (record, False)
    assert layout.registration(record.video_id).stat().st_mtime_ns == written


def test_the_same_bytes_under_another_name_are_linked(layout: Layout) -> None:
    registry = VideoRegistry(layout)
    first, _ = registry.register(drop(layout, "a.mp4"))
    copies = [drop(layout, name) for name in ("c.mp4", "b.mp4")]
    for path in copies:
        linked, new = registry.register(path)
        assert not new
        assert linked.video_id == first.video_id
    record = registry.get(first.video_id)
    assert record is not None
    assert record.path == first.path
    assert record.links == tuple(sorted(str(path.resolve()) for path in copies))
    assert registry.register(copies[0]) == (record, False)
    Path(record.path).unlink()
    assert record.existing_path() == copies[1].resolve()


def test_other_bytes_under_the_same_name_are_another_video(layout: Layout) -> None:
    registry = VideoRegistry(layout)
    first, _ = registry.register(drop(layout, "one/a.mp4", b"1"))
    second, new = registry.register(drop(layout, "two/a.mp4", b"2"))
    assert new
    assert first.video_id != second.video_id
    assert first.video_id[:2] == second.video_id[:2] == "a-"


def test_a_video_is_found_by_what_a_person_would_type(layout: Layout) -> None:
    registry = VideoRegistry(layout)
    ride, _ = registry.register(drop(layout, "ride one.mp4", b"1"))
    other, _ = registry.register(drop(layout, "ride two.mp4", b"2"))
    assert registry.find(ride.video_id) == ride
    assert registry.find("ride two.mp4") == other
    assert registry.find(str(layout.videos / "ride two.mp4")) == other
    assert registry.find("ride-o") == ride
    assert registry.find("ride") is None
    assert registry.find("nothing") is None
    assert registry.no_single("nothing") == "no single video fits 'nothing' (none does)"
    both = ", ".join(sorted((ride.video_id, other.video_id)))
    assert registry.no_single("ride") == f"no single video fits 'ride' ({both} do)"
    assert which_of(["a", "b", "c", "d", "e", "f"]) == "a, b, c, d, e and 1 more do"
    (layout.registry / f"{other.video_id}.json").write_text("not read, when the name is an id's")
    assert registry.find(ride.video_id) == registry.find("ride-o") == ride


def test_a_video_is_found_under_every_name_it_was_seen_under(layout: Layout) -> None:
    registry = VideoRegistry(layout)
    registry.register(drop(layout, "a.mp4"))
    registry.register(drop(layout, "holiday.mp4"))
    assert registry.find("holiday.mp4") is not None


def test_what_is_in_the_inbox(layout: Layout, tmp_path: Path) -> None:
    for name in ("b.MP4", "a.mov", ".hidden.mp4", ".partial-x.mp4", "notes.txt", "no_suffix"):
        drop(layout, name)
    (layout.videos / "folder.mp4").mkdir()
    outside = tmp_path / "outside.mp4"
    outside.touch()
    (layout.videos / "leads_out.mp4").symlink_to(outside)
    (layout.videos / "leads_in.mp4").symlink_to(layout.videos / "a.mov")
    (layout.videos / "broken.mp4").symlink_to(layout.videos / "gone.mp4")
    names = [path.name for path in video_files(layout.videos, (".mp4", ".mov"))]
    assert names == ["a.mov", "b.MP4", "leads_in.mp4"]
    assert video_files(tmp_path / "missing", (".mp4",)) == []


def test_two_contents_with_the_same_first_digits_are_two_videos(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The digest is cut so that all contents agree in the digits an id usually has."""
    monkeypatch.setattr(registry, "sha256_of_file", lambda path: "0" * 8 + sha256_of_file(path)[8:])
    records = VideoRegistry(layout)
    first, _ = records.register(drop(layout, "a/ride.mp4", b"one"))
    second, new = records.register(drop(layout, "b/ride.mp4", b"two"))
    assert first.video_id == "ride-00000000"
    assert new and second.video_id.startswith("ride-00000000") and len(second.video_id) == 17
    again, new = records.register(drop(layout, "c/ride.mp4", b"two"))
    assert not new and again.video_id == second.video_id
    assert records.get(first.video_id) == first
