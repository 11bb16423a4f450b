"""What a part of a ride is called, and by whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

PHASES: Final = ("boarding", "ride", "dark", "flash", "glare", "high_motion", "brake", "stop")
"""See `core.ride.naming`."""
BOARDING: Final = "boarding"
"""In which staff and the queue are seen besides those who ride."""
HUMAN, TEMPLATE = "human", "template"


@dataclass(frozen=True)
class Phase:
    """A stretch of the track.

    Attributes:
        start, end: points of the template, from `start` up to, but not including, `end`.
        phase: of `PHASES`.
        title: what people call it; None where nobody said.
        source: `TEMPLATE`, or `HUMAN` where a person said so.
    """

    start: int
    end: int
    phase: str
    title: str | None = None
    source: str = TEMPLATE

    @property
    def words(self) -> str:
        """How it is called in a sentence."""
        return self.title or self.phase.replace("_", " ")
