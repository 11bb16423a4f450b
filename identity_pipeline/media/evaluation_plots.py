"""The plots of the evaluation as SVG: ROC curves, matrices, pose errors, coverage, intervals.

What belongs here: drawing what `core.evaluation.report` holds. What does not: computing it.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from identity_pipeline.core.evaluation.report import Confusion, CoverageRow, ErrorBand, Figure, Roc
from identity_pipeline.core.faces.buckets import BEYOND
from identity_pipeline.media.svg import ALARM, num, svg, tag, text, tip
from identity_pipeline.media.wording import plain

LINES: Final = ("#2e86de", "#22a079", "#e08a1e", "#b05fd0")
AXIS_LINES: Final = {"yaw": "#2e86de", "pitch": "#e08a1e", "roll": "#22a079"}
GOOD, BAD = "#3a76c8", "#c9803a"
CELL_W, CELL_H = 76.0, 34.0
MINUS = "\N{MINUS SIGN}"


def bin_words(label: str) -> str:
    """`[-15,-5)` as −15…−5; codes as words."""
    if not label.startswith("["):
        return "beyond" if label == BEYOND else plain(label)
    low, _, high = label[1:-1].partition(",")
    return f"{low}…{high}".replace("-", MINUS)


def polyline(points: Iterable[tuple[float, float]], colour: str, dash: str | None = None) -> str:
    """A curve."""
    path = " ".join(f"{num(x)},{num(y)}" for x, y in points)
    return tag("polyline", points=path, fill="none", stroke=colour, stroke_width=2,
               stroke_linejoin="round", stroke_dasharray=dash)  # fmt: skip


def grid(
    xs: Sequence[tuple[float, str]], ys: Sequence[tuple[float, str]],
    area: tuple[float, float, float, float],
) -> list[str]:  # fmt: skip
    """Faint lines with their labels, in an area (left, top, right, bottom)."""
    left, top, right, bottom = area
    parts = []
    for x, label in xs:
        parts.append(tag("path", d=f"M{num(x)} {num(top)}V{num(bottom)}", class_="line",
                         stroke_opacity=0.22))  # fmt: skip
        parts.append(text(x, bottom + 17, label, "mid small"))
    for y, label in ys:
        parts.append(tag("path", d=f"M{num(left)} {num(y)}H{num(right)}", class_="line",
                         stroke_opacity=0.22))  # fmt: skip
        parts.append(text(left - 8, y + 4, label, "end small"))
    return parts


def roc_svg(rocs: Sequence[Roc]) -> str:
    """Genuine pairs accepted against impostors accepted, the latter on a logarithmic axis.

    A curve begins where one impostor pair of its own would be accepted; left of that there is
    nothing to measure.
    """
    area = left, top, right, bottom = 52.0, 14.0, 640.0, 320.0
    decades = max(2, min(6, math.ceil(math.log10(max(roc.impostor for roc in rocs)))))

    def x(rate: float) -> float:
        return right + (right - left) * math.log10(rate) / decades

    def y(share: float) -> float:
        return bottom - share * (bottom - top)

    ticks = [(x(10.0**-d), f"{10.0 ** (2 - d):g} %") for d in range(decades, -1, -1)]
    levels = [(y(v / 5), f"{20 * v} %") for v in range(6)]
    parts = grid(ticks, levels, area)
    for i, roc in enumerate(rocs):
        colour = LINES[i % len(LINES)]
        points = [
            (x(far), y(tar))
            for far, tar in zip(roc.far, roc.tar, strict=True)
            if far >= 10.0**-decades
        ]
        words = f"{roc.name}: {roc.genuine:,} genuine and {roc.impostor:,} impostor pairs"
        parts.append(tag("g", tip(words) + polyline(points, colour), data_curve=roc.name))
        row, column = divmod(i, 2)
        where = (left + 300 * column, bottom + 62 + 20 * row)
        parts.append(tag("rect", x=where[0], y=where[1] - 9, width=16, height=4, fill=colour))
        parts.append(text(where[0] + 24, where[1] - 3, roc.name))
    parts.append(text((left + right) / 2, bottom + 36, "impostor pairs accepted (FAR)", "mid"))
    parts.append(text(left, top - 2, "genuine pairs accepted (TAR)", "small"))
    height = bottom + 62 + 20 * ((len(rocs) + 1) // 2)
    return svg(660, height, "ROC curves of the recogniser", parts, top=-6)


def confusion_svg(matrix: Confusion) -> str:
    """Counts per true bin (row) and called bin (column), tinted by their share of the row."""
    left, top = 104.0, 46.0
    parts = []
    for c, column in enumerate(matrix.columns):
        parts.append(text(left + (c + 0.5) * CELL_W, top - 9, bin_words(column), "mid small"))
    parts.append(text(left, 15, f"called {matrix.name} →", "small"))
    parts.append(text(left - 12, top - 9, "true ↓", "end small"))
    for r, row in enumerate(matrix.rows):
        total = sum(matrix.counts[r])
        y = top + r * CELL_H
        parts.append(text(left - 12, y + CELL_H / 2 + 4, bin_words(row), "end small"))
        for c, column in enumerate(matrix.columns):
            parts.append(_cell(matrix.counts[r][c], total, row, column, left + c * CELL_W, y))
    width = left + CELL_W * len(matrix.columns) + 4
    return svg(width, top + CELL_H * len(matrix.rows) + 4, f"{matrix.name} bins, true and called",
               parts)  # fmt: skip


def _cell(count: int, total: int, row: str, column: str, x: float, y: float) -> str:
    share = count / total if total else 0.0
    colour = GOOD if row == column else BAD
    words = f"truly {bin_words(row)}, called {bin_words(column)}: {count:,} of {total:,}"
    body = tip(words) + tag(
        "rect", x=x + 1, y=y + 1, width=CELL_W - 2, height=CELL_H - 2, rx=4, fill=colour,
        fill_opacity=round(0.06 + 0.9 * share, 3) if count else 0.04,
        stroke=GOOD if row == column else None, stroke_opacity=0.6,
    )  # fmt: skip
    if count:
        classes = "mid on" if share > 0.6 else "mid strong"
        body += text(x + CELL_W / 2, y + 21, f"{count:,}", classes)
    return tag("g", body, data_true=row, data_called=column, data_count=str(count))


def pose_error_svg(bands: Sequence[ErrorBand]) -> str:
    """Median (dots, joined) and 90th percentile (bars) of the angles' errors over true yaw."""
    area = left, top, right, bottom = 52.0, 14.0, 640.0, 270.0
    edges = sorted({band.low for band in bands} | {band.high for band in bands})
    highest = 5.0 * math.ceil(max(band.p90 for band in bands) / 5.0)

    def x(yaw: float) -> float:
        return left + (right - left) * (yaw - edges[0]) / (edges[-1] - edges[0])

    def y(error: float) -> float:
        return bottom - error / highest * (bottom - top)

    step = 5.0 if highest <= 30 else 10.0 * math.ceil(highest / 60)
    levels = [(y(v * step), f"{v * step:g}°") for v in range(int(highest / step) + 1)]
    ticks = [(x(edge), f"{edge:g}°".replace("-", MINUS)) for edge in edges]
    parts = grid(ticks, levels, area)
    by_axis: dict[str, list[ErrorBand]] = defaultdict(list)
    for band in bands:
        by_axis[band.axis].append(band)
    axes = sorted(by_axis, key=list(AXIS_LINES).index)
    for i, axis in enumerate(axes):
        points = []
        for band in by_axis[axis]:
            at = x((band.low + band.high) / 2) + 7 * (i - (len(axes) - 1) / 2)
            points.append((at, y(band.median)))
            parts.append(_error_mark(band, at, y(band.median), y(band.p90)))
        parts.append(polyline(points, AXIS_LINES[axis], "1 5"))
        at = left + 90 * i
        parts.append(tag("circle", cx=at + 5, cy=bottom + 57, r=5, fill=AXIS_LINES[axis]))
        parts.append(text(at + 16, bottom + 61, axis))
    parts.append(text((left + right) / 2, bottom + 36, "true yaw", "mid"))
    words = "dot: median error; bar: up to where nine of ten faces lie"
    parts.append(text(right, bottom + 61, words, "end small"))
    return svg(660, bottom + 72, "Pose error over true yaw", parts)


