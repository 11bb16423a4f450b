"""Whole or not at all: a crash in the middle leaves what was there before."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from identity_pipeline.storage.files import atomic

ROOT = Path(__file__).parents[2]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_bytes_are_written_and_nothing_else_is_left(tmp_path: Path) -> None:
    atomic.write_bytes(tmp_path / "deep" / "a.bin", b"new")
    assert (tmp_path / "deep" / "a.bin").read_bytes() == b"new"
    assert names(tmp_path / "deep") == ["a.bin"]


def test_an_error_while_writing_keeps_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a.bin"
    target.write_bytes(b"old")

    def fail(path: Path) -> None:
        path.write_bytes(b"half")
        assert target.read_bytes() == b"old"
        raise RuntimeError("disk is on fire")

    with pytest.raises(RuntimeError, match="fire"):
        atomic.write_with(target, fail)
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["a.bin"]


def killed_while(code: str, folder: Path) -> None:
    """Runs code that ends by SIGKILL in the middle of its write."""
    script = "import os, signal\nfrom pathlib import Path\n"
    script += "from identity_pipeline.storage.files import atomic\n"
    script += f"folder = Path({str(folder)!r})\n"
    script += "def die(): os.kill(os.getpid(), signal.SIGKILL)\n" + code
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, check=False)
    assert done.returncode == -signal.SIGKILL


def test_a_killed_writer_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"old")
    killed_while(
        "atomic.write_with(folder / 'a.bin', lambda p: (p.write_bytes(b'half'), die()))", tmp_path
    )
    assert (tmp_path / "a.bin").read_bytes() == b"old"
    (left,) = (path for path in tmp_path.iterdir() if path.name != "a.bin")
    assert atomic.is_temporary(left)
    assert atomic.sweep_temporaries(tmp_path) == [left]
    assert names(tmp_path) == ["a.bin"]


def test_a_killed_writer_leaves_the_old_folder(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").touch()
    code = "with atomic.new_folder(folder / 'out') as new:\n    (new / 'half').touch(); die()"
    killed_while(code, tmp_path)
    assert names(tmp_path / "out") == ["old"]
    assert len(atomic.sweep_temporaries(tmp_path)) == 1
    assert names(tmp_path) == ["out"]


def test_a_new_folder_takes_the_place_of_the_old_one_whole(tmp_path: Path) -> None:
    target = tmp_path / "out"
    for name in ("first", "second"):
        with atomic.new_folder(target) as folder:
            (folder / "sub").mkdir()
            (folder / "sub" / name).touch()
            assert names(target / "sub") == ["first"] if target.exists() else True
    assert names(target / "sub") == ["second"]
    assert names(tmp_path) == ["out"]


def test_an_error_while_filling_keeps_the_old_folder(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with atomic.new_folder(target) as folder:
        (folder / "old").touch()
    with pytest.raises(RuntimeError), atomic.new_folder(target) as folder:
        (folder / "half").touch()
        raise RuntimeError
    assert names(target) == ["old"]
    assert names(tmp_path) == ["out"]


def test_an_error_before_the_first_folder_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), atomic.new_folder(tmp_path / "out"):
        raise RuntimeError
    assert names(tmp_path) == []


def test_sweeping_leaves_everything_else_alone(tmp_path: Path) -> None:
    (tmp_path / "a" / ".partial-x-1-2").mkdir(parents=True)
    (tmp_path / "a" / ".partial-x-1-2" / "inner").touch()
    (tmp_path / "a" / ".hidden").touch()
    (tmp_path / "partial-looking").touch()
    assert len(atomic.sweep_temporaries(tmp_path)) == 1
    assert names(tmp_path) == ["a", "partial-looking"]
    assert names(tmp_path / "a") == [".hidden"]


def test_equal_values_are_equal_json(tmp_path: Path) -> None:
    one, two = {"b": [1, 2], "a": "é"}, {"a": "é", "b": [1, 2]}
    assert atomic.json_bytes(one) == atomic.json_bytes(two)
    atomic.write_json(tmp_path / "a.json", one)
    assert (tmp_path / "a.json").read_text().endswith("}\n")
    assert "é" in (tmp_path / "a.json").read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux exchanges folders in one step")
def test_a_reader_always_finds_a_folder_while_it_is_replaced(tmp_path: Path) -> None:
    """A child replaces the folder over and over and is killed; the old or the new one is there."""
    target = tmp_path / "out"
    with atomic.new_folder(target) as folder:
        (folder / "number").write_text("start")
    child = os.fork()
    if child == 0:
        for i in range(10_000):
            with atomic.new_folder(target) as folder:
                (folder / "number").write_text(str(i))
        os._exit(0)
    for _ in range(3000):
        assert (target / "number").read_text()
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert (target / "number").read_text()


def test_where_nothing_can_be_exchanged_the_old_folder_is_moved_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(atomic, "exchange", lambda a, b: False)
    target = tmp_path / "out"
    for name in ("first", "second"):
        with atomic.new_folder(target) as folder:
            (folder / name).touch()
    assert names(target) == ["second"] and names(tmp_path) == ["out"]


def test_what_is_not_there_cannot_be_exchanged(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(FileNotFoundError):
        atomic.exchange(tmp_path / "a", tmp_path / "b")


def test_what_a_writer_on_another_machine_is_at_is_left_alone(tmp_path: Path) -> None:
    """Its process number says nothing here; only what did not change for an hour is swept."""
    mine = atomic.temporary_beside(tmp_path / "a.json")
    other = "0" * 6 if atomic.HERE != "0" * 6 else "1" * 6
    theirs, old = (
        mine.with_name(mine.name.replace(f"@{atomic.HERE}", f"@{other}").replace("a.json", name))
        for name in ("b.json", "c.json")
    )
    for path in (mine, theirs, old):
        path.touch()
    long_ago = time.time() - 2 * atomic.ELSEWHERE_S
    os.utime(old, (long_ago, long_ago))
    assert atomic.sweep_temporaries(tmp_path, spare_living=True) == [old]
    assert atomic.target_of(theirs) == tmp_path / "b.json"
