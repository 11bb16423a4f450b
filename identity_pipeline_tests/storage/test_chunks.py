"""Chunks of an unfinished step: whole or not there, of one fingerprint, dropped when done."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from identity_pipeline.storage.files import atomic
from identity_pipeline.storage.files.locks import LockBusyError
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video import chunks
from identity_pipeline.storage.video.chunks import ChunkStore, open_chunks, unfinished

VIDEO = "ride-00000000"
KEY, OTHER = "a" * 64, "b" * 64


def nothing() -> None:
    pass


def put(store: ChunkStore, number: int, text: str = "done") -> Path:
    return store.put(number, lambda folder: (folder / "rows").write_text(f"{text} {number}"))


def numbers(store: ChunkStore) -> list[int]:
    return [int(place.name) for place in store.finished()]


def test_finished_chunks_are_found_again_in_their_order(tmp_path: Path) -> None:
    store = ChunkStore(tmp_path / "key")
    assert numbers(store) == []
    for number in range(12):
        put(store, number)
    assert numbers(ChunkStore(tmp_path / "key")) == list(range(12))


@pytest.mark.parametrize("harm", ["missing", "changed", "no digests"])
def test_nothing_behind_a_chunk_that_is_not_whole_is_taken(tmp_path: Path, harm: str) -> None:
    store = ChunkStore(tmp_path)
    places = [put(store, number) for number in range(4)]
    if harm == "missing":
        (places[2] / "rows").unlink()
    elif harm == "changed":
        (places[2] / "rows").write_text("half")
    else:
        (places[2] / chunks.DIGESTS).unlink()
    assert numbers(store) == [0, 1]
    put(store, 2)
    assert numbers(store) == [0, 1, 2, 3]


def test_the_boundary_is_called_when_the_chunk_is_in_its_place(tmp_path: Path) -> None:
    seen: list[list[int]] = []
    store = ChunkStore(tmp_path, lambda: seen.append(numbers(store)))
    put(store, 0)
    put(store, 1)
    assert seen == [[0], [0, 1]]


def test_chunks_of_another_fingerprint_and_half_written_ones_are_removed(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    with open_chunks(layout, "watch", VIDEO, OTHER, nothing) as store:
        put(store, 0)
    half = atomic.temporary_beside(layout.chunks("watch", VIDEO) / KEY[:16] / "00000")
    half.mkdir(parents=True)
    with open_chunks(layout, "watch", VIDEO, KEY, nothing) as store:
        assert numbers(store) == []
        assert not half.exists() and not list(layout.chunks("watch", VIDEO).glob("b*"))


def test_what_is_unfinished_is_told_until_it_is_dropped(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    with open_chunks(layout, "watch", VIDEO, KEY, nothing) as store:
        put(store, 0)
        put(store, 1)
    assert unfinished(layout) == {("watch", VIDEO): 2}
    with open_chunks(layout, "watch", VIDEO, KEY, nothing) as store:
        store.drop()
    assert unfinished(layout) == {}
    assert not layout.chunks("watch", VIDEO).exists()


def test_two_runs_of_one_video_do_not_work_on_the_same_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "WAIT_S", 0.1)
    layout = Layout(tmp_path)
    with (
        open_chunks(layout, "watch", VIDEO, KEY, nothing),
        pytest.raises(LockBusyError, match=f"{VIDEO} is in use by watch"),
        open_chunks(layout, "watch", VIDEO, KEY, nothing),
    ):
        pass


def dies_at_the_nth_system_call(n: int, store: ChunkStore) -> bool:
    """Puts chunk 1 in a child that is killed before its n-th flush or rename; says if it was."""
    child = os.fork()
    if child == 0:
        calls = iter(range(1, 1000))

        def or_die(call):  # type: ignore[no-untyped-def]
            def wrapped(*arguments):  # type: ignore[no-untyped-def]
                if next(calls) == n:
                    os.kill(os.getpid(), signal.SIGKILL)
                return call(*arguments)

            return wrapped

        atomic.flush = or_die(atomic.flush)
        atomic.exchange = or_die(atomic.exchange)
        Path.rename = or_die(Path.rename)  # type: ignore[method-assign]
        put(store, 1, "new")
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


@pytest.mark.parametrize("older", [False, True])
def test_kill_9_leaves_the_old_chunk_or_the_new_one(tmp_path: Path, older: bool) -> None:
    """At every flush and rename there is; also where a chunk of that number is replaced."""
    killed = 0
    for n in range(1, 20):
        store = ChunkStore(tmp_path / str(n))
        put(store, 0)
        if older:
            put(store, 1, "old")
        if not dies_at_the_nth_system_call(n, store):
            break
        killed += 1
        found = [(place / "rows").read_text() for place in store.finished()]
        allowed = (["done 0", "old 1"] if older else ["done 0"], ["done 0", "new 1"])
        assert found in allowed
    assert killed >= 4
