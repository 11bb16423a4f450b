"""The files of each output of a video: where they lie, what they weigh, how they are read and go.

What belongs here: the one door to the table of an output, its manifest, and the note of what it is
made of. What does not: what they hold (`tables`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from identity_pipeline.storage.files import atomic, private, small_files
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.progress.known import stamp_of, stamps_in

TABLE: Final = ".parquet"
MANIFEST: Final = ".manifest.json"
MADE_OF: Final = ".made-of.json"
PARTS: Final = (TABLE, MANIFEST, MADE_OF)
"""Of an output, by how their names end, in the order in which they go: what tells how an output was
made goes last."""
WITH_TABLE: Final = "+"
"""Ends the stamp of an output that has its table."""


@dataclass(frozen=True)
class Found:
    """A file that is there.

    Attributes:
        stamp: changes with its content.
        size: bytes.
        changed_ns: when it was written, in nanoseconds since 1970.
    """

    stamp: str
    size: int
    changed_ns: int


@dataclass(frozen=True)
class Outputs:
    """The files of all outputs of a data folder, or of the space of a head."""

    layout: Layout

    def path(self, asset: str, video_id: str, part: str) -> Path:
        """Where a part lies when it lies by itself; what sentences about it name."""
        if part == MANIFEST:
            return self.layout.manifest(asset, video_id)
        return (self.layout.table if part == TABLE else self.layout.made_of)(asset, video_id)

    def has(self, asset: str, video_id: str, part: str = TABLE) -> bool:
        """Whether a part is there."""
        return self.find(asset, video_id, part) is not None

    def find(self, asset: str, video_id: str, part: str = TABLE) -> Found | None:
        """What the folder tells of a part; None where it is not there."""
        try:
            return _found(self.path(asset, video_id, part).stat())
        except FileNotFoundError:
            return None

    def read(self, asset: str, video_id: str, part: str = TABLE) -> bytes:
        """The bytes of a part.

        Raises:
            FileNotFoundError: it is not there.
            OSError: it cannot be read.
        """
        return self.path(asset, video_id, part).read_bytes()

    def read_dated(self, asset: str, video_id: str) -> tuple[bytes, float]:
        """The bytes of a table, and when it was written, in seconds since 1970; see `read`."""
        path = self.path(asset, video_id, TABLE)
        data = path.read_bytes()
        return data, path.stat().st_mtime

    def there(self, asset: str, video_id: str, part: str) -> bytes | None:
        """The bytes of a part; None where it is not there."""
        # Asked a hundred thousand times in a row: see `small_files.bytes_of`.
        return small_files.bytes_of(self.path(asset, video_id, part))

    def videos(self, asset: str, part: str) -> list[str]:
        """Ids of all videos with a part of an asset; no file is looked at."""
        try:
            names = os.listdir(self.layout.tables / asset)  # noqa: PTH208 - of a hundred thousand
        except (FileNotFoundError, NotADirectoryError):
            return []
        cut, half = -len(part), atomic.TEMPORARY_MARK
        return [name[:cut] for name in names if name.endswith(part) and not name.startswith(half)]

    def found(self, asset: str, part: str) -> dict[str, Found]:
        """What the folder tells of a part of all videos that have it."""
        several: dict[str, Found] = {}
        for video_id, entry in self._listed(asset, part):
            try:
                several[video_id] = _found(entry.stat())
            except FileNotFoundError:  # it went in between
                continue
        return several

    def stamps(self, asset: str) -> dict[str, str]:
        """Of each video with a manifest of an asset, what changes with it; see `WITH_TABLE`.

        A table is written together with its manifest, so the latter's stamp tells of both.
        """
        return stamps_in(self.layout.tables / asset, MANIFEST, TABLE, WITH_TABLE)

    def assets(self, video_id: str) -> list[str]:
        """Assets of which a video has a table, sorted."""
        folders = self.layout.tables.glob("*/")
        return sorted(f.name for f in folders if self.has(f.name, video_id))

    def write(self, asset: str, video_id: str, *parts: tuple[str, Callable[[Path], None]]) -> None:
        """Writes parts of an output; see `atomic.write_together`."""
        atomic.write_together(*((self.path(asset, video_id, part), write) for part, write in parts))

    def put(self, asset: str, video_id: str, part: str, data: bytes) -> None:
        """Writes a part."""

        def write(path: Path) -> None:
            with private.new_file(path) as file:
                file.write(data)

        self.write(asset, video_id, (part, write))

    def remove(self, asset: str, video_id: str, part: str) -> int | None:
        """Removes a part; its bytes, None where there was none."""
        found = self.find(asset, video_id, part)
        if found is None:
            return None
        path = self.path(asset, video_id, part)
        path.unlink(missing_ok=True)
        atomic.flush(path.parent)
        return found.size

    def _listed(self, asset: str, part: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
        folder = self.layout.tables / asset
        if not folder.is_dir():
            return
        with os.scandir(folder) as entries:
            for entry in entries:
                name = entry.name
                if name.endswith(part) and not name.startswith(atomic.TEMPORARY_MARK):
                    yield name.removesuffix(part), entry


def _found(stat: os.stat_result) -> Found:
    return Found(stamp_of(stat), stat.st_size, stat.st_mtime_ns)
