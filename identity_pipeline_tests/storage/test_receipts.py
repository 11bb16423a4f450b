"""A receipt is what the site signed, names nobody, and says so without a data folder."""

from __future__ import annotations

import base64
import json
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from identity_pipeline.cli.main import cli
from identity_pipeline.stages.privacy.receipts import (
    Facts,
    HeldIn,
    Removed,
    Revoked,
    Unreached,
    receipt_of,
    receipts,
    write_receipt,
)
from identity_pipeline.stages.privacy.scanning import Hit, ScanReport
from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.folder.receipts import (
    ReceiptError,
    canonical,
    public_key,
    site_key,
    verify,
)
from identity_pipeline.storage.layout import Layout

NAMES = ("Kïm Bö", "Ada")
NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
PROVED = ScanReport(
    *("the data folder", 12, 3456, 7890, {"vector": 4, "name": 1}),
    control_of={"vector": 2},
    control={"vector": 2},
    planted={"zstd.parquet": (3, 3)},
)
LEFT = ScanReport(
    *("the data folder", 12, 3456, 7890, {"vector": 4, "name": 1}),
    hits=(Hit("models/identities/kim-bo-5f2c/profile.json", "UTF-8, as it lies", "name", 1),),
    planted={"zstd.parquet": (3, 3)},
    unreadable=(("datasets/ada-77/notes of Ki\u0308m Bo\u0308.txt", "no permission"),),
)


def written(layout: Layout, name: str, scan: ScanReport = PROVED) -> Path:
    facts = Facts(
        name,
        "person",
        ("5f2c0a11-0000-4000-8000-000000000000",),
        ("ride-of-kim-bo-12345678",),
        (Removed("crops", "picture", 12, 3456, "rewritten"),),
        exports=(Revoked("kim-bo-5f2c/kohya", "kohya", "ab" * 32),),
        backups=(HeldIn("2026-01.zip", "2026-04-01"), HeldIn("old.zip", None)),
        unreached=(Unreached("the store", "it did not answer <b>at all</b>"),),
    )
    return write_receipt(layout, facts, [scan], NOW, NAMES)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "data")


def test_a_receipt_is_as_it_was_signed(layout: Layout) -> None:
    path = written(layout, "aa11")
    key = public_key(layout)
    found = verify(path, key)
    assert not found.wrong and not found.notes and found.receipt["proved"] is True
    page = path.with_suffix(".html").read_text(encoding="utf-8")
    assert str(key) in page and "&lt;b&gt;" in page and "<b>at all" not in page
    again = written(layout, "aa11")
    assert again.read_bytes() == path.read_bytes()  # same key, same facts, same bytes
    private = layout.keys / "site.json"
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert json.loads(private.read_bytes())["private"] not in page + path.read_text("utf-8")


def test_any_change_is_seen(layout: Layout) -> None:
    path = written(layout, "aa11")
    data = path.read_bytes()
    for old, new in (
        (b'"count":12', b'"count":13'),
        (b'"proved":true', b'"proved":false'),
        (b'"format":1', b'"format":1 '),
        (b'"algorithm"', b'"algorithm":"none","algorithm"'),
    ):
        assert old in data
        path.write_bytes(data.replace(old, new, 1))
        assert verify(path).wrong, old
    path.write_bytes(data)
    page = path.with_suffix(".html")
    page.write_bytes(page.read_bytes().replace(b"12", b"13"))
    assert "page" in verify(path).wrong[0]
    page.unlink()
    assert not verify(path).wrong and "not compared" in " ".join(verify(path).notes)


def test_another_sites_key_is_not_this_ones(layout: Layout, tmp_path: Path) -> None:
    other = site_key(Layout(tmp_path / "other")).public
    path = written(layout, "aa11")
    assert len(verify(path, other).wrong) == 2
    forged = json.loads(path.read_bytes()) | {"public_key": other}
    path.write_bytes(canonical(forged) + b"\n")
    assert verify(path).wrong
    for nonsense in ("not base64!", base64.b64encode(b"short").decode(), "é"):
        with pytest.raises(ReceiptError, match="no public key"):
            verify(path, nonsense)


def test_nobody_is_named(layout: Layout) -> None:
    path = written(layout, "bb22", LEFT)
    for text in (path.read_text("utf-8"), path.with_suffix(".html").read_text("utf-8")):
        lower = text.lower()
        assert not any(word in lower for word in ("kim-bo", "ki\u0308m", "kïm", "ada-77"))
        assert "models/identities/[name]-5f2c/profile.json" in text
    receipt = receipt_of(layout, "bb22")
    assert receipt is not None and not receipt.proved


def test_a_damaged_key_is_told_and_not_replaced(layout: Layout) -> None:
    written(layout, "aa11")
    path = layout.keys / "site.json"
    told = json.loads(path.read_bytes())
    other = site_key(Layout(layout.root / "x")).public
    for damaged in ("{", json.dumps(told | {"public": other}), json.dumps(told | {"private": "?"})):
        path.write_text(damaged)
        with pytest.raises(DamagedFileError, match="bring the file back"):
            site_key(layout)
        assert path.read_text() == damaged


def test_commands_list_show_and_verify(layout: Layout, tmp_path: Path) -> None:
    layout.root.mkdir()
    (layout.root / "folder.json").write_text('{"format": 1, "id": "x"}')
    call = CliRunner().invoke
    data = ("--data", str(layout.root))
    assert "no receipt" in call(cli, ["receipts", "list", *data]).output
    path = written(layout, "aa11")
    written(layout, "bb22", LEFT)
    listed = json.loads(call(cli, ["receipts", "list", "--json", *data]).stdout)
    assert {r["receipt"]: r["proved"] for r in listed["receipts"]} == {"aa11": True, "bb22": False}
    assert listed["public_key"] == public_key(layout)
    assert "something is left in 1 place" in call(cli, ["receipts", "show", "bb", *data]).output
    assert call(cli, ["receipts", "show", "cc", *data]).exit_code == 2

    alone = tmp_path / "alone.json"
    alone.write_bytes(path.read_bytes())
    fine = call(cli, ["receipts", "verify", str(alone), "--public-key", listed["public_key"]])
    assert fine.exit_code == 0 and "as it was signed" in fine.output
    alone.write_bytes(path.read_bytes().replace(b'"count":12', b'"count":11'))
    assert call(cli, ["receipts", "verify", str(alone)]).exit_code == 1
    alone.write_text("{}")
    assert call(cli, ["receipts", "verify", str(alone)]).exit_code == 2
    assert [r.receipt_id for r in receipts(layout)] == ["bb22", "aa11"]
