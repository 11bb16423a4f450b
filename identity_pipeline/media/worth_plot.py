"""The value of references by their number, as a plot and as lines of text.

What belongs here: drawing what `core.datasets.worth` found. What does not: computing it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from identity_pipeline.core.datasets.worth import TRIALS, Curve, Mode, Trial, Value, Worth
from identity_pipeline.media.evaluation_plots import LINES, grid, polyline
from identity_pipeline.media.svg import num, svg, tag, text, tip

WIDTH: Final = 660.0
PANEL: Final = 190.0
WORDS: Final[dict[Mode, str]] = {
    "averaged": "references averaged",
    "best_of": "the nearest reference",
}
AGAINST: Final[dict[Trial, str]] = {
    "other_rides": "against other rides",
    "other_rides_and_poses": "against other rides in other poses",
}
PROXY: Final = "a proxy: cosines of a recogniser that did not choose, not what a generator makes"
BAR: Final = 40
"""Characters of a full bar."""


def worth_svg(trials: Mapping[Trial, Worth], title: str) -> str:
    """Similarity of targets to the first references in order, and to as many at random."""
    drawn: list[tuple[Trial, Curve]] = [
        (trial, curve) for trial in TRIALS for curve in trials[trial].curves
    ]
    parts: list[str] = []
    for row, (trial, curve) in enumerate(drawn):
        parts += _panel(curve, AGAINST[trial], 24 + row * (PANEL + 46))
    height = 24 + len(drawn) * (PANEL + 46)
    for place, (colour, name) in enumerate(
        zip(LINES, ("best first", "random order"), strict=False)
    ):
        parts.append(tag("rect", x=60 + place * 150, y=height - 4, width=16, height=4, fill=colour))
        parts.append(text(84 + place * 150, height + 1, name, "small"))
    parts.append(text(60, height + 20, PROXY, "small"))
    return svg(WIDTH, height + 28, title, parts)


def _panel(curve: Curve, against: str, top: float) -> list[str]:
    left, right, bottom = 60.0, WIDTH - 40, top + PANEL - 30
    values = [v for p in curve.points for v in (p.best_first, p.random)]
    low = math.floor(10 * min(value.low for value in values)) / 10
    high = max(math.ceil(10 * max(value.high for value in values)) / 10, low + 0.1)

    def x(place: int) -> float:
        return left + (right - left) * place / max(1, len(curve.points) - 1)

    def y(value: float) -> float:
        return bottom - (bottom - top) * (value - low) / (high - low)

    ticks = [(x(n), str(p.count)) for n, p in enumerate(curve.points[:-1])]
    ticks.append((x(len(curve.points) - 1), f"all ({curve.all.count})"))
    steps = [low + (high - low) * part / 4 for part in range(5)]
    parts = grid(ticks, [(y(v), f"{v:.2f}") for v in steps], (left, top, right, bottom))
    parts.append(text(left, top - 6, f"similarity {against}: {WORDS[curve.mode]}"))
    parts += _line([p.random for p in curve.points], x, y, LINES[1])
    parts += _line([p.best_first for p in curve.points], x, y, LINES[0])
    return parts


def _line(
    values: Sequence[Value], x: Callable[[int], float], y: Callable[[float], float], colour: str
) -> list[str]:
    """A curve with its intervals."""
    parts = [
        tag("path", d=f"M{num(x(n))} {num(y(v.low))}V{num(y(v.high))}", stroke=colour,
            stroke_width=5, stroke_opacity=0.3)
        for n, v in enumerate(values)
    ]  # fmt: skip
    dots = [
        tag("circle", tip(f"{v.mean:.3f} ({v.low:.3f} to {v.high:.3f})"),
            cx=x(n), cy=y(v.mean), r=3, fill=colour)
        for n, v in enumerate(values)
    ]  # fmt: skip
    return [*parts, polyline([(x(n), y(v.mean)) for n, v in enumerate(values)], colour), *dots]


def worth_lines(trial: Trial, worth: Worth) -> list[str]:
    """The same as text, with what few pictures are worth."""
    if not worth.curves:
        return [f"{AGAINST[trial]}: no picture has any, so nothing can be said."]
    by_source = ", ".join(f"{number} of {name}" for name, number in worth.by_source.items())
    lines = [f"{AGAINST[trial]}, {worth.targets} targets ({by_source}):"]
    for curve in worth.curves:
        lines.append(f" {WORDS[curve.mode]}")
        most = max(curve.all.best_first.mean, 1e-9)
        for point in curve.points:
            best, random = point.best_first, point.random
            bar = "#" * max(0, round(BAR * min(1.0, best.mean / most)))
            name = "all" if point is curve.all else str(point.count)
            lines.append(
                f"  {name:>3}  {best.mean:.3f} ({best.low:.3f} to {best.high:.3f})  {bar:<{BAR}}"
                f"  at random {random.mean:.3f}"
            )
        share = curve.greedy[curve.enough - 1].share if curve.greedy else 0.0
        few = f"  {curve.enough} of {worth.pictures} pictures, chosen for it, give {share:.0%}"
        held_out = curve.held_out
        few += " of the value of all"
        if held_out is not None:
            few += f"; chosen without the judging source, as many give {held_out:.0%}"
        lines.append(few + ".")
    return lines
