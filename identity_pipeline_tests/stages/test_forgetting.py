"""Forgetting somebody: all of it goes, others lose nothing, and no kill leaves half of it."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from identity_pipeline.media.crops import encode_jpeg
from identity_pipeline.settings import PublishSettings, Settings
from identity_pipeline.stages.curation.snapshot import LibrarySnapshot
from identity_pipeline.stages.privacy import forgetting
from identity_pipeline.stages.privacy.footprint import Footprint, FootprintError, footprint_of
from identity_pipeline.stages.privacy.forgetting import Outside, RunsWorkingError
from identity_pipeline.stages.privacy.places import PLACES
from identity_pipeline.stages.privacy.published import erase_published
from identity_pipeline.stages.privacy.receipts import receipt_of, receipts
from identity_pipeline.stages.privacy.whom import find_whom
from identity_pipeline.stages.publishing.publishing import PublishingNotes
from identity_pipeline.stages.specs.assets import SPECS
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.cameras.cameras import CameraRecord, Cameras
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.progress.heartbeat import Heartbeat, Heartbeats
from identity_pipeline.storage.progress.pause import paused
from identity_pipeline.storage.publishing.object_store import ObjectStoreError
from identity_pipeline.storage.video.audits import Audits, Said
from identity_pipeline.storage.video.crop_archive import CropArchive, part_in, write_part
from identity_pipeline.storage.video.packs import pack
from identity_pipeline.storage.video.tables import Manifest, TableStore
from identity_pipeline_tests.curated_library import PINS, call, write_rides
from identity_pipeline_tests.made_up_cameras import order_of
from identity_pipeline_tests.processes import SERVER

NOW = "2026-01-02T03:04:05Z"


@pytest.fixture
def store(tmp_path: Path) -> TableStore:
    made = write_rides(tmp_path)
    for video_id in made.videos_with("face_detections"):
        write_crops(made, video_id)
    Cameras(made.layout).write_record(CameraRecord(None, tuple(made.videos_with("frames"))))
    for video_id in made.videos_with("frames"):
        said = Said(NOW, "Eve", 0, (1.0, 2.0, 3.0, 4.0), 0, 0.5, "gated", "missed")
        Audits(made.layout).add(video_id, lambda _, said=said: said)
    call(tmp_path, "recluster")
    call(tmp_path, "label", "ride-a:1", "--name", "Ada", "--reason", "the guide knows Ada")
    call(tmp_path, "label", "cluster", "2", "--name", "Ben")
    call(tmp_path, "label", "ride-d:1", "--person", "Ada")
    call(tmp_path, "recluster")
    for video_id in made.videos_with("frames")[::3]:  # one that is hers alone, one of others too
        assert pack(made.layout, video_id, 2**62, "frames")
    return made


def write_crops(store: TableStore, video_id: str) -> None:
    """Crops of noise, so that each face is told from all others."""
    noise = np.random.default_rng(int(video_id[-8:], 16))
    rows = []
    for face_id, x1 in store.read("face_detections", video_id, ("face_id", "x1")).iter_rows():
        pixels = noise.integers(0, 255, (112, 112, 3), dtype=np.uint8)
        region = encode_jpeg(noise.integers(0, 255, (60, 60, 3), dtype=np.uint8), 95)
        place = {"region_x": x1, "region_y": 0.0, "region_scale": 1.0}
        rows.append(
            {"face_id": face_id, "aligned": pixels.tobytes(), "region_jpeg": region} | place
        )
    crops = store.layout.crops(video_id)
    write_part(part_in(crops, 0), rows)
    store.note("face_crops", video_id, Manifest("f", CropArchive(crops).data_version(), len(rows)))


def settings() -> Settings:
    from identity_pipeline.settings import load_settings

    groups: dict[str, dict[str, str]] = {}
    for name, value in PINS.items():
        _, *parts = name.split("__")
        if parts:
            groups.setdefault(parts[0].lower(), {})[parts[1].lower()] = value
    return load_settings(**groups)


def whose(store: TableStore, word: str) -> Footprint:
    library = LibrarySnapshot.open(LibraryStores.of(store), NOW, write=False)
    return footprint_of(library, find_whom(library, word))


def bytes_below(root: Path) -> Iterator[tuple[Path, bytes]]:
    for path in root.rglob("*"):
        if path.is_file():
            yield path, path.read_bytes()


def naming(root: Path, name: str) -> list[Path]:
    """Files that hold a name; numbers in which three bytes happen to spell it are none."""

    def content(path: Path, data: bytes) -> bytes:
        if path.suffix != ".arrow":
            return data
        table = pl.read_ipc(path)
        return str(table.select(pl.exclude(pl.Binary)).to_dicts()).encode()

    return [p for p, data in bytes_below(root) if name.encode() in content(p, data)]


def test_who_is_forgotten_is_nowhere_and_everybody_else_is_where_they_were(
    store: TableStore, tmp_path: Path
) -> None:
    ada = whose(store, "Ada")
    listed = json.loads(call(tmp_path, "forget", "Ada", "--json"))
    assert listed[0]["state"] == "would be forgotten"
    assert "Nothing was done; add --yes" in call(tmp_path, "forget", "Ada")
    assert "Ada" in call(tmp_path, "people")
    keys = tmp_path / "safe" / "copy.keys"
    call(tmp_path, "backup", str(tmp_path / "b.zip"), "--keys", str(keys))
    path = forgetting.forget(LibraryStores.of(store), settings(), lambda: ada, "tester")
    receipt = receipt_of(store.layout, path.stem)
    assert receipt is not None and receipt.proved, receipt
    assert "Ada" not in path.read_text()
    assert "1 copy of the keys" in path.read_text() and len(receipt.told["backups"]) == 1
    assert naming(store.layout.root, "Ada") == []
    hers = re.compile("(?<![0-9a-f])ada(?![0-9a-f])")  # within a number of base 16 it is no name
    assert [p for p in store.layout.root.rglob("*") if hers.search(p.name)] == []
    [whole] = ada.videos
    assert whole.startswith("ride-d")
    left = {p.name for p, _ in bytes_below(store.layout.root) if whole in str(p)}
    assert left == set()
    assert len(order_of(Cameras(store.layout), None)) == 3, "of the camera's four"
    audited = {path.stem for path in store.layout.audits.glob("*.jsonl")}
    assert audited and audited == set(store.videos_with("frames")) - set(ada.faces)
    assert list(store.layout.forgetting.glob("*.json")) == []
    assert paused(store.layout) is None
    people = call(tmp_path, "people")
    assert "Ben" in people and "Ada" not in people
    hidden = store.read("face_detections", ada.shared[0])
    theirs = {face.face_id for face in ada.faces[ada.shared[0]]}
    assert hidden.height == 3 and not theirs & set(hidden["face_id"])
    assert "forgotten" in call(tmp_path, "events")
    assert "is about somebody who was forgotten" in call(tmp_path, "undo", "1", code=1)
    [person_id] = ada.person_ids
    again = call(tmp_path, "forget", person_id, "--yes")
    assert "was forgotten on" in again and str(path) in again
    with pytest.raises(FootprintError, match="No person, ride or photo set"):
        whose(store, whole)  # its id was sealed, too
    assert "No person, ride or photo set is called 'Ada'" in call(
        tmp_path, "forget", "Ada", "--yes", code=1
    )
    assert len(list(receipts(store.layout))) == 1


def test_with_a_damaged_pack_of_their_ride_nothing_is_forgotten_and_it_is_said(
    store: TableStore, tmp_path: Path
) -> None:
    """Nobody is found in it, so nobody would be hidden, and the next run would bring them back."""
    shared = whose(store, "Ada").shared[0]
    pack(store.layout, shared, 2**62, "frames")
    store.layout.pack(shared).write_bytes(b"no zip at all")
    said = call(tmp_path, "forget", "Ada", "--yes", code=1)
    assert "it is no pack" in said and "Traceback" not in said
    assert "Ada" in call(tmp_path, "people") and not list(receipts(store.layout))
    assert store.layout.pack(shared).exists() and paused(store.layout) is None


def _forget(root: Path, found: Footprint, die_at: int | None, seen: Any) -> None:
    """Forgets, or goes on; dies at the n-th time that something is written or removed."""
    count = 0
    acts = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "shutil.rmtree"}

    def act(event: str, args: tuple[Any, ...]) -> None:
        nonlocal count
        if event in acts or (event == "open" and isinstance(args[1], str) and args[1] != "r"):
            count += 1
            seen.value = count
            if count == die_at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(act)
    stores = LibraryStores.of(TableStore(Layout(root)))
    if forgetting.unfinished(stores.layout):
        forgetting.resume(stores, settings())
    elif not list(receipts(stores.layout)):
        forgetting.forget(stores, settings(), lambda: found, "tester")


@pytest.mark.slow
def test_killed_twenty_times_at_random_it_ends_as_if_it_had_not_been(
    store: TableStore, tmp_path: Path
) -> None:
    ada, root = whose(store, "Ada"), store.layout.root

    def done(die_at: int | None) -> tuple[int | None, int]:
        seen = SERVER.Value("i", 0)
        child = SERVER.Process(target=_forget, args=(root, ada, die_at, seen))
        child.start()
        child.join(60)
        return child.exitcode, seen.value

    chance, kills = np.random.default_rng(20), 0
    while kills < 20:
        ended, acts = done(int(chance.integers(1, 45)))
        if ended == 0:
            break
        assert ended == -signal.SIGKILL, (ended, acts)
        kills += 1
        begun, written = forgetting.unfinished(store.layout), list(receipts(store.layout))
        assert len(written) <= 1
        if begun and not written:
            assert "is unfinished" in call(tmp_path, "status", code=0)
    assert done(None)[0] == 0
    [receipt] = receipts(store.layout)
    assert receipt.proved, receipt.told["scans"]
    assert forgetting.unfinished(store.layout) == ()
    assert list(store.layout.forgetting.glob("*.json")) == []
    assert paused(store.layout) is None
    assert naming(root, "Ada") == []
    assert kills == 20


def test_what_is_away_keeps_it_unfinished_and_it_goes_on_later(
    store: TableStore, tmp_path: Path
) -> None:
    def away(footprint: Footprint, progress: Any) -> list[Any]:
        raise OSError(111, "nobody answers", "the store")

    stores = LibraryStores.of(store)
    with pytest.raises(forgetting.UnfinishedForgettingError, match="records of runs"):
        forgetting.forget(
            stores, settings(), lambda: whose(store, "Ada"), "tester", outside=Outside(records=away)
        )
    assert list(receipts(store.layout)) == []
    [journal] = forgetting.unfinished(store.layout)
    assert "forget --resume" in journal.sentence()
    codes = {"status": 0, "run": 75}
    commands = [("status",), ("forget",), ("continue",), ("run", str(tmp_path / "ride-a.mp4"))]
    for command in commands:
        said = call(tmp_path, *command, code=codes.get(command[0], 1))
        assert "is unfinished" in said, command
    assert paused(store.layout) is not None
    [path] = forgetting.resume(stores, settings())
    assert path.stem == journal.id
    assert paused(store.layout) is None


def test_a_store_that_is_not_mounted_is_not_taken_for_an_empty_one(
    store: TableStore, tmp_path: Path
) -> None:
    url = (tmp_path / "share").as_uri()
    away = settings().model_copy(update={"publish": PublishSettings(url=url)})
    ada = whose(store, "Ada")
    PublishingNotes(store.layout, url).note_sent(ada.videos[0], "1", "1", 1)
    with pytest.raises(ObjectStoreError, match="mount it and go on"):
        erase_published(store.layout, away, ada)
    (tmp_path / "share").mkdir()
    assert erase_published(store.layout, away, ada) == []


def test_runs_that_are_at_work_are_waited_for_or_a_reason_not_to_begin(
    store: TableStore,
) -> None:
    live = Heartbeats(store.layout)
    at_work = Heartbeat("other", "face_quality", None, 0.0, pid=1, born=None, host="elsewhere")
    live.put(at_work)
    stores = LibraryStores.of(store)

    def find() -> Footprint:
        assert not forgetting.at_work(store.layout)  # a run may add to what goes
        return whose(store, "Ada")

    with pytest.raises(RunsWorkingError, match="face_quality is at work; nothing was done"):
        forgetting.forget(stores, settings(), find, "tester", wait=False)
    assert paused(store.layout) is None and forgetting.unfinished(store.layout) == ()
    told: list[tuple[str, int]] = []

    def ends(stage: str, done: int, total: int | None, unit: str) -> None:
        told.append((stage, done))
        for path in live.folder.glob("other-*.json"):
            path.unlink()

    forgetting.forget(stores, settings(), find, "tester", progress=ends)
    assert told[0] == (forgetting.WAITING, 0)


def test_words_go_only_where_a_name_is_a_word(store: TableStore, tmp_path: Path) -> None:
    call(tmp_path, "label", "ride-b:2", "--name", "Kim", "--reason", "rode in Granada")
    call(tmp_path, "rename", "Kim", "Bo", "--reason", "said Ada's mother")
    forgetting.forget(LibraryStores.of(store), settings(), lambda: whose(store, "Ada"), "tester")
    reasons = {event.reason for event in LibraryStores.of(store).ledger.history().events}
    assert "rode in Granada" in reasons and "said Ada's mother" not in reasons


def test_every_path_and_every_asset_is_in_a_place() -> None:
    layout = Layout(Path("data"))
    known = [path.partition("*")[0].rstrip("/") for place in PLACES for path in place.paths]
    for name, made in vars(Layout).items():
        if isinstance(made, property):
            path = getattr(layout, name).relative_to(layout.root).as_posix()
            inside = any(path == one or path.startswith(f"{one}/") for one in known)
            above = any(one.startswith(f"{path}/") for one in known)
            assert inside or above, name
    assert {asset for place in PLACES for asset in place.assets} == set(SPECS)
