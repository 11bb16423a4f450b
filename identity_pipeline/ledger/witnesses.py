"""What is known of the ledger's length and content beside its events, and whether they fit.

::

    data/ledger/head.json                the last event that was acknowledged
    data/acknowledged.json               the same in another folder, and what was given up
    data/tables/library/ledger.json      the last event that the library in force was made of

A library that was fetched from another data folder has none. So a ledger that is gone, shorter, or
another one is noticed, whatever part of it was lost. A witness may lag behind the events, never the
other way round: events are written first. Each carries its own hash, so one that is damaged itself
is told from a ledger that is; those of earlier versions have none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from identity_pipeline.ledger.errors import DamagedWitnessError, LostLedgerError
from identity_pipeline.storage.files import atomic, small_files
from identity_pipeline.storage.files.small_files import RECORD_SEAL, DamagedFileError
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.library.generations import LEDGER


@dataclass(frozen=True)
class Witness:
    """One record of how far the ledger was.

    Attributes:
        source: whose record it is, in words.
        seq: number of the last event it knows.
        sha256: digest of that event's line.
        hashless: the record's file, where that is of an earlier version and has no hash of its own.
    """

    source: str
    seq: int
    sha256: str
    hashless: Path | None = None


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


@dataclass(frozen=True)
class _Record:
    """A witness at rest; `record_sha256`: of all else in it, null in an earlier version."""

    seq: int
    sha256: str
    given_up: list[GivenUp] = field(default_factory=list)
    record_sha256: str | None = None


class Records(NamedTuple):
    """All records.

    Attributes:
        known: those that count.
        damaged: what is wrong with those that cannot be read.
    """

    known: tuple[Witness, ...]
    damaged: tuple[DamagedFileError, ...]


def head_path(layout: Layout) -> Path:
    """The record beside the events."""
    return layout.ledger.with_name("head.json")


def witnesses_of(layout: Layout) -> tuple[Witness, ...]:
    """All records that count; read them before the events.

    Raises:
        DamagedWitnessError: one is damaged.
    """
    known, damaged = records_of(layout)
    if damaged:
        raise DamagedWitnessError(damaged[0].path, damaged[0].reason)
    return known


def records_of(layout: Layout) -> Records:
    """The same, with those that are damaged; what such a one says was given up is not known."""
    found: list[Witness] = []
    damaged: list[DamagedFileError] = []
    lost: set[tuple[int, str]] = set()
    for path, source in (
        (head_path(layout), "its head file"),
        (layout.acknowledged, "the data folder"),
        (layout.library_tables / LEDGER, "the library in force"),
    ):
        try:
            record = _record(path)
        except DamagedFileError as error:
            damaged.append(error)
            continue
        if record is not None:
            hashless = None if record.record_sha256 else path
            found.append(Witness(source, record.seq, record.sha256, hashless))
            lost |= {(one.seq, one.sha256) for one in record.given_up}
    known = tuple(one for one in found if (one.seq, one.sha256) not in lost)
    return Records(known, tuple(damaged))


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
        first = wrong[0]
        fit = [one.source for one in witnesses if one not in wrong and one.seq == count]
        doubt = ""
        if first.hashless and fit:
            doubt = (
                f"{first.hashless} is of an earlier version, without a hash of its own: if that "
                f"file was damaged, remove it, for {fit[0]} knows this ledger to be whole. Else: "
            )
        raise LostLedgerError(path, first.source, first.seq, count, doubt)


def unsaid_by(
    damaged: DamagedFileError, known: Iterable[Witness], count: int
) -> DamagedWitnessError:
    """What to do about a damaged record of a ledger that all others bear out.

    Args:
        damaged: what is wrong with it.
        known: the others.
        count: events there are, each of which follows the one before.
    """
    sources = [one.source for one in known if one.seq == count]
    if sources:
        step = (
            f"The ledger itself is whole: its {count} events follow one another, and {sources[0]} "
            "knows the last one. Remove that file; the next decision and the next "
            "`identity-pipeline recluster` write it anew."
        )
    else:
        step = (
            f"The {count} events of the ledger follow one another, but no other record says that "
            "these are all. Remove that file if they are, else remove it and put the ledger back "
            "with `identity-pipeline restore BACKUP`."
        )
    return DamagedWitnessError(damaged.path, damaged.reason, step)


def note(layout: Layout, seq: int, sha256: str, more: Iterable[GivenUp] = ()) -> None:
    """Records how far the ledger was acknowledged, beside it and outside its folder.

    Raises:
        DamagedWitnessError: the record says what was given up, and is damaged.
    """
    head = {"seq": seq, "sha256": sha256}
    atomic.write_json(head_path(layout), small_files.sealed(head, RECORD_SEAL))
    try:
        before = _record(layout.acknowledged)
    except DamagedFileError as error:
        raise DamagedWitnessError(error.path, error.reason) from error
    lost = [asdict(one) for one in dict.fromkeys((*(before.given_up if before else ()), *more))]
    record = {**head, **({"given_up": lost} if lost else {})}
    atomic.write_json(layout.acknowledged, small_files.sealed(record, RECORD_SEAL))


def given_up_by(record: Mapping[str, Any]) -> tuple[GivenUp, ...]:
    """What a record outside the ledger's folder says of that, the oldest first.

    Raises:
        KeyError, TypeError, AttributeError: it is damaged.
    """
    names = GivenUp.__dataclass_fields__
    return tuple(GivenUp(**{n: one[n] for n in names}) for one in record.get("given_up", ()))


def _record(path: Path) -> _Record | None:
    """A record; None where there is none.

    Raises:
        DamagedFileError: it is no record, or another one than was written.
    """
    found = small_files.read_sealed(path, _Record, "", RECORD_SEAL)
    if found is not None and (found.seq < 0 or not re.fullmatch("[0-9a-f]{64}", found.sha256)):
        raise DamagedFileError(path, "it names no line of a ledger", "")
    return found
