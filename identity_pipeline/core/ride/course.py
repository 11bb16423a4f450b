"""The course of a video: what its frames say of where on the track it is, at even steps of time.

Every ride of a camera passes the same places, so light, motion and sharpness of the whole picture
follow the same course, sooner or later, slower or faster. What belongs here: those signals and
their scale. What does not: laying one course on another (`core.ride.alignment`), and what pictures
show (`core.ride.scenery`).

========= =========================================================== ==============
channel   what it is                                                  unit
========= =========================================================== ==============
light     mean luma                                                   octaves (log2)
contrast  luma from the 5 % to the 95 % quantile                      octaves
blown     square root of the share of the picture that is blown       in [0, 1]
motion    how fast the thumbnail becomes another (1 - correlation)    decades (log10)
sharpness variance of the Laplacian                                   octaves
faces     faces in the frame, at most `FACES_MAX`                     faces
========= =========================================================== ==============

Logarithms, because another exposure multiplies light and a dirty lens multiplies sharpness: in a
logarithm either is one number that is taken off (`LEVELS`). The variogram of natural pictures, of
which 1 - correlation is the half, grows about in proportion to the shift (Ruderman and Bialek,
"Statistics of natural images", Phys. Rev. Lett. 73, 1994), so it is divided by the time between
two frames, which highlights make shorter.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from identity_pipeline.core.ride.scenery import Signs, signs_of
from identity_pipeline.tables.ride import CHANNELS

Array = NDArray[np.float64]

LIGHT, CONTRAST, BLOWN, MOTION, SHARPNESS, FACES = range(len(CHANNELS))
FLOORS: Final = np.array([0.1, 0.1, 0.05, 0.1, 0.25, 0.5])
"""Least scale of each channel: what noise of the sensor and of coding moves it by, and half a face.
Of a channel that is the same all the ride no smaller difference means anything."""
LEVELS: Final = np.array([True, True, False, True, True, False])
"""Channels whose level may differ from one video to the next: exposure, a dirty lens, haze."""
FACES_MAX: Final = 4.0
"""More is a queue, and how long it is says nothing of the place."""
DARKEST: Final = 4.0
"""Added to a luma before its logarithm: steps of the coding in the dark mean nothing."""
STILLEST: Final = 1e-3
"""Added to 1 - correlation: what noise alone changes of a still thumbnail in `MOTION_S`."""
MOTION_S: Final = 0.1
"""The time for which motion is told."""
BRIDGED_S: Final = 1.0
"""Over a longer gap between frames nothing is known."""
MAD_TO_DEVIATION: Final = 1.4826
"""Of a normal distribution."""


@dataclass(frozen=True)
class Course:
    """What is seen at even steps of time.

    Attributes:
        step_s: between two points.
        values: (n, len(CHANNELS)); NaN where a channel was not measured.
        signs: (n, BITS) of its pictures, see `core.ride.scenery`; None: of no pictures.
    """

    step_s: float
    values: Array
    signs: Signs | None = None

    @property
    def times_s(self) -> Array:
        """(n,) of each point since the first frame."""
        return np.arange(len(self.values), dtype=np.float64) * self.step_s

    def halved(self) -> Course:
        """At half as many points, each the mean of two; of one where the other is not known."""
        return Course(2 * self.step_s, mean_of_pairs(self.values))

    def shifted(self, levels: Array) -> Course:
        """With (len(CHANNELS),) taken off every point."""
        return replace(self, values=self.values - levels)


def course_of(frames: pl.DataFrame, step_s: float) -> Course:
    """The course of a video; without points where it has no sound frame.

    Args:
        frames: table `frames`; one whose decoding failed says nothing.
        step_s: between two points.
    """
    times = elapsed_s(frames)
    signals = _signals(frames, times)
    signals[frames["decode_error"].is_not_null().to_numpy()] = np.nan
    if not len(times):
        return Course(step_s, np.empty((0, len(CHANNELS))))
    cell = np.round(times / step_s).astype(np.int64)
    values = np.stack([_at_steps(cell, signals[:, c], step_s) for c in range(len(CHANNELS))], 1)
    return Course(step_s, values, signs_of(frames, times, len(values), step_s))


def elapsed_s(frames: pl.DataFrame) -> Array:
    """(n,) seconds since the first sampled frame of each frame."""
    times = frames["timestamp_ms"].to_numpy().astype(np.float64) / 1000
    return times - times[0] if len(times) else times


def _signals(frames: pl.DataFrame, times: Array) -> Array:
    """(n, len(CHANNELS)) of each frame."""

    def column(name: str) -> Array:
        return frames[name].cast(pl.Float64).fill_null(np.nan).to_numpy().copy()

    since = np.diff(times, prepend=np.nan)
    changed = np.clip(1 - column("scene_correlation"), 0, None)
    with np.errstate(divide="ignore", invalid="ignore"):
        speed = np.where(since > 0, changed * MOTION_S / since, np.nan)
    speed[frames["scene_cut"].fill_null(value=False).to_numpy()] = np.nan
    return np.stack(
        [
            np.log2(column("luma_mean") + DARKEST),
            np.log2(column("luma_p95") - column("luma_p05") + DARKEST),
            np.sqrt(column("clipped_share")),
            np.log10(speed + STILLEST),
            np.log2(column("sharpness") + 1),
            np.minimum(column("face_count"), FACES_MAX),
        ],
        axis=1,
    )


def _at_steps(cell: NDArray[np.int64], signal: Array, step_s: float) -> Array:
    """The mean of each step; short gaps are bridged by a straight line, long ones are not known."""
    known = ~np.isnan(signal)
    length = int(cell.max()) + 1
    count = np.bincount(cell[known], minlength=length)
    total = np.bincount(cell[known], weights=signal[known], minlength=length)
    filled = np.flatnonzero(count)
    if not len(filled):
        return np.full(length, np.nan)
    at = np.arange(length)
    values = np.interp(at, filled, total[filled] / count[filled])
    after = np.searchsorted(filled, at).clip(max=len(filled) - 1)
    before = (np.searchsorted(filled, at, side="right") - 1).clip(min=0)
    gap = filled[after] - filled[before]
    outside = (at < filled[0]) | (at > filled[-1])
    return np.where(outside | (gap * step_s > BRIDGED_S), np.nan, values)


def mean_of_pairs(values: Array) -> Array:
    """((n + 1) // 2, channels): means of successive rows that are known; the last may be alone."""
    if len(values) % 2:
        values = np.concatenate([values, np.full((1, values.shape[1]), np.nan)])
    one, other = values[::2], values[1::2]
    return np.where(np.isnan(one), other, np.where(np.isnan(other), one, (one + other) / 2))


def scale_of(values: Array) -> Array:
    """(len(CHANNELS),) robust standard deviations (1.4826 MAD) of values, at least `FLOORS`.

    Args:
        values: (n, len(CHANNELS)) with NaN where not known.
    """
    spread = MAD_TO_DEVIATION * median(np.abs(values - median(values)))
    return np.maximum(np.where(np.isnan(spread), FLOORS, spread), FLOORS)


def median(values: Array) -> Array:
    """Medians over the first axis of what is known; NaN where nothing is."""
    if not len(values):
        return np.full(values.shape[1:], np.nan)
    ordered = np.sort(values, axis=0)  # NaN last
    known = (~np.isnan(values)).sum(axis=0)
    low = np.take_along_axis(ordered, ((known - 1).clip(0) // 2)[None], axis=0)[0]
    high = np.take_along_axis(ordered, (known // 2).clip(0, len(values) - 1)[None], axis=0)[0]
    return np.where(known > 0, (low + high) / 2, np.nan)
