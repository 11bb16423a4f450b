"""What MP4 and QuickTime say of a video beside its frames, where PyAV does not show it.

What belongs here: reading the boxes of the sample description. What does not: what follows from
them (`media.presentation`).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from io import SEEK_END
from pathlib import Path
from typing import BinaryIO

MOVIE_BYTES_MAX = 64 * 1024**2
"""A larger movie box is not searched; that of an hour of video has 4 MB."""
SAMPLE_ENTRY_BYTES = 78
"""Of a visual sample entry, before its boxes (ISO 14496-12)."""
DOLBY_BOXES = (b"dvcC", b"dvvC", b"dvwC")


@dataclass(frozen=True)
class Aperture:
    """Which part of the coded picture is to be shown (clean aperture): pixels from its edges."""

    left: int = 0
    top: int = 0
    right: int = 0
    bottom: int = 0


@dataclass(frozen=True)
class Description:
    """What the sample description of one track says.

    Attributes:
        aperture: of the clean aperture box; nothing is cut where there is none.
        dolby_profile: of the Dolby Vision configuration; None where there is none.
        dolby_compatible: whether its base layer can be shown by others.
    """

    aperture: Aperture = Aperture()
    dolby_profile: int | None = None
    dolby_compatible: bool = True


def description_of(path: Path, track_id: int) -> Description:
    """The description of a track; an empty one where the file has no such boxes, or odd ones."""
    try:
        with path.open("rb") as file:
            movie = _movie(file)
        for kind, track in _boxes(movie):
            if kind == b"trak" and _track_id(track) == track_id:
                return _described(track)
    except (struct.error, ZeroDivisionError):
        return Description()  # boxes that end too early are as good as absent
    return Description()


def ends_inside_a_box(path: Path) -> bool:
    """Whether the last box reaches beyond the end of the file: it was not copied or written whole.

    How much is missing cannot be told of a file in fragments, whose length is that of the fragments
    that are there.
    """
    with path.open("rb") as file:
        end = file.seek(0, SEEK_END)
        return any(at + size > end for _, at, size in _top_boxes(file, end))


def _movie(file: BinaryIO) -> bytes:
    """The contents of the movie box, wherever it lies in the file; empty where it is cut."""
    end = file.seek(0, SEEK_END)
    for kind, at, size in _top_boxes(file, end):
        if kind == b"moov":
            whole = at + size <= end and size <= MOVIE_BYTES_MAX
            return file.read(size) if whole else b""
    return b""


def _top_boxes(file: BinaryIO, end: int) -> Iterator[tuple[bytes, int, int]]:
    """(kind, where its contents begin, their length) of each box; the file is read on from there.

    Ends at a box without a name, which is damage, and at one that reaches to the end of the file
    or beyond.
    """
    at = file.seek(0)
    while at < end and len(header := file.read(8)) == 8:
        size, kind = struct.unpack(">I4s", header)
        begin, length = at + 8, size - 8
        if size == 1:
            begin, length = at + 16, int.from_bytes(file.read(8)) - 16
        if not all(32 <= c < 127 for c in kind) or length < 0:
            return
        yield kind, begin, length
        if begin + length > end:
            return
        at = file.seek(begin + length)


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        if size < 8:
            return
        yield kind, data[at + 8 : at + size]
        at += size


def _inside(data: bytes, *kinds: bytes) -> bytes:
    for wanted in kinds:
        data = next((inner for kind, inner in _boxes(data) if kind == wanted), b"")
    return data


def _track_id(track: bytes) -> int | None:
    header = _inside(track, b"tkhd")
    if not header:
        return None
    return struct.unpack_from(">I", header, 20 if header[0] == 1 else 12)[0]


def _described(track: bytes) -> Description:
    samples = _inside(track, b"mdia", b"minf", b"stbl", b"stsd")
    entry = next((inner for _, inner in _boxes(samples[8:])), b"")
    if len(entry) < SAMPLE_ENTRY_BYTES:
        return Description()
    width, height = struct.unpack_from(">HH", entry, 24)
    inner = entry[SAMPLE_ENTRY_BYTES:]
    aperture = _aperture(_inside(inner, b"clap"), width, height)
    for kind, data in _boxes(inner):
        if kind in DOLBY_BOXES and len(data) > 4:
            return dolby_description(aperture, data)
    return Description(aperture)


def dolby_description(aperture: Aperture, record: bytes) -> Description:
    """With what a Dolby Vision configuration record says: its profile, and who can show it."""
    return Description(aperture, record[2] >> 1, record[4] >> 4 != 0)


def _aperture(clap: bytes, width: int, height: int) -> Aperture:
    """The clean aperture as ffmpeg has it; one that is not within the picture is ignored."""
    if not clap:
        return Aperture()
    n = struct.unpack_from(">8i", clap)
    shown_w, shown_h, off_x, off_y = (Fraction(n[i], n[i + 1]) for i in range(0, 8, 2))
    left, top = (width - shown_w) / 2 + off_x, (height - shown_h) / 2 + off_y
    right, bottom = width - left - shown_w, height - top - shown_h
    aperture = Aperture(*(int(edge) for edge in (left, top, right, bottom)))
    within = min(left, top, right, bottom) >= 0 and shown_w > 0 and shown_h > 0
    return aperture if within else Aperture()
