"""What a receipt says of a forgetting: what went where, what was looked for, what is not reached.

What belongs here: the facts as one plain value, and writing it signed. What does not: gathering
them (`forgetting`), the scan (`scanning`), signing (`storage.folder.receipts`).

A receipt names nobody: it holds ids, digests and counts, and what might bear a name is masked.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from identity_pipeline.core.privacy.spelling import forms_of
from identity_pipeline.media.receipt_page import render_receipt_page
from identity_pipeline.stages.privacy.scanning import ScanReport
from identity_pipeline.storage.files.inbox import slug
from identity_pipeline.storage.folder import receipts as signed
from identity_pipeline.storage.layout import Layout

FORMAT: Final = 1
"""Of what a receipt says."""
MASK: Final = "[name]"
HITS_MOST: Final = 500
"""Places of each scan that a receipt lists; it says how many there are."""
Target = Literal["person", "video", "track"]
How = Literal["deleted", "rewritten", "key destroyed", "retired", "retrained", "cut", "none there"]


@dataclass(frozen=True)
class Removed:
    """What went from one place.

    Attributes:
        place: as the data map calls it.
        data_class: of the data map: source, picture, biometric, profile, name, decision, record.
        count: things removed, or kept without whom was forgotten.
        bytes: of them; None where nobody counted.
        how: in one word.
    """

    place: str
    data_class: str
    count: int
    bytes: int | None
    how: How


@dataclass(frozen=True)
class Retired:
    """A head that had been trained with the person."""

    head_id: str
    how: Literal["retired", "retrained"]


@dataclass(frozen=True)
class Revoked:
    """An export that left the house, to be asked back: its id, consumer, and digest."""

    export_id: str
    consumer: str
    sha256: str


@dataclass(frozen=True)
class HeldIn:
    """A backup that holds the person still, and the ISO date when it expires; None: never."""

    backup_id: str
    expires: str | None


@dataclass(frozen=True)
class Unreached:
    """A place that could not be reached, and why."""

    place: str
    why: str


@dataclass(frozen=True)
class Facts:
    """What a forgetting did.

    Attributes:
        forgetting_id: of the forgetting; names the receipt.
        target: what was asked to be forgotten.
        person_ids: of the library.
        videos: ids of videos and photo sets that show them; written as SHA-256.
        removed: by place.
        heads: that had been trained with them.
        exports: that are to be asked back.
        backups: that hold them still.
        unreached: places.
        notes: sentences.
    """

    forgetting_id: str
    target: Target
    person_ids: tuple[str, ...] = ()
    videos: tuple[str, ...] = ()
    removed: tuple[Removed, ...] = ()
    heads: tuple[Retired, ...] = ()
    exports: tuple[Revoked, ...] = ()
    backups: tuple[HeldIn, ...] = ()
    unreached: tuple[Unreached, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Receipt:
    """A receipt of the data folder.

    Attributes:
        receipt_id: of the forgetting.
        written: ISO time, UTC.
        proved: whether every scan found nothing left, with its control positive.
        path: of the JSON file; the page is beside it.
        told: all that it says.
    """

    receipt_id: str
    written: str
    proved: bool
    path: Path
    told: Mapping[str, Any]


def write_receipt(
    layout: Layout,
    facts: Facts,
    scans: Sequence[ScanReport],
    when: datetime,
    names: Collection[str] = (),
) -> Path:
    """Writes a receipt, signed, with its page.

    Args:
        layout: of the data folder.
        facts: what was done.
        scans: what was found afterwards: of the folder, of a served index, of object stores.
        when: now, with a zone.
        names: of whom was forgotten and of everybody else: none of them is written.

    Returns:
        The path of the JSON file.
    """
    told = receipt_of_facts(facts, scans, when, names)
    key = signed.site_key(layout).public
    page = render_receipt_page(told, key, signed.digest_of(told))
    return signed.write_signed(layout, facts.forgetting_id, told, page)


def receipt_of_facts(
    facts: Facts, scans: Sequence[ScanReport], when: datetime, names: Collection[str]
) -> dict[str, Any]:
    """All that a receipt says, as strings and whole numbers."""
    told = {
        "format": FORMAT,
        "forgetting": facts.forgetting_id,
        "written": when.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "target": facts.target,
        "person_ids": sorted(facts.person_ids),
        "videos_sha256": sorted(hashlib.sha256(v.encode()).hexdigest() for v in facts.videos),
        "removed": [asdict(one) for one in facts.removed],
        "heads": [asdict(one) for one in facts.heads],
        "exports_to_revoke": [asdict(one) for one in facts.exports],
        "backups": [asdict(one) for one in facts.backups],
        "unreached": [asdict(one) for one in facts.unreached],
        "notes": list(facts.notes),
        "scans": [_scan_json(scan) for scan in scans],
        "proved": bool(scans) and all(scan.clean for scan in scans),
    }
    return _masked(told, _pattern(names))


def _scan_json(scan: ScanReport) -> dict[str, Any]:
    return {
        "place": scan.place,
        "files": scan.files,
        "bytes_read": scan.bytes_read,
        "bytes_decoded": scan.bytes_decoded,
        "looked_for": dict(scan.sought),
        "of": dict(scan.sought_of),
        "hits": [asdict(hit) for hit in scan.hits[:HITS_MOST]],
        "hit_places": len(scan.hits),
        "hit_places_of": dict(Counter(hit.kind for hit in scan.hits)),
        "name_within_other_words": scan.shared,
        "control": {
            kind: {"found": scan.control.get(kind, 0), "of": there}
            for kind, there in scan.control_of.items()
        },
        "planted": {
            name: {"found": found, "of": there} for name, (found, there) in scan.planted.items()
        },
        "only_as_it_lies": [
            {"file": file, "form": form, "why": why}
            for file, form, why in scan.not_decoded[:HITS_MOST]
        ],
        "unreadable": [{"file": file, "why": why} for file, why in scan.unreadable[:HITS_MOST]],
        "positive": scan.positive,
        "clean": scan.clean,
    }


FREE: Final = frozenset({"file", "why", "place", "form", "notes", "export_id", "backup_id"})
"""What may bear a name: paths, sentences, and ids that people gave."""


def _pattern(names: Collection[str]) -> re.Pattern[str] | None:
    """Every spelling of some names, and what folders and files are called after them."""
    spelled = {
        form.data.decode() for name in names for form in forms_of(name) if form.encoding != "utf-16"
    } | {slug(name, "") for name in names}
    longest = sorted(filter(None, spelled), key=lambda text: (-len(text), text))
    if not longest:
        return None
    words = "|".join(map(re.escape, longest))
    return re.compile(rf"(?<![^\W_])(?:{words})(?![^\W_])", re.IGNORECASE)


def _masked(value: Any, names: re.Pattern[str] | None, *, free: bool = False) -> Any:
    """The value without names, where one may be."""
    if names is None:
        return value
    if isinstance(value, dict):
        return {k: _masked(inner, names, free=free or k in FREE) for k, inner in value.items()}
    if isinstance(value, list):
        return [_masked(inner, names, free=free) for inner in value]
    return names.sub(MASK, value) if free and isinstance(value, str) else value


def receipts(layout: Layout) -> Iterator[Receipt]:
    """Every receipt of a data folder, the newest first; what is none is passed over."""
    found = []
    for path in signed.receipt_paths(layout):
        try:
            found.append(_receipt(path))
        except (signed.ReceiptError, OSError, KeyError):
            continue
    yield from sorted(found, key=lambda one: (one.written, one.receipt_id), reverse=True)


def receipt_of(layout: Layout, receipt_id: str) -> Receipt | None:
    """One receipt; None where there is none.

    Raises:
        ReceiptError: what lies there is none.
    """
    path = signed.receipt_path(layout, receipt_id)
    return _receipt(path) if path.is_file() else None


def _receipt(path: Path) -> Receipt:
    told = signed.read_signed(path)["receipt"]
    return Receipt(path.stem, str(told["written"]), told["proved"] is True, path, told)
