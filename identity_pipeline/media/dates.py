"""When a video or a photograph was taken, as the file itself says.

What belongs here: dates that are part of the content, so that a copy of the file has them too. What
does not: times of files. A day is told, as written: cameras do not know their time zone.
"""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Final

import av
from av.error import FFmpegError
from PIL import ExifTags, Image, UnidentifiedImageError

EARLIEST: Final = "1990-01-01"
"""A date before is the zero of some clock (1904, 1970) and tells nothing."""
_DAY: Final = re.compile(r"(\d{4})[-:](\d{2})[-:](\d{2})")
_TAKEN: Final = (ExifTags.Base.DateTimeOriginal, ExifTags.Base.DateTimeDigitized)


def video_date(path: Path) -> str | None:
    """ISO date of a video by its container's `creation_time`; None where it says nothing.

    A file that cannot be opened says nothing either: whether it can is not asked here.
    """
    try:
        with av.open(str(path)) as container:
            return day_of(container.metadata.get("creation_time", ""))
    except (FFmpegError, OSError):
        return None


def photo_date(data: bytes) -> str | None:
    """ISO date of a photograph by its EXIF; None where it says nothing.

    Args:
        data: the bytes of its file, in a format that Pillow reads.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            exif = image.getexif().get_ifd(ExifTags.IFD.Exif)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
        return None
    dates = (day_of(str(exif.get(tag, ""))) for tag in _TAKEN)
    return next((date for date in dates if date), None)


def day_of(text: str) -> str | None:
    """The ISO date with which a text begins; None where there is none, or it is no real one."""
    found = _DAY.match(text.strip())
    if not found:
        return None
    day = "-".join(found.groups())
    month, of_month = int(found[2]), int(found[3])
    real = 1 <= month <= 12 and 1 <= of_month <= 31
    return day if real and day >= EARLIEST else None
