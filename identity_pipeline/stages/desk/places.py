"""Where each curator was in the queue: on the disk, so that a reload or a restart loses nothing.

No decision is in here; it may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from identity_pipeline.storage.files import atomic, private, small_files
from identity_pipeline.storage.layout import Layout

LATER_MAX = 10_000
"""So many questions that were put off are remembered; chosen."""


@dataclass(frozen=True)
class Place:
    """Where somebody was.

    Attributes:
        shown: key of the question that was on the screen.
        later: keys of those that were put off, in the order in which they were; they come last.
        seen: keys of those that need no answer any more, though nothing was decided.
        done: questions answered since nothing was open.
    """

    shown: str = ""
    later: list[str] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    done: int = 0

    def put_off(self, key: str) -> Place:
        """The same, after a question was put off."""
        return replace(self, later=[*(k for k in self.later if k != key), key][-LATER_MAX:])

    def closed(self, key: str) -> Place:
        """The same, after a question was answered without a decision."""
        return replace(self, seen=[*self.seen, key][-LATER_MAX:], done=self.done + 1)


def read_place(layout: Layout, curator: str) -> Place:
    """Where a curator was; the beginning where that is not known."""
    return small_files.recall(_path(layout, curator), Place) or Place()


def write_place(layout: Layout, curator: str, place: Place) -> None:
    """Notes where a curator is."""
    path = _path(layout, curator)
    for folder in (path.parent.parent, path.parent):
        private.make_folder(folder)
    atomic.write_bytes(path, json.dumps(asdict(place), sort_keys=True).encode())


def _path(layout: Layout, curator: str) -> Path:
    digest = hashlib.sha256(curator.encode()).hexdigest()[:32]
    return layout.desk_curators / f"{digest}.json"
