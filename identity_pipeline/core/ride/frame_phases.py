"""Every frame of a video its phase: the template's phases, carried to where the video is on it.

What belongs here: the table `ride_phases`. What does not: laying the video on the template
(`core.ride.template`).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from identity_pipeline.core.ride.course import Array, elapsed_s
from identity_pipeline.core.ride.phases import Phase
from identity_pipeline.core.ride.template import Followed
from identity_pipeline.tables.ride import RIDE_TABLES

STANDSTILLS: Final = ("boarding", "stop")
WAIT_S: Final = 1.0
"""A train that stays at one point of the template for so long waits there."""
BESIDE_S: Final = 0.5
"""So near a standstill a wait is in it: what phases are to be known within."""


def frame_phases(
    frames: pl.DataFrame, followed: Followed | None, phases: Sequence[Phase], step_s: float
) -> pl.DataFrame:
    """The table `ride_phases`: one row for each sampled frame.

    Args:
        frames: table `frames`.
        followed: the video on the template of its camera; None where there is no template.
        phases: of the template.
        step_s: of the template.

    Returns:
        All null beside the times where the video does not follow the template, and for frames that
        are outside of it.
    """
    times = elapsed_s(frames)
    position = np.full(len(times), np.nan)
    if followed is not None and followed.same_ride:
        standing = _where_it_stands(followed.alignment.position, phases, step_s)
        position = _positions(times / step_s, standing)
    numbers = _numbers(position, phases)
    where = frames.select("frame_idx", "timestamp_ms").with_columns(
        position_s=pl.Series(position * step_s, dtype=pl.Float64).fill_nan(None),
        phase_number=pl.Series(numbers, dtype=pl.Int64),
    )
    of_number = pl.DataFrame(
        [(n, one.phase, one.title, one.source) for n, one in enumerate(phases)],
        schema={"phase_number": pl.Int64, **dict.fromkeys(("phase", "title", "source"), pl.String)},
        orient="row",
    )
    joined = where.join(of_number, on="phase_number", how="left", maintain_order="left")
    return joined.select(list(RIDE_TABLES["ride_phases"]))


def _where_it_stands(
    position: NDArray[np.int64], phases: Sequence[Phase], step_s: float
) -> NDArray[np.int64]:
    """Puts a wait that lies just beside a standstill into it: who waits, stands.

    A wait is all at one point of the template, so half a step beside the border it would be long in
    the wrong phase.
    """
    position = position.copy()
    edges = [0, *(np.flatnonzero(np.diff(position)) + 1).tolist(), len(position)]
    for first, end in pairwise(edges):
        if (end - first) * step_s < WAIT_S or position[first] < 0:
            continue
        near = [
            int(np.clip(position[first], one.start, one.end - 1))
            for one in phases
            if one.phase in STANDSTILLS
        ]
        best = min(near, key=lambda point: abs(point - position[first]), default=position[first])
        if abs(best - position[first]) * step_s <= BESIDE_S:
            position[first:end] = best
    return position


def _positions(at: Array, position: np.ndarray) -> Array:
    """(n,) points of the template of frames at these points of the video; NaN outside.

    Between two points of the video a frame is where the straight line is; over a part that is
    missing it is with the nearer of the two, for nothing between was shown.
    """
    if not len(position):
        return np.full(len(at), np.nan)
    low = np.floor(at).astype(np.int64).clip(0, len(position) - 1)
    high = (low + 1).clip(max=len(position) - 1)
    one, other = position[low].astype(np.float64), position[high].astype(np.float64)
    part = (at - low).clip(0, 1)
    between = one * (1 - part) + other * part
    nearer = np.where(part < 0.5, one, other)
    found = np.where((one < 0) | (other < 0) | (other - one > 2), nearer, between)
    return np.where(found < 0, np.nan, found)


def _numbers(position: Array, phases: Sequence[Phase]) -> list[int | None]:
    """(n,) which phase each position is in."""
    starts = [phase.start for phase in phases]
    ends = [phase.end for phase in phases]
    if not starts:
        return [None] * len(position)
    number = np.searchsorted(starts, position, side="right") - 1  # NaN: behind all of them
    inside = (number >= 0) & (position < np.array(ends)[number])
    return [n if known else None for n, known in zip(number.tolist(), inside, strict=True)]
