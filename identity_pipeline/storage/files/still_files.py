"""Which files are still pictures: told by their first bytes, whatever they are called.

What belongs here: telling a photograph from a video before anything is opened. What does not:
reading it (`media.stills`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

LOOKED_AT: Final = 32
"""Bytes from the beginning."""
SIGNATURES: Final = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
)
BRANDS: Final = {
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"), "HEIC"),
    **dict.fromkeys((b"mif1", b"msf1"), "HEIF"),
    **dict.fromkeys((b"avif", b"avis"), "AVIF"),
}
"""Main brands of ISO base media files (ISO/IEC 23008-12) that hold pictures and no video."""
STREAMS: Final = (".mjpeg", ".mjpg")
"""Names of files of many JPEGs one after the other, which are a video; they begin like one JPEG."""


def still_format(path: Path) -> str | None:
    """The format of a still picture (`JPEG`, `HEIC`, ...); None where a file is none.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(LOOKED_AT)
    if path.suffix.lower() in STREAMS:
        return None
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head[4:8] == b"ftyp":
        return BRANDS.get(head[8:12])
    if head[:2] == b"BM" and head[6:10] == bytes(4):
        return "BMP"
    return next((name for signature, name in SIGNATURES if head.startswith(signature)), None)
