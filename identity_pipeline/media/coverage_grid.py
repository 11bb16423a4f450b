"""The coverage grid: which poses and expressions of a rider were saved, as SVG.

What belongs here: this one figure; the others are in `figures`, which hands this one on.
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Final

import polars as pl

from identity_pipeline.core.faces.buckets import EXPRESSIONS, PITCH_NAMES, Bin, axis_bins
from identity_pipeline.media.svg import num, svg, tag, text, tip
from identity_pipeline.settings import BucketSettings

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
    seen: AbstractSet[Cell] | None = None,
    reached: AbstractSet[Cell] | None = None,
    title: str = "",
    headline: bool = True,
) -> str:
    """The poses and expressions of one rider's saved images.

    Yaw runs from left to right as the nose points in the image, pitch from up to down. Each cell
    is a group with `data-yaw`, `data-pitch`, `data-count` and `data-state` (`saved`, `missed`:
    seen but nothing saved, `unseen`, `empty`: nothing saved and not known whether seen,
    `unreached`: never seen by this camera).

    Args:
        saved: one row per saved image: `yaw_key`, `pitch_key`, `expression_bin` as in
            `face_buckets`. An axis counts a bin even when the other one is null, as
            `selection.coverage_counts` does; such images are named below the grid.
        settings: edges of the bins.
        seen: (yaw_key, pitch_key) cells with usable faces of this rider; None: not known.
        reached: cells that this camera ever reached, in any video; None: not known.
        title: put before the headline.
        headline: whether the totals are written above the grid; the page writes them itself.

    Returns:
        SVG text, about 720 x 480 px.
    """
    yaw_bins = axis_bins(settings.yaw_edges)
    pitch_bins = axis_bins(settings.pitch_edges, PITCH_NAMES)[::-1]
    counts: dict[Cell, int] = {}
    expressions: dict[Cell, set[str]] = {}
    outside = 0
    for yaw, pitch, expression in saved.select(
        "yaw_key", "pitch_key", "expression_bin"
    ).iter_rows():
        if yaw is None or pitch is None:
            outside += 1
            continue
        counts[yaw, pitch] = counts.get((yaw, pitch), 0) + 1
        expressions.setdefault((yaw, pitch), set()).add(expression)
    parts = _grid_axes(yaw_bins, pitch_bins, settings, counts)
    for row, pitch in enumerate(pitch_bins):
        for column, yaw in enumerate(yaw_bins):
            cell = (yaw.key, pitch.key)
            count = counts.get(cell, 0)
            state = "saved" if count else "empty" if seen is None else "unseen"
            if not count and seen is not None and cell in seen:
                state = "missed"
            elif not count and reached is not None and cell not in reached:
                state = "unreached"
            x, y = _LEFT + column * (_CELL_W + _GAP), _TOP + row * (_CELL_H + _GAP)
            parts.append(_cell(x, y, yaw, pitch, count, expressions.get(cell, set()), state))
    width = _LEFT + len(yaw_bins) * (_CELL_W + _GAP) + 52
    foot = _TOP + len(pitch_bins) * (_CELL_H + _GAP) + 46
    axes = {
        "yaw": (saved["yaw_key"].drop_nulls().n_unique(), len(yaw_bins)),
        "pitch": (saved["pitch_key"].drop_nulls().n_unique(), len(pitch_bins)),
        "expression": (len(set(saved["expression_bin"]) & set(EXPRESSIONS)), len(EXPRESSIONS)),
    }
    summary = [f"{name} {have}/{all_}" for name, (have, all_) in axes.items()]
    summary.append(f"cells {len(counts)}/{len(yaw_bins) * len(pitch_bins)}")
    if reached is not None:
        within = set(reached) | set(counts) | set(seen or ())
        summary.append(f"{len(counts)} of {len(within)} cells this camera reaches")
    if headline:
        words = [title, *summary] if title else summary
        parts.append(text(0, 18, " · ".join(words), "strong"))
    parts += _grid_legend(foot, saved, seen is not None, reached is not None, outside)
    top, height = 0.0 if headline else 34.0, foot + (64 if outside else 40)
    return svg(width, height, f"Coverage of poses: {', '.join(summary)}", parts, top=top)


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


def _cell(
    x: float, y: float, yaw: Bin, pitch: Bin, count: int, expressions: set[str], state: str
) -> str:
    colour = CELL_COLOURS[min(count, len(CELL_COLOURS)) - 1] if count else "none"
    box = {"x": x, "y": y, "width": _CELL_W, "height": _CELL_H, "rx": 8.0}
    names = {
        "saved": "saved: " + ", ".join(e for e in EXPRESSIONS if e in expressions),
        "missed": "seen, nothing saved",
        "empty": "nothing saved",
        "unseen": "not seen in this video",
        "unreached": "never reached by this camera",
    }
    body = [tip(f"yaw {yaw.label}, pitch {pitch.label}: {count} {names[state]}")]
    middle = x + _CELL_W / 2
    if state == "saved":
        body.append(tag("rect", fill=colour, **box))
    else:
        dash = "3 3" if state == "missed" else None
        faint = 0.9 if state == "missed" else 0.35
        body.append(tag("rect", class_="line", stroke_dasharray=dash, stroke_opacity=faint, **box))
    if state == "unreached":
        body.append(_hatch(x, y, _CELL_W, _CELL_H))
    else:
        classes = "count mid on" if count else "count mid"
        faint_text = "0.6" if state in ("unseen", "empty") else None
        body.append(text(middle, y + 27, str(count), classes, opacity=faint_text))
        for i, expression in enumerate(EXPRESSIONS):
            ink = colour if expression in expressions else None
            body.append(_face(middle + (i - 1.5) * 17, y + 46, expression, ink, bool(count)))
    return tag(
        "g",
        "".join(body),
        data_yaw=str(yaw.key),
        data_pitch=str(pitch.key),
        data_count=str(count),
        data_state=state,
        data_expressions=" ".join(e for e in EXPRESSIONS if e in expressions),
    )


def _hatch(x: float, y: float, width: float, height: float) -> str:
    """Diagonals clipped by arithmetic: a pattern would need an id, unique in the page."""
    path = []
    for offset in range(9, int(width + height) - 3, 9):
        x1, y1 = max(0.0, offset - height), min(float(offset), height)
        x2, y2 = min(float(offset), width), max(0.0, offset - width)
        path.append(f"M{num(x + x1)} {num(y + y1)}L{num(x + x2)} {num(y + y2)}")
    return tag("path", d="".join(path), class_="line", stroke_opacity=0.4)


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


def _grid_legend(
    y: float, saved: pl.DataFrame, seen: bool, reached: bool, outside: int
) -> list[str]:
    parts, x = [], _LEFT
    tallies = saved["expression_bin"].to_list()
    for expression in EXPRESSIONS:
        name = f"{expression.replace('_', ' ')} {tallies.count(expression)}"
        parts.append(tag("circle", cx=x + 7, cy=y - 4, r=8.5, fill=CELL_COLOURS[1]))
        parts.append(_face(x + 7, y - 4, expression, CELL_COLOURS[1], True))
        parts.append(text(x + 22, y, name))
        x += 40 + 6.6 * len(name)
    unknown = len(tallies) - sum(tallies.count(e) for e in EXPRESSIONS)
    if unknown:
        parts.append(text(x, y, f"not measured {unknown}"))
    x, y = _LEFT, y + 28
    entries: list[tuple[str, str, float, str | None]] = [
        ("line", "not seen in this video" if seen else "nothing saved", 0.35, None)
    ]
    if seen:
        entries.append(("line", "seen, nothing saved", 0.9, "3 3"))
    if reached:
        entries.append(("hatch", "never reached by this camera", 0.35, None))
    for kind, name, faint, dash in entries:
        box = {"x": x, "y": y - 11, "width": 20.0, "height": 14.0, "rx": 3.0}
        parts.append(tag("rect", class_="line", stroke_opacity=faint, stroke_dasharray=dash, **box))
        if kind == "hatch":
            parts.append(_hatch(x, y - 11, 20, 14))
        parts.append(text(x + 28, y, name))
        x += 48 + 6.3 * len(name)
    if outside:
        images = "1 image" if outside == 1 else f"{outside} images"
        parts.append(text(_LEFT, y + 24, f"{images} beyond the bins"))
    return parts
