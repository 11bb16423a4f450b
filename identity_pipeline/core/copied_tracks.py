"""Which track of one video is which of a copy of it: where both see a face at the same time.

What belongs here: tracks of two videos of one ride. What does not: whether they are of one ride
(`core.copies`), or who anybody is.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

import numpy as np
import polars as pl

from identity_pipeline.core.copies import NEAR_MS

OVERLAP: Final = 0.3
"""Intersection over union from which two boxes are of one face: frames differ by up to 60 ms."""
FACES_MIN: Final = 3
"""So many faces must lie in one place, and over half of all that could."""
CORNERS: Final = ("x1", "y1", "x2", "y2")


def same_tracks(one: pl.DataFrame, other: pl.DataFrame, offset_ms: float) -> dict[int, int]:
    """The track of the first video that each track of the second is, where there is one.

    Args:
        one: track_id, time_ms, x1, y1, x2, y2 of each face, boxes as shares of the frame's sides.
        other: the same of the copy.
        offset_ms: added to the times of `other`, gives those of `one`.
    """
    if not one.height or not other.height:
        return {}
    ordered = one.sort("time_ms")
    times, tracks = ordered["time_ms"].to_numpy(), ordered["track_id"].to_numpy()
    boxes = ordered.select(CORNERS).to_numpy().astype(np.float64)
    found: dict[int, int] = {}
    for (track,), faces in other.group_by("track_id", maintain_order=True):
        votes: Counter[int] = Counter()
        seen = 0
        for time, *box in faces.select("time_ms", *CORNERS).iter_rows():
            at = time + offset_ms
            start, end = np.searchsorted(times, [at - NEAR_MS, at + NEAR_MS])
            if start == end:
                continue
            seen += 1
            overlaps = _overlaps(boxes[start:end], np.asarray(box, np.float64))
            best = int(np.argmax(overlaps))
            if overlaps[best] >= OVERLAP:
                votes[int(tracks[start + best])] += 1
        if votes:
            most, count = min(votes.items(), key=lambda item: (-item[1], item[0]))
            if count >= FACES_MIN and 2 * count > seen:
                found[int(str(track))] = most
    return found


def _overlaps(boxes: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Intersection over union of (n, 4) boxes with one."""
    low, high = np.maximum(boxes[:, :2], box[:2]), np.minimum(boxes[:, 2:], box[2:])
    inside = np.clip(high - low, 0, None).prod(axis=1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) + (box[2:] - box[:2]).prod()
    return inside / np.maximum(areas - inside, 1e-12)
