"""A memory of which videos' decisions were found again in which tables: only news is read.

It may be deleted at any time; what does not fit the ledger or the tables is looked at again. A
table is renamed into its folder, so that a folder whose time is the same has the same tables.
"""

from __future__ import annotations

import json
import time
from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from identity_pipeline.ledger import events as ev
from identity_pipeline.ledger.replay import History
from identity_pipeline.storage.files import atomic, small_files
from identity_pipeline.storage.layout import Layout

VERSION = 1
ASSETS = ("face_tracks", "face_detections", "track_templates")
"""Tables that say which track a face is of."""
EVERY = 64
"""Events after which the memory is written although nothing else is new."""
SLACK_NS = 2_000_000_000
"""A folder that changed so shortly before it was looked at may change again in the same instant."""


@dataclass
class Settled:
    """What was settled.

    Attributes:
        seq: events that were there.
        last: id of the last of them.
        at: when the tables were looked at, in nanoseconds since 1970.
        folders: time of change of each folder of tables.
        videos: video -> which tables it had.
        version: of this file.
    """

    seq: int = 0
    last: str = ""
    at: int = 0
    folders: list[int] = field(default_factory=list)
    videos: dict[str, str] = field(default_factory=dict)
    version: int = VERSION


@dataclass
class Settling:
    """The videos to look at now, and the note on it afterwards.

    Attributes:
        layout: the data folder.
        history: the ledger.
        tables: video with decisions that may be on other tracks than they were -> which tables it
            had before anybody read them: what is written meanwhile is looked at the next time.
    """

    layout: Layout
    history: History
    tables: dict[str, str]
    _before: Settled
    _now: Settled

    @classmethod
    def of(cls, layout: Layout, history: History) -> Settling:
        """Compares the memory with ledger and tables."""
        before = _read(_path(layout))
        now = Settled(len(history.events), "", time.time_ns(), _folders(layout))
        if history.events:
            now.last = history.events[-1].id
        if not _begins(history, before):
            before = Settled()
            # An empty memory knows no video, so all of the book are new.
            new = {video_in(subject) for subject in history.anchors}
        else:
            new = _named(history.events[before.seq :], before.videos)
        quiet = before.folders == now.folders and all(
            changed < before.at - SLACK_NS for changed in now.folders
        )
        tables = {video: _tables(layout, video) for video in sorted(new)}
        if not quiet:
            present = {video: _tables(layout, video) for video in before.videos}
            tables |= {v: there for v, there in present.items() if there != before.videos[v]}
        return cls(layout, history, tables, before, now)

    @property
    def videos(self) -> frozenset[str]:
        """The videos to look at."""
        return frozenset(self.tables)

    def note(self) -> None:
        """Notes that every decision of these videos is where it was."""
        same = self._before.folders == self._now.folders
        if not self.tables and same and self._now.seq - self._before.seq < EVERY:
            return
        self._now.videos = {**self._before.videos, **self.tables}
        noted = json.dumps(vars(self._now), sort_keys=True)
        atomic.write_bytes(_path(self.layout), noted.encode())


def video_in(subject: str) -> str:
    """The video of a subject that is known to be one: the last but one of its parts."""
    return subject.rsplit(":", 2)[1]


def _path(layout: Layout) -> Path:
    return layout.ledger.with_name("settled.json")


def _read(path: Path) -> Settled:
    noted = small_files.recall(path, Settled)
    return noted if noted and noted.version == VERSION else Settled()


def _begins(history: History, noted: Settled) -> bool:
    events = history.events
    return 0 < noted.seq <= len(events) and events[noted.seq - 1].id == noted.last


def _named(events: Iterable[ev.Event], known: Container[str]) -> set[str]:
    """Videos that events name first, or of whose tracks they change the names.

    A decision names faces as the tables show them then. Where the tables are still those that were
    noted, its tracks are where it found them.
    """
    found: set[str] = set()
    for event in events:
        if isinstance(event, ev.Renumbered):
            names = [name for pair in event.renames for name in pair]
            found.update(map(video_in, (*names, *event.not_found)))
        named = {anchor.video_id for anchor in event.anchors}
        found.update(video for video in named if video not in known)
    return found


def _folders(layout: Layout) -> list[int]:
    folders = [layout.tables / asset for asset in ASSETS]
    return [folder.stat().st_mtime_ns if folder.is_dir() else 0 for folder in folders]


def _tables(layout: Layout, video_id: str) -> str:
    """Changes with each table of a video."""
    marks = []
    for asset in ASSETS:
        try:
            found = layout.table(asset, video_id).stat()
            marks.append(f"{found.st_mtime_ns}/{found.st_size}/{found.st_ino}")
        except FileNotFoundError:
            marks.append("-")
    return " ".join(marks)
