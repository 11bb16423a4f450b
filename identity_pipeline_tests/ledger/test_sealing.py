"""Names and words lie sealed in the ledger; who destroys a key makes them unreadable for good."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from identity_pipeline.ledger import commands as c
from identity_pipeline.ledger.commands import Stamp
from identity_pipeline.ledger.errors import DamagedLedgerError
from identity_pipeline.ledger.shredding import keys_of
from identity_pipeline.ledger.state import Target
from identity_pipeline.ledger.store import LedgerStore
from identity_pipeline.storage.folder.data_folder import open_data_folder
from identity_pipeline.storage.folder.keys import Keyring, KeysError, KeyStore
from identity_pipeline.storage.folder.sealing import (
    keys_for,
    line_of,
    seal_ledger,
    sealed,
    unsealed,
)
from identity_pipeline.storage.layout import Layout
from identity_pipeline_tests.ledger.curator import TIME, anchor, t
from identity_pipeline_tests.processes import SERVER, ended

WORDS = ("Zoë Q", "said so at the gate", "ticket 4711", "the guardian")


@pytest.fixture
def ledger(tmp_path: Path) -> LedgerStore:
    return LedgerStore(Layout(tmp_path / "data"))


def named(ledger: LedgerStore, name: str, *tracks: int, reason: str = "") -> str:
    subjects = [t(number) for number in tracks]
    stamp = Stamp("desk", TIME, reason, map(anchor, subjects))
    planned = ledger.commit(lambda history: c.name(history, stamp, name, subjects))
    return planned.event.person_id  # type: ignore[union-attr]


def with_two(ledger: LedgerStore) -> tuple[str, str]:
    one = named(ledger, WORDS[0], 0, 1, reason=WORDS[1])
    other = named(ledger, "Kim", 4)
    stamp = Stamp("desk", TIME)
    said = {"evidence": WORDS[2], "by": WORDS[3]}
    ledger.commit(
        lambda h: c.record_consent(h, stamp, Target("person", one), "granted", ["export"], **said)
    )
    return one, other


def forget(ledger: LedgerStore, person_id: str) -> None:
    planned = ledger.commit(lambda h: c.forget(h, Stamp("desk", TIME), [person_id]))
    ledger.keys.destroy(keys_of(planned.history, planned.event))  # type: ignore[arg-type]


def test_no_name_and_no_word_is_in_a_file_without_its_key(ledger: LedgerStore) -> None:
    with_two(ledger)
    data = ledger.path.read_bytes()
    for word in WORDS:
        assert word.encode() not in data and json.dumps(word).encode() not in data
    assert b'"actor": "desk"' in data
    assert b":ride:" not in data and b'"track:~' in data, "a ride is a token, too"
    assert {s for e in ledger.history().events for s in e.named_subjects} == {t(0), t(1), t(4)}
    event = ledger.history().events[2]
    assert (event.evidence, event.by) == WORDS[2:]  # type: ignore[union-attr]
    assert {p.name for p in ledger.verify().state.people.values()} == {WORDS[0], "Kim"}
    assert ledger.keys.path.stat().st_mode & 0o077 == 0


def test_after_a_key_is_destroyed_the_chain_holds_and_nothing_shows_the_name(
    ledger: LedgerStore,
) -> None:
    one, other = with_two(ledger)
    kept = ledger.history()  # as a long-running process keeps it
    list(kept.events)
    forget(ledger, one)
    for history in (ledger.verify(), ledger.history(), ledger.history(kept)):
        told = " ".join(event.model_dump_json() for event in history.events)
        assert not any(word in told for word in WORDS)
        assert history.events[0].name == f"forgotten {one[:8]}"  # type: ignore[union-attr]
        assert {p: o.name for p, o in history.state.people.items()} == {other: "Kim"}
    assert WORDS[0].encode() not in b"".join(
        path.read_bytes() for path in ledger.layout.root.rglob("*") if path.is_file()
    )
    named(ledger, "Ada", 6)
    assert len(ledger.verify().events) == 5


def test_a_ride_that_is_forgotten_cannot_be_told_from_its_token(ledger: LedgerStore) -> None:
    subjects = [t(0, "smith-at-the-gate"), t(3, "other")]
    stamp = Stamp("desk", TIME, "", map(anchor, subjects))
    ledger.commit(lambda h: c.name(h, stamp, "Kim", subjects))
    moved = {t(0, "smith-at-the-gate"): t(5, "smith-at-the-gate"), t(3, "other"): t(2, "other")}
    ledger.commit(lambda h: c.renumber(h, Stamp("desk", TIME), moved, []))
    planned = ledger.commit(lambda h: c.forget(h, Stamp("desk", TIME), [], ["smith-at-the-gate"]))
    keys = keys_of(planned.history, planned.event)  # type: ignore[arg-type]
    assert ledger.keys.destroy(keys) >= 1 and ledger.keys.destroy(keys) == 0
    state = ledger.verify().state
    assert list(state.assigned) == [t(2, "other")]
    everything = b"".join(p.read_bytes() for p in ledger.layout.root.rglob("*") if p.is_file())
    assert b"smith" not in everything and b"other" in everything
    (forgotten,) = state.forgotten.videos
    assert forgotten.startswith("forgotten-")
    assert keys_of(ledger.history(), ledger.history().events[-1]) & {forgotten}  # type: ignore[arg-type]


def test_a_snapshot_from_before_is_not_used(ledger: LedgerStore, monkeypatch) -> None:
    monkeypatch.setattr("identity_pipeline.ledger.snapshot.EVERY", 1)
    one, _ = with_two(ledger)
    before = ledger.snapshot_path.read_bytes()
    assert WORDS[0] in json.loads(before.split(b"\n")[1])["working"]["people"][one]
    forget(ledger, one)
    ledger.snapshot_path.write_bytes(before)
    assert ledger.history().events[0].name.startswith("forgotten")  # type: ignore[union-attr]
    ledger.history()
    assert WORDS[0].encode() not in ledger.snapshot_path.read_bytes()


def test_keys_that_are_missing_are_said_and_come_back(ledger: LedgerStore, tmp_path: Path) -> None:
    one, _ = with_two(ledger)
    copy = tmp_path / "safe" / "names.keys"
    assert ledger.keys.copy_to(copy) == 4
    ledger.keys.path.unlink()
    history = ledger.history()
    assert history.state.people[one].name == f"unreadable {one[:8]}"
    assert history.events.keyring.missed  # type: ignore[union-attr]
    ledger.keys.bring_back(copy)
    assert ledger.history(history).state.people[one].name == WORDS[0]
    with pytest.raises(KeysError, match="kept apart"):
        ledger.keys.copy_to(ledger.layout.root / "names.keys")


def test_a_copy_of_keys_brings_nobody_back_who_was_forgotten(
    ledger: LedgerStore, tmp_path: Path
) -> None:
    one, _ = with_two(ledger)
    ledger.keys.copy_to(tmp_path / "names.keys")
    forget(ledger, one)
    ledger.keys.bring_back(tmp_path / "names.keys")
    assert ledger.history().events[0].name.startswith("forgotten")  # type: ignore[union-attr]
    with pytest.raises(KeysError, match="forgotten"):
        ledger.keys.ensure([one])


def test_a_ride_of_two_tokens_is_forgotten_by_both(tmp_path: Path) -> None:
    here, there = (KeyStore(Layout(tmp_path / name)) for name in ("here", "there"))
    for keys in (here, there):
        keys.ensure(["11111111-1111-4111-8111-111111111111"], ["ada_ride"])
    there.copy_to(tmp_path / "copy.keys")
    here.bring_back(tmp_path / "copy.keys")
    assert len(here.keyring().videos) == 2
    assert here.destroy(["ada_ride"]) == 2
    assert b"ada_ride" not in here.path.read_bytes()


def test_a_sealed_name_that_was_changed_or_swapped_is_damage(ledger: LedgerStore) -> None:
    with_two(ledger)
    lines = ledger.path.read_bytes().splitlines(keepends=True)
    records = [json.loads(line) for line in lines]
    records[0]["name"]["text"] = records[1]["name"]["text"]
    first = line_of({k: v for k, v in records[0].items() if k != "previous"}, "0" * 64)
    ledger.path.write_bytes(b"".join([first, *lines[1:]]))
    with pytest.raises(DamagedLedgerError, match="Line 1"):
        ledger.verify()


def test_a_last_key_without_its_end_is_cut_off(ledger: LedgerStore) -> None:
    one, _ = with_two(ledger)
    with ledger.keys.path.open("ab") as stream:
        stream.write(b"half a ke")
    named(ledger, "Ada", 6)
    assert ledger.keys.keyring().keys[one]
    assert b"half" not in ledger.keys.path.read_bytes()
    ledger.keys.path.write_bytes(b"nonsense\n" + ledger.keys.path.read_bytes())
    with pytest.raises(KeysError, match="Line 1"):
        ledger.keys.keyring()


def _make(root: str, start: int) -> None:
    for number in range(start, start + 20):
        KeyStore(Layout(Path(root))).ensure([f"key-{number}"], [f"ride-{number}"])


def test_two_processes_make_keys_at_once(tmp_path: Path) -> None:
    both = [SERVER.Process(target=_make, args=(str(tmp_path), start)) for start in (0, 10)]
    for one in both:
        one.start()
    for one in both:
        assert ended(one) == 0
    ring = KeyStore(Layout(tmp_path)).keyring()
    assert len(ring.keys) == len(ring.videos) == len(ring.tokens) == 30


def plain(ledger: LedgerStore) -> list[bytes]:
    """The ledger as it was before there were keys."""
    head, lines = "0" * 64, []
    for event in ledger.history().events:
        lines.append(line_of(event.model_dump(mode="json"), head))
        head = hashlib.sha256(lines[-1][:-1]).hexdigest()
    shutil.rmtree(ledger.layout.keys)
    ledger.path.write_bytes(b"".join(lines))
    seq = len(lines)
    for path in (ledger.head_path, ledger.layout.acknowledged):
        path.write_text(json.dumps({"seq": seq, "sha256": head}))
    return lines


@pytest.mark.parametrize("killed", range(6))
def test_an_older_ledger_is_sealed_once_wherever_that_was_killed(
    ledger: LedgerStore, killed: int, monkeypatch
) -> None:
    with_two(ledger)
    state = ledger.verify().state
    plain(ledger)
    from identity_pipeline.storage.files import atomic

    real, left = atomic.write_with, iter(range(killed))

    def write_with(target: Path, write) -> None:
        if killed < 5 and next(left, None) is None:
            raise KeyboardInterrupt
        real(target, write)

    with monkeypatch.context() as patched:
        patched.setattr(atomic, "write_with", write_with)
        with contextlib.suppress(KeyboardInterrupt):
            seal_ledger(ledger.layout)
    seal_ledger(ledger.layout)
    assert WORDS[0].encode() not in ledger.path.read_bytes()
    assert ledger.verify().state == state
    assert seal_ledger(ledger.layout) == 0
    assert not ledger.path.with_name("sealing.json").exists()


def test_the_migration_seals_and_says_so(ledger: LedgerStore) -> None:
    with_two(ledger)
    plain(ledger)
    ledger.layout.folder_note.write_text('{"format": 2, "id": "x"}')
    told: list[str] = []
    open_data_folder(ledger.layout, told.append)
    assert any("seals the names" in sentence for sentence in told)
    assert WORDS[0].encode() not in ledger.path.read_bytes()
    assert ledger.verify().state.named(WORDS[0])


@settings(deadline=None, max_examples=50)
@given(st.text(min_size=1, max_size=30), st.text(max_size=30), st.uuids(), st.uuids())
def test_what_is_sealed_comes_back(name: str, reason: str, person, event) -> None:
    record = {"id": str(event), "person_id": str(person), "name": name, "reason": reason}
    ring = Keyring({key: bytes([n]) * 32 for n, key in enumerate(keys_for(record))})
    closed = sealed(record, ring)
    assert unsealed(closed, ring) == record
    assert sealed(record, ring) == closed, "deterministic"
    assert unsealed(sealed(closed, ring), ring) == record
    gone = Keyring({}, frozenset(ring.keys))
    assert unsealed(closed, gone)["reason"] == ""
