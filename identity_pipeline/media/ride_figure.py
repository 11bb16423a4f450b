"""A video laid on the ride of its camera as SVG: its light and motion over those of the ride."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from identity_pipeline.core.video.clock import clock
from identity_pipeline.media.phase_lane import LEGEND_H, colours_of
from identity_pipeline.media.svg import (
    ALARM,
    OTHER_COLOUR,
    PHASE_COLOURS,
    num,
    svg,
    tag,
    text,
    tip,
)

Floats = npt.NDArray[np.float64]
LEFT, PLOT_W, ROW_H, TOP, BOTTOM = 100.0, 620.0, 74.0, 26.0, 22.0
BAND, LINE = "#22a079", "#2e86de"


def ride_svg(
    step_s: float,
    rows: Sequence[tuple[str, Floats, Floats, Floats]],
    stretches: Sequence[tuple[float, float, str, str]],
    *,
    foreign: bool,
) -> str:
    """The course of a video over the template of its camera's ride, on the template's own time.

    Args:
        step_s: between two points of the template.
        rows: words, the template's values, their spread, and the video's at the same points; NaN
            where not known.
        stretches: start and end of each phase in seconds, its name, and its words.
        foreign: the video does not follow it: it is red.
    """
    length = max((len(values) for _, values, _, _ in rows), default=0)
    end_s = max(length * step_s, step_s)

    def x(seconds: float) -> float:
        return LEFT + PLOT_W * seconds / end_s

    parts = [
        tag("rect", tip(f"{words} {clock(a * 1000)}-{clock(b * 1000)}"), x=x(a), y=TOP - 16,
            width=max(x(b) - x(a), 1.0), height=10.0,
            fill=PHASE_COLOURS.get(phase, OTHER_COLOUR))
        for a, b, phase, words in stretches
    ]  # fmt: skip
    times = np.arange(length, dtype=np.float64) * step_s
    for row, (words, values, spread, own) in enumerate(rows):
        top = TOP + row * ROW_H
        both = np.concatenate([values - spread, values + spread, own])
        if np.isnan(both).all():
            continue
        low, high = float(np.nanmin(both)), float(np.nanmax(both))
        scale = (ROW_H - 14) / max(high - low, 1e-9)

        def at(value: Floats, top: float = top, high: float = high, scale: float = scale) -> Floats:
            return top + (high - value) * scale

        parts.append(text(LEFT - 10, top + ROW_H / 2, words, "end small"))
        ups, downs = at(values + spread), at(values - spread)
        parts += [
            tag("path", d=_line(x, times, edge), stroke=BAND, fill="none", stroke_opacity=0.45)
            for edge in (ups, downs)
        ]
        parts.append(
            tag("path", d=_line(x, times, at(own)), stroke=ALARM if foreign else LINE, fill="none",
                stroke_width=1.5)
        )  # fmt: skip
    height = TOP + len(rows) * ROW_H
    told = f"the ride, {clock(end_s * 1000)} long; green: between these lines most videos are"
    parts.append(text(LEFT + PLOT_W / 2, height + 14, told, "mid small"))
    parts += colours_of([phase for _, _, phase, _ in stretches], LEFT, height + BOTTOM + 8)
    whole = height + BOTTOM + (LEGEND_H if stretches else 0)
    return svg(LEFT + PLOT_W + 10, whole, "the video over the ride of its camera", parts)


def _line(x: Callable[[float], float], times: Floats, values: Floats) -> str:
    """A path through what is known; gaps stay open."""
    drawn, pieces = False, []
    for seconds, value in zip(times.tolist(), values.tolist(), strict=True):
        known = not np.isnan(value)
        if known:
            pieces.append(f"{'L' if drawn else 'M'}{num(x(seconds))} {num(value)}")
        drawn = known
    return "".join(pieces) or "M0 0"
