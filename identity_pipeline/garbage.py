"""How often Python looks for cycles among objects that nothing holds any more."""

from __future__ import annotations

import gc
from typing import Final

OBJECTS: Final = 100_000
"""Made before cycles among them are looked for; chosen: at Python's 700 that took a tenth of the
time in which a large library is read, and found nothing."""


def look_seldom() -> None:
    """Python looks for cycles after `OBJECTS` new objects, from now on in this process."""
    gc.set_threshold(OBJECTS)