def _error_mark(band: ErrorBand, x: float, median: float, p90: float) -> str:
    """A dot at the median of a bin of yaw, and a bar up to its 90th percentile."""
    words = (
        f"{band.axis}, true yaw {band.low:g} to {band.high:g}°: median {band.median:.1f}°, "
        f"nine of ten below {band.p90:.1f}° ({band.n:,} faces)"
    )
    colour = AXIS_LINES[band.axis]
    bar = tag("path", d=f"M{num(x)} {num(median)}V{num(p90)}", stroke=colour, stroke_width=2,
              stroke_opacity=0.5)  # fmt: skip
    dot = tag("circle", cx=x, cy=median, r=4, fill=colour)
    return tag("g", tip(words) + bar + dot, data_axis=band.axis, data_n=str(band.n))


def coverage_svg(rows: Sequence[CoverageRow]) -> str:
    """One square per bin and rider: filled, shown by the rider but not filled, never shown."""
    riders: dict[tuple[str, str], list[CoverageRow]] = defaultdict(list)
    bins: dict[str, int] = {}
    for row in rows:
        riders[row.video, row.person].append(row)
        bins[row.axis] = max(row.bins, bins.get(row.axis, 0))
    size, gap, top, height = 15.0, 4.0, 34.0, 40.0
    starts, at = {}, 230.0
    for axis, count in bins.items():
        starts[axis] = at
        at += count * (size + gap) + 26
    parts = [text(starts[axis], 18, axis, "strong") for axis in bins]
    for r, ((video, person), own) in enumerate(riders.items()):
        y = top + r * height
        parts += [text(0, y + 8, person, "strong"), text(0, y + 23, video, "small")]
        parts += [_squares(row, starts[row.axis], y, size, gap) for row in own]
    return svg(at, top + height * len(riders), "Bins filled, of those each rider showed", parts)


