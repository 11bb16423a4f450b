"""When a video was taken, as the file itself says.

What belongs here: dates that are part of the content, so that a copy of the file has them too. What
does not: times of files, and photographs (`media.stills`). A day is told, as written: cameras do
not know their time zone.
"""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Final

import av
from av.error import FFmpegError

EARLIEST: Final = "1990-01-01"
"""A date before is the zero of some clock (1904, 1970) and tells nothing."""
_DAY: Final = re.compile(r"(\d{4})[-:](\d{2})[-:](\d{2})")


def video_date(path: Path) -> str | None:
    """ISO date of a video by its container's `creation_time`; None where it says nothing.

    A file that cannot be opened says nothing either: whether it can is not asked here.
    """
    try:
        with av.open(str(path)) as container:
            return day_of(container.metadata.get("creation_time", ""))
    except (FFmpegError, OSError):
        return None


def day_of(text: str) -> str | None:
    """The ISO date with which a text begins; None where there is none, or it is no real one."""
    found = _DAY.match(text.strip())
    if not found:
        return None
    try:
        day = date(*map(int, found.groups())).isoformat()
    except ValueError:  # such as the 00 of a clock that was never set
        return None
    return day if day >= EARLIEST else None
