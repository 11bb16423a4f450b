"""Which photographs are a set: ids, what is not taken, and that nothing is ever half there."""

from __future__ import annotations

import errno
import json
import shutil
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.layout import VIDEO_ID, Layout
from identity_pipeline.storage.photos import photo_sets
from identity_pipeline.storage.photos.photo_sets import PhotoSets, PictureChangedError
from identity_pipeline.storage.video.registry import mending_command
from identity_pipeline.storage.video.tables import MissingTableError, TableStore


@pytest.fixture
def sets(tmp_path: Path) -> PhotoSets:
    return PhotoSets(Layout(tmp_path / "data"))


def pictures(folder: Path, **contents: bytes) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for stem, content in contents.items():
        made.append(folder / f"{stem}.jpg")
        made[-1].write_bytes(content)
    return made


def everything(sets: PhotoSets) -> dict[str, bytes]:
    root = sets.layout.photo_sets
    there = (p for p in root.rglob("*") if p.is_file() and p.name != ".lock")
    return {str(p.relative_to(root)): p.read_bytes() for p in there}


def test_the_same_pictures_are_the_same_set_whatever_they_are_called(
    sets: PhotoSets, tmp_path: Path
) -> None:
    first, refused = sets.register("Ada L.", pictures(tmp_path / "a", b=b"2", a=b"1"))
    assert first is not None and not refused
    assert first.set_id.startswith("photos-ada-l-") and VIDEO_ID.fullmatch(first.set_id)
    assert [(p.number, p.name, p.file) for p in first.pictures] == [
        (1, "a.jpg", "0001.jpg"),
        (2, "b.jpg", "0002.jpg"),
    ]
    assert [sets.content(first, p) for p in first.pictures] == [b"1", b"2"]
    before = everything(sets)
    again = sets.register("Ada L.", pictures(tmp_path / "other", x=b"1", y=b"2"))
    assert again == (first, ()) and everything(sets) == before
    assert list(sets.all()) == [first] and sets.get(first.set_id) == first


def test_a_picture_is_in_one_set_only_and_the_refusal_names_it(
    sets: PhotoSets, tmp_path: Path
) -> None:
    first, _ = sets.register("Ada", pictures(tmp_path, a=b"1"))
    second, refused = sets.register("Bo", pictures(tmp_path, a=b"1", b=b"2", c=b"2"))
    assert first and second and len(second.pictures) == 1
    told = {one.path.name: (one.code, one.set_id) for one in refused}
    assert told == {"a.jpg": ("known", first.set_id), "c.jpg": ("twice", None)}
    assert first.set_id in next(one.sentence for one in refused if one.code == "known")
    both = sets.register("Bo", pictures(tmp_path, a=b"1", b=b"2"))
    assert both.photo_set is None
    assert {one.set_id for one in both.not_taken} == {first.set_id, second.set_id}


def test_pictures_of_a_set_that_is_set_aside_are_free(sets: PhotoSets, tmp_path: Path) -> None:
    one = pictures(tmp_path, a=b"1")
    first, _ = sets.register("Ada", one)
    assert first
    before = everything(sets)
    assert sets.register("Ada", one, "2024-01-01", {first.set_id}).photo_set == first
    assert everything(sets) == before
    both = pictures(tmp_path, a=b"1", b=b"2")
    more, refused = sets.register("Ada", both, None, {first.set_id})
    assert more and len(more.pictures) == 2 and not refused
    assert sets.would_register("Ada", both, {first.set_id}).photo_set == more


def test_what_is_no_file_is_refused_and_the_others_are_taken(
    sets: PhotoSets, tmp_path: Path
) -> None:
    (tmp_path / "folder.jpg").mkdir()
    named = [*pictures(tmp_path, a=b"1"), tmp_path / "folder.jpg", tmp_path / "gone.jpg"]
    taken, refused = sets.register("../../etc/Ada", named)
    assert taken and taken.set_id.startswith("photos-etc-ada-")
    assert [one.code for one in refused] == ["unusable", "unusable"]
    assert sets.register("Ada", named[1:]).photo_set is None


