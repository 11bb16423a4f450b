"""Which faces the image sets of a ride were made of, each time they changed.

A version holds ids of faces, no picture and no clock: when it was made is the time of its file. Its
name has the digest of its content, which is compared when it is read.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Final

from identity_pipeline.storage.files import atomic, private, small_files
from identity_pipeline.storage.layout import Layout

NAME: Final = re.compile(r"(\d{4,})-([0-9a-f]{12})\.json")
MEND: Final = "Remove it: it only serves to compare versions."


@dataclass(frozen=True)
class Version:
    """One version of the sets of a ride.

    Attributes:
        sets: face ids in their order, by `{type}/{seat}`.
    """

    sets: dict[str, list[str]]


@dataclass(frozen=True)
class Noted:
    """A version that is kept.

    Attributes:
        number: from 1, rising.
        made: when it was noted, ISO 8601 in UTC.
        version: it.
    """

    number: int
    made: str
    version: Version


def note_version(layout: Layout, video_id: str, version: Version) -> None:
    """Keeps a version, if it is another one than the newest."""
    data = json.dumps(asdict(version), sort_keys=True).encode()
    digest = hashlib.sha256(data).hexdigest()[:12]
    there = _names(layout, video_id)
    if there and there[-1][1] == digest:
        return
    number = there[-1][0] + 1 if there else 1
    folder = layout.set_versions(video_id)
    private.make_folder(folder)
    atomic.write_bytes(folder / f"{number:04d}-{digest}.json", data)


def count(layout: Layout, video_id: str) -> int:
    """How many versions of a ride are kept."""
    return len(_names(layout, video_id))


def versions(layout: Layout, video_id: str) -> list[Noted]:
    """All versions of a ride, the oldest first.

    Raises:
        DamagedFileError: one is not what was written.
    """
    return [_read(layout, video_id, number, digest) for number, digest in _names(layout, video_id)]


def _read(layout: Layout, video_id: str, number: int, digest: str) -> Noted:
    path = layout.set_versions(video_id) / f"{number:04d}-{digest}.json"
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest()[:12] != digest:
        raise small_files.DamagedFileError(path, "its content is not that of its name", MEND)
    made = datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(timespec="seconds")
    return Noted(number, made, small_files.parse(data, Version))


def _names(layout: Layout, video_id: str) -> list[tuple[int, str]]:
    folder = layout.set_versions(video_id)
    names = (NAME.fullmatch(path.name) for path in folder.glob("*.json")) if folder.is_dir() else ()
    return sorted((int(found[1]), found[2]) for found in names if found)
