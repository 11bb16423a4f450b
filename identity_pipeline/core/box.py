"""The one box type: `x1, y1, x2, y2` in float pixels of the source after its rotation.

x goes to the right, y down. What is cut from a frame by boxes is in `core.geometry`.
"""

from __future__ import annotations

from typing import NamedTuple


class Box(NamedTuple):
    """An axis-aligned box in pixels."""

    x1: float
    y1: float
    x2: float
    y2: float

    @property
    def width(self) -> float:
        """Width in pixels, never negative."""
        return max(0.0, self.x2 - self.x1)

    @property
    def height(self) -> float:
        """Height in pixels, never negative."""
        return max(0.0, self.y2 - self.y1)

    @property
    def area(self) -> float:
        """Area in square pixels."""
        return self.width * self.height

    @property
    def longer_side(self) -> float:
        """The longer of width and height."""
        return max(self.width, self.height)

    @property
    def centre(self) -> tuple[float, float]:
        """Centre (x, y)."""
        return (self.x1 + self.x2) / 2, (self.y1 + self.y2) / 2

    def intersection(self, other: Box) -> Box:
        """The common part; of zero area when the boxes are disjoint."""
        x1, y1 = max(self.x1, other.x1), max(self.y1, other.y1)
        return Box(x1, y1, max(x1, min(self.x2, other.x2)), max(y1, min(self.y2, other.y2)))

    def iou(self, other: Box) -> float:
        """Intersection over union; 0 for two empty boxes."""
        common = self.intersection(other).area
        union = self.area + other.area - common
        return common / union if union > 0 else 0.0

    def outside_share(self, width: float, height: float) -> float:
        """Share of the box's area outside a frame of the given size."""
        inside = self.intersection(Box(0, 0, width, height)).area
        return 1.0 - inside / self.area if self.area > 0 else 1.0

    @classmethod
    def around(cls, centre: tuple[float, float], width: float, height: float) -> Box:
        """The box of the given size about a centre."""
        x, y = centre
        return cls(x - width / 2, y - height / 2, x + width / 2, y + height / 2)