def _squares(row: CoverageRow, x: float, y: float, size: float, gap: float) -> str:
    words = (
        f"{row.person}: {row.filled} of {row.reachable} reachable {row.axis} bins are filled, in "
        f"{row.truly} an image truly lies; the axis has {row.bins}"
    )
    body = tip(words)
    for i in range(row.bins):
        filled, shown = i < row.filled, i < row.reachable
        body += tag(
            "rect", x=x + i * (size + gap), y=y + 2, width=size, height=size, rx=3,
            fill=GOOD if filled else "none", stroke=GOOD if shown else "currentColor",
            stroke_opacity=1 if shown else 0.25, stroke_dasharray=None if shown else "2 2",
        )  # fmt: skip
    return tag("g", body, data_axis=row.axis, data_filled=str(row.filled),
               data_reachable=str(row.reachable))  # fmt: skip


def interval_svg(figure: Figure) -> str | None:
    """A share or area and its interval on a line from 0 to 1; None for anything else."""
    if figure.unit not in ("share", "area") or figure.value is None:
        return None
    width, middle = 120.0, 8.0

    def x(value: float) -> float:
        return 4 + (width - 8) * min(max(value, 0.0), 1.0)

    parts = [tag("path", d=f"M4 {middle}H{num(width - 4)}", class_="line", stroke_opacity=0.35)]
    if figure.high is not None:
        low = figure.low if figure.low is not None else 0.0
        parts.append(tag("path", d=f"M{num(x(low))} {middle}H{num(x(figure.high))}",
                         stroke="var(--link,#2a5bb8)", stroke_width=4, stroke_opacity=0.45,
                         stroke_linecap="round"))  # fmt: skip
    off = figure.target is not None and figure.value > figure.target and figure.better == "lower"
    parts.append(tag("circle", cx=x(figure.value), cy=middle, r=4,
                     fill=ALARM if off else "var(--link,#2a5bb8)"))  # fmt: skip
    return svg(width, 16, f"{figure.label} on a scale from 0 to 100 %", parts)
