"""What comes from outside: names that become ids, and paths that must be files of somebody.

What belongs here: what holds of every file that people hand over, be it a ride or a photograph.
What is in it is for whoever reads it.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import unicodedata
from pathlib import Path

from identity_pipeline.errors import IdentityPipelineError, printable

MAX_SLUG = 48


class UnusableFileError(IdentityPipelineError, ValueError):
    """A path that cannot be taken, whatever is in it: no file, or its name is no text."""


def checked_file(path: Path, wanted: str = "a video file") -> Path:
    """The resolved path of a file that can be registered; it is not opened.

    Args:
        path: what was named.
        wanted: what belongs there, in the words of the sentence.

    Raises:
        UnusableFileError: its name is not UTF-8, or it is a folder, a pipe, a socket or a device,
            which would be waited for without end.
        OSError: it is not there, or links lead in a circle.
    """
    try:
        resolved = path.resolve()
    except RuntimeError as error:  # what 3.11 says of a circle
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path)) from error
    try:
        str(resolved).encode()
    except UnicodeEncodeError as error:
        raise UnusableFileError(
            f"{os.fsencode(resolved)!r} is no name in UTF-8, so it cannot be written down; rename "
            "the file, and it is taken."
        ) from error
    if not stat.S_ISREG(resolved.stat().st_mode):
        raise UnusableFileError(
            f"{printable(str(path))} is no file (a folder, a pipe, a socket or a device); put "
            f"{wanted} in its place or remove it."
        )
    return resolved


def slug(stem: str, fallback: str = "video") -> str:
    """A name in lower-case ASCII letters, digits, dashes and underscores."""
    ascii_stem = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode()
    cleaned = re.sub(r"[^a-z0-9_]+", "-", ascii_stem.lower()).strip("-_")
    return cleaned[:MAX_SLUG].strip("-_") or fallback
