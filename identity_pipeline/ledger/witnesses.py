"""What is known of the ledger's length and content beside its events, and whether they fit.

::

    data/ledger/head.json                the last event that was acknowledged
    data/acknowledged.json               the same in another folder, and what was given up
    data/tables/library/ledger.json      the last event that the library in force was made of

A library that was fetched from another data folder has none. So a ledger that is gone, shorter, or
another one is noticed, whatever part of it was lost. A witness may lag behind the events, never the
other way round: events are written first.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from identity_pipeline.ledger.errors import LedgerError, LostLedgerError
from identity_pipeline.storage.files import atomic
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.library.generations import LEDGER


@dataclass(frozen=True)
class Witness:
    """One record of how far the ledger was.

    Attributes:
        source: whose record it is, in words.
        seq: number of the last event it knows.
        sha256: digest of that event's line.
    """

    source: str
    seq: int
    sha256: str


@dataclass(frozen=True)
class GivenUp:
    """Events that somebody went on without.

    Attributes:
        seq, sha256: what a witness knew.
        left: how many events there were when they were given up.
        by: who did that.
        at: ISO time with a zone.
    """

    seq: int
    sha256: str
    left: int
    by: str
    at: str


def head_path(layout: Layout) -> Path:
    """The record beside the events."""
    return layout.ledger.with_name("head.json")


def witnesses_of(layout: Layout) -> tuple[Witness, ...]:
    """All records that count; read them before the events.

    Raises:
        LedgerError: one is damaged.
    """
    found = [
        _witness(head_path(layout), "its head file"),
        _witness(layout.acknowledged, "the data folder"),
        _witness(layout.library_tables / LEDGER, "the library in force"),
    ]
    known = {(lost.seq, lost.sha256) for lost in given_up(layout)}
    return tuple(one for one in found if one and (one.seq, one.sha256) not in known)


def unfit(
    witnesses: Iterable[Witness], count: int, digest_of: Callable[[int], str]
) -> list[Witness]:
    """Records that a ledger does not bear out, the one that knows most first.

    Args:
        witnesses: the records.
        count: events there are.
        digest_of: digest of the line of an event, by its number from 1.
    """
    wrong = [one for one in witnesses if one.seq > count or digest_of(one.seq) != one.sha256]
    return sorted(wrong, key=lambda one: -one.seq)


def check(
    path: Path, witnesses: Iterable[Witness], count: int, digest_of: Callable[[int], str]
) -> None:
    """Compares a ledger with all records of it; arguments as of `unfit`.

    Raises:
        LostLedgerError: it is shorter than one of them, or another ledger.
    """
    wrong = unfit(witnesses, count, digest_of)
    if wrong:
        raise LostLedgerError(path, wrong[0].source, wrong[0].seq, count)


def note(layout: Layout, seq: int, sha256: str, more: Iterable[GivenUp] = ()) -> None:
    """Records how far the ledger was acknowledged, beside it and outside its folder."""
    atomic.write_json(head_path(layout), {"seq": seq, "sha256": sha256})
    lost = [asdict(one) for one in dict.fromkeys((*given_up(layout), *more))]
    record = {"seq": seq, "sha256": sha256, **({"given_up": lost} if lost else {})}
    atomic.write_json(layout.acknowledged, record)


def given_up(layout: Layout) -> tuple[GivenUp, ...]:
    """What somebody went on without, the oldest first.

    Raises:
        LedgerError: the record is damaged.
    """
    try:
        return given_up_by(_json(layout.acknowledged) or {})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(layout.acknowledged) from error


def given_up_by(record: Mapping[str, Any]) -> tuple[GivenUp, ...]:
    """What a record outside the ledger's folder says of that, the oldest first.

    Raises:
        KeyError, TypeError, AttributeError: it is damaged.
    """
    names = GivenUp.__dataclass_fields__
    return tuple(GivenUp(**{n: one[n] for n in names}) for one in record.get("given_up", ()))


def _witness(path: Path, source: str) -> Witness | None:
    """A record; None where there is none."""
    try:
        noted = _json(path)
        if noted is not None and (type(noted["seq"]) is not int or noted["seq"] < 0):
            raise ValueError("no number of an event")
        return None if noted is None else Witness(source, noted["seq"], str(noted["sha256"]))
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(path) from error


def _json(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not isinstance(found, dict):
        raise TypeError("no JSON object")
    return found


def _damaged(path: Path) -> LedgerError:
    return LedgerError(
        f"{path} is damaged; remove it if the ledger is known to be whole, else remove it and put "
        "the ledger back with `identity-pipeline restore BACKUP`."
    )
