"""The phases of a ride as a lane of its timeline, as SVG elements.

What belongs here: the lane and its legend. What does not: the axis of time it lies on, and the
other lanes (`timelines`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import numpy as np

from identity_pipeline.core.ride.spans import NOT_KNOWN, Span
from identity_pipeline.core.video.clock import clock
from identity_pipeline.media.svg import (
    OTHER_COLOUR,
    PHASE_COLOURS,
    num,
    tag,
    text,
    tip,
)

LANE_H, LEGEND_H = 36.0, 20.0
"""Height of the lane, and of a row of the legend, in px."""
_BAR: Final = 10.0
_LETTER: Final = 6.4
"""Width of a letter of small text, and a hair: a name that does not fit stays out."""
_HATCH: Final = 6.0
"""Between two lines of what is hatched, in px."""


def phase_lane(spans: Sequence[Span], x: Callable[[float], float], y: float) -> list[str]:
    """A bar for each stretch, with its name below it where there is room; `LANE_H` px high.

    Args:
        spans: of the video, in its order.
        x: where a time of the video in ms is.
        y: top of the lane.

    Returns:
        Elements; none without a stretch. Bars have `data-phase`; what a person named is outlined,
        and what is not known is hatched.
    """
    if not spans:
        return []
    parts = [text(0, y + 10, "phases", "strong")]
    for span in spans:
        left, width = x(span.start_ms), max(x(span.end_ms) - x(span.start_ms), 1.0)
        said = ", as people say," if span.by_people else ""
        words = f"{span.words}{said} {clock(span.start_ms, 1)} to {clock(span.end_ms, 1)}"
        parts += _bar(span.phase, left, y, width, words)
        if span.by_people:
            edge = {"x": left, "y": y, "width": width, "height": _BAR}
            parts.append(tag("rect", **edge, class_="line", stroke_width=2))
        if _LETTER * len(span.words) <= width:
            parts.append(text(left + width / 2, y + _BAR + 12, span.words, "small mid"))
    left, right = x(spans[0].start_ms), x(spans[-1].end_ms)
    parts.append(tag("rect", x=left, y=y, width=right - left, height=_BAR, class_="line"))
    return parts


def phase_legend(spans: Sequence[Span], left: float, y: float) -> list[str]:
    """The colour of each phase that the lane shows, in one row at the baseline `y`."""
    parts = [text(0, y, "phases", "small")] if spans else []
    return parts + colours_of([span.phase for span in spans], left, y)


def colours_of(phases: Iterable[str | None], left: float, y: float) -> list[str]:
    """The colour of each of some phases with its name, in one row at the baseline `y`."""
    parts: list[str] = []
    for phase in dict.fromkeys(phases):
        name = (phase or NOT_KNOWN).replace("_", " ")
        parts += [*_bar(phase, left, y - _BAR, 16.0), text(left + 22, y, name)]
        left += 40 + 7 * len(name)
    return parts


def _bar(
    phase: str | None, left: float, top: float, width: float, words: str | None = None
) -> list[str]:
    """A stretch; in the legend it says nothing of its own."""
    told = {} if words is None else {"data_phase": phase or NOT_KNOWN}
    fill = "none" if phase is None else PHASE_COLOURS.get(phase, OTHER_COLOUR)
    where = {"x": left, "y": top, "width": width, "height": _BAR}
    bar = tag("rect", tip(words) if words else "", **where, fill=fill, pointer_events="all", **told)
    return [bar] if phase else [_hatching(left, top, width), bar]


def _hatching(left: float, top: float, width: float) -> str:
    """Slanted lines; no pattern, for its name would be another figure's on the same page."""
    bottom = top + _BAR
    starts = np.arange(left, left + width, _HATCH).tolist()
    ends = [min(start + _BAR, left + width) for start in starts]
    lines = (
        f"M{num(start)} {num(bottom)}L{num(end)} {num(bottom - (end - start))}"
        for start, end in zip(starts, ends, strict=True)
    )
    return tag("path", d="".join(lines), stroke=OTHER_COLOUR, stroke_width=1.5, data_hatching="1")
