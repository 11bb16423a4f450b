"""Figures as SVG text: the coverage grid, the track timeline, and the account of every face.

What belongs here: drawing of tables as self-contained SVG (the grid has a file of its own,
`coverage_grid`, and is handed on). What does not: pixels (`sheets`) and the page around (`page`).

The figures have no background. Their own colours are of middle brightness, so that they read on
white and on the dark ground of the Dagster UI alike; a page that knows its ground sets the CSS
variables `--fig-ink`, `--fig-strong` and `--fig-line`. All text that comes from data is escaped.
The same tables give the same bytes, whatever the order of their rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

import polars as pl

from identity_pipeline.core.imagesets.frame_ledger import STATES
from identity_pipeline.media.coverage_grid import coverage_grid_svg
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

__all__ = ["coverage_grid_svg", "ledger_bar_svg", "track_timeline_svg"]

_WIDTH, _LABELS, _RIGHT = 960.0, 186.0, 14.0
_MARK_ROW, _BAR, _THIN_BAR = 13.0, 11.0, 6.0
_STRIP_COLUMNS = 300
_TICK_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800)


@dataclass(frozen=True)
class _Scale:
    """Time to x: `end_ms` includes the last sampled frame's own share of time."""

    start_ms: float
    end_ms: float

    def x(self, ms: float) -> float:
        span = max(self.end_ms - self.start_ms, 1.0)
        return _LABELS + (ms - self.start_ms) / span * (_WIDTH - _LABELS - _RIGHT)


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
    times = [float(t) for t in frames["timestamp_ms"]]
    step = median([b - a for a, b in pairwise(times)]) if len(times) > 1 else 100.0
    scale = _Scale(times[0], times[-1] + step)
    ends = [min(t + step * 1.5, following) for t, following in pairwise(times)] + [scale.end_ms]
    position = {frame: i for i, frame in enumerate(frames["frame_idx"])}
    seen: dict[int, set[int]] = {}
    for track, frame in tracks.select("track_id", "frame_idx").iter_rows():
        if frame in position:
            seen.setdefault(track, set()).add(position[frame])

    parts, y = _light_strip(frames, times, ends, scale, settings)
    lanes_top = y
    sets = [name for name in SET_COLOURS if name in set(exported["set"])]
    rows = riders.sort(["person_id", "face_count", "track_id"], descending=[False, True, False])
    for rider in rows.filter(pl.col("person_id").is_not_null()).iter_rows(named=True):
        own = exported.filter(pl.col("person_id") == rider["person_id"])
        spans = _spans(seen.get(rider["track_id"], set()), times, ends)
        lane, y = _rider_lane(rider, spans, own, sets, scale, y)
        parts += lane
    others = rows.filter(pl.col("person_id").is_null()).to_dicts()
    y += 6 if others else 0
    for track in others[:max_others]:
        spans = _spans(seen.get(track["track_id"], set()), times, ends)
        name = f"track {track['track_id']} · {str(track['reason']).replace('_', ' ')}"
        parts += _other_lane(name, [track["track_id"]], spans, scale, y)
        y += 17
    if rest := [track["track_id"] for track in others[max_others:]]:
        together = set().union(*(seen.get(track, set()) for track in rest))
        name = counted(len(rest), "more track")
        parts += _other_lane(name, rest, _spans(together, times, ends), scale, y)
        y += 17
    parts += _cuts(frames, scale, lanes_top - 38, y)
    parts += _time_axis(scale, y + 2)
    parts += _timeline_legend(sets, frames, settings, y + 50)
    seats = rows["person_id"].drop_nulls().len()
    label = (
        f"Timeline of {clock(scale.end_ms - scale.start_ms)}: {counted(seats, 'rider')}, "
        f"{counted(len(others), 'other track')}"
    )
    return svg(_WIDTH, y + 58, label, parts)


def _spans(
    present: set[int], times: Sequence[float], ends: Sequence[float]
) -> list[tuple[float, float]]:
    """Runs of consecutive sampled frames as (start, end) in ms; a hole in the frames ends one."""
    spans: list[tuple[float, float]] = []
    previous = None
    for i in sorted(present):
        if previous is not None and i == previous + 1 and times[i] <= ends[previous]:
            spans[-1] = (spans[-1][0], ends[i])
        else:
            spans.append((times[i], ends[i]))
        previous = i
    return spans


