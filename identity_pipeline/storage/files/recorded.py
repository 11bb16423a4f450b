"""Tables compared with what was recorded of them: the bytes that are parsed are those hashed.

What belongs here: reading a Parquet file whose SHA-256 is known. Where the digest is recorded, and
which table it is, is for the callers (`storage.video.tables`, `storage.library.generations`).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl

from identity_pipeline.errors import first_line
from identity_pipeline.storage.files.small_files import DamagedFileError

LOOKS = 5
"""A writer replaces a table and then what is recorded of it: so often both are read again before a
difference is believed."""
PAUSE_S = 0.01
"""Before the second look; twice as long before each further one."""
SETTLED_S = 30.0
"""No writer is between table and record of a file that has not changed for as long."""


Held = Callable[[], tuple[bytes, float]]
"""Reads the bytes of a table, and says when they were written, in seconds since 1970."""


class DamagedTableError(DamagedFileError):
    """A table is not the one that was recorded when it was written, or cannot be read."""


def read_recorded(
    path: Path,
    recorded: Callable[[], str | None],
    mend: Callable[[], str],
    columns: Sequence[str] | None = None,
    held: Held | None = None,
) -> pl.DataFrame:
    """A table, after comparing its bytes with the SHA-256 that was recorded of them.

    Args:
        path: of the Parquet file.
        recorded: reads the SHA-256; None where none is recorded.
        mend: gives a sentence for the error, on what to do about a damaged one.
        columns: which to parse; all when None. The whole file is hashed in any case.
        held: reads the bytes, where they do not lie at the path.

    Raises:
        DamagedTableError: the bytes are others, nothing is recorded of them, or they are no table.
        FileNotFoundError: there is no file.
    """
    data = bytes_as_recorded(path, recorded, mend, held or (lambda: _whole(path)))
    try:
        return pl.read_parquet(data, columns=None if columns is None else list(columns))
    except pl.exceptions.PolarsError as error:
        reason = f"it is no table of the expected form ({first_line(error)})"
        raise DamagedTableError(path, reason, mend()) from error


def bytes_as_recorded(
    path: Path, recorded: Callable[[], str | None], mend: Callable[[], str], held: Held
) -> bytes:
    """The bytes of a table, after the same comparison; args and errors as of `read_recorded`."""
    digest, data = None, b""
    for look in range(LOOKS):
        try:
            known = recorded()
            data, written = held()
            settled = abs(time.time() - written) > SETTLED_S
        except FileNotFoundError:
            raise
        except OSError as error:
            reason = f"it cannot be read ({error.strerror or error})"
            raise DamagedTableError(path, reason, mend()) from error
        digest = hashlib.sha256(data).hexdigest()
        # The record may have been replaced, with the table, after it was read.
        if digest == known or digest == recorded():
            return data
        if settled:
            break
        time.sleep(PAUSE_S * 2**look)
    raise DamagedTableError(path, _difference(recorded(), digest, data), mend())


def _whole(path: Path) -> tuple[bytes, float]:
    data = path.read_bytes()
    return data, path.stat().st_mtime


def _difference(known: str | None, digest: str | None, data: bytes) -> str:
    if known is None:
        return "nothing readable is recorded of it (its manifest is missing or damaged)"
    if not data:
        return "it is empty"
    found = (digest or "")[:12]
    return f"its SHA-256 begins with {found}, but {known[:12]} was recorded when it was written"
