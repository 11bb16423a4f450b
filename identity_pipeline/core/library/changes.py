"""What a recomputation of the library moved: tracks by where they were and where they are.

Belongs here: comparing two tables `person_assignments`. Does not belong here: what people decided
(`ledger.effects`), or why the machine places a track (`core.matching.assignment`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

NEW, GONE = "new in the library", "no longer in the library"


@dataclass(frozen=True)
class Move:
    """Tracks that went the same way.

    Attributes:
        before, after: where they were and are, as displayed.
        tracks: which, sorted.
    """

    before: str
    after: str
    tracks: tuple[str, ...]

    def __str__(self) -> str:
        """`3 tracks from unknown_cluster_5 to person Ada`."""
        number = len(self.tracks)
        return f"{number} {'track' if number == 1 else 'tracks'} from {self.before} to {self.after}"


@dataclass(frozen=True)
class LibraryChanges:
    """What is different.

    Attributes:
        moves: by falling number of tracks.
        new_clusters: ids that are in use and were not before, ascending.
        retired_clusters: the other way round.
        suggested: tracks for which somebody is suggested now and was not before.
    """

    moves: tuple[Move, ...]
    new_clusters: tuple[int, ...]
    retired_clusters: tuple[int, ...]
    suggested: tuple[str, ...]


def place_of(row: Mapping[str, Any], called: Callable[[str], str]) -> str:
    """Where a row of `person_assignments` puts its track, in words.

    Args:
        row: the row.
        called: how a person is called, by id.
    """
    if row["state"] == "known":
        return f"person {called(row['person_id'])}"
    if row["state"] in ("ignored", "not_a_face"):
        return row["state"].replace("_", " ")
    return "noise" if row["cluster_id"] is None else f"unknown_cluster_{row['cluster_id']}"


def library_changes(
    before: pl.DataFrame, after: pl.DataFrame, called: Callable[[str], str]
) -> LibraryChanges:
    """The difference of two tables `person_assignments`.

    Args:
        before: the table as it was.
        after: the table as it is.
        called: how a person is called, by id.
    """
    old_clusters, new_clusters = (
        set(table["cluster_id"].drop_nulls().to_list()) for table in (before, after)
    )
    old_asked, new_asked = (
        set(table.filter(state="suggested").select("track_key", "person_id").iter_rows())
        for table in (before, after)
    )
    return LibraryChanges(
        _moves(before, after, called),
        tuple(sorted(new_clusters - old_clusters)),
        tuple(sorted(old_clusters - new_clusters)),
        tuple(sorted(key for key, _ in new_asked - old_asked)),
    )


def _moves(
    before: pl.DataFrame, after: pl.DataFrame, called: Callable[[str], str]
) -> tuple[Move, ...]:
    old, new = (
        {row["track_key"]: place_of(row, called) for row in table.iter_rows(named=True)}
        for table in (before, after)
    )
    groups: dict[tuple[str, str], list[str]] = {}
    for key in sorted(old.keys() | new.keys()):
        way = old.get(key, NEW), new.get(key, GONE)
        if way[0] != way[1]:
            groups.setdefault(way, []).append(key)
    moves = [Move(*way, tuple(keys)) for way, keys in groups.items()]
    return tuple(sorted(moves, key=lambda move: (-len(move.tracks), move.before, move.after)))
