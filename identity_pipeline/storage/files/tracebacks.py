"""Tracebacks of what nobody foresaw, kept for whoever mends it."""

from __future__ import annotations

import os
import tempfile
import traceback
from datetime import UTC, datetime
from pathlib import Path

LOGS = "logs"


def keep_traceback(error: BaseException, data: Path | None) -> Path:
    """Writes a traceback below the data folder, or, where that cannot be, for temporary files.

    Args:
        error: that was raised.
        data: the data folder; null where none is open.

    Returns:
        The file, which only its owner may read.
    """
    text = "".join(traceback.format_exception(error))
    name = f"identity-pipeline-{datetime.now(UTC):%Y%m%dT%H%M%S%f}.log"
    if data is not None and data.is_dir():
        try:
            return _written(data / LOGS / name, text)
        except OSError:  # read-only or full, which may be what went wrong
            pass
    return _written(Path(tempfile.gettempdir()) / name, text)


def _written(path: Path, text: str) -> Path:
    # It may name people and files, so that nobody else reads it.
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    return path
