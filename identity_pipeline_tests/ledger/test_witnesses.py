"""A ledger that is gone, shorter or another one is noticed, and given up only on purpose."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from identity_pipeline.ledger.errors import LedgerError, LostLedgerError, NoChangeError
from identity_pipeline.ledger.store import LedgerStore
from identity_pipeline.storage.layout import Layout
from identity_pipeline_tests.curated_library import asked, call, write_rides
from identity_pipeline_tests.ledger.test_store import label, lines

Damage = Callable[[LedgerStore], None]


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of four rides in which two people have been named, one after the recompute."""
    root = tmp_path_factory.mktemp("named")
    write_rides(root)
    call(root, "recluster")
    call(root, "label", "cluster", "1", "--name", "Ada")
    call(root, "recluster")
    call(root, "label", "cluster", "2", "--name", "Bea")
    return root


@pytest.fixture
def root(named: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(named, tmp_path / "copy", symlinks=True))


def ledger_of(root: Path) -> LedgerStore:
    return LedgerStore(Layout(root / "data"))


def all_of_it(ledger: LedgerStore) -> None:
    shutil.rmtree(ledger.path.parent)


def the_events(ledger: LedgerStore) -> None:
    ledger.path.unlink()


def emptied(ledger: LedgerStore) -> None:
    ledger.path.write_bytes(b"")


def the_last_line(ledger: LedgerStore) -> None:
    ledger.path.write_bytes(b"".join(lines(ledger)[:-1]))


def the_last_line_and_the_head(ledger: LedgerStore) -> None:
    the_last_line(ledger)
    ledger.head_path.unlink()


def emptied_but_the_lock(ledger: LedgerStore) -> None:
    the_events(ledger)
    ledger.head_path.unlink()


def another_one(ledger: LedgerStore) -> None:
    """The ledger of another folder, with its head; it has more events."""
    other = LedgerStore(Layout(ledger.layout.root.with_name("other")))
    for number in range(1, 6):
        label(other, number)
    shutil.rmtree(ledger.path.parent)
    shutil.copytree(other.path.parent, ledger.path.parent)


WAYS = {
    all_of_it: "gone or empty: 2 events were acknowledged, 0 are there",
    the_events: "gone or empty: 2 events were acknowledged, 0 are there",
    emptied: "gone or empty: 2 events were acknowledged, 0 are there",
    emptied_but_the_lock: "gone or empty: 2 events were acknowledged, 0 are there",
    the_last_line: "too short: 2 events were acknowledged, 1 are there",
    the_last_line_and_the_head: "too short: 2 events were acknowledged, 1 are there",
    another_one: "or the file is another data folder's ledger",
}


@pytest.mark.parametrize("damage", WAYS, ids=lambda way: way.__name__)
def test_a_loss_is_said_and_everything_refuses(root: Path, damage: Damage) -> None:
    damage(ledger_of(root))
    for command in (
        ("people",),
        ("events",),
        ("recluster",),
        ("label", "ride-d", "--name", "Dot"),
        ("undo", "last"),
        ("clusters",),
    ):
        said = " ".join(call(root, *command, code=1).split())
        assert WAYS[damage] in said, command
        assert " restore BACKUP" in said
        assert " accept-ledger" in said
        assert "Traceback" not in said


@pytest.mark.parametrize("damage", WAYS, ids=lambda way: way.__name__)
def test_going_on_is_a_decision_of_its_own(root: Path, damage: Damage) -> None:
    damage(ledger_of(root))
    before = (root / "data" / "acknowledged.json").read_bytes()
    assert "2 events were acknowledged" in call(root, "accept-ledger", "--dry-run")
    assert (root / "data" / "acknowledged.json").read_bytes() == before
    call(root, "accept-ledger", "--yes", "--as", "eve")
    record = json.loads((root / "data" / "acknowledged.json").read_text())
    assert record["given_up"][0]["by"] == "eve"
    assert record["given_up"][0]["seq"] == 2
    left = ledger_of(root).history().events
    call(root, "recluster")
    call(root, "label", "ride-d:1", "--name", "Dot")
    assert ledger_of(root).history().events[:-1] == left
    assert "nothing to accept" in call(root, "accept-ledger", "--yes", code=1)


