"""Retention: what is due is told, goes whole, and takes nothing else with it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from identity_pipeline.core.privacy.retention import DAY_S
from identity_pipeline.settings import Settings
from identity_pipeline.stages.privacy.retention import command_of, remove, told, what_is_due
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.files.hashing import sha256_of_file
from identity_pipeline.storage.folder.backup_register import (
    NotedBackup,
    note_backup,
    noted_backups,
)
from identity_pipeline.storage.video.packs import MADE_OF, TABLE, pack
from identity_pipeline.storage.video.tables import Manifest
from identity_pipeline_tests.small_ride import SmallRide, write_ride

NOW = 2_000_000_000.0


@pytest.fixture(params=["by themselves", "packed"])
def ride(tmp_path: Path, request: pytest.FixtureRequest) -> SmallRide:
    """A ride that was finished ten days ago, and whose file is in the inbox."""
    inbox = tmp_path / "data" / "videos"
    inbox.mkdir(parents=True)
    made = write_ride(tmp_path)
    layout = made.store.layout
    made.file.rename(inbox / made.file.name)
    record = LibraryStores.of(made.store).videos.register(inbox / made.file.name)[0]
    export = layout.export(record.video_id)
    export.mkdir(parents=True)
    (export / "index.html").write_text("a face")
    made.store.note("identity_dataset", record.video_id, Manifest("f", "v", 1))
    finished = NOW - 10 * DAY_S
    os.utime(layout.manifest("identity_dataset", record.video_id), (finished, finished))
    if request.param == "packed":
        assert pack(layout, record.video_id, 2**62, "identity_dataset")
    return SmallRide(made.store, record.video_id, inbox / made.file.name)


def settings(**retention: Any) -> Settings:
    return Settings(retention=retention, phases={"index": False})  # type: ignore[arg-type]


def run(ride: SmallRide, wanted: Settings, why: str | None = None) -> list[tuple[str, str | None]]:
    stores = LibraryStores.of(ride.store)
    asked: list[str] = []

    def archive(video_id: str) -> str | None:
        asked.append(video_id)
        return why

    done = remove(stores, wanted, what_is_due(stores, wanted, NOW), archive)
    result = [(one.due.thing.kind, one.why_not) for one in done]
    assert len(asked) <= 1, "a ride is taken out once"
    return result


def test_without_days_nothing_is_due(ride: SmallRide) -> None:
    stores = LibraryStores.of(ride.store)
    assert what_is_due(stores, settings(), NOW) == []
    assert "Nothing" in told([], deleting=False)
    assert what_is_due(stores, settings(crops_days=11), NOW) == []


@pytest.mark.parametrize("kind", ["sources", "crops", "embeddings", "sets"])
def test_each_kind_of_a_ride_goes_alone(ride: SmallRide, kind: str) -> None:
    layout = ride.store.layout
    outputs = ride.store.outputs

    def there() -> dict[str, bool]:
        return {
            "sources": ride.file.exists(),
            "crops": layout.crops(ride.video_id).exists(),
            "embeddings": outputs.has("face_quality", ride.video_id),
            "sets": layout.export(ride.video_id).exists(),
        }

    wanted = settings(**{f"{kind}_days": 9.0})
    assert run(ride, wanted, "a run is at it") == [(kind, "a run is at it")]
    assert all(there().values())
    told_ = told(what_is_due(LibraryStores.of(ride.store), wanted, NOW), deleting=True)
    assert told_ == f"1 thing goes: 1 of {kind}."
    assert run(ride, wanted) == [(kind, None)]
    assert [name for name, is_there in there().items() if not is_there] == [kind]
    assert run(ride, wanted) == []
    assert not list(layout.root.rglob(".partial-*"))


def test_a_file_outside_of_the_folder_is_not_ours(tmp_path: Path) -> None:
    made = write_ride(tmp_path)
    made.store.note("identity_dataset", made.video_id, Manifest("f", "v", 1))
    due = what_is_due(LibraryStores.of(made.store), settings(sources_days=0.0), NOW + 1e9)
    assert due == [] and made.file.is_file()


def test_a_backup_goes_when_it_is_still_the_one_that_was_made(
    ride: SmallRide, tmp_path: Path
) -> None:
    layout = ride.store.layout
    own, other = tmp_path / "own.zip", tmp_path / "other.zip"
    for path in (own, other):
        path.write_bytes(b"as it was")
        made = NotedBackup(str(path), "2030-01-01T00:00:00+00:00", sha256_of_file(path), 1)
        note_backup(layout, made)
    other.write_bytes(b"somebody else's by now")
    assert run(ride, settings(backups_days=1.0)) == [("backups", None)] * 2
    assert not own.exists() and other.exists()
    assert noted_backups(layout) == ()


def test_a_backup_that_cannot_be_reached_stays_noted(ride: SmallRide, tmp_path: Path) -> None:
    layout, disk = ride.store.layout, tmp_path / "disk"
    disk.mkdir()
    path = disk / "own.zip"
    path.write_bytes(b"as it was")
    note_backup(
        layout, NotedBackup(str(path), "2030-01-01T00:00:00+00:00", sha256_of_file(path), 1)
    )
    away = disk.rename(tmp_path / "unplugged")
    ((_, why),) = run(ride, settings(backups_days=1.0))
    assert why and "connect" in why and len(noted_backups(layout)) == 1
    away.rename(disk)
    assert run(ride, settings(backups_days=1.0)) == [("backups", None)]
    assert not path.exists() and noted_backups(layout) == ()


def test_a_newer_backup_of_the_same_path_stays(ride: SmallRide, tmp_path: Path) -> None:
    layout, path, wanted = ride.store.layout, tmp_path / "own.zip", settings(backups_days=1.0)
    stores = LibraryStores.of(ride.store)
    for content, day in ((b"old", "2030-01-01"), (b"new", "2033-05-18")):
        dues = what_is_due(stores, wanted, NOW)
        path.write_bytes(content)
        made = NotedBackup(str(path), f"{day}T00:00:00+00:00", sha256_of_file(path), 1)
        note_backup(layout, made)
    assert len(dues) == 1, "it was due before the newer one was made"
    (done,) = remove(stores, wanted, dues, lambda video: None)
    assert done.why_not and path.read_bytes() == b"new" and len(noted_backups(layout)) == 1


def test_photographs_are_listed_with_the_command_that_removes_them(ride: SmallRide) -> None:
    note = ride.store.layout.photo_set("photos-ada-00000000") / "set.json"
    note.parent.mkdir(parents=True)
    note.write_text("{}")
    os.utime(note, (0, 0))
    wanted = settings(photos_days=30.0)
    (one,) = what_is_due(LibraryStores.of(ride.store), wanted, NOW)
    assert command_of(one) == "identity-pipeline forget photos-ada-00000000"
    assert told([one], deleting=True).startswith("1 thing stays until")
    assert run(ride, wanted)[0][1] and note.exists()


def test_what_a_kill_left_of_the_numbers_goes_the_next_night(ride: SmallRide) -> None:
    outputs, wanted = ride.store.outputs, settings(embeddings_days=9.0)
    outputs.put("face_quality", ride.video_id, MADE_OF, b"{}")
    outputs.remove("face_quality", ride.video_id, TABLE)
    assert run(ride, wanted) == [("embeddings", None)]
    assert not outputs.has("face_quality", ride.video_id, MADE_OF)
    assert run(ride, wanted) == []


def test_numbers_that_go_are_not_in_the_memory_of_the_library(ride: SmallRide) -> None:
    memory = ride.store.layout.library_memory
    memory.mkdir(parents=True)
    (memory / "base-0.arrow").write_bytes(b"vectors")
    assert run(ride, settings(crops_days=9.0)) == [("crops", None)] and memory.exists()
    assert run(ride, settings(embeddings_days=9.0)) == [("embeddings", None)]
    assert not memory.exists()


def test_what_cannot_be_removed_keeps_nothing_else(
    ride: SmallRide, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts, rename = ride.store.layout.crops(ride.video_id), Path.rename

    def locked(path: Path, target: Path) -> Path:
        if path == parts:
            raise PermissionError(13, "Permission denied", str(path))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", locked)
    wanted = settings(crops_days=9.0, sources_days=9.0, sets_days=9.0)
    told_ = dict(run(ride, wanted))
    assert told_["sources"] is None and told_["sets"] is None
    assert "Permission denied" in (told_["crops"] or "") and parts.exists()
    monkeypatch.undo()
    assert run(ride, wanted) == [("crops", None)]


def test_a_ride_without_consent_is_listed_until_nothing_of_it_is_left(ride: SmallRide) -> None:
    wanted = Settings(
        retention={"without_consent_days": 9.0},  # type: ignore[arg-type]
        consent={"required": True},  # type: ignore[arg-type]
        phases={"index": False},  # type: ignore[arg-type]
    )
    stores = LibraryStores.of(ride.store)
    (one,) = what_is_due(stores, wanted, NOW)
    assert command_of(one) == f"identity-pipeline forget {ride.video_id}"
    run(ride, settings(embeddings_days=0.0))
    assert what_is_due(stores, wanted, NOW) == [one], "nobody knows any more who rode"
    run(ride, settings(sources_days=0.0, crops_days=0.0, sets_days=0.0))
    assert what_is_due(stores, wanted, NOW) == []
