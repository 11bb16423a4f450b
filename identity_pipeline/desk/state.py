"""What the desk holds while it runs: settings, stores, and the library as it was last read.

Nothing here is known to the desk alone: all of it is read from the data folder, and may be read
anew at any time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import RLock

from identity_pipeline.desk.access import Access
from identity_pipeline.settings import Settings
from identity_pipeline.stages.curation.settling import ASSETS
from identity_pipeline.stages.curation.snapshot import LibrarySnapshot
from identity_pipeline.stages.stores import LibraryStores

TOLD = 1000
"""So many effects are remembered in the words of when they were decided; chosen."""
Stamp = tuple[object, ...]


@dataclass
class Desk:
    """One data folder, served.

    Attributes:
        settings: in force.
        stores: of the data folder.
        access: who may come in.
        told: effect of events that were decided here, in words, by id; others are told by replay.
    """

    settings: Settings
    stores: LibraryStores
    access: Access
    told: OrderedDict[str, str] = field(default_factory=OrderedDict)
    _lock: RLock = field(default_factory=RLock)
    _seen: tuple[Stamp, LibrarySnapshot] | None = None

    def library(self) -> LibrarySnapshot:
        """The library now; read anew only where ledger, tables or generation changed."""
        stamp = self._stamp()
        with self._lock:
            if self._seen is None or self._seen[0] != stamp:
                opened = LibrarySnapshot.open(self.stores, now(), write=False)
                self._seen = stamp, opened
            return self._seen[1]

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


def now() -> str:
    """The time, in UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
