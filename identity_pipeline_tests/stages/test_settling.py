"""Only videos whose decisions or tables are new are looked at, and each of those is."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from identity_pipeline.ledger.store import LedgerStore
from identity_pipeline.stages.curation.settling import ASSETS, Settling
from identity_pipeline.storage.layout import Layout
from identity_pipeline_tests.ledger.curator import t
from identity_pipeline_tests.ledger.test_snapshot import label

VIDEO = "ride"


@pytest.fixture
def ledger(tmp_path: Path) -> LedgerStore:
    ledger = LedgerStore(Layout(tmp_path / "data"))
    for asset in ASSETS:
        table = ledger.layout.table(asset, VIDEO)
        table.parent.mkdir(parents=True)
        table.write_bytes(b"x")
        for path in (table, table.parent):
            os.utime(path, ns=(10**18, 10**18))
    label(ledger, 1)
    return ledger


def looked_at(ledger: LedgerStore) -> frozenset[str]:
    found = Settling.of(ledger.layout, ledger.history())
    found.note()
    return found.videos


def test_a_video_is_looked_at_once(ledger: LedgerStore) -> None:
    assert looked_at(ledger) == {VIDEO}
    assert looked_at(ledger) == frozenset()
    label(ledger, 2)
    assert looked_at(ledger) == frozenset(), "it was decided by the tables that are there"


def test_other_tables_are_looked_at(ledger: LedgerStore) -> None:
    looked_at(ledger)
    table = ledger.layout.table(ASSETS[0], VIDEO)
    new = table.with_name("new")
    new.write_bytes(b"another")
    new.rename(table)
    assert looked_at(ledger) == {VIDEO}
    assert looked_at(ledger) == frozenset()


def test_a_table_that_comes_while_others_are_read_is_looked_at_the_next_time(
    ledger: LedgerStore,
) -> None:
    found = Settling.of(ledger.layout, ledger.history())
    table = ledger.layout.table(ASSETS[2], VIDEO)
    new = table.with_name("new")
    new.write_bytes(b"templates of the new tracks")
    new.rename(table)
    found.note()
    assert looked_at(ledger) == {VIDEO}


def test_a_table_that_went_or_came_is_looked_at(ledger: LedgerStore) -> None:
    looked_at(ledger)
    ledger.layout.table(ASSETS[1], VIDEO).unlink()
    assert looked_at(ledger) == {VIDEO}


def test_a_folder_that_changed_just_now_is_not_trusted(ledger: LedgerStore) -> None:
    now = time.time_ns()
    folder = ledger.layout.table(ASSETS[0], VIDEO).parent
    os.utime(folder, ns=(now, now))
    looked_at(ledger)
    ledger.layout.table(ASSETS[0], VIDEO).write_bytes(b"in its place")
    os.utime(folder, ns=(now, now))
    assert looked_at(ledger) == {VIDEO}


@pytest.mark.parametrize(
    "noted",
    [
        *("", "[]", "{}", '{"version": 1, "seq": 99, "last": "x"}'),
        *('{"version": 1, "seq": "1"}', '{"version": 1, "seq": 1, "videos": [], "last": 3}'),
    ],
)
def test_a_damaged_memory_is_none(ledger: LedgerStore, noted: str) -> None:
    looked_at(ledger)
    ledger.path.with_name("settled.json").write_text(noted, encoding="utf-8")
    assert looked_at(ledger) == {VIDEO}


def test_another_ledger_is_looked_at_whole(ledger: LedgerStore) -> None:
    looked_at(ledger)
    ledger.path.unlink()
    ledger.head_path.unlink()
    ledger.layout.acknowledged.unlink()
    label(ledger, 1)
    assert looked_at(ledger) == {VIDEO}
    assert t(1) in ledger.history().state.assigned
