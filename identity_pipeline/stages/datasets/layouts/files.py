"""Writing a file below the root of an export."""

from __future__ import annotations

from pathlib import Path, PurePosixPath


def put(root: Path, place: str, data: bytes) -> str:
    """Writes a file of an export and returns its place, relative to the root with `/`.

    Args:
        root: of the export, private until it is renamed into place.
        place: relative to it, with `/`.
        data: its bytes.
    """
    target = root.joinpath(*PurePosixPath(place).parts)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    return place
