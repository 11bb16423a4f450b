"""Figures over time as SVG text: who was seen when, and the moments of each rider.

What belongs here: lanes on the time axis of a video. What does not: other figures (`figures`),
whose rules hold here too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median
from typing import Final

import polars as pl

from identity_pipeline.core.ride.spans import Span, spans_of
from identity_pipeline.core.video.clock import clock
from identity_pipeline.media.phase_lane import LANE_H, LEGEND_H, phase_lane, phase_legend
from identity_pipeline.media.svg import (
    ALARM,
    BRIGHT_MARK,
    DARK_MARK,
    OTHER_COLOUR,
    PERSON_COLOURS,
    SET_COLOURS,
    num,
    svg,
    tag,
    text,
    tip,
)
from identity_pipeline.media.wording import counted
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
    moment_ms: float | None = None,
    phases: pl.DataFrame | None = None,
) -> str:
    """Who was seen when, in what light, and where the exported images were taken.

    From top to bottom: the light of the sampled frames with dark and overexposed stretches
    underlined, the phases of the ride where that is known, a lane for each rider with one row of
    marks per set above its bar, and thin grey lanes for the other tracks with the reason why they
    are no riders. Bars break where a sampled frame lacks the face; scene cuts are dashed lines
    through all lanes.

    Args:
        frames: table `frames`, at least one row.
        tracks: table `face_tracks` (`track_id`, `frame_idx` are read).
        riders: table `riders`: every track, with or without a seat.
        exported: `person_id`, `timestamp_ms`, `set` (`anchor`, `coverage`, `challenge`, `pair`).
        settings: `dark_below` and `overexposed_above` underline the light.
        max_others: lanes for tracks that are no riders, longest first; the rest share one lane.
        moment_ms: a time to be marked through all lanes, that of a picture; None: none.
        phases: table `ride_phases`; None where the ride of the camera is not known: no lane.

    Returns:
        SVG text, 960 px wide; bars are groups with `data-track`, marks have `data-set`, phases
        `data-phase`, the marked time `data-moment-ms`.

    Raises:
        ValueError: `frames` is empty.
    """
    if not frames.height:
        raise ValueError("a timeline needs at least one sampled frame")
    frames = frames.sort("frame_idx")
    clip = _clip_of(frames)
    seen = _frames_of_tracks(frames, tracks)
    parts, y = _light_strip(frames, clip, settings)
    lanes_top = y
    spans = _phase_spans(phases, clip)
    parts += phase_lane(spans, clip.x, y)
    y += LANE_H if spans else 0
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
        *_here(moment_ms, clip, y),
        *_time_axis(clip, y + 2),
        *_timeline_legend(sets, frames, settings, y + 50),
    ]
    y += LEGEND_H if spans else 0
    parts += phase_legend(spans, _LABELS, y + 50)
    label = (
        f"Timeline of {clock(clip.end_ms - clip.start_ms)}: {counted(seats.height, 'rider')}, "
        f"{counted(others.height, 'other track')}"
    )
    label += "" if moment_ms is None else f"; this picture is at {clock(moment_ms, 1)}"
    return svg(_WIDTH, y + 58, label, parts)


def _clip_of(frames: pl.DataFrame) -> _Clip:
    times = frames["timestamp_ms"].cast(pl.Float64).to_list()
    step = median([b - a for a, b in pairwise(times)]) if len(times) > 1 else 100.0
    return _Clip(
        times,
        [min(t + step * 1.5, after) for t, after in pairwise(times)] + [times[-1] + step],
    )


def _phase_spans(phases: pl.DataFrame | None, clip: _Clip) -> list[Span]:
    """The stretches by phase, the last one up to the end of its frame."""
    spans = [] if phases is None else spans_of(phases)
    return [*spans[:-1], *(replace(span, end_ms=clip.end_ms) for span in spans[-1:])]


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
    means = luma.to_list()
    group = max(1, -(-len(clip.times) // _STRIP_COLUMNS))
    for i in range(0, len(clip.times), group):
        known = [mean for mean in means[i : i + group] if mean is not None]
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
    parts += _marks(own, sets, clip, y)
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


def _marks(own: pl.DataFrame, sets: Sequence[str], clip: _Clip, y: float) -> list[str]:
    """A rider's images, those of each set in a row of its own."""
    return [
        _mark(clip.x(ms), y + 8 + row * _MARK_ROW, name, f"{name} at {clock(ms, 1)}")
        for row, name in enumerate(sets)
        for ms in sorted(own.filter(pl.col("set") == name)["timestamp_ms"])
    ]


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


