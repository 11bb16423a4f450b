"""Unknown groups and tracks in no group, a page at a time, without what humans settled since."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from identity_pipeline.core.review.questions import Bars
from identity_pipeline.core.review.splitting import Proposal, propose_splits
from identity_pipeline.core.review.words import likeness_in_words
from identity_pipeline.stages.curation.snapshot import LibrarySnapshot
from identity_pipeline.stages.desk.asking import Track, tracks_shown, vectors_of

EACH: Final = 50
"""Groups, or tracks, of a page; chosen."""
FACES: Final = 4
"""Tracks of a group that are shown in the grid; chosen."""
PARTED: Final = 500
"""A group of more tracks is not looked through for parts; chosen: a second."""


@dataclass(frozen=True)
class Group:
    """An unknown group as the grid shows it.

    Attributes:
        number: its number.
        tracks: all that are open.
        shown: the first of them.
        faces, rides: counts.
        confidence: mean cosine of its tracks; null where that is not known.
        likeness: the same in words.
        settled: how many of it humans settled since it was made.
    """

    number: int
    tracks: Sequence[str]
    shown: Sequence[Track]
    faces: int
    rides: int
    confidence: float | None
    likeness: str
    settled: int


def _settled(library: LibrarySnapshot) -> list[str]:
    """Tracks with a place by human decision, and those set aside."""
    state = library.state
    return sorted({*state.assigned, *state.ignored, *state.not_faces})


def _open_groups(library: LibrarySnapshot) -> pl.DataFrame:
    """Groups with open tracks, the largest first: also `open`, those tracks."""
    table = library.table("unknown_clusters")
    tracks = table.select("cluster_id", open="tracks").explode("open", empty_as_null=True)
    left = tracks.filter(pl.col("open").is_not_null() & ~pl.col("open").is_in(_settled(library)))
    there = left.group_by("cluster_id", maintain_order=True).agg("open")
    return table.join(there, on="cluster_id").sort(
        ["face_count", "cluster_id"], descending=[True, False]
    )


def groups(library: LibrarySnapshot, number: int, bars: Bars | None) -> tuple[list[Group], int]:
    """A page of groups, from 1, and how many there are in all."""
    table = _open_groups(library)
    rows = table.slice((number - 1) * EACH, EACH).to_dicts()
    wanted = [key for row in rows for key in row["open"][:FACES]]
    shown = {track.key: track for track in tracks_shown(library, wanted, {}, bars)}
    found = [
        Group(
            row["cluster_id"],
            row["open"],
            [shown[key] for key in row["open"][:FACES]],
            row["face_count"],
            row["video_count"],
            row["confidence"],
            likeness_in_words(row["confidence"], bars),
            row["track_count"] - len(row["open"]),
        )
        for row in rows
    ]
    return found, table.height


def open_tracks(library: LibrarySnapshot, number: int) -> list[str]:
    """The open tracks of a group; none where there is no such group any more."""
    rows = _open_groups(library).filter(pl.col("cluster_id") == number)
    return rows["open"][0].to_list() if rows.height else []


def alone(library: LibrarySnapshot, number: int) -> tuple[list[str], int]:
    """A page of tracks that are in no group, from 1, and how many there are in all."""
    none = pl.col("cluster_id").is_null() & pl.col("state").is_in(["noise", "suggested"])
    table = library.table("person_assignments").filter(
        none & ~pl.col("track_key").is_in(_settled(library))
    )
    keys = table["track_key"].sort()
    return keys.slice((number - 1) * EACH, EACH).to_list(), table.height


def parts(library: LibrarySnapshot, tracks: Sequence[str]) -> Proposal | None:
    """How a group falls apart best by look; None: it does not, or is too large to be looked at."""
    if len(tracks) > PARTED:
        return None
    vectors = vectors_of(library, tracks)
    if len({space for space, _ in vectors.values()}) != 1:
        return None
    keys = list(vectors)
    matrix = np.stack([vectors[key][1] for key in keys])
    apart = [pair for pair in library.state.apart if set(pair) <= set(keys)]
    return next(iter(propose_splits(keys, matrix, apart)), None)
