"""What the desk holds while it runs: settings, stores, and the library as it was last read.

Nothing here is known to the desk alone: all of it is read from the data folder, and may be read
anew at any time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import RLock

import polars as pl

from identity_pipeline.desk.access import Access
from identity_pipeline.desk.background import Behind
from identity_pipeline.ledger import events as ev
from identity_pipeline.ledger import subjects as ids
from identity_pipeline.settings import Settings
from identity_pipeline.stages.curation.settling import ASSETS
from identity_pipeline.stages.curation.snapshot import LibrarySnapshot
from identity_pipeline.stages.stores import LibraryStores

TOLD = 1000
"""So many effects are remembered in the words of when they were decided; chosen."""
LOOKED_AT = 500
"""Of so many tracks the faces are counted: each ride of them is a file to be read; chosen."""
Stamp = tuple[object, ...]


@dataclass
class Desk:
    """One data folder, served.

    Attributes:
        settings: in force.
        stores: of the data folder.
        access: who may come in.
        behind: what is made anew after decisions.
        told: effect of events that were decided here, in words, by id; others are told by replay.
    """

    settings: Settings
    stores: LibraryStores
    access: Access
    behind: Behind
    told: OrderedDict[str, str] = field(default_factory=OrderedDict)
    _lock: RLock = field(default_factory=RLock)
    _seen: tuple[Stamp, LibrarySnapshot] | None = None

    def library(self) -> LibrarySnapshot:
        """The library now; read anew only where ledger, tables or generation changed.

        Where rides were processed anew it is noted which track is which, as before each decision:
        pages are made of a head that the ledger has.
        """
        stamp = self._stamp()
        with self._lock:
            if self._seen is None or self._seen[0] != stamp:
                before = self._seen[1] if self._seen else None
                seen = before.history if before else None
                opened = LibrarySnapshot.open(self.stores, now(), write=True, seen=seen)
                if before and before.generation == opened.generation:
                    opened = before.after(opened.history)
                if before and before.state.forgotten != opened.state.forgotten:
                    self.told.clear()  # they name who was forgotten
                self._seen = stamp, opened
            return self._seen[1]

    def follow(self, event: ev.Event) -> None:
        """Has what a decision changes made anew: the library, or the sets of a ride."""
        videos = {ids.parse(subject).video_id for subject in event.named_subjects}
        meant = event
        while isinstance(meant, ev.Undone):
            meant = self.library().history.event(meant.event_id)
            videos = {ids.parse(subject).video_id for subject in meant.named_subjects}
        if meant.kind.startswith("picture_"):
            self.remake(videos)
        else:
            self.behind.update()

    def remake(self, videos: Iterable[str]) -> None:
        """Has the image sets of rides made anew, as far as their files are there."""
        self.behind.remake(self._files_of(videos))

    def _files_of(self, videos: Iterable[str]) -> dict[str, Path]:
        """The source files of rides, as far as they are there; of photo sets nothing is made."""
        rides = sorted(set(videos) & set(self.stores.videos.ids()))
        records = [self.stores.videos.find(video_id) for video_id in rides]
        files = {record.video_id: record.existing_path() for record in records if record}
        return {video_id: path for video_id, path in files.items() if path.is_file()}

    def tell(self, effects: Mapping[str, str]) -> None:
        """Remembers what events did, in words."""
        with self._lock:
            self.told.update(effects)
            while len(self.told) > TOLD:
                self.told.popitem(last=False)

    def _stamp(self) -> Stamp:
        layout = self.stores.layout
        paths = [layout.ledger, layout.tables / "library", *(layout.tables / a for a in ASSETS)]
        return tuple(
            (found.st_mtime_ns, found.st_size, found.st_ino) if found else None
            for found in (path.lstat() if path.exists() else None for path in paths)
        )


def faces_of(stores: LibraryStores, tracks: Sequence[str]) -> int | None:
    """How many faces tracks have together; null where there are too many to look.

    Args:
        stores: of the data folder.
        tracks: keys.
    """
    if len(tracks) > LOOKED_AT:
        return None
    library = LibrarySnapshot.open(stores, now(), write=False)
    table = library.templates({ids.parse(track).video_id for track in tracks})
    known = table.filter(pl.col("track_key").is_in(list(tracks)))
    return int(known["face_count"].sum())


def now() -> str:
    """The time, in UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