def _here(ms: float | None, clip: _Clip, bottom: float) -> list[str]:
    """A line through all lanes at one time, between two points that show where it is."""
    if ms is None:
        return []
    x, words = num(clip.x(ms)), tip(f"this picture, at {clock(ms, 1)}")
    ends = f"M{num(clip.x(ms) - 5)} 0h10l-5 7zM{num(clip.x(ms) - 5)} {num(bottom)}h10l-5 -7z"
    line = tag("path", d=f"M{x} 0V{num(bottom)}", class_="line here", stroke_width=2)
    points = tag("path", d=ends, class_="strong")
    return [tag("g", words + line + points, data_moment_ms=num(ms))]


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


def _sets_legend(sets: Sequence[str], y: float) -> tuple[list[str], float]:
    """The mark of each set with its name; and where the legend goes on."""
    parts, x = [], _LABELS
    for name in sets:
        parts += [_mark(x + 5, y - 4, name, name), text(x + 16, y, name)]
        x += 34 + 7 * len(name)
    return parts, x


def _timeline_legend(
    sets: Sequence[str], frames: pl.DataFrame, settings: BucketSettings, y: float
) -> list[str]:
    parts, x = _sets_legend(sets, y)
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


_LANE: Final = 14.0


def moments_svg(
    candidates: pl.DataFrame, exported: pl.DataFrame, growth_ms: Mapping[int, float | None]
) -> str:
    """The moments of each rider, which of them were weighed, and the images that came of them.

    A lane for each rider: a block for each moment, full where it was weighed and pale where others
    were better; marks of the images above it; and a dashed line where the coverage set stopped
    growing.

    Args:
        candidates: table `candidates`, at least one row: `person_id`, `timestamp_ms`, `moment_id`
            and `standing` are read.
        exported: `person_id`, `timestamp_ms`, `set` (`anchor`, `coverage`, `challenge`, `pair`).
        growth_ms: when growth ended, by rider; None or absent: it did not.

    Returns:
        SVG text, 960 px wide; moments that were weighed have `data-moment`, the others of a rider
        are one path with their number in `data-pale`; marks have `data-set`, ends of growth
        `data-growth`.

    Raises:
        ValueError: `candidates` is empty.
    """
    if not candidates.height:
        raise ValueError("a timeline of moments needs at least one face")
    times = candidates["timestamp_ms"].unique().sort().cast(pl.Float64).to_list()
    clip = _Clip(times, [*times[1:], times[-1] + 100.0])
    sets = [name for name in SET_COLOURS if name in set(exported["set"])]
    parts: list[str] = []
    y, weighed, all_of_them = 0.0, 0, 0
    for (person,), faces in candidates.sort("person_id").group_by("person_id", maintain_order=True):
        moments = _moments(faces)
        own = exported.filter(pl.col("person_id") == person)
        lane, y = _moment_lane(person, moments, own, sets, clip, y)
        parts += lane
        if (end := growth_ms.get(person)) is not None:
            parts.append(_growth_end(clip.x(end), y - _LANE - 22, y - 10, end))
        weighed += int(moments["weighed"].sum())
        all_of_them += moments.height
    parts += [*_time_axis(clip, y + 2), *_moments_legend(sets, y + 50)]
    label = f"{counted(all_of_them, 'moment')} of the ride, {weighed:,} of them weighed"
    return svg(_WIDTH, y + 58, label, parts)


