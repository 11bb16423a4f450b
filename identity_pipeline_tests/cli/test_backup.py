"""Backup and restore: everything that cannot be made again, checked, and never over more."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import stat
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from identity_pipeline.cli.main import cli
from identity_pipeline.core.privacy.redaction import path_of
from identity_pipeline.ledger.commands import Stamp, forget
from identity_pipeline.ledger.store import LedgerStore
from identity_pipeline.storage.folder import backup as module
from identity_pipeline.storage.folder.backup import (
    BackupError,
    may_be_restored,
    read_backup,
    write_backup,
)
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.archive import Archive, ArchiveMark
from identity_pipeline.storage.video.redactions import Redactions
from identity_pipeline_tests.curated_library import PINS, asked, call, write_rides


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library in which Ada is known, with a backup of it; then Bea is named."""
    root = tmp_path_factory.mktemp("named")
    write_rides(root)
    (root / "data" / "videos").mkdir()
    (root / "data" / "videos" / "ride-a.truth.json").write_text("{}")
    call(root, "recluster")
    call(root, "label", "cluster", "1", "--name", "Ada")
    call(root, "recluster")
    call(root, "backup", str(root / "night.zip"))
    call(root, "label", "cluster", "2", "--name", "Bea")
    call(root, "backup", str(root / "day.zip"))
    return root


