"""What riders show in each phase of the ride, as a map of shares.

What belongs here: drawing the table `ride_expressions`. What does not: what riders reach at all
(`camera_figures`), and the course of the ride (`ride_figure`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import polars as pl

from identity_pipeline.core.camera.shown_where import SHOWN
from identity_pipeline.core.ride.spans import Span, clocks, place_words
from identity_pipeline.media.svg import PHASE_COLOURS, SET_COLOURS, svg, tag, text, tip

LEFT, TOP, CELL_W, CELL_H, GAP = 206.0, 38.0, 76.0, 30.0, 14.0
_NEVER: Final = 0.04
_FULL: Final = 0.5
"""Opacity of a cell that nobody, and that everybody fills."""


def expressions_svg(table: pl.DataFrame, spans: Sequence[Span], least: int) -> str:
    """Phases from top to bottom, expressions and light from left to right.

    A cell is a group with `data-phase`, `data-cell` and `data-share`; where fewer riders were told
    than say something it is dashed, and has no share.

    Args:
        table: `ride_expressions`.
        spans: phases of the ride, on its own clock.
        least: riders of fewer than so many say nothing.
    """
    rows = {(row["phase_number"], row["axis"], row["cell"]): row for row in table.to_dicts()}
    lefts, x = dict[tuple[str, str], float](), LEFT
    parts = list[str]()
    for axis, cells in SHOWN.items():
        parts.append(text(x, 14, axis.replace("lighting", "light"), "small strong"))
        for cell in cells:
            parts.append(text(x + CELL_W / 2 - 2, 31, cell.replace("_", " "), "mid small"))
            lefts[axis, cell], x = x, x + CELL_W
        x += GAP
    for line, (span, (start, end)) in enumerate(zip(spans, clocks(spans), strict=True)):
        y = TOP + line * CELL_H
        parts += _name(span, f"{start}\N{EN DASH}{end}", y)
        for key, left in lefts.items():
            parts.append(_cell(rows.get((span.number, *key)), key[1], span, left, y, least))
    return svg(x - GAP, TOP + len(spans) * CELL_H + 4, "What riders show where on the ride", parts)


def _name(span: Span, when: str, y: float) -> list[str]:
    colour = PHASE_COLOURS.get(span.phase or "", "none")
    mark = tag("rect", x=0.0, y=y + 3, width=5.0, height=CELL_H - 8, fill=colour)
    return [mark, text(12, y + 18, span.words[:14]), text(LEFT - 10, y + 18, when, "end small")]


def _cell(
    row: Mapping[str, Any] | None, cell: str, span: Span, x: float, y: float, least: int
) -> str:
    """A share of the riders who could be told there."""
    box = {"x": x, "y": y, "width": CELL_W - 4, "height": CELL_H - 4, "rx": 5.0}
    told = row["of_riders"] if row else 0
    where = f"{place_words(span)}: {cell.replace('_', ' ')}"
    if row is None or told < least:
        frame = tag("rect", class_="line", stroke_dasharray="3 3", stroke_opacity=0.7, **box)
        words = f"{where} not known: of {told} riders"
        return tag("g", tip(words) + frame, data_phase=str(span.number), data_cell=cell)
    share = row["riders"] / told
    opacity = _NEVER + (_FULL - _NEVER) * share
    frame = tag("rect", fill=SET_COLOURS["anchor"], fill_opacity=opacity, **box)
    words = f"{where} {row['riders']} of {told} riders ({row['low']:.0%} to {row['high']:.0%})"
    body = tip(words) + frame + text(x + CELL_W / 2 - 2, y + 18, f"{share:.0%}", "mid strong")
    return tag("g", body, data_phase=str(span.number), data_cell=cell, data_share=f"{share:.2f}")
