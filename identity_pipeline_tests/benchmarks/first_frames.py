"""The code location of a measurement: the product's, which also notes when a video is first seen.

What is noted is the moment at which the first picture of a file that was opened has been decoded
and is about to be converted: a line `process seconds-since-1970 processor-seconds` in the file that
`NOTES` names.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, Final, NamedTuple

from identity_pipeline.definitions import defs
from identity_pipeline.media.source import VideoSource

__all__ = ["LOCATION", "NOTES", "FirstFrame", "defs", "first_frames"]

LOCATION: Final = __name__
NOTES: Final = "IDENTITY_PIPELINE_FIRST_FRAMES"
"""Environment variable: the file of the notes."""


class FirstFrame(NamedTuple):
    """The first picture of a file.

    Attributes:
        pid: the process that decoded it.
        at: seconds since 1970.
        processor: seconds of the processor that the process had spent by then.
    """

    pid: int
    at: float
    processor: float


def first_frames(notes: Path) -> list[FirstFrame]:
    """Each first picture, as they came."""
    lines = notes.read_text(encoding="utf-8").splitlines() if notes.exists() else []
    return [FirstFrame(int(pid), *map(float, times)) for pid, *times in map(str.split, lines)]


def _note() -> None:
    with Path(os.environ[NOTES]).open("a", encoding="utf-8") as notes:
        notes.write(f"{os.getpid()} {time.time()} {time.process_time()}\n")


_converted = VideoSource.picture


def _noting(source: VideoSource, frame: Any) -> Any:
    if not hasattr(source, "noted"):
        source.noted = True  # type: ignore[attr-defined]
        _note()
    return _converted(source, frame)


if NOTES in os.environ:
    VideoSource.picture = _noting  # type: ignore[method-assign]
