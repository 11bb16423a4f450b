"""In what state each video is, by the names of files alone; a file is opened only of what is shown.

Coarser than `stages.planning.status`, which judges every output of every video: this is for lists
of a season, where opening ten files a video takes seconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.settings import Settings
from identity_pipeline.stages.specs.assets import VIDEO_SPECS
from identity_pipeline.stages.specs.current import FINISHED_BY
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.library.generations import Generations
from identity_pipeline.storage.progress.pause import paused
from identity_pipeline.storage.video.archive import Archive
from identity_pipeline.storage.video.chunks import unfinished
from identity_pipeline.storage.video.failures import DAMAGED, NOTE_DAMAGED, FailureNotes
from identity_pipeline.storage.video.outputs import MANIFEST
from identity_pipeline.storage.video.registry import VideoRegistry
from identity_pipeline.storage.video.tables import TableStore

SETS: Final = FINISHED_BY
"""Its note and its export are what a person waits for."""
LAST: Final = (SETS, "frame_ledger", "track_templates", "face_index")
"""A video is finished when all of these are there: nothing of a video is made of them."""
MILESTONES: Final = ("frames", "riders", "selection")
"""How far a video is that is not finished, in the order of the work."""


def with_sets(store: TableStore) -> set[str]:
    """Videos whose image sets are there, or the word that there are none; no file is opened."""
    noted = store.videos_noted(SETS)
    return {video_id for video_id in noted if store.layout.export(video_id).is_dir()}


def finished(store: TableStore, settings: Settings) -> set[str]:
    """Videos of which everything is there and the last attempt did not fail; no file is opened.

    Args:
        store: the tables.
        settings: whether the index is kept.
    """
    there = [store.videos_noted(name) for name in _last_notes(settings) if name != SETS]
    return set.intersection(with_sets(store), *there) - FailureNotes(store.layout).ids()


def is_finished(store: TableStore, settings: Settings, video_id: str) -> bool:
    """The same of one video, now."""
    layout = store.layout
    return (
        layout.export(video_id).is_dir()
        and all(store.outputs.has(name, video_id, MANIFEST) for name in _last_notes(settings))
        and video_id not in FailureNotes(layout).ids()
    )


def _last_notes(settings: Settings) -> list[str]:
    """Those of `LAST` that leave a note: the index does not, where it is switched off."""
    return [name for name in LAST if not VIDEO_SPECS[name].leaves_nothing(settings)]


class Kind(StrEnum):
    """What is said of a video in a list; exactly one."""

    FAILED = "failed"
    DONE = "done"
    ARCHIVED = "archived"
    PAUSED = "paused"
    BEGUN = "begun"
    WAITING = "waiting"


@dataclass(frozen=True)
class VideoList:
    """All registered videos and what there is of them.

    Attributes:
        ids: registered, the newest first.
        failed, archived: of which there is a note, or a mark.
        finished: whose image sets are there, or the word that there are none.
        reached: of each milestone, the videos that reached it.
        chunks: finished chunks that are kept, by video.
        stopped: a pause is in force.
        copy_of: the video that counts in place of a copy, by the library in force.
    """

    layout: Layout
    ids: tuple[str, ...]
    failed: frozenset[str]
    archived: frozenset[str]
    finished: frozenset[str]
    reached: dict[str, frozenset[str]]
    chunks: Counter[str]
    stopped: bool
    copy_of: Mapping[str, str]

    @classmethod
    def of(cls, store: TableStore) -> VideoList:
        """The list now."""
        chunks: Counter[str] = Counter()
        for (_, video_id), count in unfinished(store.layout).items():
            chunks[video_id] += count
        return cls(
            store.layout,
            tuple(VideoRegistry(store.layout).newest_first()),
            frozenset(FailureNotes(store.layout).ids()),
            frozenset(Archive(store.layout).ids()),
            frozenset(with_sets(store)),
            {name: frozenset(store.videos_noted(name)) for name in MILESTONES},
            chunks,
            paused(store.layout) is not None,
            _copies(store.layout),
        )

    def kind(self, video_id: str) -> Kind:
        """The state of one video."""
        if video_id in self.failed:
            return Kind.FAILED
        if video_id in self.archived:  # it was finished; its export may have been taken elsewhere
            return Kind.ARCHIVED
        if video_id in self.finished:
            return Kind.DONE
        if self.chunks[video_id] or any(video_id in there for there in self.reached.values()):
            return Kind.PAUSED if self.stopped else Kind.BEGUN
        return Kind.WAITING

    def counts(self) -> Counter[Kind]:
        """How many videos are in each state."""
        return Counter(self.kind(video_id) for video_id in self.ids)

    def chosen(self, kinds: Sequence[Kind]) -> list[str]:
        """Those in some states, the newest first; all where no state is named."""
        return [v for v in self.ids if not kinds or self.kind(v) in kinds]

    def words(self, video_id: str) -> str:
        """The state of one video with what a person wants to know of it."""
        kind = self.kind(video_id)
        if kind is Kind.FAILED:
            note = FailureNotes(self.layout).get(video_id)
            if note is not None and note.code in (DAMAGED, NOTE_DAMAGED):
                return f"damaged: {note.sentence}"
            return f"failed: {note.code} - {note.sentence}" if note else "failed"
        copied = f", a copy of {self.copy_of[video_id]}" if video_id in self.copy_of else ""
        return f"{self._reached(video_id, kind)}{copied}"

    def _reached(self, video_id: str, kind: Kind) -> str:
        if kind is Kind.ARCHIVED:
            return "done (archived)"
        if kind in (Kind.DONE, Kind.WAITING):
            return kind.value
        count = self.chunks[video_id]
        kept = f", {count} chunks of the next step are kept" if count else ""
        reached = [name for name in MILESTONES if video_id in self.reached[name]]
        return f"{kind.value}: {f'{reached[-1]} is there' if reached else 'the first pass'}{kept}"


def _copies(layout: Layout) -> dict[str, str]:
    """Copies by the library in force; a list of videos is shown without a library too."""
    try:
        with Generations(layout).open() as snapshot:
            table = snapshot.table("video_copies")
    except IdentityPipelineError:
        return {}
    return dict(table.select("video_id", "copy_of").iter_rows())
