"""The file of events: durable, whole, for several processes at once, honest about damage."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from identity_pipeline.ledger import commands as c
from identity_pipeline.ledger import events as ev
from identity_pipeline.ledger import store as store_module
from identity_pipeline.ledger.errors import DamagedLedgerError, LedgerError, RefusedError
from identity_pipeline.ledger.store import LedgerStore
from identity_pipeline.storage.layout import Layout
from identity_pipeline_tests.ledger.curator import TIME, anchor, t

ROOT = Path(__file__).parents[2]
MODULE = "identity_pipeline_tests.ledger.writer"


@pytest.fixture
def ledger(tmp_path: Path) -> LedgerStore:
    return LedgerStore(Layout(tmp_path / "data"))


def stamp(*subjects: str) -> c.Stamp:
    return c.Stamp("tester", TIME, anchors=map(anchor, subjects))


def label(ledger: LedgerStore, number: int) -> ev.Event:
    subject = t(number)
    command = lambda history: c.name(history, stamp(subject), f"N{number}", [subject])  # noqa: E731
    return ledger.commit(command).event


def lines(ledger: LedgerStore) -> list[bytes]:
    return ledger.path.read_bytes().splitlines(keepends=True)


def writer(ledger: LedgerStore, salt: str, count: int, mode: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", MODULE, str(ledger.layout.root), salt, str(count), mode],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_an_empty_ledger_is_read_without_making_anything(ledger: LedgerStore) -> None:
    assert ledger.history().events == ()
    assert not ledger.layout.root.exists()


def test_events_come_back_as_they_were(ledger: LedgerStore) -> None:
    written = [label(ledger, 1), label(ledger, 2)]
    assert list(ledger.history().events) == written
    assert ledger.path == ledger.layout.root / "ledger" / "events.jsonl"


def test_lines_are_plain_json_with_sorted_keys_and_a_chain(ledger: LedgerStore) -> None:
    for number in (1, 2, 3):
        label(ledger, number)
    records = [json.loads(line) for line in lines(ledger)]
    assert all(list(record) == sorted(record) for record in records)
    assert [record["seq"] for record in records] == [1, 2, 3]
    digests = [store_module.digest(line[:-1]) for line in lines(ledger)]
    assert [record["previous"] for record in records] == [store_module.FIRST, *digests[:2]]


def test_what_is_written_is_never_rewritten(ledger: LedgerStore) -> None:
    label(ledger, 1)
    before = ledger.path.read_bytes()
    label(ledger, 2)
    assert ledger.path.read_bytes().startswith(before)


def test_a_refused_or_previewed_command_writes_nothing(ledger: LedgerStore) -> None:
    event = label(ledger, 1)
    before = ledger.path.read_bytes()
    with pytest.raises(RefusedError):
        label(ledger, 1)
    planned = ledger.preview(lambda history: c.undo(history, stamp(), event.id))
    assert planned.state.people == {}
    assert ledger.path.read_bytes() == before


def test_a_command_built_on_another_history_is_refused(ledger: LedgerStore) -> None:
    event = label(ledger, 1)
    stale = ledger.preview(lambda history: c.undo(history, stamp(), event.id))
    label(ledger, 2)
    with pytest.raises(RefusedError, match="another history"):
        ledger.commit(lambda _: stale)


@pytest.mark.parametrize("keep", [1, 40, -1])
def test_a_torn_last_line_is_ignored_and_then_cut_off(ledger: LedgerStore, keep: int) -> None:
    first = label(ledger, 1)
    whole, noted = ledger.path.read_bytes(), ledger.head_path.read_bytes()
    label(ledger, 2)
    torn = lines(ledger)[1][:keep]
    ledger.path.write_bytes(whole + torn)
    for witness in (ledger.head_path, ledger.layout.acknowledged):
        witness.write_bytes(noted)
    assert ledger.history().events == (first,)
    assert ledger.path.read_bytes() == whole + torn, "a reader changes nothing"
    third = label(ledger, 3)
    assert ledger.history().events == (first, third)
    assert ledger.path.read_bytes().startswith(whole)


def test_a_missing_end_that_was_acknowledged_is_noticed(ledger: LedgerStore) -> None:
    for number in (1, 2, 3):
        label(ledger, number)
    kept = lines(ledger)[:2]
    for rest in (b"", lines(ledger)[2][:30]):
        ledger.path.write_bytes(b"".join(kept) + rest)
        with pytest.raises(DamagedLedgerError, match="3 events were acknowledged, 2 are there"):
            ledger.history()
        with pytest.raises(DamagedLedgerError):
            label(ledger, 4)
    ledger.path.unlink()
    with pytest.raises(DamagedLedgerError, match="0 are there"):
        ledger.history()


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda all_: [all_[0], all_[1].replace(b'"seq": 2', b'"seq": 2 '), all_[2]], 3),
        (lambda all_: [all_[0], all_[2]], 2),
        (lambda all_: [all_[0], all_[2], all_[1]], 2),
        (lambda all_: [all_[0], all_[0], all_[1], all_[2]], 2),
        (lambda all_: [all_[0], b"not json\n", all_[2]], 2),
        (lambda all_: [all_[0], b"[]\n", all_[2]], 2),
        (lambda all_: [all_[0], b"\n", all_[1], all_[2]], 2),
        (lambda all_: [all_[0], all_[1].replace(b'"name"', b'"knight"', 1), all_[2]], 2),
        (lambda all_: [*all_[:2], all_[2].replace(b'"seq": 3', b'"seq": 3 ')], 3),
        (lambda all_: [*all_[:2], all_[2].replace(b'"seq": 3', b'"seq": 4')], 3),
    ],
)
def test_a_changed_line_is_noticed_and_named(ledger: LedgerStore, change, line: int) -> None:
    for number in (1, 2, 3):
        label(ledger, number)
    ledger.path.write_bytes(b"".join(change(lines(ledger))))
    damaged = ledger.path.read_bytes()
    with pytest.raises(DamagedLedgerError, match=f"Line {line} of .* is damaged") as caught:
        ledger.history()
    assert caught.value.line == line
    with pytest.raises(DamagedLedgerError):
        label(ledger, 4)
    assert ledger.path.read_bytes() == damaged


def test_a_ledger_without_its_head_is_still_read(ledger: LedgerStore) -> None:
    event = label(ledger, 1)
    ledger.head_path.unlink()
    assert ledger.history().events == (event,)
    label(ledger, 2)
    ledger.head_path.write_text("{")
    with pytest.raises(LedgerError, match=r"head\.json is damaged"):
        ledger.history()


def test_a_full_disk_leaves_the_file_as_it_was(
    ledger: LedgerStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    label(ledger, 1)
    before = ledger.path.read_bytes()

    def fill_up(descriptor: int, data: bytes) -> None:
        os.write(descriptor, data[:20])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
        patch.setattr(store_module, "_write_all", fill_up)
        label(ledger, 2)
    assert ledger.path.read_bytes() == before
    label(ledger, 3)
    assert len(ledger.history().events) == 2


def test_readers_do_not_wait_for_a_writer(ledger: LedgerStore) -> None:
    event = label(ledger, 1)
    seen: list[tuple[ev.Event, ...]] = []

    def command(history: c.History) -> c.Planned:
        reader = threading.Thread(target=lambda: seen.append(ledger.history().events))
        reader.start()
        reader.join(timeout=60)
        return c.undo(history, stamp(), event.id)

    ledger.commit(command)
    assert seen == [(event,)]


def test_two_processes_lose_nothing(ledger: LedgerStore) -> None:
    writers = [writer(ledger, salt, 50, "steady") for salt in ("a", "b")]
    acknowledged = [one.communicate(timeout=120)[0].split() for one in writers]
    assert [len(ids) for ids in acknowledged] == [50, 50]
    events = ledger.history().events
    assert sorted(event.id for event in events) == sorted(acknowledged[0] + acknowledged[1])
    for ids in acknowledged:
        assert [event.id for event in events if event.id in ids] == ids
    assert len(ledger.history().state.people) == 100


@pytest.mark.parametrize("mode", ["half", "whole"])
def test_a_writer_killed_inside_an_append(ledger: LedgerStore, mode: str) -> None:
    killed = writer(ledger, "a", 3, mode)
    acknowledged = killed.communicate(timeout=60)[0].split()
    assert killed.returncode == -signal.SIGKILL
    assert len(acknowledged) == 2
    assert ledger.path.read_bytes().endswith(b"\n") == (mode == "whole")
    events = [event.id for event in ledger.history().events]
    assert events[:2] == acknowledged
    assert len(events) == (3 if mode == "whole" else 2)
    label(ledger, 1)
    assert [event.id for event in ledger.history().events][: len(events)] == events


def test_writers_killed_at_any_moment_lose_nothing_acknowledged(ledger: LedgerStore) -> None:
    acknowledged: list[str] = []
    for after in (1, 7, 20):
        one = writer(ledger, "a", 0, "steady")
        assert one.stdout is not None
        for _ in range(after):
            acknowledged.append(one.stdout.readline().strip())
        one.send_signal(signal.SIGKILL)
        acknowledged += one.communicate(timeout=60)[0].split()
        events = [event.id for event in ledger.history().events]
        assert set(acknowledged) <= set(events)
        assert len(events) <= len(acknowledged) + 3, "at most one unacknowledged event per kill"
    label(ledger, 1)
