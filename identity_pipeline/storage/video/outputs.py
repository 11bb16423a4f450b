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

from identity_pipeline.storage.files import atomic, locks, private
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.progress.known import changed_at, stamp_of
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
NONE: Final = Found("-")


@dataclass(frozen=True)
class Outputs:
    """The files of all outputs of a data folder, or of the space of a head."""

    layout: Layout

    def path(self, asset: str, video_id: str, part: str) -> Path:
        """Where a part lies when it lies by itself; what sentences about it name."""
        place = {TABLE: self.layout.table, MANIFEST: self.layout.manifest}
        return place.get(part, self.layout.made_of)(asset, video_id)

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
        try:
            return self.read(asset, video_id, part)
        except FileNotFoundError:
            return None

    def open(self, asset: str, video_id: str, part: str) -> IO[bytes]:
        """A part, to be read in pieces; what is open stays as it is. See `read`."""
        path = self.path(asset, video_id, part)
        return _either(
            lambda: path.open("rb"), lambda: open_member(self.layout, video_id, f"{asset}{part}")
        )

    # of all videos -----------------------------------------------------------------------------

    def videos(self, asset: str, part: str) -> Iterator[str]:
        """Ids of all videos with a part of an asset; no file is looked at."""
        return iter(self._all(asset, lambda: dict.fromkeys(self._listed(asset, part), NONE), part))

    def found(self, asset: str, part: str) -> dict[str, Found]:
        """What the folder tells of a part of all videos that have it."""
        return self._all(asset, lambda: self.loose(asset, part), part)

    def loose(self, asset: str, part: str) -> dict[str, Found]:
        """The same of videos of which it lies by itself."""
        return dict(self._looked_at(asset, part))

    def stamps(self, asset: str) -> dict[str, str]:
        """Of each video with a part of an asset, what changes with any of its parts."""
        several = [self.found(asset, part) for part in PARTS]
        videos = sorted({video_id for found in several for video_id in found})
        return {v: " ".join(found.get(v, NONE).stamp for found in several) for v in videos}

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
        self, asset: str, loose: Callable[[], dict[str, Found]], part: str
    ) -> dict[str, Found]:
        """What lies by itself and what is packed.

        What is packed meanwhile is met in its pack; what is unpacked meanwhile, at a second look.
        """
        before = changed_at(self.layout.packs)
        found = loose()
        packed = {v: Found(stamp) for v, stamp in packed_of(self.layout, asset, part).items()}
        if changed_at(self.layout.packs) != before:
            found = {**found, **loose()}
        return {**packed, **found}

    def _listed(self, asset: str, part: str) -> Iterator[str]:
        for entry in self._entries(asset, part):
            yield entry.name.removesuffix(part)

    def _looked_at(self, asset: str, part: str) -> Iterator[tuple[str, Found]]:
        for entry in self._entries(asset, part):
            with suppress(FileNotFoundError):  # it went in between
                yield entry.name.removesuffix(part), Found(stamp_of(entry.stat()))

    def _entries(self, asset: str, part: str) -> Iterator[os.DirEntry[str]]:
        folder = self.layout.tables / asset
        if not folder.is_dir():
            return
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(part) and not entry.name.startswith(atomic.TEMPORARY_MARK):
                    yield entry


def _either(loose: Callable[[], Answer], packed: Callable[[], Answer]) -> Answer:
    """Asks for a file by itself, in its pack, and by itself once more: it is always at one place.

    A file goes only once it is in the pack, and the pack only once its files lie by themselves.
    """
    for ask in (loose, packed):
        with suppress(FileNotFoundError):
            return ask()
    return loose()
