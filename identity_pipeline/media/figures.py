"""Figures as SVG text: the coverage grid, and the account of every face.

What belongs here: drawing of tables as self-contained SVG. What does not: what is drawn over time
(`timelines`), pixels (`sheets`) and the page around (`page`).

The figures have no background. Their own colours are of middle brightness, so that they read on
white and on the dark ground of the Dagster UI alike; a page that knows its ground sets the CSS
variables `--fig-ink`, `--fig-strong` and `--fig-line`. All text that comes from data is escaped.
The same tables give the same bytes, whatever the order of their rows.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

import polars as pl

from identity_pipeline.core.faces.buckets import EXPRESSIONS, PITCH_NAMES, Bin, axis_bins
from identity_pipeline.core.imagesets.frame_ledger import STATES
from identity_pipeline.media.svg import (
    ALARM,
    STATE_COLOURS,
    num,
    svg,
    tag,
    text,
    tip,
)
from identity_pipeline.media.wording import STATE_WORDS, counted, plain
from identity_pipeline.settings import BucketSettings

_WIDTH = 960.0


def _state(state: str) -> str:
    return STATE_WORDS.get(state, plain(state))


def ledger_bar_svg(ledger: pl.DataFrame, *, detected: int | None = None) -> str:
    """How many faces ended in which state: one bar whose parts add up to every face seen.

    Args:
        ledger: table `frame_ledger` (`state` is read); states that it does not know are drawn
            last, in the colour of alarm.
        detected: rows of `face_detections`; when it differs from the ledger's rows, the
            difference is said in the colour of alarm.

    Returns:
        SVG text, 960 px wide; each part and its legend entry carry `data-state`, `data-count`.
    """
    tallies = Counter(str(state) for state in ledger["state"])
    order = (*STATES, *sorted(tallies.keys() - {*STATES}))
    counts = {state: tallies[state] for state in order if tallies[state]}
    parts = _ledger_parts(counts)
    labels = [f"{_state(s)} {n:,} ({n / ledger.height:.1%})" for s, n in counts.items()]
    per_row = 4 if max(map(len, labels), default=0) <= 32 else 3
    for i, (state, label) in enumerate(zip(counts, labels, strict=True)):
        left, y = i % per_row * _WIDTH / per_row, 92 + i // per_row * 24
        colour = STATE_COLOURS.get(state, ALARM)
        swatch = tag("rect", x=left, y=y - 10, width=12, height=12, rx=3, fill=colour)
        parts.append(tag("g", swatch + text(left + 19, y, label), data_legend=state))
    faces = counted(ledger.height, "face")
    parts.append(_ledger_sum(ledger.height, ledger.height if detected is None else detected))
    height = 92 + -(-len(counts) // per_row) * 24 - 8
    return svg(_WIDTH, height, f"What happened to {faces}", parts)


def _ledger_parts(counts: Mapping[str, int]) -> list[str]:
    """The parts of the bar, each with its count where there is room for it."""
    parts, x, total = [], 0.0, sum(counts.values())
    width = _WIDTH / max(total, 1)
    for state, n in counts.items():
        share, colour = n * width, STATE_COLOURS.get(state, ALARM)
        part = tip(f"{_state(state)}: {n:,} of {total:,}")
        part += tag("rect", x=x, y=30, width=max(share - 1.5, 0.8), height=34, fill=colour)
        if share > 10 + 8 * len(f"{n:,}"):
            style = "fill:#10151c;font-weight:650"
            part += text(x + share / 2 - 0.7, 52, f"{n:,}", "mid", style=style)
        parts.append(tag("g", part, data_state=state, data_count=str(n)))
        x += share
    return parts


def _ledger_sum(total: int, detected: int) -> str:
    """Whether the bar adds up to all faces that were detected."""
    if total == detected:
        faces = counted(total, "face")
        return text(0, 17, f"{faces} seen, {faces} accounted for", "strong")
    difference, seen = abs(total - detected), counted(detected, "face")
    words = f"{seen} seen, {total:,} accounted for: {difference:,} do not add up"
    style = f"fill:{ALARM};font-weight:650"
    return text(0, 17, words, style=style, data_alarm=str(difference))


CELL_COLOURS: Final = ("#6d92d4", "#4a76c6", "#3059ad")
GLYPHS: Final = {
    # Dots are strokes of no length with round caps; so each face is one path.
    "neutral": "M-2.4-1.8h0M2.4-1.8h0M-2.4 2.6h4.8",
    "smile": "M-2.4-1.8h0M2.4-1.8h0M-3 1.5Q0 5.4 3 1.5",
    "mouth_open": "M-2.4-2.2h0M2.4-2.2h0M-1.8 2.3a1.8 1.8 0 1 0 3.6 0a1.8 1.8 0 1 0-3.6 0",
    "eyes_closed": "M-3.7-1.6h2.4M1.3-1.6h2.4M-1.8 2.8h3.6",
}
Cell = tuple[int, int]
_LEFT, _TOP, _CELL_W, _CELL_H, _GAP = 108.0, 66.0, 78.0, 62.0, 5.0


def _interval(low: float, high: float) -> str:
    return f"{low:g}…{high:g}°".replace("-", "\N{MINUS SIGN}")


def coverage_grid_svg(
    saved: pl.DataFrame,
    settings: BucketSettings,
    *,
    seen: AbstractSet[Cell],
    title: str = "",
    headline: bool = True,
) -> str:
    """The poses and expressions of one rider's saved images.

    Yaw runs from left to right as the nose points in the image, pitch from up to down. Each cell
    is a group with `data-yaw`, `data-pitch`, `data-count` and `data-state` (`saved`, `missed`:
    seen but nothing saved, `unseen`).

    Args:
        saved: one row per saved image: `yaw_key`, `pitch_key`, `expression_bin` as in
            `face_buckets`. An axis counts a bin even when the other one is null, as
            `selection.coverage_counts` does; such images are named below the grid.
        settings: edges of the bins.
        seen: (yaw_key, pitch_key) cells with usable faces of this rider.
        title: put before the headline.
        headline: whether the totals are written above the grid; the page writes them itself.

    Returns:
        SVG text, about 720 x 480 px.
    """
    yaw_bins = axis_bins(settings.yaw_edges)
    pitch_bins = axis_bins(settings.pitch_edges, PITCH_NAMES)[::-1]
    cells: dict[Cell, list[str]] = defaultdict(list)
    rows = saved.select("yaw_key", "pitch_key", "expression_bin")
    placed = rows.drop_nulls(["yaw_key", "pitch_key"])
    for yaw, pitch, expression in placed.iter_rows():
        cells[yaw, pitch].append(expression)
    counts = {cell: len(expressions) for cell, expressions in cells.items()}
    parts = _grid_axes(yaw_bins, pitch_bins, settings, counts)
    for row, pitch in enumerate(pitch_bins):
        for column, yaw in enumerate(yaw_bins):
            cell = (yaw.key, pitch.key)
            state = "saved" if cell in counts else "missed" if cell in seen else "unseen"
            x, y = _LEFT + column * (_CELL_W + _GAP), _TOP + row * (_CELL_H + _GAP)
            parts.append(_cell(x, y, yaw, pitch, cells.get(cell, []), state))
    width = _LEFT + len(yaw_bins) * (_CELL_W + _GAP) + 52
    foot = _TOP + len(pitch_bins) * (_CELL_H + _GAP) + 46
    summary = _grid_summary(saved, len(yaw_bins), len(pitch_bins), len(cells))
    if headline:
        parts.append(text(0, 18, " · ".join(filter(None, (title, *summary))), "strong"))
    outside = saved.height - placed.height
    parts += _grid_legend(foot, saved["expression_bin"].to_list(), outside)
    top, height = 0.0 if headline else 34.0, foot + (64 if outside else 40)
    return svg(width, height, f"Coverage of poses: {', '.join(summary)}", parts, top=top)


def _grid_summary(saved: pl.DataFrame, yaw_bins: int, pitch_bins: int, cells: int) -> list[str]:
    """How many bins of each axis, and how many cells, hold an image."""
    yaw, pitch = (saved[key].drop_nulls().n_unique() for key in ("yaw_key", "pitch_key"))
    expressions = len(set(saved["expression_bin"]) & set(EXPRESSIONS))
    return [
        f"yaw {yaw}/{yaw_bins}",
        f"pitch {pitch}/{pitch_bins}",
        f"expression {expressions}/{len(EXPRESSIONS)}",
        f"cells {cells}/{yaw_bins * pitch_bins}",
    ]


def _grid_axes(
    yaw_bins: Sequence[Bin],
    pitch_bins: Sequence[Bin],
    settings: BucketSettings,
    counts: dict[Cell, int],
) -> list[str]:
    parts = [text(_LEFT - 14, 50, "yaw", "small end")]
    foot = _TOP + len(pitch_bins) * (_CELL_H + _GAP) + 13
    right = _LEFT + len(yaw_bins) * (_CELL_W + _GAP)
    edges = settings.yaw_edges
    for column, yaw in enumerate(yaw_bins):
        x = _LEFT + column * (_CELL_W + _GAP) + _CELL_W / 2
        total = sum(n for (key, _), n in counts.items() if key == yaw.key)
        parts.append(text(x, 50, _interval(edges[column], edges[column + 1]), "mid"))
        parts.append(text(x, foot, str(total), "strong mid"))
    for row, pitch in enumerate(pitch_bins):
        y = _TOP + row * (_CELL_H + _GAP) + _CELL_H / 2
        i = len(pitch_bins) - 1 - row
        span = _interval(settings.pitch_edges[i], settings.pitch_edges[i + 1])
        total = sum(n for (_, key), n in counts.items() if key == pitch.key)
        parts.append(text(_LEFT - 14, y - 1, pitch.label.replace("-", " "), "strong end"))
        parts.append(text(_LEFT - 14, y + 14, span, "small end"))
        parts.append(text(right + 20, y + 4, str(total), "strong mid"))
    parts.append(text(_LEFT - 14, foot, "images", "small end"))
    parts.append(text(right + 20, foot, str(sum(counts.values())), "strong mid"))
    return parts


_EMPTY_CELLS: Final = {
    "missed": ("seen, nothing saved", "3 3", 0.9, None),
    "unseen": ("not seen in this video", None, 0.35, "0.6"),
}
"""Of cells without images: words, dashes and opacity of the line, opacity of the number."""


def _cell(x: float, y: float, yaw: Bin, pitch: Bin, saved: Sequence[str], state: str) -> str:
    """One cell; `saved` are the expressions of its images."""
    count, shown = len(saved), [e for e in EXPRESSIONS if e in saved]
    colour = CELL_COLOURS[min(count, len(CELL_COLOURS)) - 1] if count else "none"
    box = {"x": x, "y": y, "width": _CELL_W, "height": _CELL_H, "rx": 8.0}
    middle, pose = x + _CELL_W / 2, f"yaw {yaw.label}, pitch {pitch.label}: {count}"
    if count:
        words = f"saved: {', '.join(shown)}"
        number = text(middle, y + 27, str(count), "count mid on")
        frame = tag("rect", fill=colour, **box)
    else:
        words, dash, faint, faint_text = _EMPTY_CELLS[state]
        number = text(middle, y + 27, "0", "count mid", opacity=faint_text)
        frame = tag("rect", class_="line", stroke_dasharray=dash, stroke_opacity=faint, **box)
    body = [tip(f"{pose} {words}"), frame, number]
    for i, expression in enumerate(EXPRESSIONS):
        ink = colour if expression in shown else None
        body.append(_face(middle + (i - 1.5) * 17, y + 46, expression, ink, bool(count)))
    return tag(
        "g",
        "".join(body),
        data_yaw=str(yaw.key),
        data_pitch=str(pitch.key),
        data_count=str(count),
        data_state=state,
        data_expressions=" ".join(shown),
    )


def _face(x: float, y: float, expression: str, ink: str | None, on_colour: bool) -> str:
    """A face of 14 px: filled with white and drawn in `ink` when saved, else a faint ring."""
    place = f"translate({num(x)} {num(y)})"
    if ink is None:
        ring = {"stroke": "#fff", "stroke_opacity": 0.5} if on_colour else {"stroke_opacity": 0.3}
        return tag(
            "circle",
            r=6.5,
            transform=place,
            class_="line" if not on_colour else None,
            fill="none",
            **ring,
        )
    drawn = tag(
        "path",
        d=GLYPHS[expression],
        fill="none",
        stroke=ink,
        stroke_width=1.7,
        stroke_linecap="round",
    )
    return tag("g", tag("circle", r=7, fill="#fff") + drawn, transform=place)


def _grid_legend(y: float, expressions: Sequence[str], outside: int) -> list[str]:
    parts, x = [], _LEFT
    for expression in EXPRESSIONS:
        name = f"{expression.replace('_', ' ')} {expressions.count(expression)}"
        parts.append(tag("circle", cx=x + 7, cy=y - 4, r=8.5, fill=CELL_COLOURS[1]))
        parts.append(_face(x + 7, y - 4, expression, CELL_COLOURS[1], True))
        parts.append(text(x + 22, y, name))
        x += 40 + 6.6 * len(name)
    if unknown := sum(expression not in EXPRESSIONS for expression in expressions):
        parts.append(text(x, y, f"not measured {unknown}"))
    x, y = _LEFT, y + 28
    for state in ("unseen", "missed"):
        name, dash, faint, _ = _EMPTY_CELLS[state]
        box = {"x": x, "y": y - 11, "width": 20.0, "height": 14.0, "rx": 3.0}
        parts.append(tag("rect", class_="line", stroke_opacity=faint, stroke_dasharray=dash, **box))
        parts.append(text(x + 28, y, name))
        x += 48 + 6.3 * len(name)
    if outside:
        parts.append(text(_LEFT, y + 24, f"{counted(outside, 'image')} beyond the bins"))
    return parts
