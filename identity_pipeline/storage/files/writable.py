"""Whether a folder can be written and has room, looked at before the work that needs it."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path


def write_fault(folder: Path) -> str | None:
    """Why nothing can be written into a folder, in a sentence; None when it can.

    A file without a name is made in it, or in the nearest folder above that exists, and is gone.
    """
    place = folder
    while not place.exists():
        if place.is_symlink():
            target = place.readlink()
            return f"{place} is a link to {target}, which is not there; mount or mend it"
        place = place.parent
    if not place.is_dir():
        return f"{place} is a file, and a folder is wanted there; move it away"
    try:
        with tempfile.TemporaryFile(dir=place):
            return None
    except OSError as error:
        return f"{place} cannot be written ({error.strerror}); give this user the right, or space"


def space_fault(folder: Path, wanted: float, what: str) -> str | None:
    """Why there is too little room, in a sentence; None when there is enough.

    Args:
        folder: where; the nearest folder above that exists counts.
        wanted: free bytes.
        what: what they are for, in words that follow "for".
    """
    place = folder
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if free >= wanted:
        return None
    return (
        f"{place} has {free / 2**20:,.0f} MiB free, and {wanted / 2**20:,.0f} MiB are wanted for "
        f"{what} (ingest.free_mb_min, ingest.bytes_per_source_byte); make room: identity-pipeline "
        "clean --dry-run"
    )


def read_fault(path: Path) -> str | None:
    """Why a file cannot be read, in a sentence; None when its first byte can."""
    try:
        with path.open("rb") as stream:
            stream.read(1)
    except OSError as error:
        return f"{path} cannot be read ({error.strerror})"
    return None