def test_what_is_too_much_for_a_set_is_taken_in_the_next_time(
    sets: PhotoSets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(photo_sets, "MOST", 2)
    named = pictures(tmp_path, a=b"1", b=b"2", c=b"3")
    first, refused = sets.register("Ada", named)
    assert first and [one.code for one in refused] == ["too_many"]
    second, known = sets.register("Ada", named)
    assert second and [p.name for p in second.pictures] == ["c.jpg"]
    assert {one.set_id for one in known} == {first.set_id}


def test_only_the_owner_may_read_what_is_kept(sets: PhotoSets, tmp_path: Path) -> None:
    taken, _ = sets.register("Ada", pictures(tmp_path, a=b"1"))
    assert taken
    folder = sets.layout.photo_set(taken.set_id)
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in (folder, *folder.iterdir())}
    assert modes == {folder.name: 0o700, "set.json": 0o600, "0001.jpg": 0o600}


@pytest.mark.parametrize("fault", ["full disk", "written to"])
def test_a_failure_in_the_middle_leaves_nothing(
    sets: PhotoSets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    copy, copied = shutil.copyfile, []

    def failing(source: Path, target: Path) -> None:
        copied.append(copy(source, target))
        if len(copied) == 2:
            if fault == "full disk":
                raise OSError(errno.ENOSPC, "no space", str(target))
            Path(target).write_bytes(b"later")

    monkeypatch.setattr(photo_sets.shutil, "copyfile", failing)
    with pytest.raises((OSError, PictureChangedError)):
        sets.register("Ada", pictures(tmp_path / "in", a=b"1", b=b"2", c=b"3"))
    assert everything(sets) == {} and sets.ids() == []


def test_many_at_once_take_each_picture_once(sets: PhotoSets, tmp_path: Path) -> None:
    def take(n: int) -> None:
        named = pictures(tmp_path / str(n), **{f"p{i}": bytes([i]) for i in range(n, n + 4)})
        sets.register(f"P{n}", named)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(take, range(8)))
    kept = [p.sha256 for one in sets.all() for p in one.pictures]
    assert len(kept) == len(set(kept)) == 11


@pytest.mark.parametrize(
    "change",
    [
        {"set_id": "photos-bo-00000000"},
        {"sha256": "0" * 64},
        {"pictures": []},
        {"pictures": "none"},
        {"file": "../../../etc/passwd"},
        {"number": 7},
    ],
)
def test_a_damaged_record_is_one_sentence_and_is_written_anew(
    sets: PhotoSets, tmp_path: Path, change: dict[str, object]
) -> None:
    named = pictures(tmp_path, a=b"1")
    taken, _ = sets.register("Ada", named)
    assert taken
    path = sets.layout.photo_set(taken.set_id) / "set.json"
    record = json.loads(path.read_bytes())
    inner = change.keys() & record["pictures"][0].keys()
    (record["pictures"][0] if inner else record).update(change)
    path.write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(DamagedFileError, match=r"is damaged: .* takes it in anew") as caught:
        sets.get(taken.set_id)
    assert "\n" not in str(caught.value)
    assert list(sets.all()) == [] and set(sets.damaged()) == {taken.set_id}
    assert sets.register("Ada", named).photo_set == taken and not sets.damaged()


def test_another_picture_in_the_place_of_a_copy_is_not_read_and_can_be_put_back(
    sets: PhotoSets, tmp_path: Path
) -> None:
    named = pictures(tmp_path, a=b"1")
    taken, _ = sets.register("Ada", named)
    assert taken
    sets.path(taken, taken.pictures[0]).write_bytes(b"2")
    with pytest.raises(DamagedFileError, match="not those that were taken in"):
        sets.content(taken, taken.pictures[0])
    assert sets.register("Ada", named).photo_set == taken
    assert sets.content(taken, taken.pictures[0]) == b"1"


def test_a_missing_table_of_a_set_names_the_command_for_photographs(
    sets: PhotoSets, tmp_path: Path
) -> None:
    taken, _ = sets.register("Ada L", pictures(tmp_path, a=b"1"))
    assert taken
    folder = sets.layout.photo_set(taken.set_id)
    wanted = f"identity-pipeline enrol 'Ada L' {folder}/0*"
    assert mending_command(sets.layout, taken.set_id) == wanted
    with pytest.raises(MissingTableError, match="enrol 'Ada L'"):
        TableStore(sets.layout).read("face_tracks", taken.set_id)
    assert "run VIDEO_FILE" in mending_command(sets.layout, "photos-of-a-ride-00000000")
