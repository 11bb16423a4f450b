"""Names and words of people, sealed in the lines of the ledger; everything else stands there plain.

A name is sealed with the key of the person who bears it, free text with a key of its event's own:
AES-SIV (RFC 5297), authenticated with the event's id and the field's name. That is deterministic:
the same line is sealed to the same bytes, so an older backup of plain lines can be compared with a
ledger that is sealed. Actors stay plain (who works here is no guest), and so do the ids of people,
tracks and faces: without the name they are pseudonyms.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from identity_pipeline.storage.files import atomic
from identity_pipeline.storage.folder.keys import Keyring, KeyStore
from identity_pipeline.storage.layout import Layout

WHOSE: Final = {
    "name": "person_id",
    "new_name": "new_person_id",
    "reason": "id",
    "evidence": "id",
    "by": "id",
}
"""Fields that are sealed, and which field of the event has the id of the key."""
NAMES: Final = ("name", "new_name")
FIRST: Final = "0" * 64
"""What the first line has in the place of the digest of the line before."""
SHOWN: Final = 8
"""Letters of an id that stand for a name that cannot be read."""


def keys_for(record: Mapping[str, Any]) -> list[str]:
    """Ids of the keys that a record needs."""
    plain = [whose for field, whose in WHOSE.items() if _is_plain(record.get(field))]
    return [str(record[whose]) for whose in dict.fromkeys(plain)]


def sealed(record: Mapping[str, Any], keyring: Keyring) -> dict[str, Any]:
    """A record whose names and words are sealed.

    Raises:
        KeyError: there is no key for one of them.
    """
    return {
        field: _seal(field, value, record, keyring)
        if field in WHOSE and _is_plain(value)
        else value
        for field, value in record.items()
    }


def unsealed(record: Mapping[str, Any], keyring: Keyring) -> dict[str, Any]:
    """A record that can be read; a name whose key is gone is a word and the beginning of an id.

    Raises:
        ValueError: what is sealed is not what was written.
    """
    return {
        field: _unseal(field, value, record, keyring)
        if field in WHOSE and isinstance(value, dict)
        else value
        for field, value in record.items()
    }


def _is_plain(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _seal(field: str, text: str, record: Mapping[str, Any], keyring: Keyring) -> dict[str, str]:
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV

    name = str(record[WHOSE[field]])
    data = AESSIV(keyring.keys[name]).encrypt(text.encode(), _bound_to(field, record))
    return {"key": name, "text": base64.b64encode(data).decode()}


def _unseal(field: str, value: Mapping[str, Any], record: Mapping[str, Any], ring: Keyring) -> str:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV

    name = str(value["key"])
    if name != str(record[WHOSE[field]]):
        raise ValueError(f"{field} is sealed with the key of {name}, which is somebody else's")
    key = ring.keys.get(name)
    if key is None:
        return _without_key(field, name, ring)
    try:
        data = base64.b64decode(value["text"], validate=True)
        return AESSIV(key).decrypt(data, _bound_to(field, record)).decode()
    except (InvalidTag, ValueError) as error:
        raise ValueError(f"the sealed {field} is not what was written") from error


def _without_key(field: str, name: str, ring: Keyring) -> str:
    if name not in ring.destroyed:
        ring.missed.add(name)
    if field not in NAMES:
        return ""
    return f"{'forgotten' if name in ring.destroyed else 'unreadable'} {name[:SHOWN]}"


def _bound_to(field: str, record: Mapping[str, Any]) -> list[bytes]:
    return [str(record["id"]).encode(), field.encode()]


def line_of(record: Mapping[str, Any], previous: str) -> bytes:
    """The line of a record, with its newline: JSON with sorted keys."""
    whole = {**record, "previous": previous}
    return (json.dumps(whole, sort_keys=True, ensure_ascii=False) + "\n").encode()


def sealed_lines(lines: Iterable[bytes], keys: KeyStore) -> list[bytes]:
    """Lines of a ledger, without their newlines, each sealed and chained to the one before.

    Lines that are sealed stay as they are, as long as all before them do.

    Raises:
        ValueError, KeyError, AttributeError, TypeError: one is no line of a ledger.
        KeysError: one is about somebody who was forgotten, and stands here plain.
    """
    records = [json.loads(line) for line in lines]
    ring = keys.ensure(name for record in records for name in keys_for(record))
    previous, found = FIRST, []
    for record in records:
        del record["previous"]
        line = line_of(sealed(record, ring), previous)[:-1]
        if unsealed(json.loads(line), ring) != {**unsealed(record, ring), "previous": previous}:
            raise ValueError("a sealed line does not say what the plain one did")
        found.append(line)
        previous = hashlib.sha256(line).hexdigest()
    return found


def seal_ledger(layout: Layout) -> int:
    """Seals what stands plain in a ledger and anchors its chain anew; may be called again.

    The witnesses of how far the ledger was name digests of lines, so they are told the new ones.
    Which line became which is noted before the file is exchanged: a crash at any moment leaves a
    ledger that this brings to its end.

    Returns:
        How many lines there are now that were plain.

    Raises:
        FileNotFoundError: there is no ledger.
        ValueError, KeyError, AttributeError, TypeError: it is damaged.
    """
    journal = layout.ledger.with_name("sealing.json")
    lines = _lines(layout)
    noted = json.loads(journal.read_bytes()) if journal.is_file() else None
    if noted is None or list(map(_digest, lines)) != noted["new"]:
        new = sealed_lines(lines, KeyStore(layout))
        noted = {"old": list(map(_digest, lines)), "new": list(map(_digest, new))}
        atomic.write_json(journal, noted)
        atomic.write_bytes(layout.ledger, b"".join(line + b"\n" for line in new))
    layout.ledger.with_name("replayed.json").unlink(missing_ok=True)
    _anchor_anew(layout, noted["old"], noted["new"])
    journal.unlink()
    return sum(a != b for a, b in zip(noted["old"], noted["new"], strict=True))


def _lines(layout: Layout) -> list[bytes]:
    return layout.ledger.read_bytes().split(b"\n")[:-1]


def _anchor_anew(layout: Layout, old: Sequence[str], new: Sequence[str]) -> None:
    """Tells the witnesses of a chain what its lines are called now."""
    for path in (
        layout.ledger.with_name("head.json"),
        layout.acknowledged,
        *layout.generations.glob("*/ledger.json"),
    ):
        if not path.is_file():
            continue
        record = json.loads(path.read_bytes())
        seq = record.get("seq", 0)
        if 0 < seq <= len(old) and record.get("sha256") == old[seq - 1]:
            atomic.write_json(path, {**record, "sha256": new[seq - 1]})


def _digest(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()
