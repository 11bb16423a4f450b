"""The files of each output of a video: whether they are there, how they are read, written and go.

What belongs here: the one door to the table of an output, its manifest, and the note of what it is
made of; whether they lie by themselves or in the pack of their video is seen nowhere else. What
does not: what they hold (`tables`), and how a pack is made (`packs`).

A video that is written to, or of which something goes, is unpacked first: no pack holds what was
replaced or removed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, TypeVar

from identity_pipeline.storage.files import atomic, locks, private, small_files
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.progress.known import changed_at, stamp_of, stamps_in
from identity_pipeline.storage.video.packed import packed_of
from identity_pipeline.storage.video.packs import (
    MADE_OF,
    MANIFEST,
    PARTS,
    TABLE,
    Found,
    members_of,
    open_member,
    read_member,
    unpack,
)

__all__ = ("MADE_OF", "MANIFEST", "PARTS", "TABLE", "Found", "Outputs")

Answer = TypeVar("Answer")
WITH_TABLE: Final = "+"
"""Ends the stamp of an output that has its table."""


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

        def packed() -> Found:
            member = members_of(self.layout, video_id).get(f"{asset}{part}")
            if member is None:
                raise FileNotFoundError
            return member.found

        path = self.path(asset, video_id, part)
        with suppress(FileNotFoundError):
            return _either(lambda: Found(stamp_of(path.stat())), packed)
        return None

    def read(self, asset: str, video_id: str, part: str = TABLE) -> bytes:
        """The bytes of a part.

        Raises:
            FileNotFoundError: it is not there.
            OSError: it cannot be read.
            DamagedFileError: the pack of the video cannot be read.
        """
        path = self.path(asset, video_id, part)
        return _either(
            path.read_bytes, lambda: read_member(self.layout, video_id, f"{asset}{part}")[0]
        )

    def read_dated(self, asset: str, video_id: str) -> tuple[bytes, float]:
        """The bytes of a table, and when it was written, in seconds since 1970; see `read`."""
        path = self.path(asset, video_id, TABLE)

        def packed() -> tuple[bytes, float]:
            data, found = read_member(self.layout, video_id, f"{asset}{TABLE}")
            return data, found.changed_ns / 1e9

        return _either(lambda: (path.read_bytes(), path.stat().st_mtime), packed)

    def there(self, asset: str, video_id: str, part: str) -> bytes | None:
        """The bytes of a part; None where it is not there."""
        # Asked a hundred thousand times in a row: see `small_files.bytes_of`.
        path = self.path(asset, video_id, part)
        data = small_files.bytes_of(path)
        if data is None:
            with suppress(FileNotFoundError):
                return read_member(self.layout, video_id, f"{asset}{part}")[0]
            data = small_files.bytes_of(path)  # see `_either`
        return data

    def open(self, asset: str, video_id: str, part: str) -> IO[bytes]:
        """A part, to be read in pieces; what is open stays as it is. See `read`."""
        path = self.path(asset, video_id, part)
        return _either(
            lambda: path.open("rb"), lambda: open_member(self.layout, video_id, f"{asset}{part}")
        )

    # of all videos -----------------------------------------------------------------------------

    def videos(self, asset: str, part: str) -> list[str]:
        """Ids of all videos with a part of an asset; no file is looked at."""

        def loose() -> dict[str, None]:
            return dict.fromkeys(self._listed(asset, part))

        def packed() -> dict[str, None]:
            nth = PARTS.index(part)
            return dict.fromkeys(v for v, s in packed_of(self.layout, asset).items() if s[nth])

        return list(self._all(loose, packed))

    def found(self, asset: str, part: str) -> dict[str, Found]:
        """What the folder tells of a part of all videos that have it."""

        def packed() -> dict[str, Found]:
            nth, videos = PARTS.index(part), packed_of(self.layout, asset)
            return {video_id: Found(s[nth]) for video_id, s in videos.items() if s[nth]}

        return self._all(lambda: self.loose(asset, part), packed)

    def loose(self, asset: str, part: str) -> dict[str, Found]:
        """The same of videos of which it lies by itself."""
        stamps = stamps_in(self.layout.tables / asset, part)
        return {video_id: Found(stamp) for video_id, stamp in stamps.items()}

    def stamps(self, asset: str) -> dict[str, str]:
        """Of each video with a manifest of an asset, what changes with it; see `WITH_TABLE`.

        A table is written together with its manifest, so the latter's stamp tells of both.
        """

        def loose() -> dict[str, str]:
            return stamps_in(self.layout.tables / asset, MANIFEST, TABLE, WITH_TABLE)

        def packed() -> dict[str, str]:
            note, table = PARTS.index(MANIFEST), PARTS.index(TABLE)
            videos = packed_of(self.layout, asset).items()
            return {v: s[note] + WITH_TABLE if s[table] else s[note] for v, s in videos if s[note]}

        return self._all(loose, packed)

    def assets(self, video_id: str) -> list[str]:
        """Assets of which a video has a table, sorted."""
        loose = {f.name for f in self.layout.tables.glob("*/") if self.has(f.name, video_id)}
        names = members_of(self.layout, video_id)
        return sorted(loose | {n.removesuffix(TABLE) for n in names if n.endswith(TABLE)})

    # changed -----------------------------------------------------------------------------------

    def write(self, asset: str, video_id: str, *parts: tuple[str, Callable[[Path], None]]) -> None:
        """Writes parts of an output; see `atomic.write_together`."""
        with self._unpacked(video_id):
            places = ((self.path(asset, video_id, part), write) for part, write in parts)
            atomic.write_together(*places)

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
        with self._unpacked(video_id):
            path.unlink(missing_ok=True)
        atomic.flush(path.parent)
        return found.size

    @contextmanager
    def _unpacked(self, video_id: str) -> Iterator[None]:
        """The files of a video lie by themselves while the block runs."""
        while True:
            with locks.shared(self.layout.tables_lock):
                if not self.layout.pack(video_id).exists():
                    yield
                    return
            unpack(self.layout, video_id)

    # listed ------------------------------------------------------------------------------------

    def _all(
        self, loose: Callable[[], dict[str, Answer]], packed: Callable[[], dict[str, Answer]]
    ) -> dict[str, Answer]:
        """What lies by itself and what is packed, by video.

        What is packed meanwhile is met in its pack; what is unpacked meanwhile, at a second look.
        """
        before = changed_at(self.layout.packs)
        found = loose()
        if not before and not changed_at(self.layout.packs):
            return found
        in_packs = packed()
        if changed_at(self.layout.packs) != before:
            found |= loose()
        return in_packs | found

    def _listed(self, asset: str, part: str) -> list[str]:
        try:
            names = os.listdir(self.layout.tables / asset)  # noqa: PTH208 - of a hundred thousand
        except (FileNotFoundError, NotADirectoryError):
            return []
        cut, half = -len(part), atomic.TEMPORARY_MARK
        return [name[:cut] for name in names if name.endswith(part) and not name.startswith(half)]


def _either(loose: Callable[[], Answer], packed: Callable[[], Answer]) -> Answer:
    """Asks for a file by itself, in its pack, and by itself once more: it is always at one place.

    A file goes only once it is in the pack, and the pack only once its files lie by themselves.
    """
    for ask in (loose, packed):
        with suppress(FileNotFoundError):
            return ask()
    return loose()
