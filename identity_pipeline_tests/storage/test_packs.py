"""Packs: everything reads as before, in one file; no kill and no second writer loses anything."""

from __future__ import annotations

import os
import sys
import threading
import zipfile
from pathlib import Path
from typing import Any

import pytest

from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.progress.known import Memory
from identity_pipeline.storage.video import packs
from identity_pipeline.storage.video.known_notes import VERSION, notes_of
from identity_pipeline.storage.video.outputs import MANIFEST, PARTS, TABLE
from identity_pipeline.storage.video.packs import pack, unpack
from identity_pipeline.storage.video.tables import Manifest, MissingTableError, TableStore
from identity_pipeline_tests.storage.small_library import RIDE_A, RIDE_B, put, write_ride

LAST = "identity_dataset"
NEVER = 2**62
LONG_AGO = 1_700_000_000


@pytest.fixture
def store(tmp_path: Path) -> TableStore:
    """Two rides with tables, a note of what is no table, and what one is made of."""
    made = TableStore(Layout(tmp_path / "data"))
    for seed, video_id in enumerate((RIDE_A, RIDE_B)):
        write_ride(made, video_id, seed=seed)
        put(made, "frames", video_id, [{"frame_idx": seed}])
        made.note("face_crops", video_id, Manifest("f", "v", 3))
        made.note_made_of("face_embeddings", video_id, {"code": 1})
    return made


def files_of(store: TableStore, video_id: str) -> dict[str, tuple[bytes, int]]:
    """Bytes and time of each file of a video that lies by itself, by its path."""
    root = store.layout.tables
    return {
        path.relative_to(root).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(root.glob(f"*/{video_id}.*"))
        if path.suffix != packs.SUFFIX
    }


def told_of(store: TableStore, video_id: str) -> dict[str, Any]:
    """Everything that the store says of a video."""
    outputs = store.outputs
    assets = sorted(path.name for path in store.layout.tables.glob("*/") if path.name != "packs")
    told: dict[str, Any] = {"assets": outputs.assets(video_id)}
    for asset in assets:
        told[asset] = [
            store.noted(asset, video_id),
            store.manifest(asset, video_id),
            store.made_of(asset, video_id),
            video_id in store.videos_with(asset),
            video_id in store.videos_noted(asset),
            outputs.stamps(asset).get(video_id),
            *(outputs.find(asset, video_id, part) for part in PARTS),
            *(outputs.found(asset, part).get(video_id) for part in PARTS),
            *(outputs.there(asset, video_id, part) for part in PARTS),
        ]
    return told


def test_a_packed_video_is_one_file_that_reads_as_all_of_them_did(store: TableStore) -> None:
    before, told, both = files_of(store, RIDE_A), told_of(store, RIDE_A), told_of(store, RIDE_B)
    table = store.read("face_embeddings", RIDE_A)
    folders = {path: path.stat().st_mtime_ns for path in store.layout.tables.glob("*/")}
    assert pack(store.layout, RIDE_A, NEVER, LAST) == len(before) > 10
    assert files_of(store, RIDE_A) == {}
    assert {path: path.stat().st_mtime_ns for path in folders} == folders
    assert told_of(store, RIDE_A) == told
    assert told_of(store, RIDE_B) == both
    assert store.read("face_embeddings", RIDE_A).equals(table)
    assert store.read("face_embeddings", RIDE_A, ("face_id",)).columns == ["face_id"]
    with pytest.raises(MissingTableError):
        store.read("frame_ledger", RIDE_A)
    path = store.layout.pack(RIDE_A)
    assert path.stat().st_mode & 0o077 == 0
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
    assert unpack(store.layout, RIDE_A) == len(before)
    assert not path.exists()
    assert files_of(store, RIDE_A) == before


def test_equal_files_are_equal_packs(store: TableStore) -> None:
    pack(store.layout, RIDE_A, NEVER, LAST)
    first = store.layout.pack(RIDE_A).read_bytes()
    members = packs.members_of(store.layout, RIDE_A)
    files = {name: packs.read_member(store.layout, RIDE_A, name) for name in members}
    packs._write(store.layout, RIDE_A, files)
    assert store.layout.pack(RIDE_A).read_bytes() == first


