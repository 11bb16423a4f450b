"""Figures as SVG text: the coverage grid, the track timeline, and the account of every face.

What belongs here: drawing of tables as self-contained SVG. What does not: pixels (`sheets`) and the
page around (`page`).

The figures have no background. Their own colours are of middle brightness, so that they read on
white and on the dark ground of the Dagster UI alike; a page that knows its ground sets the CSS
variables `--fig-ink`, `--fig-strong` and `--fig-line`. All text that comes from data is escaped.
The same tables give the same bytes, whatever the order of their rows.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Final

import polars as pl

from identity_pipeline.core.faces.buckets import EXPRESSIONS, PITCH_NAMES, Bin, axis_bins
from identity_pipeline.core.imagesets.frame_ledger import STATES
from identity_pipeline.media.svg import (
    ALARM,
    BRIGHT_MARK,
    DARK_MARK,
    OTHER_COLOUR,
    PERSON_COLOURS,
    SET_COLOURS,
    STATE_COLOURS,
    clock,
    num,
    svg,
    tag,
    text,
    tip,
)
from identity_pipeline.media.wording import STATE_WORDS, counted, plain
from identity_pipeline.settings import BucketSettings

_WIDTH, _LABELS, _RIGHT = 960.0, 186.0, 14.0
_MARK_ROW, _BAR, _THIN_BAR = 13.0, 11.0, 6.0
_STRIP_COLUMNS = 300
_TICK_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800)


@dataclass(frozen=True)
class _Clip:
    """The sampled frames on the time axis: when each begins and ends, in ms.

    The last one ends after its own share of time; one before a hole lasts half as long again.
    """

    times: list[float]
    ends: list[float]

    @property
    def start_ms(self) -> float:
        return self.times[0]

    @property
    def end_ms(self) -> float:
        return self.ends[-1]

    def x(self, ms: float) -> float:
        span = max(self.end_ms - self.start_ms, 1.0)
        return _LABELS + (ms - self.start_ms) / span * (_WIDTH - _LABELS - _RIGHT)

    def spans(self, present: AbstractSet[int]) -> list[tuple[float, float]]:
        """Runs of consecutive frames as (start, end); a hole between the frames ends one."""
        spans: list[tuple[float, float]] = []
        previous = -2
        for i in sorted(present):
            if previous == i - 1 and self.times[i] <= self.ends[previous]:
                spans[-1] = (spans[-1][0], self.ends[i])
            else:
                spans.append((self.times[i], self.ends[i]))
            previous = i
        return spans


def track_timeline_svg(
    frames: pl.DataFrame,
    tracks: pl.DataFrame,
    riders: pl.DataFrame,
    exported: pl.DataFrame,
    settings: BucketSettings,
    *,
    max_others: int = 8,
) -> str:
    """Who was seen when, in what light, and where the exported images were taken.

    From top to bottom: the light of the sampled frames with dark and overexposed stretches
    underlined, a lane for each rider with one row of marks per set above its bar, and thin grey
    lanes for the other tracks with the reason why they are no riders. Bars break where a sampled
    frame lacks the face; scene cuts are dashed lines through all lanes.

    Args:
        frames: table `frames`, at least one row.
        tracks: table `face_tracks` (`track_id`, `frame_idx` are read).
        riders: table `riders`: every track, with or without a seat.
        exported: `person_id`, `timestamp_ms`, `set` (`anchor`, `coverage`, `challenge`, `pair`).
        settings: `dark_below` and `overexposed_above` underline the light.
        max_others: lanes for tracks that are no riders, longest first; the rest share one lane.

    Returns:
        SVG text, 960 px wide; bars are groups with `data-track`, marks have `data-set`.

    Raises:
        ValueError: `frames` is empty.
    """
    if not frames.height:
        raise ValueError("a timeline needs at least one sampled frame")
    frames = frames.sort("frame_idx")
    times = frames["timestamp_ms"].cast(pl.Float64).to_list()
    step = median([b - a for a, b in pairwise(times)]) if len(times) > 1 else 100.0
    clip = _Clip(
        times,
        [min(t + step * 1.5, after) for t, after in pairwise(times)] + [times[-1] + step],
    )
    seen = _frames_of_tracks(frames, tracks)
    parts, y = _light_strip(frames, clip, settings)
    lanes_top = y
    sets = [name for name in SET_COLOURS if name in set(exported["set"])]
    rows = riders.sort(["person_id", "face_count", "track_id"], descending=[False, True, False])
    seats, others = rows.drop_nulls("person_id"), rows.filter(pl.col("person_id").is_null())
    for person, track in seats.select("person_id", "track_id").iter_rows():
        own = exported.filter(pl.col("person_id") == person)
        lane, y = _rider_lane(person, track, clip.spans(seen[track]), own, sets, clip, y)
        parts += lane
    lanes, y = _other_lanes(others, seen, clip, y, max_others)
    parts += [
        *lanes,
        *_cuts(frames, clip, lanes_top - 38, y),
        *_time_axis(clip, y + 2),
        *_timeline_legend(sets, frames, settings, y + 50),
    ]
    label = (
        f"Timeline of {clock(clip.end_ms - clip.start_ms)}: {counted(seats.height, 'rider')}, "
        f"{counted(others.height, 'other track')}"
    )
    return svg(_WIDTH, y + 58, label, parts)


def _frames_of_tracks(frames: pl.DataFrame, tracks: pl.DataFrame) -> dict[int, set[int]]:
    """Positions among the sampled frames at which each track was seen."""
    positions = frames.select("frame_idx").with_row_index("position")
    seen: dict[int, set[int]] = defaultdict(set)
    rows = tracks.select("track_id", "frame_idx").join(positions, on="frame_idx")
    for track, position in rows.select("track_id", "position").iter_rows():
        seen[track].add(position)
    return seen


def _light_strip(
    frames: pl.DataFrame, clip: _Clip, settings: BucketSettings
) -> tuple[list[str], float]:
    """The mean luma as the grey that it is, in at most 300 columns, and what is out of range."""
    top, height = 6.0, 20.0
    parts = [text(0, top + 14, "light", "strong")]
    luma = frames["luma_mean"].cast(pl.Float64)
    group = max(1, -(-len(clip.times) // _STRIP_COLUMNS))
    for i in range(0, len(clip.times), group):
        known = luma[i : i + group].drop_nulls().to_list()
        if not known:
            continue
        grey = f"{min(round(sum(known) / len(known) / 8) * 8, 255):02x}"
        left = clip.x(clip.times[i])
        right = clip.x(clip.ends[min(i + group, len(clip.times)) - 1])
        # A hair of overlap: neighbouring columns would show seams when the figure is scaled.
        parts.append(
            tag("rect", x=left, y=top, width=right - left + 0.4, height=height, fill=f"#{grey * 3}")
        )
    plot = clip.x(clip.end_ms) - _LABELS
    parts.append(tag("rect", x=_LABELS, y=top, width=plot, height=height, class_="line", rx=2))
    for kind, which, colour in _lights(luma, settings):
        for start, end in clip.spans(set(which.arg_true())):
            words = f"{kind} {clock(start, 1)} to {clock(end, 1)}"
            width = max(clip.x(end) - clip.x(start), 1.5)
            where = {"x": clip.x(start), "y": top + height + 3, "width": width, "height": 4}
            parts.append(tag("rect", tip(words), **where, fill=colour, data_light=kind))
    return parts, top + height + 18


def _lights(luma: pl.Series, settings: BucketSettings) -> list[tuple[str, pl.Series, str]]:
    """Kind, which frames, colour."""
    return [
        ("dark", (luma < settings.dark_below).fill_null(False), DARK_MARK),
        ("overexposed", (luma > settings.overexposed_above).fill_null(False), BRIGHT_MARK),
    ]


def _rider_lane(
    person: int,
    track: int,
    spans: Sequence[tuple[float, float]],
    own: pl.DataFrame,
    sets: Sequence[str],
    clip: _Clip,
    y: float,
) -> tuple[list[str], float]:
    """Marks of each set in a row of its own, then the bar; and where the next lane starts."""
    colour = PERSON_COLOURS[person % len(PERSON_COLOURS)]
    bar_y = y + 4 + len(sets) * _MARK_ROW
    middle = (y + 4 + bar_y + _BAR) / 2
    parts = [
        tag("rect", x=0, y=middle - 13, width=4, height=30, rx=2, fill=colour),
        text(12, middle - 1, f"person_{person}", "strong"),
        text(12, middle + 14, f"track {track}, {counted(own.height, 'image')}", "small"),
    ]
    for row, name in enumerate(sets):
        for ms in sorted(own.filter(pl.col("set") == name)["timestamp_ms"]):
            words = f"{name} at {clock(ms, 1)}"
            parts.append(_mark(clip.x(ms), y + 8 + row * _MARK_ROW, name, words))
    parts.append(_bar(spans, [track], clip, bar_y, _BAR, colour))
    return parts, bar_y + _BAR + 14


def _other_lanes(
    others: pl.DataFrame, seen: Mapping[int, set[int]], clip: _Clip, y: float, most: int
) -> tuple[list[str], float]:
    """A lane for each of the first tracks, one for all others; and where the next would start."""
    lanes = [
        (f"track {track} · {str(reason).replace('_', ' ')}", [track])
        for track, reason in others.select("track_id", "reason").head(most).iter_rows()
    ]
    if rest := others["track_id"][most:].to_list():
        lanes.append((counted(len(rest), "more track"), rest))
    parts, y = [], y + (6 if lanes else 0)
    for name, tracks in lanes:
        spans = clip.spans(set().union(*(seen.get(track, set()) for track in tracks)))
        parts.append(text(12, y + 9, name, "small"))
        parts.append(_bar(spans, tracks, clip, y + 2, _THIN_BAR, OTHER_COLOUR))
        y += 17
    return parts, y


def _bar(
    spans: Sequence[tuple[float, float]],
    tracks: Sequence[int],
    clip: _Clip,
    y: float,
    height: float,
    colour: str,
) -> str:
    rects = []
    for start, end in spans:
        width = max(clip.x(end) - clip.x(start), 1.5)
        words = tip(f"{clock(start, 1)} to {clock(end, 1)}")
        rects.append(tag("rect", words, x=clip.x(start), y=y, width=width, height=height, rx=2))
    return tag("g", "".join(rects), fill=colour, data_track=" ".join(str(t) for t in tracks))


def _mark(x: float, y: float, name: str, words: str) -> str:
    """A shape of its own for each set: colour alone does not tell it to everybody."""
    shapes = {
        "anchor": "M0-5.5L5.5 0L0 5.5L-5.5 0Z",
        "coverage": "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0-9 0",
        "challenge": "M0-5L5 4H-5Z",
        "pair": "M-4-4H4V4H-4Z",
    }
    place = f"translate({num(x)} {num(y)})"
    colour = SET_COLOURS[name]
    return tag("path", tip(words), d=shapes[name], fill=colour, transform=place, data_set=name)


def _cuts(frames: pl.DataFrame, clip: _Clip, top: float, bottom: float) -> list[str]:
    cuts = frames.filter(pl.col("scene_cut"))["timestamp_ms"]
    return [
        tag(
            "path",
            tip(f"scene cut at {clock(ms, 1)}"),
            d=f"M{num(clip.x(ms))} {num(top)}V{num(bottom)}",
            fill="none",
            stroke=ALARM,
            stroke_width=1.2,
            stroke_dasharray="3 3",
            data_cut="1",
        )
        for ms in cuts
    ]


def _time_axis(clip: _Clip, y: float) -> list[str]:
    """Ticks at round seconds of the video's own clock, at most a dozen."""
    seconds = (clip.end_ms - clip.start_ms) / 1000
    step = next((s for s in _TICK_STEPS_S if seconds / s <= 12), _TICK_STEPS_S[-1])
    parts = [tag("path", class_="line", d=f"M{num(_LABELS)} {num(y)}H{num(_WIDTH - _RIGHT)}")]
    tick = -(-clip.start_ms // (step * 1000)) * step * 1000
    while tick <= clip.end_ms:
        x = clip.x(tick)
        parts.append(tag("path", class_="line", d=f"M{num(x)} {num(y)}v5"))
        parts.append(text(x, y + 18, clock(tick), "small mid"))
        tick += step * 1000
    parts.append(text(0, y + 18, "time in the video", "small"))
    return parts


def _timeline_legend(
    sets: Sequence[str], frames: pl.DataFrame, settings: BucketSettings, y: float
) -> list[str]:
    parts, x = [], _LABELS
    for name in sets:
        parts += [_mark(x + 5, y - 4, name, name), text(x + 16, y, name)]
        x += 34 + 7 * len(name)
    for name, which, colour in _lights(frames["luma_mean"], settings):
        if which.any():
            parts.append(tag("rect", x=x, y=y - 6, width=16, height=4, fill=colour))
            parts.append(text(x + 22, y, name))
            x += 40 + 7 * len(name)
    if frames["scene_cut"].any():
        parts.append(
            tag(
                "path",
                d=f"M{num(x + 4)} {num(y - 11)}v14",
                fill="none",
                stroke=ALARM,
                stroke_width=1.2,
                stroke_dasharray="3 3",
            )
        )
        parts.append(text(x + 14, y, "scene cut"))
    return parts


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