def _moments(faces: pl.DataFrame) -> pl.DataFrame:
    """`moment_id, start, end, faces, weighed` of a rider's moments in time order."""
    return (
        faces.drop_nulls("moment_id")
        .group_by("moment_id")
        .agg(
            start=pl.col("timestamp_ms").min(),
            end=pl.col("timestamp_ms").max(),
            faces=pl.len(),
            weighed=(pl.col("standing") == "candidate").any(),
        )
        .sort("start", "moment_id")
    )


def _moment_lane(
    person: int,
    moments: pl.DataFrame,
    own: pl.DataFrame,
    sets: Sequence[str],
    clip: _Clip,
    y: float,
) -> tuple[list[str], float]:
    """Marks of each set in a row of its own, then the moments; and where the next lane starts."""
    colour = PERSON_COLOURS[person % len(PERSON_COLOURS)]
    lane_y = y + 6 + len(sets) * _MARK_ROW
    weighed = int(moments["weighed"].sum())
    parts = [
        tag("rect", x=0, y=lane_y - 10, width=4, height=30, rx=2, fill=colour),
        text(12, lane_y + 2, f"person_{person}", "strong"),
        text(12, lane_y + 17, f"{counted(moments.height, 'moment')}, {weighed} weighed", "small"),
    ]
    parts += _marks(own, sets, clip, y)
    parts.append(_pale_blocks(moments.filter(~pl.col("weighed")), clip, lane_y, colour))
    for moment in moments.filter("weighed").iter_rows(named=True):
        start, end = moment["start"], moment["end"]
        words = f"{clock(start, 1)} to {clock(end, 1)}: {counted(moment['faces'], 'face')}"
        block = {"x": clip.x(start), "y": lane_y, "width": _width(clip, start, end)}
        number = str(moment["moment_id"])
        parts.append(
            tag("rect", tip(words), **block, height=_LANE, fill=colour, data_moment=number)
        )
    return parts, lane_y + _LANE + 22


def _width(clip: _Clip, start: float, end: float) -> float:
    return max(clip.x(end) - clip.x(start), 1.5)


def _pale_blocks(moments: pl.DataFrame, clip: _Clip, y: float, colour: str) -> str:
    """Moments that were not weighed, as one path: there are many of them."""
    spans = moments.select("start", "end").iter_rows()
    boxes = [(num(clip.x(start)), num(_width(clip, start, end))) for start, end in spans]
    path = "".join(f"M{x} {num(y)}h{width}v{num(_LANE)}h-{width}z" for x, width in boxes)
    return tag("path", d=path, fill=colour, opacity="0.35", data_pale=str(len(boxes)))


def _growth_end(x: float, top: float, bottom: float, ms: float | None = None) -> str:
    """A dashed line; without a time it is the legend's."""
    words = "" if ms is None else tip(f"the coverage set stopped growing at {clock(ms, 1)}")
    line = f"M{num(x)} {num(top)}V{num(bottom)}"
    dashes = {"stroke": ALARM, "stroke_width": 1.6, "stroke_dasharray": "4 2"}
    at = None if ms is None else num(ms)
    return tag("path", words, d=line, fill="none", **dashes, data_growth=at)


def _moments_legend(sets: Sequence[str], y: float) -> list[str]:
    parts, x = _sets_legend(sets, y)
    for name, faint in (("weighed", None), ("others were better", "0.35")):
        block = {"x": x, "y": y - 10, "width": 14, "height": 12, "fill": PERSON_COLOURS[0]}
        parts += [tag("rect", **block, opacity=faint), text(x + 20, y, name)]
        x += 42 + 7 * len(name)
    return [*parts, _growth_end(x + 4, y - 11, y + 3), text(x + 14, y, "growth ended")]
