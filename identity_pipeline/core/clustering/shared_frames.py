"""Tracks that were seen at once: two faces in one frame are two people."""

from __future__ import annotations

from itertools import combinations

import polars as pl


def shared_frame_pairs(tracks: pl.DataFrame) -> list[tuple[str, str]]:
    """Pairs of tracks of one video that have a face in the same frame, sorted.

    Args:
        tracks: table with track_key, video_id and frames (list of frame indices).
    """
    crowded = tracks.select("video_id", "track_key", "frames").filter(pl.len().over("video_id") > 1)
    seen: dict[str, list[tuple[str, set[int]]]] = {}
    for video, key, frames in crowded.sort("track_key").iter_rows():
        seen.setdefault(video, []).append((key, set(frames)))
    return sorted(
        (one, other)
        for several in seen.values()
        for (one, at), (other, at_once) in combinations(several, 2)
        if not at.isdisjoint(at_once)
    )