def test_what_changed_of_late_is_not_packed(store: TableStore) -> None:
    old = store.layout.manifest("frames", RIDE_A).stat().st_mtime_ns
    assert pack(store.layout, RIDE_A, old - 1, LAST) == 0
    assert not store.layout.pack(RIDE_A).exists()


@pytest.mark.parametrize("how", ["write", "note", "made of", "remove"])
def test_no_pack_holds_what_was_replaced_or_removed(store: TableStore, how: str) -> None:
    old = store.outputs.read("frames", RIDE_A)
    pack(store.layout, RIDE_A, NEVER, LAST)
    if how == "write":
        put(store, "frames", RIDE_A, [{"frame_idx": 77}])
        assert store.read("frames", RIDE_A)["frame_idx"].to_list() == [77]
    elif how == "note":
        store.note("frames", RIDE_A, Manifest("other", "v", 1))
        assert store.manifest("frames", RIDE_A) is None
    elif how == "made of":
        store.note_made_of("frames", RIDE_A, {"code": 2})
        assert store.made_of("frames", RIDE_A) == {"code": 2}
    else:
        assert store.outputs.remove("frames", RIDE_A, TABLE) == len(old)
        assert not store.outputs.has("frames", RIDE_A)
        assert store.outputs.remove("frames", RIDE_A, TABLE) is None
    assert not store.layout.pack(RIDE_A).exists()
    assert store.outputs.assets(RIDE_A)  # the others are back
    gone = {path for path in store.layout.tables.rglob("*") if path.is_file()}
    if how in ("write", "remove"):
        assert [path for path in gone if old in path.read_bytes()] == []


def test_a_memory_of_notes_holds_over_packing_and_sees_what_comes_after(store: TableStore) -> None:
    folder = store.layout.tables / "frames"
    os.utime(folder, ns=(LONG_AGO * 10**9, LONG_AGO * 10**9))
    before = notes_of(store, "frames")
    kept = Memory(store.layout, "notes-frames", VERSION).path.read_bytes()
    pack(store.layout, RIDE_A, NEVER, LAST)
    assert notes_of(store, "frames") == before
    assert Memory(store.layout, "notes-frames", VERSION).path.read_bytes() == kept, (
        "nothing was looked at"
    )
    put(store, "frames", RIDE_B, [{"frame_idx": 5}])
    after = notes_of(store, "frames")
    assert after[RIDE_A] == before[RIDE_A]
    assert after[RIDE_B] != before[RIDE_B]


def test_what_all_packs_hold_is_remembered_and_follows_them(store: TableStore) -> None:
    pack(store.layout, RIDE_A, NEVER, LAST)
    ago = LONG_AGO * 10**9
    os.utime(store.layout.packs, ns=(ago, ago))
    assert store.videos_with("frames") == [RIDE_A, RIDE_B]
    store.layout.pack(RIDE_A).rename(store.layout.packs / "aside")  # whoever looked would miss it
    os.utime(store.layout.packs, ns=(ago, ago))
    assert store.videos_with("frames") == [RIDE_A, RIDE_B]
    (store.layout.packs / "aside").rename(store.layout.pack(RIDE_A))
    pack(store.layout, RIDE_B, NEVER, LAST)
    assert store.videos_with("frames") == [RIDE_A, RIDE_B]
    unpack(store.layout, RIDE_A)
    for part in PARTS:
        store.outputs.remove("frames", RIDE_A, part)
    assert store.videos_with("frames") == [RIDE_B]
    assert sorted(store.outputs.found("frames", MANIFEST)) == [RIDE_B]


def test_a_damaged_pack_is_as_if_nothing_were_there_and_goes_with_the_next_change(
    store: TableStore, caplog: pytest.LogCaptureFixture
) -> None:
    pack(store.layout, RIDE_A, NEVER, LAST)
    store.layout.pack(RIDE_A).write_bytes(b"no zip at all")
    assert store.noted("frames", RIDE_A) is None
    assert not store.outputs.has("frames", RIDE_A)
    assert "is damaged" in caplog.text
    with pytest.raises(DamagedFileError, match="it is no pack"):
        store.read("frames", RIDE_A)
    put(store, "frames", RIDE_A, [{"frame_idx": 1}])
    assert store.read("frames", RIDE_A).height == 1
    assert not store.layout.pack(RIDE_A).exists()
    store.layout.pack(RIDE_B).write_bytes(b"no zip either")
    assert unpack(store.layout, RIDE_B) == 0
    assert not store.layout.pack(RIDE_B).exists()


