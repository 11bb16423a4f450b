"""Decisions found again where videos were processed anew, and a memory of where that was done.

Only news is read. The memory may be deleted at any time; what does not fit the ledger or the
tables is looked at again. A table is renamed into its folder, so that a folder whose time is the
same has the same tables.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from identity_pipeline.ledger import anchors, commands
from identity_pipeline.ledger import events as ev
from identity_pipeline.ledger.commands import Planned
from identity_pipeline.ledger.errors import NoChangeError
from identity_pipeline.ledger.replay import History
from identity_pipeline.stages.specs.damage import PassedOver
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.files import atomic, small_files
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.outputs import Outputs
from identity_pipeline.storage.video.tables import TableStore

MACHINE = "identity-pipeline"
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
        tables = {video: _tables(layout, video) for video in sorted(new)}
        if not _quiet(before, now):
            present = {video: _tables(layout, video) for video in before.videos}
            tables |= {v: there for v, there in present.items() if there != before.videos[v]}
        return cls(layout, history, tables, before, now)

    @property
    def videos(self) -> frozenset[str]:
        """The videos to look at."""
        return frozenset(self.tables)

    def note(self) -> None:
        """Notes that every decision of these videos is where it was, where it can be written."""
        same = self._before.folders == self._now.folders
        if not self.tables and same and self._now.seq - self._before.seq < EVERY:
            return
        self._now.videos = {**self._before.videos, **self.tables}
        noted = json.dumps(vars(self._now), sort_keys=True)
        with contextlib.suppress(OSError):
            if os.access(_path(self.layout).parent, os.W_OK):
                atomic.write_bytes(_path(self.layout), noted.encode())


def present_faces(store: TableStore, book: Mapping[str, Sequence[ev.Anchor]]) -> pl.DataFrame:
    """Faces near the anchors of decisions, as the tables show them now.

    Args:
        store: the tables.
        book: subject -> its anchors.

    Of a video whose tables cannot be read there are none, so decisions on it keep their names.

    Returns:
        video_id, track_id, face_id, frame_idx, x1, y1, x2, y2.
    """
    wanted: dict[str, set[int]] = {}
    for several in book.values():
        for anchor in several:
            near = range(anchor.frame_idx - anchors.FRAMES_WITHIN, anchor.frame_idx + 3)
            wanted.setdefault(anchor.video_id, set()).update(near)
    parts, passed_over = [], PassedOver()
    for video_id in sorted(wanted):
        names = ("face_tracks", "face_detections")
        if not all(store.outputs.has(name, video_id) for name in names):
            continue
        with passed_over.reading(video_id):
            tracks = store.read("face_tracks", video_id, ("face_id", "frame_idx", "track_id"))
            faces = store.read("face_detections", video_id, _BOXES)
            if in_step(store, video_id, tracks):
                near = pl.col("frame_idx").is_in(sorted(wanted[video_id]))
                known = tracks.filter(near).select("face_id", "track_id")
                joined = faces.filter(near).join(known, on="face_id", how="left")
                parts.append(joined.with_columns(video_id=pl.lit(video_id)))
    return pl.concat([_NO_FACES, *(part.select(_NO_FACES.columns) for part in parts)])


def in_step(store: TableStore, video_id: str, tracks: pl.DataFrame) -> bool:
    """Whether a video's templates are of its present tracks.

    While a video is processed anew its tracks are new and its templates old: decisions keep their
    names until both fit.
    """
    if not store.outputs.has("track_templates", video_id):
        return True
    best = store.read("track_templates", video_id, ("best_face_id", "track_id"))
    named = best.rename({"best_face_id": "face_id"})
    return named.join(tracks, on=["face_id", "track_id"], how="anti").height == 0


_BOXES = ("face_id", "frame_idx", "x1", "y1", "x2", "y2")
_NO_FACES = pl.DataFrame(
    schema={
        "video_id": pl.String,
        "track_id": pl.Int64,
        "face_id": pl.String,
        "frame_idx": pl.Int64,
        **dict.fromkeys(("x1", "y1", "x2", "y2"), pl.Float32),
    }
)


def settle_ledger(
    stores: LibraryStores, now: str, *, write: bool = True, seen: History | None = None
) -> History:
    """The ledger, after noting where videos that were processed anew have other track numbers.

    With `write` False nothing is noted in the ledger, but the history is told as if it were. `seen`
    is an earlier history of the ledger, which need not be read again.
    """
    store, ledger = stores.tables, stores.ledger
    history = ledger.history(seen)
    settling = Settling.of(store.layout, history)
    found = _found_again(store, history, settling.videos)
    if not found.changes:
        if history.events:
            settling.note()
        return history
    stamp = commands.Stamp(MACHINE, now, "videos were processed anew")

    def noted(latest: History) -> Planned:
        there = found
        if latest.events != history.events:  # somebody else was faster
            there = _found_again(store, latest, Settling.of(store.layout, latest).videos)
        planned = commands.renumber(latest, stamp, there.found, there.not_found)
        if planned.state.state_hash == latest.state.state_hash:
            raise NoChangeError("Every decision is still where it was.")
        return planned

    carry_out = ledger.commit if write else ledger.preview
    try:
        return carry_out(noted).history
    except NoChangeError:
        if not write:
            return history
        settling.note()
        return ledger.history()


def _found_again(
    store: TableStore, history: History, videos: Collection[str]
) -> anchors.Resolution:
    """Where the subjects of some videos are now."""
    if not videos:
        return anchors.Resolution({}, (), ())
    book = {s: history.anchors[s] for s in history.anchors if video_in(s) in videos}
    return anchors.resolve(book, present_faces(store, book))


def video_in(subject: str) -> str:
    """The video of a subject that is known to be one: the last but one of its parts."""
    return subject.rsplit(":", 2)[1]


def _path(layout: Layout) -> Path:
    return layout.ledger.with_name("settled.json")


def _read(path: Path) -> Settled:
    noted = small_files.recall(path, Settled)
    return noted if noted and noted.version == VERSION else Settled()


def _quiet(before: Settled, now: Settled) -> bool:
    """Whether no table can have changed between the two."""
    same = before.folders == now.folders
    return same and all(changed < before.at - SLACK_NS for changed in now.folders)


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
    several = (Outputs(layout).find(asset, video_id) for asset in ASSETS)
    return " ".join(found.stamp if found else "-" for found in several)
