"""The phases of a template: which stretches of the track show the same, named by what they are.

========== ==========================================================================
phase      what it is
========== ==========================================================================
flash      much of the picture is blown, for less than `ride.flash_s`
glare      the same for longer
dark       `ride.dark_stops` stops less light than the ride usually has
boarding   still, with faces, where the template begins or ends
stop       still elsewhere, or without faces
brake      slower and slower, up to a standstill
high_motion the picture changes `ride.high_motion_times` times as fast as usually
ride       none of these
========== ==========================================================================

Still is what lies below the gap between standing and moving trains. Where the gap is is not chosen:
it is Otsu's threshold of the motion (Otsu, "A threshold selection method from gray-level
histograms", IEEE Trans. SMC 9, 1979), and where the two sides of it lie no farther apart than
`APART` times their own spread, the ride has no standstill, or is one.

What belongs here: naming a template's parts. What does not: laying it (`core.ride.template`), and
what people say of its parts (`core.ride.labels`).
"""

from __future__ import annotations

from itertools import groupby
from typing import Final

import numpy as np
from numpy.typing import NDArray

from identity_pipeline.core.ride.course import (
    BLOWN,
    FACES,
    FLOORS,
    LIGHT,
    MAD_TO_DEVIATION,
    MOTION,
    Array,
    median,
)
from identity_pipeline.core.ride.phases import Phase
from identity_pipeline.core.ride.template import Template
from identity_pipeline.settings import RideSettings

SURE: Final = 3.0
"""A standstill begins and ends where motion is within so many standard deviations of the standing's
own, so that slowing down and setting off are no part of it."""
APART: Final = 3.0
"""Standard deviations between the means of standing and moving; chosen: of two normal halves that
far apart 7 % lie on the wrong side of the middle, and of one normal whole, cut in two at its mean,
the halves are 2.6 of their own standard deviations apart."""
OCTAVES_PER_STOP: Final = 1 / 2.2
"""Of luma, by the gamma of sRGB: a stop is twice the light."""
END_S: Final = 10.0
"""A standstill that begins or ends so near an end of the template is the station."""
BRAKE_S: Final = 10.0
"""Braking takes at most so long: from 15 m/s at 0.15 g, a gentle brake."""
SMOOTH_S: Final = 1.0
"""Motion is smoothed over so long: it is the jerkiest of the signals."""


def name_phases(template: Template, settings: RideSettings) -> list[Phase]:
    """The phases of a template, in its order, without a gap."""
    course = template.track.course
    values, step_s = course.values, course.step_s
    usual = median(values)
    motion = _smooth(values[:, MOTION], round(SMOOTH_S / step_s))
    names = np.full(len(values), "ride", dtype="U12")
    still = _bridged(_still(motion), settings.phase_min_s / step_s)
    moving = ~still
    usual_motion = float(np.nanmedian(motion[moving])) if moving.any() else np.nan
    names[motion - usual_motion > np.log10(settings.high_motion_times)] = "high_motion"
    _mark_stations(names, still, values[:, FACES], step_s)
    _mark_brakes(names, motion, usual_motion, step_s)
    dark = usual[LIGHT] - values[:, LIGHT] > settings.dark_stops * OCTAVES_PER_STOP
    names[dark & (names != "boarding")] = "dark"  # a station in a hall is one
    blown = values[:, BLOWN] > np.sqrt(settings.glare_share)
    for start, end in runs_of(blown):
        names[start:end] = "flash" if (end - start) * step_s < settings.flash_s else "glare"
    names = _without_short(names, settings.phase_min_s / step_s)
    return [Phase(start, end, str(names[start])) for start, end in _stretches(names)]


