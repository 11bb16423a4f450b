"""Laying the course of a video on another one: which point of the track each of its points shows.

Dynamic time warping (Sakoe and Chiba, "Dynamic programming algorithm optimization for spoken word
recognition", IEEE Trans. ASSP 26, 1978) with an asymmetric step: each point of the video is one
point of the track, and from one to the next the track goes on by none (the train waits or is slow),
one, two (it is fast), or by any number (a stop, or a part of the file, is missing). All but one
costs something, a missing part the same however long it is. What the video shows before or after
the track is outside of it, at a price for each second, and it may begin and end anywhere, so a
missing head or tail costs nothing.

It is done from coarse to fine, each level near the path of the coarser one (Salvador and Chan,
"Toward accurate dynamic time warping in linear time and space", Intell. Data Anal. 11, 2007): the
work grows with the length of the video.

The asymmetric step is why this is no library's: dtaidistance 2.5 and tslearn 0.10 know the
symmetric one alone, which lets one point of the video be any number of points of the track, and
dtw-python is under the GPL.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from identity_pipeline.core.ride.course import (
    LEVELS,
    Array,
    Course,
    mean_of_pairs,
    median,
    scale_of,
)

WEIGHTS: Final = np.array([1.0, 0.5, 1.0, 1.0, 0.5, 0.5])
"""Of the channels. Contrast and sharpness follow light in part, faces depend on who rides."""
CAP: Final = 4.0
"""A channel that is farther off, in robust standard deviations, says no more: a lamp, a hand."""
OUTSIDE: Final = 2.0
"""What a second outside of the track costs, in the unit of `CAP`: two standard deviations, beyond
which lie 5 % of what is on the track."""
PACE: Final = 0.1
"""What a second at no pace or at the double costs: 20 % slower for a whole ride costs as much as
1 % of it outside of the track."""
MISSING: Final = 4.0
"""What a missing part costs: two seconds outside of the track."""
COARSE: Final = 160
"""A course of at most so many points is laid on another one without a coarser level."""
RADIUS: Final = 12
"""So many points beside the path of the coarser level are looked at."""
WIDE: Final = 2.0
"""A band that is so many times as wide as the median of those of all videos is laid by itself."""

BEFORE: Final = 3
"""A skip comes from so many points before, or earlier."""
BLOCK: Final = 64
"""Points of the videos whose costs are computed at a time."""
SKIP, ENTER = 3, 4
"""How a point is reached: 0, 1 or 2 points on, any number on, or from outside of the track."""


@dataclass(frozen=True)
class Track:
    """What a video is laid on.

    Attributes:
        course: of the track.
        scale: (channels,) robust standard deviation by which two videos of it differ.
    """

    course: Course
    scale: Array


@dataclass(frozen=True)
class Alignment:
    """Where on the track a video is.

    Attributes:
        position: (n,) point of the track of each point of the video; -1: outside of it.
        misfit: (n,) how far each point is from the track there, in robust standard deviations, at
            most `CAP`; NaN where nothing was measured, and outside.
        cost: mean of what a second costs; NaN where nothing was measured.
        levels: (channels,) by how much the video lies above the track, where `LEVELS`; else 0.
    """

    position: NDArray[np.int64]
    misfit: Array
    cost: float
    levels: Array

    @property
    def inside(self) -> float:
        """Share of the video that is on the track."""
        return float((self.position >= 0).mean()) if len(self.position) else 0.0


class _Paths(NamedTuple):
    """Of V videos. Attributes: cost (V,) of the whole, and position (V, rows) as in `Alignment`."""

    cost: Array
    position: NDArray[np.int64]


class _Band(NamedTuple):
    """(V, rows) each: which points of the track, from `low` up to, but not including, `high`."""

    low: NDArray[np.int64]
    high: NDArray[np.int64]

    @property
    def width(self) -> int:
        """Of the widest row."""
        return int((self.high - self.low).max())


class _Stack(NamedTuple):
    """V videos as one array, the shorter ones with nothing measured behind their ends.

    Attributes:
        values: (V, rows, channels).
        length: (V,) their own.
    """

    values: Array
    length: NDArray[np.int64]

    def shifted(self, levels: Array) -> _Stack:
        """With (V, channels) taken off every point."""
        return _Stack(self.values - levels[:, None], self.length)

    def halved(self) -> _Stack:
        """At half as many points."""
        return _Stack(np.stack([mean_of_pairs(one) for one in self.values]), (self.length + 1) // 2)


def align(video: Course, track: Track) -> Alignment:
    """Lays a video on a track: see `align_all`."""
    return align_all([video], track)[0]


def align_all(videos: Sequence[Course], track: Track) -> list[Alignment]:
    """Lays videos on a track, each as if it were alone.

    The levels of a video (exposure, dirt) are not known before it is laid. So it is first laid
    coarsely, by what is far beyond a level: as if two videos differed at a place as much as places
    do. That is done with the levels of the track, and with the video's medians put on the track's;
    the better of the two says by how much its levels differ, point by point, and with these it is
    laid from coarse to fine.

    Args:
        videos: with the same step as the track.
        track: what they are laid on.
    """
    stack = _stacked(videos)
    measured = (~np.isnan(stack.values).all(axis=2)).sum(axis=1)
    if not measured.any() or not len(track.course.values):
        return [_nowhere(len(video.values)) for video in videos]
    step_s = track.course.step_s
    tracks = [track.course.values]
    stacks = [stack]
    while len(tracks[-1]) > COARSE:
        tracks.append(mean_of_pairs(tracks[-1]))
        stacks.append(stacks[-1].halved())
    levels = _coarse_levels(stacks[-1], tracks[-1], track.scale, step_s * 2 ** (len(tracks) - 1))
    shifted = [each.shifted(levels) for each in stacks]
    paths = _laid(shifted, tracks, track.scale, step_s)
    return [
        Alignment(
            position := paths.position[v, :length],
            _misfit(shifted[0].values[v, :length], track, position),
            float(paths.cost[v] / (measured[v] * step_s)),
            levels[v],
        )
        if measured[v]
        else _nowhere(length)
        for v, length in enumerate(stack.length.tolist())
    ]


def _nowhere(length: int) -> Alignment:
    """Of a video of which nothing was measured."""
    nowhere = np.full(length, -1, dtype=np.int64)
    return Alignment(nowhere, np.full(length, np.nan), np.nan, np.zeros(len(LEVELS)))


def _stacked(videos: Sequence[Course]) -> _Stack:
    length = np.array([len(video.values) for video in videos], dtype=np.int64)
    values = np.full((len(videos), max(int(length.max()), 1), len(LEVELS)), np.nan)
    for v, video in enumerate(videos):
        values[v, : length[v]] = video.values
    return _Stack(values, length)


def _coarse_levels(stack: _Stack, track: Array, scale: Array, step_s: float) -> Array:
    """(V, channels) by how much each video lies above the track, told by the coarsest level."""
    nothing = np.zeros((len(stack.values), len(LEVELS)))
    apart = _levels(np.stack([median(one) for one in stack.values]) - median(track))
    wide = np.where(LEVELS, np.maximum(scale, scale_of(track)), scale)
    tried = [_laid([stack.shifted(by)], [track], wide, step_s) for by in (nothing, apart)]
    better = np.where(
        (tried[1].cost < tried[0].cost)[:, None], tried[1].position, tried[0].position
    )
    found = nothing
    for v, position in enumerate(better):
        on = position >= 0
        found[v] = _levels(median(stack.values[v, on] - track[position[on]]))
    return found


def _levels(apart: Array) -> Array:
    return np.where(LEVELS & ~np.isnan(apart), apart, 0.0)


def _laid(stacks: Sequence[_Stack], tracks: Sequence[Array], scale: Array, step_s: float) -> _Paths:
    """The paths of least cost, from the coarsest level (the last) to the finest."""
    top = len(tracks) - 1
    videos, rows, _ = stacks[top].values.shape
    band = _whole(videos, rows, len(tracks[top]))
    paths = _in_parts(stacks[top], tracks[top], scale, band, step_s * 2**top)
    for level in range(top - 1, -1, -1):
        band = _around(paths.position, stacks[level].values.shape[1], len(tracks[level]))
        paths = _in_parts(stacks[level], tracks[level], scale, band, step_s * 2**level)
    return paths


def _in_parts(stack: _Stack, track: Array, scale: Array, band: _Band, step_s: float) -> _Paths:
    """As `_least`; a video with a band much wider than the others' is laid by itself.

    One that has no path yet, as of another ride, or lacks a long part, would widen them all.
    """
    widths = (band.high - band.low).max(axis=1)
    wide = widths > WIDE * np.median(widths)
    parts = [np.flatnonzero(~wide), *np.flatnonzero(wide)[:, None]]
    cost, position = np.empty(len(wide)), np.empty(band.low.shape, np.int64)
    for part in parts:
        own = _Stack(stack.values[part], stack.length[part])
        found = _least(own, track, scale, _Band(band.low[part], band.high[part]), step_s)
        cost[part], position[part] = found
    return _Paths(cost, position)


def _whole(videos: int, rows: int, length: int) -> _Band:
    return _Band(np.zeros((videos, rows), np.int64), np.full((videos, rows), length))


def _around(position: NDArray[np.int64], rows: int, length: int) -> _Band:
    """What lies near the paths of the coarser level; all of the track for a video that has none."""
    low, high = _whole(len(position), rows, length)
    for v, path in enumerate(position):
        known = np.flatnonzero(path >= 0)
        if not len(known):
            continue
        # Outside of the track the nearest point on it is looked around, for an edge may move.
        near = np.searchsorted(known, np.arange(len(path))).clip(max=len(known) - 1)
        here = np.repeat(2 * path[known[near]], 2)[:rows]
        # At a missing part both of its sides are looked at on both of its sides.
        low[v] = np.concatenate([here[:1], here[:-1]]) - RADIUS
        high[v] = np.concatenate([here[1:], here[-1:]]) + RADIUS + 2
    return _Band(low.clip(0, length - 1), high.clip(1, length))


def _least(stack: _Stack, track: Array, scale: Array, band: _Band, step_s: float) -> _Paths:
    """Dynamic programming over the points of the videos, within a band.

    `total[v, k]` is the least cost up to this point of video v if it is at point low + k.
    """
    videos, rows, width = *stack.values.shape[:2], band.width
    known = ~np.isnan(stack.values).all(axis=2)
    outside = np.cumsum(np.where(known, OUTSIDE * step_s, 0.0), axis=1)
    entered = np.concatenate([np.zeros((videos, 1)), outside[:, :-1]], axis=1)
    total = np.full((videos, width), np.inf)
    way = np.empty((rows, videos, width), np.int8)
    skipped_from = np.empty((rows, videos, width), np.int32)
    ends, last = np.full((videos, rows), np.inf), np.zeros((videos, rows), np.int64)
    moved = np.diff(band.low, axis=1, prepend=band.low[:, :1])
    costs = np.empty((BLOCK, videos, width))
    for i in range(rows):
        if i % BLOCK == 0:
            costs = _costs(stack.values[:, i : i + BLOCK], track, scale, band, i) * step_s
        total, way[i], where = _ways(total, moved[:, i], entered[:, i], PACE * step_s)
        skipped_from[i] = where + (band.low[:, i] - moved[:, i])[:, None]
        total = total + costs[i % BLOCK]
        best = total.argmin(axis=1)
        last[:, i] = best
        ends[:, i] = total[np.arange(videos), best]
    ends += outside[:, -1:] - outside
    ends[np.arange(rows) >= stack.length[:, None]] = np.inf
    end = ends.argmin(axis=1)
    cost = ends[np.arange(videos), end]
    position = np.full((videos, rows), -1, dtype=np.int64)
    for v in np.flatnonzero(cost < outside[:, -1]).tolist():
        steps = _Steps(way[:, v], skipped_from[:, v])
        _trace(position[v], int(end[v]), int(last[v, end[v]]), steps, band.low[v])
    return _Paths(np.minimum(cost, outside[:, -1]), position)


class _Steps(NamedTuple):
    """How points of the track were reached: by which way, and after a skip from where."""

    way: NDArray[np.int8]
    skipped_from: NDArray[np.int32]


def _costs(values: Array, track: Array, scale: Array, band: _Band, first: int) -> Array:
    """(rows, V, width) how far points of the videos are from points of the track.

    A mean over the channels that both have; infinite outside of the band.

    Args:
        values: (V, rows, channels).
        track: (length, channels).
        scale: of the channels.
        band: which points of the track.
        first: row of the band that `values` begins with.
    """
    rows = values.shape[1]
    at = band.low[:, first : first + rows].T[:, :, None] + np.arange(band.width)
    beyond = at >= band.high[:, first : first + rows].T[:, :, None]
    at = np.minimum(at, len(track) - 1)
    total, weight = np.zeros(at.shape), np.zeros(at.shape)
    for channel, of_channel in enumerate(WEIGHTS):
        off = np.abs(track[:, channel][at] - values[:, :, channel].T[:, :, None]) / scale[channel]
        known = ~np.isnan(off)
        total += np.where(known, np.minimum(off, CAP) * of_channel, 0.0)
        weight += known * of_channel
    mean = np.divide(total, weight, out=total, where=weight > 0)
    return np.where(beyond, np.inf, mean)


def _ways(
    total: Array, moved: NDArray[np.int64], entered: Array, pace: float
) -> tuple[Array, NDArray[np.int8], NDArray[np.int64]]:
    """(V, width) the least cost before each point of the track, by which way, and from where.

    Args:
        total: (V, width) of the point of the videos before.
        moved: (V,) by how much the band went on since.
        entered: (V,) what it costs to enter the track here.
        pace: what waiting and being fast cost.
    """
    videos, width = total.shape
    before = np.full((videos, width + BEFORE + int(moved.max())), np.inf)
    before[:, BEFORE : BEFORE + width] = total
    least = np.minimum.accumulate(before, axis=1)
    fresh = before[:, 1:] < least[:, :-1]
    where = np.zeros(before.shape, np.int64)
    where[:, 1:] = np.maximum.accumulate(np.where(fresh, np.arange(1, before.shape[1]), 0), axis=1)
    here = (np.arange(videos) * before.shape[1] + moved)[:, None] + np.arange(width) + BEFORE
    ways = np.empty((ENTER + 1, videos, width))
    ways[0] = before.take(here) + pace
    ways[1] = before.take(here - 1)
    ways[2] = before.take(here - 2) + pace
    ways[SKIP] = least.take(here - BEFORE) + MISSING
    ways[ENTER] = entered[:, None]
    best = ways.argmin(axis=0)
    cost = np.take_along_axis(ways, best[None], axis=0)[0]
    return cost, best.astype(np.int8), where.take(here - BEFORE) - BEFORE


def _trace(
    position: NDArray[np.int64], end: int, k: int, steps: _Steps, low: NDArray[np.int64]
) -> None:
    """Writes the path that ends in the row `end`, at the k-th point of the band there."""
    point = int(low[end]) + k
    for i in range(end, -1, -1):
        position[i] = point
        here = point - int(low[i])
        way = int(steps.way[i, here])
        if way == ENTER:
            break
        point = int(steps.skipped_from[i, here]) if way == SKIP else point - way


def _misfit(values: Array, track: Track, position: NDArray[np.int64]) -> Array:
    """(n,) see `Alignment`; of a video without its levels."""
    on = np.flatnonzero(position >= 0)
    off = np.abs(values[on] - track.course.values[position[on]]) / track.scale
    known = ~np.isnan(off)
    weight = np.where(known, WEIGHTS, 0.0).sum(axis=1)
    total = np.where(known, np.minimum(off, CAP) * WEIGHTS, 0.0).sum(axis=1)
    misfit = np.full(len(position), np.nan)
    misfit[on] = np.divide(total, weight, out=np.full(len(on), np.nan), where=weight > 0)
    return misfit


def times_of(alignment: Alignment, length: int) -> Array:
    """(length,) when, in steps of the video, each point of the track is passed; NaN: it is not.

    Points that the video passes by (it is fast, or a part is missing) lie evenly between their
    neighbours; of a point where it waits, the middle of the wait.

    Args:
        alignment: of a video on the track.
        length: points of the track.
    """
    on = np.flatnonzero(alignment.position >= 0)
    times = np.full(length, np.nan)
    if not len(on):
        return times
    points, first, count = np.unique(alignment.position[on], return_index=True, return_counts=True)
    middle = on[0] + first + (count - 1) / 2
    inside = np.arange(points[0], points[-1] + 1)
    times[inside] = np.interp(inside, points, middle)
    return times


def on_track(values: Array, times: Array) -> Array:
    """(length, channels): values of a video at the times of `times_of`; NaN where it has none."""
    result = np.full((len(times), values.shape[1]), np.nan)
    known = ~np.isnan(times)
    low = np.floor(times[known]).astype(np.int64)
    high = np.minimum(low + 1, len(values) - 1)
    part = (times[known] - low)[:, None]
    result[known] = values[low] * (1 - part) + values[high] * part
    return result
