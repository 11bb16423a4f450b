"""Confirms copies by the faces of two videos that look like one ride, and matches their tracks.

Two rides of one car with the same background differ where the riders sit, and nowhere else; a copy
with a counter burned in differs anywhere else. So what the hashes say of the whole picture is
looked at once more where the faces are.

What belongs here: faces of two videos at the same time. What does not: the whole picture
(`core.video.copies`), or who anybody is.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

import numpy as np
import polars as pl

from identity_pipeline.core.video.copies import BITS, COLUMNS, NEAR_MS, ROWS, Look, nearest

OVERLAP: Final = 0.3
"""Intersection over union from which two boxes are of one face: frames differ by up to 60 ms."""
FACES_MIN: Final = 3
"""So many faces must lie in one place, and over half of all that could."""
SIGNS_MIN: Final = 60
"""Of fewer signs nothing is said: a face far away, or hardly any time in common."""
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
    for _, faces in other.group_by("track_id", maintain_order=True):
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
                found[faces["track_id"][0]] = most
    return found


def face_likeness(one: Look, other: Look, offset_ms: float, faces: pl.DataFrame) -> float | None:
    """How alike two videos are where the faces of the second are.

    Args:
        one: hashed frames.
        other: hashed frames of the video whose faces they are.
        offset_ms: added to the times of `other`, gives those of `one`.
        faces: see `same_tracks`, of `other`.

    Returns:
        The least of its tracks: the share of the signs within their faces' boxes that agree, of
        those that are large in both. None where no track has enough of them.
    """
    if not faces.height:
        return None
    mine, near = nearest(one, other, offset_ms)
    place = {
        float(other.time_ms[j]): (i, j) for i, j in zip(near.tolist(), mine.tolist(), strict=True)
    }
    # The sign between two rows lies on their border.
    x = np.tile((np.arange(COLUMNS) + 0.5) / COLUMNS, ROWS - 1)
    y = np.repeat(np.arange(1, ROWS) / ROWS, COLUMNS)
    counted: Counter[int] = Counter()
    agreed: Counter[int] = Counter()
    for track, time, x1, y1, x2, y2 in faces.select("track_id", "time_ms", *CORNERS).iter_rows():
        if time not in place:
            continue
        i, j = place[time]
        inside = (x >= x1) & (x <= x2) & (y >= y1) & (y <= y2)
        large = _bits(one.large[i] & other.large[j]) & inside
        counted[track] += int(large.sum())
        agreed[track] += int((large & ~_bits(one.signs[i] ^ other.signs[j])).sum())
    shares = [agreed[track] / n for track, n in counted.items() if n >= SIGNS_MIN]
    return min(shares, default=None)


def _bits(words: np.ndarray) -> np.ndarray:
    return np.unpackbits(np.ascontiguousarray(words).view(np.uint8), count=BITS).astype(bool)


def _overlaps(boxes: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Intersection over union of (n, 4) boxes with one."""
    low, high = np.maximum(boxes[:, :2], box[:2]), np.minimum(boxes[:, 2:], box[2:])
    inside = np.clip(high - low, 0, None).prod(axis=1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) + (box[2:] - box[:2]).prod()
    return inside / np.maximum(areas - inside, 1e-12)