def runs_of(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Where flags are set: from each start up to, but not including, each end."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def _smooth(values: Array, width: int) -> Array:
    """Running medians over an odd window of about `width` values that are known."""
    half = width // 2
    padded = np.pad(values, half, constant_values=np.nan)
    return median(np.stack([padded[k : k + len(values)] for k in range(2 * half + 1)]))


def _still(motion: Array) -> NDArray[np.bool_]:
    """Where the train stands: see the module."""
    known = np.sort(motion[~np.isnan(motion)])
    n = len(known)
    if n < 4:
        return np.zeros(len(motion), bool)
    total, squares = np.cumsum(known), np.cumsum(known**2)
    low = np.arange(1, n)
    mean_low = total[:-1] / low
    mean_high = (total[-1] - total[:-1]) / (n - low)
    best = int(np.argmax(low * (n - low) * (mean_high - mean_low) ** 2))
    within = squares[-1] - low[best] * mean_low[best] ** 2 - (n - low[best]) * mean_high[best] ** 2
    spread = (max(within, 0.0) / n) ** 0.5
    if mean_high[best] - mean_low[best] <= APART * spread:
        return np.zeros(len(motion), bool)
    level = median(known[: best + 1, None])
    noise = MAD_TO_DEVIATION * median(np.abs(known[: best + 1, None] - level))
    quiet = level[0] + SURE * max(float(noise[0]), float(FLOORS[MOTION]) / SURE)
    still = np.zeros(len(motion), bool)
    for start, end in runs_of(motion <= known[best]):
        inside = start + np.flatnonzero(motion[start:end] <= quiet)
        if len(inside):
            still[inside[0] : inside[-1] + 1] = True
    return still


def _bridged(still: NDArray[np.bool_], least: float) -> NDArray[np.bool_]:
    """Standstills as one where fewer than that many points are between: riders move, not trains."""
    still = still.copy()
    for start, end in runs_of(~still):
        if start > 0 and end < len(still) and end - start < least:
            still[start:end] = True
    return still


def _mark_stations(names: NDArray, still: NDArray[np.bool_], faces: Array, step_s: float) -> None:
    """Names standstills: boarding at the ends of the track, where faces are, else a stop."""
    near = END_S / step_s
    for start, end in runs_of(still):
        at_end = start <= near or end >= len(names) - near
        seen = np.nan_to_num(median(faces[start:end, None]))[0] > 0
        names[start:end] = "boarding" if at_end and seen else "stop"


def _mark_brakes(names: NDArray, motion: Array, usual: float, step_s: float) -> None:
    """Names what leads from the usual motion to a standstill, where it takes time.

    It begins neither before another standstill has ended, nor while the picture changes faster than
    it usually does: the end of a fast part is no braking.
    """
    stood = 0
    for start, end in _stretches(names):
        if names[start] not in ("boarding", "stop"):
            continue
        first, stood = max(stood, start - round(BRAKE_S / step_s)), end
        fast = np.flatnonzero(motion[first:start] > usual)
        first += int(fast[-1]) + 1 if len(fast) else 0
        if first == start:
            continue
        begin = first + _bend(motion[first:start])
        gap = usual - float(median(motion[start:end, None])[0])
        if motion[begin] - motion[start] > gap / 2:
            names[begin:start] = "brake"


def _bend(values: Array) -> int:
    """Where values begin to fall: the bend of the level line and slope that fit them best."""
    n = len(values)
    at = np.flatnonzero(~np.isnan(values))
    best, least = max(n - 1, 0), np.inf
    for bend in range(n - 2):
        past = np.maximum(at - bend, 0.0)
        past -= past.mean()
        off = values[at] - values[at].mean()
        squares = float((past**2).sum())
        slope = float((past * off).sum()) / squares if squares else 0.0
        rest = float(((off - slope * past) ** 2).sum())
        if slope < 0 and rest < least:
            best, least = bend, rest
    return best


def _stretches(names: NDArray) -> list[tuple[int, int]]:
    """Runs of one name."""
    found, start = [], 0
    for _, run in groupby(names.tolist()):
        end = start + len(list(run))
        found.append((start, end))
        start = end
    return found


def _without_short(names: NDArray, least: float) -> NDArray:
    """Stretches shorter than that many points become the longer of their neighbours.

    The shortest first, for two of them may make a long one; a flash is short and stays.
    """
    names = names.copy()
    while True:
        taken = _shortest(names, least)
        if taken is None:
            return names
        (start, end), by = taken
        names[start:end] = names[by]


def _shortest(names: NDArray, least: float) -> tuple[tuple[int, int], int] | None:
    """The shortest stretch that is too short, and a point of the neighbour that takes it."""
    stretches = [s for s in _stretches(names) if names[s[0]] != "flash"]
    for start, end in sorted(stretches, key=lambda s: (s[1] - s[0], s)):
        if end - start >= least:
            return None
        beside = [s for s in stretches if s[1] == start or s[0] == end]
        if beside:
            return (start, end), max(beside, key=lambda s: (s[1] - s[0], -s[0]))[0]
    return None
