"""Whether the heads of two videos that look like one ride are the same heads at the same moments.

Scenery may be the same to the sign on every ride of a track, and then says nothing. Riders are not:
others look otherwise, and the same ones move otherwise the next time. So two videos are copies only
where the heads in one place move alike and are of one person. What cannot be told, of a still head
or a poor face, says nothing against it.

What belongs here: tracks of two videos that are in the same place (`copied_tracks.same_tracks`).
What does not: which these are, or the pictures themselves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from identity_pipeline.core.video.copied_tracks import CORNERS

MOMENTS_MIN: Final = 30
"""At so many moments both must show the head, three seconds at the default rate: where something
passes before a face its track breaks, and the pieces are the worst of it."""
MOVES_MIN: Final = 0.06
"""So far a head must move, by its standard deviation in sizes of the face: the boxes of a copy at
a quarter of the size lie .03 beside those of the original."""
GAP_MS: Final = 250.0
"""Boxes that are further apart in time say nothing of where the head was between them."""
FAR: Final = 1.0
"""Further from its usual place, in sizes of the face, a head counts as if it were there: that is a
face taken for another."""
FACES_MIN: Final = 3
"""Of fewer faces it is not told how alike a person's own are."""

Vectors = Mapping[int, NDArray[np.float32]]
"""Unit vectors (n, d) of the good faces of each track."""


def lasting(one: pl.DataFrame, other: pl.DataFrame, same: Mapping[int, int]) -> dict[int, int]:
    """The tracks in the same places that are long enough to say something, in both videos.

    Args:
        one: table with a track_id for each face.
        other: the same of the other video.
        same: track of `one` by that of `other`.
    """
    mine, theirs = (Counter(faces["track_id"].to_list()) for faces in (one, other))
    return {b: a for b, a in same.items() if min(mine[a], theirs[b]) >= MOMENTS_MIN}


def heads_likeness(
    one: pl.DataFrame, other: pl.DataFrame, offset_ms: float, same: Mapping[int, int]
) -> float | None:
    """How alike the heads in the same places move.

    Args:
        one: track_id, time_ms and boxes, see `copied_tracks.same_tracks`.
        other: the same of the other video.
        offset_ms: added to the times of `other`, gives those of `one`.
        same: track of `one` by that of `other`.

    Returns:
        The least of the tracks: 1 of the same movement, 0 of another one, less of a contrary one.
        None where no head moves enough.
    """
    mine, theirs = _courses(one), _courses(other)
    found = (_alike(mine[a], theirs[b], offset_ms) for b, a in same.items())
    return min((share for share in found if share is not None), default=None)


def people_likeness(one: Vectors, other: Vectors, same: Mapping[int, int]) -> float | None:
    """How alike the people in the same places are, against how alike each one's own faces are.

    A ratio, so that it means the same of every recogniser, and of a copy whose faces suffered.

    Args:
        one: vectors of the faces of each track.
        other: the same of the other video.
        same: track of `one` by that of `other`.

    Returns:
        The least of the tracks: about 1 of one person, about 0 of two. None where no track has
        enough faces in both.
    """
    pairs = ((one[a], other[b]) for b, a in same.items() if a in one and b in other)
    shares = [
        float(np.median(left @ right.T)) / max(min(_own(left), _own(right)), 1e-6)
        for left, right in pairs
        if min(len(left), len(right)) >= FACES_MIN
    ]
    return min(shares, default=None)


def _own(vectors: NDArray[np.float32]) -> float:
    """The usual cosine of two faces of a track."""
    return float(np.median((vectors @ vectors.T)[np.triu_indices(len(vectors), 1)]))


def _courses(faces: pl.DataFrame) -> dict[int, NDArray[np.float64]]:
    """When and where the head of each track is: rows of time, x, y, width, height, in order."""
    x1, y1, x2, y2 = (pl.col(corner).cast(pl.Float64) for corner in CORNERS)
    places = faces.sort("time_ms").select(
        "track_id", "time_ms", x=(x1 + x2) / 2, y=(y1 + y2) / 2, width=x2 - x1, height=y2 - y1
    )
    return {
        track: part.drop("track_id").to_numpy().T
        for (track,), part in places.group_by("track_id", maintain_order=True)
    }


def _alike(one: NDArray[np.float64], other: NDArray[np.float64], offset_ms: float) -> float | None:
    """The share that two courses have in common of their movements, in both directions together."""
    times, at = one[0], other[0] + offset_ms
    after = np.searchsorted(times, at).clip(1, len(times) - 1) if len(times) > 1 else None
    if after is None:
        return None
    inside = (times[after - 1] <= at) & (at <= times[after])
    known = inside & (times[after] - times[after - 1] <= GAP_MS)
    if known.sum() < MOMENTS_MIN:
        return None
    common = moved = 0.0
    for place, size in ((1, 3), (2, 4)):
        of_face = float(np.median(one[size]))
        mine = _from_usual(np.interp(at[known], times, one[place]) / of_face)
        theirs = _from_usual(other[place][known] / of_face)
        common += 2 * float(mine @ theirs)
        moved += float(mine @ mine + theirs @ theirs)
    still = moved / (2 * int(known.sum())) < MOVES_MIN**2
    return None if still else common / moved


def _from_usual(places: NDArray[np.float64]) -> NDArray[np.float64]:
    return (places - np.median(places)).clip(-FAR, FAR)
