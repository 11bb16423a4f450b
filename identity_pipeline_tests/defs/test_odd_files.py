"""The inbox: whatever lies in it, every other file is taken, and no tick dies or waits."""

from __future__ import annotations

import os
import socket
import unicodedata
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner

from identity_pipeline.cli.main import cli
from identity_pipeline.defs.automation.outdated_sensor import Round
from identity_pipeline.defs.automation.retraining import Asked
from identity_pipeline.defs.automation.schedules import SETTLED_SECONDS, register_missed
from identity_pipeline.defs.automation.sensors import Memory, sort_arrivals
from identity_pipeline.defs.resources.resources import SettingsResource
from identity_pipeline.storage.files.inbox import UnusableFileError
from identity_pipeline.storage.video.known_files import Stamp
from identity_pipeline.storage.video.registry import (
    StillPictureError,
    VideoRegistry,
    video_files,
)
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline_tests.inbox import Inbox

NOT_UTF8 = os.fsdecode(b"ride_\xe9\xff.mp4")


@pytest.fixture
def inbox(tmp_path: Path, instance: dg.DagsterInstance) -> Inbox:
    return Inbox(tmp_path / "data", instance)


def a_loop(path: Path) -> None:
    path.symlink_to(path.name)


def a_dangling_link(path: Path) -> None:
    path.symlink_to("nowhere.mp4")


def a_socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # the name of a socket may have a hundred bytes
    try:
        socket.socket(socket.AF_UNIX).bind(path.name)
    finally:
        os.chdir(here)


NO_FILES: dict[str, Callable[[Path], None]] = {
    "folder": Path.mkdir,
    "pipe": os.mkfifo,
    "socket": a_socket,
    "loop": a_loop,
    "dangling": a_dangling_link,
}
NAMES = {
    "newline": "a\nb.mp4",
    "control": "a\x1b[31m\x07b.mp4",
    "markup": "[bold]x[nothing] [1].mp4",
    "quotes": "a'\"`$(b).mp4",
    "right to left": "a\u202egnp.mp4",
    "dash": "-rf.mp4",
    "long": f"{'ü' * 125}x.mp4",
    "no letters": "🎢.mp4",
}


def test_a_photograph_among_the_videos_is_told_once_and_named_for_what_it_is(inbox: Inbox) -> None:
    inbox.put("face.mp4", b"\xff\xd8\xff\xe0 a photograph")
    inbox.put("good.mp4", b"good")
    inbox.tick()
    assert len(inbox.tick()) == 1
    inbox.tick()
    assert "1 cannot be taken (face.mp4" in inbox.said
    with pytest.raises(StillPictureError, match=r"photograph \(JPEG\).*enrol PERSON"):
        VideoRegistry(inbox.layout).register(inbox.folder / "face.mp4")


@pytest.mark.parametrize("name", NAMES)
def test_any_name_that_is_text_is_taken(inbox: Inbox, name: str) -> None:
    inbox.put(NAMES[name], name.encode())
    inbox.put("good.mp4", b"good")
    inbox.tick()
    assert len(inbox.tick()) == 2
    assert inbox.tick() == []
    told = CliRunner().invoke(cli, ["videos", "--data", str(inbox.layout.root)])
    assert told.exit_code == 0, told.output
    assert not {"\x07", "\x1b", "\u202e"} & set(told.output)


def test_a_name_that_is_not_utf8_is_refused_and_named_and_the_others_are_taken(
    inbox: Inbox,
) -> None:
    for n in range(4):  # more than one tick takes
        inbox.put(f"{NOT_UTF8[:-4]}{n}.mp4", b"odd%d" % n)
    inbox.put("zz.mp4", b"good")
    assert inbox.tick() == []
    keys = inbox.tick() + inbox.tick()
    assert [key.split("-")[0] for key in keys] == ["zz"]
    assert inbox.tick() == []
    assert "4 cannot be taken" in inbox.said and "udce9" in inbox.said
    inbox.said.encode()
    with pytest.raises(UnusableFileError, match=r"\\xe9\\xff.* rename"):
        VideoRegistry(inbox.layout).register(inbox.folder / f"{NOT_UTF8[:-4]}0.mp4")
    (inbox.folder / f"{NOT_UTF8[:-4]}0.mp4").rename(inbox.folder / "mended.mp4")
    inbox.tick()
    assert [key.split("-")[0] for key in inbox.tick()] == ["mended"]


