"""How a process that computes keeps its memory, and gives back what it is done with."""

from __future__ import annotations

import gc
from typing import Any, Final

OBJECTS: Final = 100_000
"""Made before cycles among them are looked for; chosen: at Python's 700 that took a tenth of the
time in which a large library is read, and found nothing."""
KEPT_BYTES: Final = 1 << 28
"""Of freed memory kept for what comes next; chosen: far more than the arrays of a frame."""
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Numbers of the parameters of glibc's `mallopt`."""


def settle_in() -> None:
    """Python looks for cycles seldom, and what arrays leave free is kept for the next ones.

    Arrays of a frame are freed at the end of the heap, which is given back at once otherwise: then
    the pages are cleared anew for the next frame, which takes longer than to compute its light and
    sharpness. Without glibc only the first holds.
    """
    gc.set_threshold(OBJECTS)
    if set_option := _of_libc("mallopt"):
        set_option(TRIM_THRESHOLD, KEPT_BYTES)
        set_option(MMAP_THRESHOLD, KEPT_BYTES)


def give_back() -> None:
    """Everything that is free goes back to the system: for who waits now."""
    gc.collect()
    if trim := _of_libc("malloc_trim"):
        trim(0)


def _of_libc(name: str) -> Any:
    import ctypes

    return getattr(ctypes.CDLL(None), name, None)
