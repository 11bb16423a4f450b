"""Tracks that were seen at once: two faces in one frame are two people."""

from __future__ import annotations

from itertools import combinations

import polars as pl


def shared_frame_pairs(tracks: pl.DataFrame) -> list[tuple[str, str]]:
    """Pairs of tracks of one video that have a face in the same frame, sorted.

    Args:
        tracks: table with track_key, video_id and frames (list of frame indices).
    """
    pairs: list[tuple[str, str]] = []
    crowded = tracks.filter(pl.len().over("video_id") > 1)
    for (_,), video in crowded.sort("track_key").group_by("video_id", maintain_order=True):
        frames = [set(row) for row in video["frames"].to_list()]
        keys = video["track_key"].to_list()
        pairs += [
            (keys[i], keys[j])
            for i, j in combinations(range(len(keys)), 2)
            if not frames[i].isdisjoint(frames[j])
        ]
    return sorted(pairs)
