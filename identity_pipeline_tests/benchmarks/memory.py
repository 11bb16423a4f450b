"""Peak resident memory of this process, step by step.

On Linux the kernel's high-water mark is read and reset after each step. `getrusage` is not used
there: its maximum survives the start of a program, so a child would show its parent's.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path
from typing import Any

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
MARKS = (0.25, 0.5, 0.75, 1.0)


def _status_mb(name: str) -> float:
    for line in STATUS.read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    raise LookupError(f"{STATUS} has no {name}")


def peak_mb() -> float:
    """The largest resident memory so far, or since the last reset on Linux."""
    if STATUS.is_file():
        return _status_mb("VmHWM")
    unit = 1024**2 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _reset() -> None:
    try:
        CLEAR.write_text("5", encoding="utf-8")
    except OSError:
        return  # then the peaks of later steps include those of earlier ones


class Peaks:
    """Peaks of named steps, and the memory along the way of one of them."""

    def __init__(self) -> None:
        _reset()
        self._peaks: dict[str, float] = {}
        self._along: list[float] = []

    def end(self, step: str) -> None:
        """Notes the peak since the last step ended."""
        self._peaks[step] = peak_mb()
        _reset()

    def along(self, stage: str, done: int, total: int | None, unit: str) -> None:
        """A progress callback that notes the resident memory at each quarter of the way."""
        del stage, unit
        if total and len(self._along) < len(MARKS) and done >= MARKS[len(self._along)] * total:
            self._along.append(_status_mb("VmRSS") if STATUS.is_file() else peak_mb())

    def result(self) -> dict[str, Any]:
        """What was noted, ready for JSON."""
        return {"peak_mb": self._peaks, "along_mb": self._along}
