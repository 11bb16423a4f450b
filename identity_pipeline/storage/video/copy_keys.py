"""What copies of rides are found by, of all videos in one file, so that none is read again.

A cache: it may be deleted at any time, and a damaged one is taken for none.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np

from identity_pipeline.core.video.copies import Keys
from identity_pipeline.storage.files import atomic

FORMAT = "1"
"""Raise it with every change of `core.video.copies.keys_of`."""
# What bytes at random raise: the archive may even seem encrypted, or packed in an unknown way.
_DAMAGES: Final = (
    OSError, ValueError, TypeError, LookupError, EOFError, RuntimeError, struct.error, zlib.error,
    zipfile.BadZipFile,
)  # fmt: skip


def read_keys(path: Path) -> dict[str, tuple[str, Keys]]:
    """Data version of the frames and keys of each video; empty where no file can be read."""
    try:
        with np.load(path, allow_pickle=False) as held:
            if str(held["format"]) != FORMAT:
                return {}
            videos, versions = held["videos"].tolist(), held["versions"].tolist()
            ends = np.cumsum(held["counts"]).tolist()
            of = [slice(start, end) for start, end in pairwise([0, *ends])]
            key, time_ms = held["key"], held["time_ms"]
            if ends and (ends[-1], ends[-1]) != (len(key), len(time_ms)):
                return {}
    except _DAMAGES:
        return {}
    if not len(videos) == len(versions) == len(of):
        return {}
    parts = zip(videos, versions, of, strict=True)
    return {video: (version, Keys(key[at], time_ms[at])) for video, version, at in parts if video}


def write_keys(path: Path, known: Mapping[str, tuple[str, Keys]]) -> None:
    """Replaces the file by one with the keys of these videos."""
    ordered = sorted(known.items())
    empty = Keys(np.empty(0, np.uint64), np.empty(0, np.float32))
    parts = [keys for _, (_, keys) in ordered] or [empty]
    buffer = io.BytesIO()
    np.savez(
        buffer,
        format=np.array(FORMAT),
        videos=np.array([video for video, _ in ordered] or [""]),
        versions=np.array([version for _, (version, _) in ordered] or [""]),
        counts=np.array([len(keys.key) for keys in parts]),
        key=np.concatenate([keys.key for keys in parts]),
        time_ms=np.concatenate([keys.time_ms for keys in parts]),
    )
    atomic.write_bytes(path, buffer.getvalue())