@pytest.mark.parametrize("kind", NO_FILES)
def test_what_is_no_file_is_passed_over_and_never_waited_for(inbox: Inbox, kind: str) -> None:
    path = inbox.folder / "a.mp4"
    NO_FILES[kind](path)
    inbox.put("b.mp4", b"good")
    inbox.tick()
    assert len(inbox.tick()) == 1
    with pytest.raises((UnusableFileError, OSError)):
        VideoRegistry(inbox.layout).register(path)
    told = CliRunner().invoke(cli, ["plan", "--data", str(inbox.layout.root)])
    assert told.exit_code == 0, told.output


def test_the_hourly_sweep_takes_the_others_too(inbox: Inbox) -> None:
    inbox.put(NOT_UTF8, b"odd")
    a_loop(inbox.folder / "loop.mp4")
    good = inbox.put("zz.mp4", b"good")
    settings = SettingsResource.of(paths={"data": str(inbox.layout.root)}).load()
    later = good.stat().st_mtime + SETTLED_SECONDS + 1
    found = register_missed(inbox.instance, TableStore(inbox.layout), settings, later)
    assert [video_id.split("-")[0] for video_id in found] == ["zz"]


def test_files_that_vanish_or_cannot_be_read_keep_no_other_waiting(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(6):
        inbox.put(f"a{n}.mp4", b"%d" % n)
    inbox.put("z.mp4", b"good")
    real = VideoRegistry.register_remembered

    def register(self: VideoRegistry, path: Path) -> object:
        if path.name.startswith("a"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(self, path)

    monkeypatch.setattr(VideoRegistry, "register_remembered", register)
    found = [key for _ in range(5) for key in inbox.tick()]
    assert [key.split("-")[0] for key in found] == ["z"]
    monkeypatch.setattr(VideoRegistry, "register_remembered", real)
    assert len([key for _ in range(4) for key in inbox.tick()]) == 6


def test_refused_files_come_last_until_they_change() -> None:
    now = {name: Stamp(1, 1, n) for n, name in enumerate("abc")}
    refused = {"a": now["a"], "b": Stamp(9, 9, 9)}
    finished, _, _ = sort_arrivals(now, now, {}, 2, refused)
    assert finished == ["b", "c"]


def test_one_name_in_two_unicode_forms_is_found_by_either(inbox: Inbox) -> None:
    name = "Käfer.mp4"
    written, typed = (unicodedata.normalize(form, name) for form in ("NFD", "NFC"))
    record, _ = VideoRegistry(inbox.layout).register(inbox.put(written, b"x"))
    assert VideoRegistry(inbox.layout).find(typed) == record
    both, _ = VideoRegistry(inbox.layout).register(inbox.put(typed, b"y"))
    assert VideoRegistry(inbox.layout).find(typed) == both
    assert len(video_files(inbox.folder, [".mp4"])) == 2


@pytest.mark.parametrize(
    "cursor",
    ["", "{", "[]", "null", '"x"', '{"files": []}', '{"files": {"a": 1}}', "\x00"],
)
def test_a_damaged_cursor_costs_a_look_and_no_tick(inbox: Inbox, cursor: str) -> None:
    assert Memory.of(cursor) == Memory()
    assert Round.of(cursor, "s") == Round("s")
    assert Asked.of(cursor) == Asked()
    inbox.cursor = cursor
    inbox.put("a.mp4", b"a")
    inbox.tick()
    assert len(inbox.tick()) == 1


def test_run_refuses_one_file_and_goes_on_with_the_others(tmp_path: Path) -> None:
    from identity_pipeline.cli.run import register
    from identity_pipeline.storage.layout import Layout

    odd, pipe, good = tmp_path / NOT_UTF8, tmp_path / "pipe.mp4", tmp_path / "good.mp4"
    for path in (odd, good):
        path.write_bytes(path.name.encode(errors="surrogateescape"))
    os.mkfifo(pipe)
    paths = tuple(map(str, (odd, pipe, tmp_path / "gone.mp4", good)))
    records, refused = register(paths, TableStore(Layout(tmp_path / "data")))
    assert [record.video_id.split("-")[0] for record in records] == ["good"]
    assert len(refused) == 3
    assert all(sentence.encode() for sentence in refused)
