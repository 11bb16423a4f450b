"""Names and words of people, sealed in the lines of the ledger, and rides called by tokens.

A name is sealed with the key of the person who bears it, free text with a key of its event's own:
AES-SIV (RFC 5297), authenticated with the event's id and the field's name. That is deterministic:
the same line is sealed to the same bytes, so an older backup of plain lines can be compared with a
ledger that is sealed. Ids of rides and of sets of photographs are made of file names, in which a
name may be: in the lines a token stands for each. Actors stay plain (who works here is no guest),
and so do ids of people and numbers of tracks and faces: without the name they are pseudonyms.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from identity_pipeline.storage.files import atomic, small_files
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
SUBJECT: Final = re.compile(
    r"((?:lost:\d+:)?(?:track|face):)(~[0-9a-f]{16}|[a-z0-9][a-z0-9_-]*)(:)"
)
"""A track or a face: what is before the ride, the ride or its token, and the colon behind it."""
RIDES: Final = ("video_id", "videos")
"""Fields that are ids of rides."""
PLAIN: Final = ("id", "kind", "time", "actor", "previous")
SHOWN: Final = 8
"""Letters of an id that stand for a name that cannot be read."""


def keys_for(record: Mapping[str, Any]) -> list[str]:
    """Ids of the keys that a record needs."""
    plain = [whose for field, whose in WHOSE.items() if _is_plain(record.get(field))]
    return [str(record[whose]) for whose in dict.fromkeys(plain)]


def rides_in(record: Mapping[str, Any]) -> list[str]:
    """Ids of the rides and sets of photographs that a record names, each once."""
    found: dict[str, None] = {}

    def note(name: str) -> str:
        if not name.startswith("~"):
            found[name] = None
        return name

    _with_rides(record, note)
    return list(found)


def sealed(record: Mapping[str, Any], keyring: Keyring) -> dict[str, Any]:
    """A record whose names and words are sealed, and whose rides are tokens.

    Raises:
        KeyError: there is no key for one of them, or no token.
    """

    def token(name: str) -> str:
        return name if name.startswith("~") else keyring.tokens[name]

    return {
        field: _seal(field, value, record, keyring)
        if field in WHOSE and _is_plain(value)
        else value
        for field, value in _with_rides(record, token).items()
    }


def unsealed(record: Mapping[str, Any], keyring: Keyring) -> dict[str, Any]:
    """A record that can be read; a name whose key is gone is a word and the beginning of an id.

    Raises:
        ValueError: what is sealed is not what was written.
    """
    gone: set[str] = set()

    def video(name: str) -> str:
        if not name.startswith("~") or name in keyring.videos:
            return keyring.videos.get(name, name)
        gone.add(name)
        if name not in keyring.destroyed:
            keyring.missed.add(name)
        return f"{'forgotten' if name in keyring.destroyed else 'unreadable'}-{name[1:]}"

    found = {
        field: _unseal(field, value, record, keyring)
        if field in WHOSE and isinstance(value, dict)
        else value
        for field, value in _with_rides(record, video).items()
    }
    return _in_order(found) if gone else found


def _in_order(record: dict[str, Any]) -> dict[str, Any]:
    """With what an event has sorted by subject in the order of what subjects are called now."""
    orders: dict[str, Callable[[Any], Any]] = {
        "anchors": lambda anchor: anchor["subject"],
        "renames": lambda pair: pair[0],
        "not_found": str,
    }
    sorted_now = {f: sorted(record[f], key=key) for f, key in orders.items() if record.get(f)}
    return record | sorted_now


def _with_rides(record: Mapping[str, Any], called: Callable[[str], str]) -> dict[str, Any]:
    """A record in which each ride is called otherwise."""

    def subject(value: Any) -> Any:
        if isinstance(value, str):
            return SUBJECT.sub(lambda m: m[1] + called(m[2]) + m[3], value)
        if isinstance(value, dict):
            return {key: subject(one) for key, one in value.items()}
        return [subject(one) for one in value] if isinstance(value, list | tuple) else value

    def ride(value: Any) -> Any:
        if isinstance(value, str):
            return called(value)
        return [called(one) for one in value] if isinstance(value, list | tuple) else value

    return {
        field: value
        if field in PLAIN or field in WHOSE
        else (ride if field in RIDES else subject)(value)
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
    ring = keys.ensure(
        (name for record in records for name in keys_for(record)),
        (name for record in records for name in rides_in(record)),
    )
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
            told = {**record, "sha256": new[seq - 1]}
            atomic.write_json(path, small_files.sealed(told, small_files.RECORD_SEAL))


def _digest(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()
