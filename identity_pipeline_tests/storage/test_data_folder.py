"""The format of a data folder: noted once, brought up from an older one, refused where newer."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from identity_pipeline.storage.folder import data_folder as module
from identity_pipeline.storage.folder.data_folder import (
    FORMAT,
    DataFolder,
    DataFolderError,
    claim_data_folder,
    open_data_folder,
    pending,
)
from identity_pipeline.storage.layout import Layout

ROOT = Path(__file__).parents[2]


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "data")


def yesterday(layout: Layout, seq: int = 3) -> None:
    """A folder from before there were formats."""
    layout.ledger.parent.mkdir(parents=True)
    head = {"seq": seq, "sha256": "a" * 64}
    layout.ledger.with_name("head.json").write_text(json.dumps(head))


def noted(layout: Layout) -> Mapping[str, Any]:
    return json.loads(layout.folder_note.read_text())


def test_looking_at_a_folder_that_was_never_used_leaves_it_alone(layout: Layout) -> None:
    assert open_data_folder(layout) is None
    assert not layout.root.exists()


def test_a_new_folder_gets_a_note_and_keeps_its_id(layout: Layout) -> None:
    folder = claim_data_folder(layout)
    assert folder.format == FORMAT
    assert len(bytes.fromhex(folder.id)) == 16
    assert claim_data_folder(layout) == open_data_folder(layout) == folder
    assert noted(layout) == {"format": FORMAT, "id": folder.id}
    other = claim_data_folder(Layout(layout.root.with_name("other")))
    assert other.id != folder.id


def test_a_folder_of_yesterday_is_brought_up_once(layout: Layout) -> None:
    yesterday(layout)
    assert pending(layout)
    told: list[str] = []
    folder = open_data_folder(layout, told.append)
    assert folder == DataFolder(FORMAT, noted(layout)["id"])
    assert "older version" in told[0]
    assert "decisions" in told[1] and "seals the names" in told[2]
    assert json.loads(layout.acknowledged.read_text())["seq"] == 3
    assert not pending(layout)
    assert open_data_folder(layout, told.append) == folder
    assert len(told) == 4


def test_a_newer_folder_is_refused(layout: Layout) -> None:
    layout.root.mkdir()
    layout.folder_note.write_text(json.dumps({"format": FORMAT + 1, "id": "ab", "more": 1}))
    before = layout.folder_note.read_bytes()
    for way in (open_data_folder, claim_data_folder):
        with pytest.raises(DataFolderError, match=f"format {FORMAT + 1}.*update"):
            way(layout)
    assert layout.folder_note.read_bytes() == before


def test_fields_that_a_newer_program_added_are_no_harm(layout: Layout) -> None:
    layout.root.mkdir()
    layout.folder_note.write_text(json.dumps({"format": FORMAT, "id": "ab", "more": [1]}))
    assert open_data_folder(layout) == DataFolder(FORMAT, "ab")


@pytest.mark.parametrize("junk", ["", "[]", "null", "{}", '{"format": "2", "id": "a"}', "\x00\xff"])
def test_a_damaged_note_is_said(layout: Layout, junk: str) -> None:
    layout.root.mkdir()
    layout.folder_note.write_bytes(junk.encode("latin-1"))
    with pytest.raises(DataFolderError, match=r"is damaged.*remove it"):
        open_data_folder(layout)


def test_a_folder_that_cannot_be_written_is_read_as_it_is(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    yesterday(layout)

    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(module, "exclusive", refuse)
    assert open_data_folder(layout) == DataFolder(1, "")
    with pytest.raises(OSError, match="Read-only"):
        claim_data_folder(layout)


HEAD = """
import os, signal, sys
from pathlib import Path
from identity_pipeline.storage.folder import data_folder as module
from identity_pipeline.storage.folder.data_folder import Migration, open_data_folder
from identity_pipeline.storage.layout import Layout
root, counted = Path(sys.argv[1]), Path(sys.argv[2])
"""
COUNTING = """
def migrate(layout):
    with counted.open("a") as stream:
        stream.write("x\\n")
module.MIGRATIONS = {1: Migration("counts", migrate), 2: Migration("no more", lambda _: None),
    3: Migration("nor now", lambda _: None)}
open_data_folder(Layout(root))
"""
DYING = """
module.atomic.write_json = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
open_data_folder(Layout(root))
"""


def started(code: str, layout: Layout, counted: Path) -> subprocess.Popen[bytes]:
    """A process of its own: it is not forked, for the libraries here have threads."""
    return subprocess.Popen(
        [sys.executable, "-c", HEAD + code, str(layout.root), str(counted)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def test_several_processes_migrate_once(layout: Layout, tmp_path: Path) -> None:
    yesterday(layout)
    counted = tmp_path / "counted"
    several = [started(COUNTING, layout, counted) for _ in range(4)]
    assert [process.wait(120) for process in several] == [0] * 4
    assert counted.read_text() == "x\n"


def test_a_kill_before_the_note_leaves_the_old_folder(layout: Layout, tmp_path: Path) -> None:
    yesterday(layout)
    assert started(DYING, layout, tmp_path / "none").wait(120) == -signal.SIGKILL
    assert not layout.folder_note.exists()
    folder = open_data_folder(layout)
    assert folder is not None
    assert folder.format == FORMAT
