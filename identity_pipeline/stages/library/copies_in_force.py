"""Copies of rides as a generation of the library knows them; finding them is in `copies`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from identity_pipeline.ledger.replay import History
from identity_pipeline.stages.curation.decisions import tracks_of_faces
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.library.snapshots import Snapshot
from identity_pipeline.storage.video.tables import TableStore

TABLE = "video_copies"


@dataclass(frozen=True)
class Copies:
    """What is left out of the library, and what takes its place.

    Attributes:
        of: the video that counts, by copy.
        place: the track that has the decisions on a copy's track, by that track.
        kept: tracks of copies that count themselves, because of a decision.
    """

    of: Mapping[str, str] = field(default_factory=dict)
    place: Mapping[str, str] = field(default_factory=dict)
    kept: frozenset[str] = frozenset()

    @classmethod
    def from_table(cls, table: pl.DataFrame) -> Copies:
        """From the table `video_copies`."""
        pairs = [
            pair
            for row in table.iter_rows(named=True)
            for pair in zip(row["decided"], row["stands_for"], strict=True)
        ]
        return cls(
            dict(table.select("video_id", "copy_of").iter_rows()),
            {track: other for track, other in pairs if other is not None},
            frozenset(track for track, other in pairs if other is None),
        )

    def counted(self, table: pl.DataFrame) -> pl.DataFrame:
        """The rows of a table of tracks, or of pairs of one video, that count."""
        if not self.of:
            return table
        copied = sorted(self.of)
        if "track_key" in table.columns:
            kept = pl.col("track_key").is_in(sorted(self.kept))
            return table.filter(~pl.col("video_id").is_in(copied) | kept)
        return table.filter(~pl.col("left_video").is_in(copied))

    def tracks(self, store: TableStore, history: History) -> dict[str, str]:
        """The track of each decided subject that is not its own: see `decisions.human_facts`."""
        found = tracks_of_faces(store, history)
        placed = {subject: self.place.get(track, track) for subject, track in found.items()}
        return {**self.place, **placed}


NONE = Copies()


def copies_in_force(stores: LibraryStores) -> Copies:
    """As the library that is in force knows them; none before the first."""
    return copies_of(stores.generations.find())


def copies_of(snapshot: Snapshot | None) -> Copies:
    """As a generation of the library knows them; none before the first."""
    return Copies.from_table(snapshot.table(TABLE)) if snapshot else NONE
