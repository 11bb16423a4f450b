"""How often Python looks for cycles among objects that nothing holds any more."""

from __future__ import annotations

import gc
from typing import Final

OBJECTS: Final = 100_000
"""Made before cycles among them are looked for; chosen: at Python's 700 that was a tenth of who
reads a large library, and found nothing."""


def look_seldom() -> None:
    """From now on in this process: what it makes by the hundred thousand stays until it is done."""
    gc.set_threshold(OBJECTS)
