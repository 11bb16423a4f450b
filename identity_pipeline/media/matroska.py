"""What Matroska and WebM say of a video beside its frames, where PyAV does not show it.

What belongs here: reading the elements of the track entries. What does not: what follows from them
(`media.presentation`), and the same of MP4 (`media.boxes`).
"""

from __future__ import annotations

from collections.abc import Iterator
from io import SEEK_CUR, SEEK_END, BytesIO
from pathlib import Path
from typing import BinaryIO

from identity_pipeline.media.boxes import DOLBY_BOXES, Aperture, Description, dolby_description

SEGMENT, TRACKS, CLUSTER, TRACK_ENTRY, VIDEO = 0x18538067, 0x1654AE6B, 0x1F43B675, 0xAE, 0xE0
CROPS = (0x54CC, 0x54BB, 0x54DD, 0x54AA)
"""PixelCropLeft, -Top, -Right, -Bottom."""
MAPPING, MAPPING_TYPE, MAPPING_DATA = 0x41E4, 0x41E7, 0x41ED
TRACKS_BYTES_MAX = 16 * 1024**2
"""Larger track entries are not searched; fonts and covers lie elsewhere."""


def description_of(path: Path, index: int) -> Description:
    """The description of a stream; an empty one where the file says nothing, or odd things.

    Args:
        path: the file.
        index: of the stream, in the order of the track entries.
    """
    with path.open("rb") as file:
        tracks = list(_entries(_tracks(file)))
    if index >= len(tracks):
        return Description()
    track = list(_elements(tracks[index]))
    for identity, data in track:
        if identity == MAPPING:
            mapping = dict(_elements(data))
            record = mapping.get(MAPPING_DATA, b"")
            if mapping.get(MAPPING_TYPE, b"")[-4:] in DOLBY_BOXES and len(record) > 4:
                return dolby_description(_aperture(track), record)
    return Description(_aperture(track))


def _aperture(track: list[tuple[int, bytes]]) -> Aperture:
    video = dict(_elements(dict(track).get(VIDEO, b"")))
    return Aperture(*(int.from_bytes(video.get(crop, b""), "big") for crop in CROPS))


def _entries(tracks: bytes) -> Iterator[bytes]:
    return (data for identity, data in _elements(tracks) if identity == TRACK_ENTRY)


def _tracks(file: BinaryIO) -> bytes:
    """The contents of the track entries, which come before the pictures."""
    end = file.seek(0, SEEK_END)
    file.seek(0)
    while (head := _head(file)) is not None:
        identity, size = head
        if identity == SEGMENT:
            continue  # what we look for lies in it
        if size is None or size > end or identity == CLUSTER:
            return b""  # damaged, or behind the place where it would be
        if identity == TRACKS:
            return file.read(size) if size <= TRACKS_BYTES_MAX else b""
        file.seek(size, SEEK_CUR)
    return b""


def _head(file: BinaryIO) -> tuple[int, int | None] | None:
    """Identity and size of the next element; a size of None was not known when it was written."""
    identity, size = _number(file, keep_length=True), _number(file, keep_length=False)
    if identity is None or size is None:
        return None
    value, unknown = size
    return identity[0], None if unknown else value


def _number(file: BinaryIO, *, keep_length: bool) -> tuple[int, bool] | None:
    """A number of variable length, and whether it stands for "not known"."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    length = 9 - first[0].bit_length()
    data = first + file.read(length - 1)
    if len(data) < length:
        return None
    value, unknown = int.from_bytes(data, "big"), (1 << 7 * length) - 1
    stripped = value & unknown
    return (value if keep_length else stripped), stripped == unknown


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    file = BytesIO(data)
    while (head := _head(file)) is not None:
        identity, size = head
        if size is None:
            return
        yield identity, file.read(size)