def _light_strip(
    frames: pl.DataFrame,
    times: Sequence[float],
    ends: Sequence[float],
    scale: _Scale,
    settings: BucketSettings,
) -> tuple[list[str], float]:
    """The mean luma as the grey that it is, in at most 300 columns, and what is out of range."""
    top, height = 6.0, 20.0
    parts = [text(0, top + 14, "light", "strong")]
    lumas = [None if v is None else float(v) for v in frames["luma_mean"]]
    group = max(1, -(-len(times) // _STRIP_COLUMNS))
    for i in range(0, len(times), group):
        known = [v for v in lumas[i : i + group] if v is not None]
        if not known:
            continue
        mean = sum(known) / len(known)
        grey = round(mean / 8) * 8
        left, right = scale.x(times[i]), scale.x(ends[min(i + group, len(times)) - 1])
        # A hair of overlap: neighbouring columns would show seams when the figure is scaled.
        parts.append(
            tag(
                "rect",
                x=left,
                y=top,
                width=right - left + 0.4,
                height=height,
                fill=f"#{min(grey, 255):02x}{min(grey, 255):02x}{min(grey, 255):02x}",
            )
        )
    plot = scale.x(scale.end_ms) - _LABELS
    parts.append(tag("rect", x=_LABELS, y=top, width=plot, height=height, class_="line", rx=2))
    dark = {i for i, v in enumerate(lumas) if v is not None and v < settings.dark_below}
    bright = {i for i, v in enumerate(lumas) if v is not None and v > settings.overexposed_above}
    for kind, which, colour in (("dark", dark, DARK_MARK), ("overexposed", bright, BRIGHT_MARK)):
        for start, end in _spans(which, times, ends):
            words = f"{kind} {clock(start, 1)} to {clock(end, 1)}"
            width = max(scale.x(end) - scale.x(start), 1.5)
            parts.append(
                tag(
                    "rect",
                    tip(words),
                    x=scale.x(start),
                    y=top + height + 3,
                    width=width,
                    height=4,
                    fill=colour,
                    data_light=kind,
                )
            )
    return parts, top + height + 18


def _rider_lane(
    rider: dict[str, object],
    spans: Sequence[tuple[float, float]],
    own: pl.DataFrame,
    sets: Sequence[str],
    scale: _Scale,
    y: float,
) -> tuple[list[str], float]:
    """Marks of each set in a row of its own, then the bar; and where the next lane starts."""
    person = int(str(rider["person_id"]))
    colour = PERSON_COLOURS[person % len(PERSON_COLOURS)]
    bar_y = y + 4 + len(sets) * _MARK_ROW
    middle = (y + 4 + bar_y + _BAR) / 2
    parts = [
        tag("rect", x=0, y=middle - 13, width=4, height=30, rx=2, fill=colour),
        text(12, middle - 1, f"person_{person}", "strong"),
        text(
            12, middle + 14, f"track {rider['track_id']}, {counted(own.height, 'image')}", "small"
        ),
    ]
    for row, name in enumerate(sets):
        for ms in sorted(own.filter(pl.col("set") == name)["timestamp_ms"]):
            words = f"{name} at {clock(ms, 1)}"
            parts.append(_mark(scale.x(ms), y + 8 + row * _MARK_ROW, name, words))
    parts.append(_bar(spans, [int(str(rider["track_id"]))], scale, bar_y, _BAR, colour))
    return parts, bar_y + _BAR + 14


def _other_lane(
    name: str, tracks: Sequence[int], spans: Sequence[tuple[float, float]], scale: _Scale, y: float
) -> list[str]:
    return [
        text(12, y + 9, name, "small"),
        _bar(spans, tracks, scale, y + 2, _THIN_BAR, OTHER_COLOUR),
    ]


def _bar(
    spans: Sequence[tuple[float, float]],
    tracks: Sequence[int],
    scale: _Scale,
    y: float,
    height: float,
    colour: str,
) -> str:
    rects = []
    for start, end in spans:
        width = max(scale.x(end) - scale.x(start), 1.5)
        words = tip(f"{clock(start, 1)} to {clock(end, 1)}")
        rects.append(tag("rect", words, x=scale.x(start), y=y, width=width, height=height, rx=2))
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


def _cuts(frames: pl.DataFrame, scale: _Scale, top: float, bottom: float) -> list[str]:
    cuts = frames.filter(pl.col("scene_cut"))["timestamp_ms"]
    return [
        tag(
            "path",
            tip(f"scene cut at {clock(ms, 1)}"),
            d=f"M{num(scale.x(ms))} {num(top)}V{num(bottom)}",
            fill="none",
            stroke=ALARM,
            stroke_width=1.2,
            stroke_dasharray="3 3",
            data_cut="1",
        )
        for ms in cuts
    ]


def _time_axis(scale: _Scale, y: float) -> list[str]:
    """Ticks at round seconds of the video's own clock, at most a dozen."""
    seconds = (scale.end_ms - scale.start_ms) / 1000
    step = next((s for s in _TICK_STEPS_S if seconds / s <= 12), _TICK_STEPS_S[-1])
    parts = [tag("path", class_="line", d=f"M{num(_LABELS)} {num(y)}H{num(_WIDTH - _RIGHT)}")]
    tick = -(-scale.start_ms // (step * 1000)) * step * 1000
    while tick <= scale.end_ms:
        x = scale.x(tick)
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
    lights = (
        ("dark", DARK_MARK, (frames["luma_mean"] < settings.dark_below).any()),
        ("overexposed", BRIGHT_MARK, (frames["luma_mean"] > settings.overexposed_above).any()),
    )
    for name, colour, there in lights:
        if there:
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
    tallies = dict(ledger.group_by("state").len().iter_rows())
    unknown = sorted(str(state) for state in tallies if state not in STATES)
    names = {str(state): int(n) for state, n in tallies.items()}
    counts = [(state, names[state]) for state in (*STATES, *unknown) if names.get(state)]
    total = sum(n for _, n in counts)
    parts: list[str] = []
    x, width = 0.0, _WIDTH / max(total, 1)
    for state, n in counts:
        share = n * width
        words = tip(f"{_state(state)}: {n:,} of {total:,}")
        colour = STATE_COLOURS.get(state, ALARM)
        inside = [
            words,
            tag("rect", x=x, y=30, width=max(share - 1.5, 0.8), height=34, fill=colour),
        ]
        if share > 10 + 8 * len(f"{n:,}"):
            inside.append(
                text(x + share / 2 - 0.7, 52, f"{n:,}", "mid", style="fill:#10151c;font-weight:650")
            )
        parts.append(tag("g", "".join(inside), data_state=state, data_count=str(n)))
        x += share
    labels = [f"{_state(state)} {n:,} ({n / total:.1%})" for state, n in counts]
    per_row = 4 if max(map(len, labels), default=0) <= 32 else 3
    for i, ((state, _), label) in enumerate(zip(counts, labels, strict=True)):
        left, y = i % per_row * _WIDTH / per_row, 92 + i // per_row * 24
        colour = STATE_COLOURS.get(state, ALARM)
        swatch = tag("rect", x=left, y=y - 10, width=12, height=12, rx=3, fill=colour)
        parts.append(tag("g", swatch + text(left + 19, y, label), data_legend=state))
    faces = counted(total, "face")
    difference = abs(total - (total if detected is None else detected))
    if not difference:
        parts.append(text(0, 17, f"{faces} seen, {faces} accounted for", "strong"))
    else:
        seen = counted(detected or 0, "face")
        words = f"{seen} seen, {total:,} accounted for: {difference:,} do not add up"
        style = f"fill:{ALARM};font-weight:650"
        parts.append(text(0, 17, words, style=style, data_alarm=str(difference)))
    height = 92 + -(-len(counts) // per_row) * 24 - 8
    return svg(_WIDTH, height, f"What happened to {faces}", parts)
