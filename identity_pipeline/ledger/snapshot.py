"""What the first events of the file amount to, written beside it: derived, checked, worth nothing.

It may be deleted at any time. It is used only where it was made by this code of exactly the bytes
with which the file begins, and where its own bytes are those that were written; otherwise the
events are replayed from the first. So it can be late, or missing, but not wrong.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from identity_pipeline.ledger.position import Position
from identity_pipeline.storage.files import atomic

VERSION = 5
"""Of the code that replays; raise it where events would amount to something else, or this file
would look different."""
EVERY = 64
"""A snapshot is written when it would save this many events: about what its writing costs."""


def read(path: Path, data: bytes, keys: str) -> tuple[Position, int, str] | None:
    """The snapshot, when it fits the bytes of the ledger.

    Returns:
        The position, how many bytes of the ledger went into it, and the digest of the last line
        among them; None where there is no snapshot, or none that fits.
    """
    try:
        head, body = path.read_bytes().split(b"\n", 1)
        key = json.loads(head)
        if not isinstance(key, dict) or key != _key(data, key["size"], key["last"], body, keys):
            return None
        first, *rest = body.split(b"\n")
        later = [partial(json.loads, part) for part in rest]
        return Position.from_json(json.loads(first), later), key["size"], key["last"]
    except (OSError, ValueError, KeyError, TypeError):
        return None  # whatever it is, the ledger itself says all of it


def write(path: Path, position: Position, data: bytes, last: str, keys: str) -> None:
    """Notes what the lines in `data`, of which `last` is the last one's digest, amount to.

    A disk that cannot take it is no reason to fail: the next reader replays.
    """
    parts = [json.dumps(part, separators=(",", ":")) for part in position.as_json()]
    body = "\n".join(parts).encode()
    head = json.dumps(_key(data, len(data), last, body, keys), sort_keys=True).encode()
    with contextlib.suppress(OSError):
        if os.access(path.parent, os.W_OK):
            atomic.write_bytes(path, head + b"\n" + body)


def _key(data: bytes, size: int, last: str, body: bytes, keys: str) -> Mapping[str, Any]:
    return {
        "version": VERSION,
        "keys": keys,
        "size": size,
        "last": last,
        "ledger": hashlib.sha256(memoryview(data)[:size]).hexdigest() if size <= len(data) else "",
        "body": hashlib.sha256(body).hexdigest(),
    }
