"""A snapshot saves the replay of what it holds, and is never believed where it does not fit."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

import identity_pipeline.ledger as ledger_package
from identity_pipeline.ledger import commands as c
from identity_pipeline.ledger import snapshot
from identity_pipeline.ledger.errors import DamagedLedgerError, LedgerError
from identity_pipeline.ledger.position import Position
from identity_pipeline.ledger.replay import History, replay
from identity_pipeline.ledger.store import LedgerStore
from identity_pipeline_tests.benchmarks.bench_ledger import written
from identity_pipeline_tests.ledger.curator import TIME, Curator, anchor, t
from identity_pipeline_tests.ledger.test_properties import (
    DECISIONS,
    PICTURES,
    Step,
    carry_out,
    steps,
)

ours = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
MANY = 80
CODE = {
    "working.py",
    "renaming.py",
    "position.py",
    "book.py",
    "events.py",
    "subjects.py",
    "pictures.py",
    "forgetting.py",
}
"""Modules that decide what events amount to."""
CODE_OF_VERSION = {5: "41c5da0d783fbb1259e63e8c666b0ce86b0f7f486e42d6d349429bb227e8349c"}


@pytest.fixture
def ledger(tmp_path: Path) -> LedgerStore:
    return written(tmp_path / "data", MANY)


def through_json(position: Position) -> Position:
    first, *rest = json.loads(json.dumps(position.as_json()))
    return Position.from_json(first, [lambda part=part: part for part in rest])


@ours
@given(
    steps(
        [
            *(*DECISIONS, *PICTURES, "consent", "forget"),
            *("name", "name", "undo", "undo", "undo", "renumber"),
        ],
        40,
    )
)
def test_going_on_from_any_point_is_the_replay_of_all(sequence: list[Step]) -> None:
    me = Curator()
    me.person("First", t(0), t(1), t(2))
    me.person("Second", t(4), t(5))
    saved = [me.history.position]
    for step in sequence:
        if carry_out(me, step):
            saved.append(me.history.position)
    events, whole = tuple(me.history.events), replay(me.history.events)
    assert me.state == whole
    full = History(events)
    for position in saved:
        later = History(events, through_json(position))
        assert later.state == whole
        assert later.undone == full.undone
        assert dict(later.anchors) == dict(full.anchors)
        assert later.position.named == full.position.named
        # The causes, which only show in refusals, are the same too.
        assert later.position.working.as_json() == full.position.working.as_json()


def test_a_snapshot_is_written_and_used(ledger: LedgerStore) -> None:
    full = ledger.verify()
    assert not ledger.snapshot_path.exists()
    assert ledger.history().state == full.state
    assert ledger.snapshot_path.is_file()
    again = ledger.history()
    assert again.known is not None and again.known.seq == MANY
    assert again.state == full.state and again.events == full.events
    assert dict(again.anchors) == dict(full.anchors)


def test_a_small_ledger_has_no_snapshot(tmp_path: Path) -> None:
    ledger = written(tmp_path / "data", 8)
    ledger.history()
    assert not ledger.snapshot_path.exists()


def label(ledger: LedgerStore, number: int) -> None:
    subject = t(number)
    stamp = c.Stamp("tester", TIME, anchors=[anchor(subject)])
    ledger.commit(lambda history: c.name(history, stamp, f"N{number}", [subject]))


def test_undo_of_an_event_in_the_snapshot_is_exact(ledger: LedgerStore) -> None:
    ledger.history()
    stamp = c.Stamp("tester", TIME)
    label(ledger, 1)
    for seq in (6, 3, 30):
        event_id = ledger.history().events[seq - 1].id
        planned = ledger.commit(lambda h, one=event_id: c.undo(h, stamp, one))
        assert planned.state == ledger.verify().state == ledger.history().state
    back = ledger.history().events[-1].id
    ledger.commit(lambda h: c.undo(h, stamp, back))
    assert ledger.history().state == ledger.verify().state
    assert ledger.history().known is not None


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: data.replace(b"Person 3", b"Person x"),
        lambda data: b"",
        lambda data: b"[]\n" + data,
        lambda data: data.replace(f'"version": {snapshot.VERSION}'.encode(), b'"version": 0'),
        lambda data: b"\xff\xfe\n{}",
    ],
)
def test_a_snapshot_that_is_damaged_is_replaced(ledger: LedgerStore, damage) -> None:
    state = ledger.history().state
    good = ledger.snapshot_path.read_bytes()
    ledger.snapshot_path.write_bytes(damage(good))
    history = ledger.history()
    assert history.known is None and history.state == state
    assert ledger.snapshot_path.read_bytes() == good


def test_a_changed_line_is_noticed_although_a_snapshot_holds_it(ledger: LedgerStore) -> None:
    ledger.history()
    label(ledger, 1)
    data = ledger.path.read_bytes()
    ledger.path.write_bytes(data.replace(b'"seq": 3,', b'"seq": 3 ,'))
    with pytest.raises(DamagedLedgerError):
        ledger.history()
    with pytest.raises(DamagedLedgerError):
        label(ledger, 2)


def test_a_snapshot_that_fits_and_says_something_else_is_found_by_verifying(
    ledger: LedgerStore,
) -> None:
    history = ledger.history()
    data = ledger.path.read_bytes()
    position = through_json(history.position)
    position.working.people.popitem()
    last = hashlib.sha256(data.splitlines()[-1]).hexdigest()
    snapshot.write(ledger.snapshot_path, position, data, last, ledger.keys.keyring().version)
    with pytest.raises(LedgerError, match="Run the command again"):
        ledger.verify()
    assert ledger.verify().state == history.state


def test_another_code_has_another_version() -> None:
    folder = Path(str(ledger_package.__file__)).parent
    code = b"".join((folder / name).read_bytes() for name in sorted(CODE))
    assert hashlib.sha256(code).hexdigest() == CODE_OF_VERSION[snapshot.VERSION], (
        "What events amount to may have changed: raise snapshot.VERSION if so, and note the code."
    )
