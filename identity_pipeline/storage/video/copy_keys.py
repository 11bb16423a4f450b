"""What copies of rides are found by, of many videos in one file, so that none is read again.

A cache: it may be deleted at any time, and a damaged one is taken for none. There are two files: a
large one that stays, and a small one with the videos that came since.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Final

import numpy as np

from identity_pipeline.core.video.key_table import KeyTable
from identity_pipeline.storage.files import atomic

FORMAT = "2"
"""Raise it with every change of `core.video.copies.keys_of`, or of the table."""
# What bytes at random raise: the archive may even seem encrypted, or packed in an unknown way.
_DAMAGES: Final = (
    OSError, ValueError, TypeError, LookupError, EOFError, RuntimeError, struct.error, zlib.error,
    zipfile.BadZipFile,
)  # fmt: skip


def read_keys(path: Path) -> KeyTable:
    """The keys of some videos; of none where no file can be read."""
    try:
        with np.load(path, allow_pickle=False) as held:
            if str(held["format"]) != FORMAT:
                return KeyTable.of({})
            videos, versions = held["videos"].tolist(), held["versions"].tolist()
            keys = KeyTable(
                dict(zip(videos, versions, strict=True)),
                *(held[name] for name in ("key", "video", "time_ms")),
            )
    except _DAMAGES:
        return KeyTable.of({})
    whole = len(keys.key) == len(keys.video) == len(keys.time_ms)
    if not whole or len(keys.versions) != len(videos) or keys.video.max(initial=-1) >= len(videos):
        return KeyTable.of({})
    return keys


def write_keys(path: Path, keys: KeyTable) -> None:
    """Replaces the file by one with these keys."""
    buffer = io.BytesIO()
    np.savez(
        buffer,
        format=np.array(FORMAT),
        videos=np.array(list(keys.versions), dtype=np.str_),
        versions=np.array(list(keys.versions.values()), dtype=np.str_),
        key=keys.key,
        video=keys.video,
        time_ms=keys.time_ms,
    )
    atomic.write_bytes(path, buffer.getvalue())