def test_a_head_that_is_gone_alone_is_no_loss(root: Path) -> None:
    ledger = ledger_of(root)
    ledger.head_path.unlink()
    assert {person["name"] for person in asked(root, "people")} == {"Ada", "Bea"}
    label(ledger, 7)
    assert ledger.head_path.is_file()


def test_the_library_in_force_is_a_witness_too(root: Path) -> None:
    ledger = ledger_of(root)
    all_of_it(ledger)
    ledger.layout.acknowledged.unlink()
    with pytest.raises(LostLedgerError, match="known by the library in force") as caught:
        ledger.history()
    assert (caught.value.known, caught.value.there) == (1, 0)


def test_an_older_copy_of_the_ledger_is_too_short(root: Path) -> None:
    ledger = ledger_of(root)
    kept = root / "kept"
    shutil.copytree(ledger.path.parent, kept)
    label(ledger, 8)
    shutil.rmtree(ledger.path.parent)
    kept.rename(ledger.path.parent)
    with pytest.raises(LostLedgerError, match="3 events were acknowledged, 2 are there"):
        ledger.history()


@pytest.mark.parametrize(
    "junk", [b"", b"[]", b"null", b"{}", b'{"seq": -1, "sha256": "a"}', b"\xff"]
)
def test_a_damaged_witness_is_said(root: Path, junk: bytes) -> None:
    ledger = ledger_of(root)
    ledger.layout.acknowledged.write_bytes(junk)
    with pytest.raises(LedgerError, match=r"acknowledged\.json is damaged"):
        ledger.history()
    ledger.layout.acknowledged.unlink()
    assert len(ledger.history().events) == 2


def test_nothing_is_accepted_where_nothing_is_lost(root: Path) -> None:
    with pytest.raises(NoChangeError):
        ledger_of(root).accept("eve", "2026-01-01T00:00:00+00:00")


@pytest.mark.parametrize("record", ["acknowledged.json", "ledger/head.json"])
def test_a_record_with_a_changed_byte_is_not_blamed_on_the_ledger(root: Path, record: str) -> None:
    path = root / "data" / record
    whole = path.read_bytes()
    noted = json.loads(whole)["sha256"].encode()
    path.write_bytes(whole.replace(noted, (b"0" if noted[:1] != b"0" else b"1") + noted[1:]))
    for command in (("people",), ("recluster",), ("label", "ride-d", "--name", "Dot")):
        said = " ".join(call(root, *command, code=1).split())
        assert f"{record} is damaged: its SHA-256 begins with" in said, command
        assert "The ledger itself is whole: its 2 events" in said
        assert "restore" not in said and "accept-ledger" not in said
    assert f"{record} is damaged" in " ".join(call(root, "accept-ledger", code=1).split())
    path.unlink()
    label(ledger_of(root), 7)
    assert json.loads(path.read_bytes())["seq"] == 3


def test_a_damaged_record_hides_no_loss(root: Path) -> None:
    """What the other records know still counts; where none knows the end, nobody vouches for it."""
    ledger = ledger_of(root)
    ledger.layout.acknowledged.write_bytes(b"{")
    kept = ledger.path.read_bytes()
    the_last_line(ledger)
    with pytest.raises(LostLedgerError, match="2 events were acknowledged, 1 are there"):
        ledger.history()
    ledger.path.write_bytes(kept)
    ledger.head_path.unlink()
    with pytest.raises(LedgerError, match="no other record says that these are all"):
        ledger.history()


def test_a_record_of_an_earlier_version_has_no_hash_and_may_itself_be_wrong(root: Path) -> None:
    ledger = ledger_of(root)
    record = json.loads(ledger.layout.acknowledged.read_bytes())
    del record["record_sha256"]
    ledger.layout.acknowledged.write_text(json.dumps(record))
    assert len(ledger.history().events) == 2
    ledger.layout.acknowledged.write_text(json.dumps({**record, "sha256": "0" * 64}))
    with pytest.raises(LostLedgerError, match="without a hash of its own: if that file was"):
        ledger.history()
