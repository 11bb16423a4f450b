"""What is watched of a camera over its last videos: a row a figure, with its usual band as SVG."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from identity_pipeline.core.camera.normals import OUTSIDE
from identity_pipeline.core.camera.watch import UNLIKE_MAX, WATCHED, Figures, Floats, usual_band
from identity_pipeline.media.svg import ALARM, num, svg, tag, text, tip

LEFT, PLOT_W, VALUE_W, ROW_H, TOP, BOTTOM = 290.0, 460.0, 80.0, 44.0, 22.0, 22.0
BAND, DOT = "#22a079", "#2e86de"
SAID: Final[Mapping[str, Callable[[float], str]]] = {
    "x": lambda value: f"{100 * value:+.1f} %",
    "y": lambda value: f"{100 * value:+.1f} %",
    "log_size": lambda value: f"{100 * math.exp(value):.0f} %",
    "yaw": lambda value: f"{value:+.1f}°",
    "pitch": lambda value: f"{value:+.1f}°",
    "luma": lambda value: f"{value:.0f}",
    "sharpness": lambda value: f"{value:.0f}",
    "faces_per_frame": lambda value: f"{value:.1f}",
    "detector_score": lambda value: f"{value:.2f}",
    "usable_share": lambda value: f"{100 * value:.0f} %",
}
"""How a value is read: places of the picture's height, sizes of what is usual at the seat."""


def watch_svg(told: Sequence[tuple[str, Figures]], since: str | None, loud: Sequence[str]) -> str:
    """The figures of the last videos, at most `UNLIKE_MAX` of them.

    The band holds all but one in a thousand of the values before the change, or before the last.

    Args:
        told: videos and what is watched of each, in the order in which they came; at least one.
        since: first video after a change; None where there is none.
        loud: figures that a warning is about: their last values are red.
    """
    videos = [video for video, _ in told]
    begun = videos.index(since) if since in videos else None
    shown = [name for name in WATCHED if any(figures.get(name) is not None for _, figures in told)]
    first = max(len(told) - UNLIKE_MAX, 0)
    parts: list[str] = []
    for row, name in enumerate(shown):
        values = np.array([_value(figures, name) for _, figures in told])
        parts += _row(TOP + row * ROW_H, name, values, first, begun, name in loud)
    height = TOP + len(shown) * ROW_H
    if begun is not None and begun >= first:
        x = _x(begun - first - 0.5, len(told) - first)
        parts.append(tag("path", tip(f"since {since}"), d=f"M{num(x)} {num(TOP)}V{num(height)}",
                         stroke=ALARM, stroke_width=1.5, stroke_dasharray="4 3"))  # fmt: skip
        parts.append(text(x, TOP - 8, "since here", "mid small"))
    ends = f"{len(told) - first} videos, the last is {videos[-1]}"
    parts.append(text(LEFT + PLOT_W / 2, height + 16, ends, "mid small"))
    label = "what is watched of the camera, video by video"
    return svg(LEFT + PLOT_W + VALUE_W, height + BOTTOM, label, parts)


def _value(figures: Figures, name: str) -> float:
    value = figures.get(name)
    return float("nan") if value is None else value


def _x(index: float, count: int) -> float:
    return LEFT + PLOT_W * (index + 0.5) / max(count, 1)


def _row(
    top: float, name: str, values: Floats, first: int, begun: int | None, loud: bool
) -> list[str]:
    """One figure: its words, its usual band, a dot a video, the last value."""
    usual = usual_band(name, values[:begun] if begun else values[:-1], OUTSIDE)
    seen = values[first:]
    known = [*seen[~np.isnan(seen)], *(usual[1:] if usual else ())]
    low, high = min(known, default=0.0), max(known, default=1.0)
    room = max(high - low, 1e-9)

    def y(value: float) -> float:
        return top + 4 + (ROW_H - 8) * (high - value) / room

    middle = top + ROW_H / 2 + 4
    said = "not measured" if np.isnan(seen[-1]) else SAID[name](float(seen[-1]))
    return [
        text(LEFT - 8, middle, WATCHED[name].words, "end small"),
        *(_band(y(usual[0]), y(usual[1]), y(usual[2])) if usual else ()),
        *_dots(seen, y, len(seen) - 1 if begun is None else begun - first, loud),
        text(LEFT + PLOT_W + 8, middle, said, "strong" if loud else None),
    ]


def _band(usual: float, low: float, high: float) -> list[str]:
    """The usual value and its band, by their heights in the figure."""
    return [
        tag("rect", x=LEFT, y=high, width=PLOT_W, height=low - high, fill=BAND, fill_opacity=0.16),
        tag("path", d=f"M{num(LEFT)} {num(usual)}h{num(PLOT_W)}", stroke=BAND, stroke_opacity=0.6),
    ]


def _dots(seen: Floats, y: Callable[[float], float], since: int, loud: bool) -> list[str]:
    """A dot a video; those since one are red where they are the reason of a warning."""
    last = len(seen) - 1
    return [
        tag("circle", cx=_x(float(index), len(seen)), cy=y(float(seen[index])),
            r=3.0 if index == last else 1.8, fill=ALARM if loud and index >= since else DOT)
        for index in np.flatnonzero(~np.isnan(seen))
    ]  # fmt: skip
