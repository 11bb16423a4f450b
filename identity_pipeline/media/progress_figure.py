"""The picture of all work: phases by state, and how far a batch is; with the words for both.

A share is rounded down, so that 100 % is said of nothing but what is done.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from identity_pipeline.core.progress.shares import State
from identity_pipeline.media.svg import ALARM, OTHER_COLOUR, svg, tag, text, tip

COLOURS: Final[Mapping[State, str]] = {
    State.DONE: "#22a079",
    State.RUNNING: "#2e86de",
    State.QUEUED: "#86b3e6",
    State.WAITING: "#b05fd0",
    State.PAUSED: "#e2ab40",
    State.INTERRUPTED: "#e3764d",
    State.FAILED: ALARM,
    State.STALE: "#b68f62",
    State.PENDING: "#c9ced6",
    State.SKIPPED: OTHER_COLOUR,
}
LABEL_W, BAR_W, ROW_H, COUNT_W = 150.0, 430.0, 20.0, 110.0
LEGEND_COLUMN_W = 170.0


def percent(share: float) -> str:
    """A share as whole per cent, rounded down."""
    if 0 < share < 0.01:
        return "under 1 %"
    return f"{math.floor(share * 100)} %"


def span(seconds: float | None) -> str:
    """A length of time, as exact as an estimate deserves."""
    if seconds is None:
        return "not known"
    if seconds < 1:
        return "under 1 s" if seconds > 0 else "nothing"
    for limit, length, unit in ((90, 1, "s"), (5400, 60, "min"), (172800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds / 86400:.0f} days"


def phases_svg(phases: Mapping[str, Sequence[State]]) -> str:
    """One bar per step: how many videos are in which state.

    Args:
        phases: states of all videos by step, in the order of the work.
    """
    parts: list[str] = []
    for row, (step, states) in enumerate(phases.items()):
        y, counts = row * ROW_H, Counter(states)
        parts.append(text(LABEL_W - 8, y + 14, step, "end"))
        x = LABEL_W
        for state in State:
            width = BAR_W * counts[state] / len(states) if states else 0.0
            if width:
                words = f"{step}: {counts[state]} {state.value}"
                parts.append(
                    tag(
                        "rect", tip(words), x=x, y=y + 3, width=width, height=ROW_H - 6,
                        fill=COLOURS[state],
                    )
                )  # fmt: skip
            x += width
        said = f"{counts[State.DONE]} of {len(states)} done"
        parts.append(text(LABEL_W + BAR_W + 8, y + 14, said, "small"))
    height = len(phases) * ROW_H + 8
    used = [s for s in State if any(s in states for states in phases.values())]
    parts += _legend(used, height)
    rows = math.ceil(len(used) / _legend_columns())
    width = LABEL_W + BAR_W + COUNT_W
    return svg(width, height + rows * ROW_H + 6, "phases by state", parts)


def _legend_columns() -> int:
    return int((LABEL_W + BAR_W + COUNT_W) // LEGEND_COLUMN_W)


def _legend(states: Sequence[State], top: float) -> list[str]:
    parts = []
    for n, state in enumerate(states):
        row, column = divmod(n, _legend_columns())
        x, y = 8 + column * LEGEND_COLUMN_W, top + row * ROW_H
        parts.append(tag("rect", x=x, y=y + 4, width=12.0, height=12.0, fill=COLOURS[state]))
        parts.append(text(x + 18, y + 14, state.value, "small"))
    return parts