def test_a_pack_that_cannot_be_read_now_is_neither_empty_nor_removed(store: TableStore) -> None:
    store.layout.pack(RIDE_A).mkdir(parents=True)  # as a share that answers with an error
    for act in (
        lambda: store.outputs.has("riders", RIDE_A),
        lambda: unpack(store.layout, RIDE_A),
        lambda: pack(store.layout, RIDE_A, NEVER, LAST),
    ):
        with pytest.raises(IsADirectoryError):
            act()
    assert store.layout.pack(RIDE_A).exists() and store.read("frames", RIDE_A).height


@pytest.mark.parametrize("cut", [*range(1, 60, 7), 200, 2000])
def test_whatever_is_cut_from_a_pack_it_is_damaged(store: TableStore, cut: int) -> None:
    pack(store.layout, RIDE_A, NEVER, LAST)
    path = store.layout.pack(RIDE_A)
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(DamagedFileError):
        packs.members_read(store.layout, RIDE_A)
    path.write_bytes(path.read_bytes()[cut:])
    assert packs.members_of(store.layout, RIDE_A) == {}


def test_a_damaged_table_in_a_pack_is_found_when_it_is_read(store: TableStore) -> None:
    pack(store.layout, RIDE_A, NEVER, LAST)
    member = packs.members_of(store.layout, RIDE_A)[f"frames{TABLE}"]
    with store.layout.pack(RIDE_A).open("r+b") as stream:
        stream.seek(member.start + 10)
        stream.write(b"????")
    assert store.manifest("frames", RIDE_A) is None
    with pytest.raises(ValueError, match=r"SHA-256 begins with .* was recorded"):
        store.read("frames", RIDE_A)


def test_a_pack_that_names_other_places_is_damaged(store: TableStore) -> None:
    store.layout.packs.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(store.layout.pack("ride-x"), "w") as archive:
        info = zipfile.ZipInfo("../../away.parquet")
        info.comment = b"1/2/3"
        archive.writestr(info, b"ab")
    assert packs.members_of(store.layout, "ride-x") == {}


def _dies_at(line: int, act: Any) -> bool:
    """Does something in a child that ends without another word at the n-th line; whether it did."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    left = line

    def trace(frame: Any, event: str, arg: Any) -> Any:
        nonlocal left
        del arg
        if not frame.f_code.co_filename.endswith(("packs.py", "atomic.py", "outputs.py")):
            return None
        if event == "line":
            left -= 1
            if left < 0:
                os._exit(9)
        return trace

    sys.settrace(trace)
    act()
    os._exit(0)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("act", [pack, unpack])
def test_a_kill_at_any_line_leaves_all_readable_and_is_gone_on_with(
    store: TableStore, act: Any
) -> None:
    layout, files = store.layout, files_of(store, RIDE_A)
    assets = store.outputs.assets(RIDE_A)
    given = (layout, RIDE_A, NEVER, LAST) if act is pack else (layout, RIDE_A)
    died, kills = True, 0
    while died:
        if act is unpack:
            pack(layout, RIDE_A, NEVER, LAST)
        died = _dies_at(kills * 173, lambda: act(*given))
        kills += died
        assert store.outputs.assets(RIDE_A) == assets
        assert all(store.manifest(asset, RIDE_A) for asset in assets), kills
        act(*given)
        assert layout.pack(RIDE_A).exists() == (act is pack)
        unpack(layout, RIDE_A)
        assert files_of(store, RIDE_A) == files, kills
    assert kills > 3


def test_who_writes_while_others_pack_loses_nothing(store: TableStore) -> None:
    stop, packed = threading.Event(), []

    def packing() -> None:
        while not stop.is_set():
            packed.append(pack(store.layout, RIDE_A, NEVER, LAST))

    thread = threading.Thread(target=packing)
    thread.start()
    try:
        for n in range(12):
            put(store, "frames", RIDE_A, [{"frame_idx": n}])
            assert store.read("frames", RIDE_A)["frame_idx"].to_list() == [n]
            assert store.read("face_embeddings", RIDE_A).height == 8
    finally:
        stop.set()
        thread.join()
    assert sum(map(bool, packed)) > 1
    assert store.read("frames", RIDE_A)["frame_idx"].to_list() == [11]