@pytest.fixture
def root(named: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy to work in; settings.toml would lie here."""
    copy = Path(shutil.copytree(named, tmp_path / "copy", symlinks=True))
    monkeypatch.chdir(copy)
    return copy


def names(root: Path) -> set[str]:
    return {person["name"] for person in asked(root, "people")}


def test_it_holds_what_cannot_be_made_again_and_is_private(root: Path) -> None:
    (root / "settings.toml").write_text("[match]\n")
    said = call(root, "backup", str(root / "b.zip"))
    assert "2 events of the ledger" in said and "restore" in said
    assert stat.S_IMODE((root / "b.zip").stat().st_mode) == 0o600
    manifest, contents = read_backup(root / "b.zip")
    assert manifest.events == 2
    assert contents["settings.toml"] == b"[match]\n"
    assert contents["data/ledger/events.jsonl"].count(b"\n") == 2
    assert "data/videos/ride-a.truth.json" in contents
    assert sum(name.startswith("data/registry/ride-") for name in contents) == 4
    assert not any("tables" in name or "crops" in name for name in contents)


def test_whom_a_redaction_hides_stays_hidden(root: Path) -> None:
    layout = Layout(root / "data")
    ride = next(layout.registry.glob("ride-a*.json")).stem
    hidden = [path_of([(10 * n, (n, 0.0, n + 50.0, 60.0))]) for n in range(3)]
    Redactions(layout).add(ride, hidden[:1])
    layout.receipts.mkdir()
    (layout.receipts / "r.json").write_text("{}")
    call(root, "backup", str(root / "b.zip"))
    layout.redaction(ride).unlink()
    Redactions(layout).add(ride, hidden[1:])
    shutil.rmtree(layout.receipts)
    for force in ((), ("--force",)):
        call(root, "restore", str(root / "b.zip"), *force)
        assert Redactions(layout).of(ride).paths == tuple(hidden)
    assert (layout.receipts / "r.json").read_text() == "{}"


def test_a_ride_and_a_track_that_were_forgotten_since_are_not_brought_back(root: Path) -> None:
    ledger = LedgerStore(Layout(root / "data"))
    ride = next(ledger.layout.registry.glob("ride-c*.json")).stem
    for gone in ({"videos": [ride]}, {"subjects": [f"track:{ride}:1"]}):
        call(root, "backup", str(root / "b.zip"))
        stamp = Stamp("tester", "2026-01-02T03:04:05Z")
        ledger.commit(lambda h, gone=gone, stamp=stamp: forget(h, stamp, (), **gone))
        said = call(root, "restore", str(root / "b.zip"), "--force", code=1)
        assert "is older than the forgetting" in said and "newer backup" in said


def test_equal_content_is_equal_bytes(root: Path) -> None:
    call(root, "backup", str(root / "a.zip"))
    os.utime(root / "data" / "ledger" / "events.jsonl", (1, 1))
    call(root, "backup", str(root / "b.zip"))
    assert (root / "a.zip").read_bytes() == (root / "b.zip").read_bytes()


def test_photographs_are_streamed_and_compared_as_they_are_packed(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "data")
    photo = layout.photo_set("photos-ada-00000000") / "0001.jpg"
    photo.parent.mkdir(parents=True)
    photo.write_bytes(os.urandom(16 * 2**20))
    tracemalloc.start()
    manifest = write_backup(layout, tmp_path / "a.zip")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < photo.stat().st_size / 2
    (name,) = manifest.files
    assert read_backup(tmp_path / "a.zip")[1][name] == photo.read_bytes()
    before = photo.stat()
    photo.write_bytes(bytes(before.st_size))
    os.utime(photo, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(BackupError, match="written to while"):
        write_backup(layout, tmp_path / "b.zip")
    assert not (tmp_path / "b.zip").exists()


def test_a_lost_ledger_comes_back(root: Path) -> None:
    shutil.rmtree(root / "data" / "ledger")
    assert "restore" in call(root, "people", code=1)
    said = call(root, "restore", "day.zip")
    assert "2 events" in said and "recluster" in said
    assert names(root) == {"Ada", "Bea"}
    call(root, "recluster")
    call(root, "undo", "last")
    assert names(root) == {"Ada"}


def test_everything_comes_back_into_an_empty_folder(root: Path) -> None:
    (root / "settings.toml").write_text("[match]\n")
    said = call(root, "backup", "all.zip", "--keys", "all.keys", code=1)
    assert "beside the backup" in said
    assert "data folder" in call(root, "backup", "data/backups/all.zip", code=1)
    call(root, "backup", "all.zip", "--keys", "safe/all.keys")
    there = json.loads((root / "data" / "folder.json").read_text())
    elsewhere = root / "elsewhere"
    elsewhere.mkdir()
    (root / "settings.toml").unlink()
    said = call(elsewhere, "restore", "all.zip", "--keys", "safe/all.keys")
    assert "settings.toml was put back" in said
    assert names(elsewhere) == {"Ada", "Bea"}
    assert json.loads((elsewhere / "data" / "folder.json").read_text()) == there
    private = [*elsewhere.glob("data/registry/*.json"), elsewhere / "data/ledger/events.jsonl"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o600}
    call(elsewhere, "label", "ride-d:1", "--name", "Dot", code=1)  # no tables yet, so no tracks


def test_what_the_backup_lacks_is_not_given_up_without_force(root: Path) -> None:
    events = (root / "data" / "ledger" / "events.jsonl").read_bytes()
    said = " ".join(call(root, "restore", "night.zip", code=1).split())
    assert "holds 2 events, the backup only 1 of them" in said and "--force" in said
    assert (root / "data" / "ledger" / "events.jsonl").read_bytes() == events
    said = call(root, "restore", "night.zip", "--force", "--as", "eve")
    assert "The ledger that was there is" in said and "given up" in said
    assert names(root) == {"Ada"}
    (beside,) = (root / "data" / "ledger").glob("events.before-restore-*.jsonl")
    assert beside.read_bytes() == events
    record = json.loads((root / "data" / "acknowledged.json").read_text())
    assert record["given_up"][0]["by"] == "eve"
    call(root, "backup", "later.zip")
    call(root, "restore", "later.zip")
    assert json.loads((root / "data" / "acknowledged.json").read_text()) == record
    call(root, "recluster")
    call(root, "label", "cluster", "2", "--name", "Cara")
    assert names(root) == {"Ada", "Cara"}


def test_a_lost_ledger_that_knew_more_than_the_backup_is_said(root: Path) -> None:
    shutil.rmtree(root / "data" / "ledger")
    said = " ".join(call(root, "restore", "night.zip", code=1).split())
    assert "had acknowledged 2 events, and the backup holds 1" in said
    call(root, "restore", "night.zip", "--force")
    assert names(root) == {"Ada"}


def test_another_folders_ledger_is_not_replaced(root: Path, named: Path) -> None:
    other = root / "other"
    other.mkdir()
    write_rides(other)
    call(other, "recluster")
    call(other, "label", "cluster", "1", "--name", "Zoe")
    said = " ".join(call(other, "restore", str(root / "day.zip"), code=1).split())
    assert "holds other events than the backup" in said
    assert names(other) == {"Zoe"}


def test_a_damaged_ledger_is_mended_with_force(root: Path) -> None:
    path = root / "data" / "ledger" / "events.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"seq": 1,', b'"seq": 1 ,'))
    assert "is damaged" in call(root, "people", code=1)
    assert "--force" in call(root, "restore", "day.zip", code=1)
    call(root, "restore", "day.zip", "--force")
    assert names(root) == {"Ada", "Bea"}


def test_files_that_are_there_stay(root: Path) -> None:
    truth = root / "data" / "videos" / "ride-a.truth.json"
    truth.write_text('{"mine": 1}')
    (root / "settings.toml").write_text("[match]\n")
    call(root, "backup", "new.zip")
    (root / "settings.toml").write_text("# mine\n")
    truth.write_text('{"mine": 2}')
    said = " ".join(call(root, "restore", "new.zip").split())
    assert "ride-a.truth.json" in said and "stayed as they are" in said
    assert truth.read_text() == '{"mine": 2}'
    assert (root / "settings.toml").read_text() == "# mine\n"
    assert (root / "settings.toml.restored").read_text() == "[match]\n"
    call(root, "restore", "new.zip", "--force")
    assert truth.read_text() == '{"mine": 1}'


def test_no_backup_is_made_of_a_damaged_or_empty_folder(root: Path) -> None:
    good = (root / "day.zip").read_bytes()
    (root / "data" / "ledger" / "events.jsonl").write_bytes(b"")
    assert "gone or empty" in call(root, "backup", "day.zip", code=1)
    assert (root / "day.zip").read_bytes() == good
    (root / "void" / "data").mkdir(parents=True)
    call(root / "void", "backup", "void.zip", code=1)
    assert not (root / "void.zip").exists()


def rewritten(path: Path, change: Callable[[dict[str, bytes]], None], *, honest: bool) -> None:
    """An archive with other contents; honest: its manifest says what is in it."""
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    change(contents)
    manifest = json.loads(contents["manifest.json"])
    if honest:
        manifest["files"] = {
            name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in contents.items()
            if name != "manifest.json"
        }
        contents["manifest.json"] = json.dumps(manifest).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in contents.items():
            archive.writestr(name, data)


EVIL = (
    "data/../../evil.json",
    "data/registry/../../../evil.json",
    "/etc/evil.json",
    "data/registry/..",
    "data/registry/a\x00.json",
    "data/registry/.hidden.json",
    "data/registry/sub/x.json",
    "data/registry/x.py",
    "data/ledger/lock",
    "data\\registry\\x.json",
    "evil.json",
)


@pytest.mark.parametrize("name", EVIL)
def test_nothing_is_written_where_nothing_belongs(root: Path, name: str) -> None:
    assert not may_be_restored(name)
    if "\x00" in name:  # a zip file ends a name there
        return
    rewritten(root / "day.zip", lambda contents: contents.update({name: b"{}"}), honest=True)
    before = sorted(root.rglob("*"))
    assert "has no place in a data folder" in " ".join(
        call(root, "restore", "day.zip", "--force", code=1).split()
    )
    assert sorted(root.rglob("*")) == before


def _change(contents: dict[str, bytes]) -> None:
    contents["data/ledger/events.jsonl"] = contents["data/ledger/events.jsonl"].replace(
        b'"name"', b'"nome"'
    )


def _longer(contents: dict[str, bytes]) -> None:
    contents["data/ledger/events.jsonl"] += b"\n" * 10**6


def _unlisted(contents: dict[str, bytes]) -> None:
    contents["data/registry/x.json"] = b"{}"


def _without(contents: dict[str, bytes]) -> None:
    del contents["data/ledger/events.jsonl"]


def _no_manifest(contents: dict[str, bytes]) -> None:
    contents["manifest.json"] = b"[]"


@pytest.mark.parametrize("change", [_change, _longer, _unlisted, _without, _no_manifest])
def test_a_backup_that_was_changed_is_refused_whole(
    root: Path, change: Callable[[dict[str, bytes]], None]
) -> None:
    rewritten(root / "day.zip", change, honest=False)
    ledger = (root / "data" / "ledger" / "events.jsonl").read_bytes()
    with pytest.raises(BackupError):
        read_backup(root / "day.zip")
    said = call(root, "restore", "day.zip", "--force", code=1)
    assert "Traceback" not in said
    assert (root / "data" / "ledger" / "events.jsonl").read_bytes() == ledger


def _with_a_chain_that_broke(contents: dict[str, bytes]) -> None:
    first, *rest = contents["data/ledger/events.jsonl"].splitlines(keepends=True)
    contents["data/ledger/events.jsonl"] = b"".join(
        [first.replace(b'"seq": 1,', b'"seq": 1 ,'), *rest]
    )


def _with_a_damaged_record(contents: dict[str, bytes]) -> None:
    contents["data/acknowledged.json"] = b'{"given_up": [{}]}'


def _with_a_damaged_note(contents: dict[str, bytes]) -> None:
    contents["data/folder.json"] = b"[]"


def _of_a_newer_format(contents: dict[str, bytes]) -> None:
    contents["data/folder.json"] = b'{"format": 99, "id": "x"}'


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (_with_a_chain_that_broke, "line 2 of ledger/events.jsonl in"),
        (_with_a_damaged_record, "acknowledged.json in"),
        (_with_a_damaged_note, "folder.json in"),
        (_of_a_newer_format, "of a newer format than this program knows"),
    ],
)
def test_what_the_folder_could_not_be_opened_with_is_not_written(
    root: Path, change: Callable[[dict[str, bytes]], None], why: str
) -> None:
    """The archive is whole, and what was backed up was not."""
    rewritten(root / "day.zip", change, honest=True)
    (root / "empty").mkdir()
    said = " ".join(call(root / "empty", "restore", str(root / "day.zip"), code=1).split())
    assert why in said
    assert not (root / "empty" / "data").exists()


def test_damaged_notes_go_and_come_back_as_their_sentences_say(root: Path) -> None:
    call(root, "backup", "b.zip")
    for name in ("folder.json", "acknowledged.json"):
        note = root / "data" / name
        note.write_bytes(b"{}")
        said = " ".join(call(root, "people", code=1).split())
        assert f"{name} is damaged" in said and "emove " in said
        note.unlink()
        call(root, "restore", "b.zip")
        assert note.is_file() and names(root) == {"Ada", "Bea"}


def test_an_archived_video_is_run_again_where_it_is_restored(root: Path) -> None:
    video = next((root / "data" / "registry").glob("ride-a-*.json")).stem
    layout = Layout(root / "data")
    Archive(layout).put(video, ArchiveMark("2026-01-01", "2026-01-01"))
    call(root, "backup", "b.zip")
    empty = Layout(root / "empty" / "data")
    call(empty.root.parent, "restore", str(root / "b.zip"))
    assert empty.registration(video).is_file() and not Archive(empty).ids()


def test_an_inbox_that_is_a_link_is_backed_up_and_restored(root: Path) -> None:
    (root / "data" / "videos").rename(root / "inbox")
    (root / "data" / "videos").symlink_to(root / "inbox")
    call(root, "backup", "b.zip")
    (root / "inbox" / "ride-a.truth.json").unlink()
    call(root, "restore", "b.zip")
    assert (root / "inbox" / "ride-a.truth.json").read_text() == "{}"
    assert (root / "data" / "videos").is_symlink()


def test_settings_that_name_another_data_folder_are_said(root: Path) -> None:
    """Else the next command would find nobody there."""
    other = root / "other"
    (root / "settings.toml").write_text(f'[paths]\ndata = "{other}"\n')
    call(root, "backup", "all.zip", "--keys", "safe/all.keys")
    for path in (root / "data", root / "settings.toml"):
        path.rename(path.with_name(f"old-{path.name}"))
    result = CliRunner().invoke(cli, ["restore", "all.zip"], env=PINS, catch_exceptions=False)
    said = " ".join(result.output.split())
    assert f"The settings name another data folder, {other}, and this is data" in said
    assert "`identity-pipeline --data data recluster`" in said
    assert "2 names cannot be read" in said and "--keys" in said
    assert not other.exists()
    call(root, "restore", "all.zip", "--keys", "safe/all.keys")
    assert names(root) == {"Ada", "Bea"}


@pytest.mark.parametrize("size", [0, 10, 500, -30])
def test_half_a_backup_is_none(root: Path, size: int) -> None:
    path = root / "day.zip"
    path.write_bytes(path.read_bytes()[:size])
    assert "day.zip" in call(root, "restore", "day.zip", "--force", code=1)
    assert "there is no backup" in call(root, "restore", "none.zip", code=1)


def test_no_damaged_byte_of_a_backup_raises_anything_else(root: Path) -> None:
    path = root / "day.zip"
    whole = path.read_bytes()
    for at in range(0, len(whole), 5):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x5A]) + whole[at + 1 :])
        with contextlib.suppress(BackupError):
            read_backup(path)


def test_a_newer_backup_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FORMAT", 9)
    call(root, "backup", "new.zip")
    monkeypatch.undo()
    monkeypatch.chdir(root)
    with pytest.raises(BackupError, match=r"format 9.*update"):
        read_backup(root / "new.zip")


def test_a_crash_before_the_ledger_is_in_place_leaves_the_old_one(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = LedgerStore(Layout(root / "data"))
    before = ledger.path.read_bytes()
    write = module.atomic.write_bytes

    def die(target: Path, data: bytes) -> None:
        if target == ledger.path:
            raise KeyboardInterrupt
        write(target, data)

    with monkeypatch.context() as patch:
        patch.setattr(module.atomic, "write_bytes", die)
        with pytest.raises((KeyboardInterrupt, SystemExit, AssertionError)):
            call(root, "restore", "night.zip", "--force")
    assert ledger.path.read_bytes() == before
    assert len(ledger.history().events) == 2
