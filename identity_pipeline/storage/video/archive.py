"""Which finished videos were archived: their partition left Dagster, everything else stays.

A mark is one file per video. Tables, exports, registration and people are where they were; only
the sensor and the sweep look here, so that an archived video does not become a partition again.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from pathlib import Path

from identity_pipeline.storage.files import atomic, small_files
from identity_pipeline.storage.layout import Layout, check_video_id

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class ArchiveMark:
    """One archived video.

    Attributes:
        archived_at: ISO time with a zone.
        finished_at: when its export was finished, or it failed for good.
    """

    archived_at: str
    finished_at: str


@dataclass(frozen=True)
class Archive:
    """The marks in `data/archive`."""

    layout: Layout

    @property
    def folder(self) -> Path:
        """The folder of all marks."""
        return self.layout.root / "archive"

    def _path(self, video_id: str) -> Path:
        return self.folder / f"{check_video_id(video_id)}.json"

    def ids(self) -> set[str]:
        """All archived videos; no file is opened."""
        return {path.stem for path in self.folder.glob("*.json") if not atomic.is_temporary(path)}

    def get(self, video_id: str) -> ArchiveMark | None:
        """The mark of a video, or None; that of a damaged file says nothing but that it is one."""
        mend = f"`identity-pipeline archive --undo {video_id}` takes the mark away."
        try:
            return small_files.read(self._path(video_id), ArchiveMark, mend)
        except small_files.DamagedFileError as error:
            LOG.warning("%s", error)
            return ArchiveMark("", "")

    def put(self, video_id: str, mark: ArchiveMark) -> None:
        """Marks a video as archived."""
        atomic.write_json(self._path(video_id), asdict(mark))

    def remove(self, video_id: str) -> None:
        """Takes a mark away."""
        self._path(video_id).unlink(missing_ok=True)
