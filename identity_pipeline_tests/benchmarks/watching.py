"""Looking at something again and again, in a thread of its own, while a block runs."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Self


@dataclass(kw_only=True)
class Watch:
    """Calls `look` every few seconds, from the start of a `with` block to its end.

    Attributes:
        every_s: seconds between two looks.
    """

    every_s: float
    _over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def look(self) -> None:
        """One look."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(self.every_s):
            self.look()
