"""Why a video failed, kept beside the tables until it succeeds."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from identity_pipeline.storage import atomic
from identity_pipeline.storage.layout import Layout, check_video_id


@dataclass(frozen=True)
class FailureNote:
    """One failure.

    Attributes:
        code: stable reason code.
        sentence: what is wrong and what to do next.
        asset: where it happened.
        permanent: whether trying again cannot help.
    """

    code: str
    sentence: str
    asset: str
    permanent: bool


@dataclass(frozen=True)
class FailureNotes:
    """The notes in `data/failures`."""

    layout: Layout

    def _path(self, video_id: str) -> Path:
        return self.layout.root / "failures" / f"{check_video_id(video_id)}.json"

    def put(self, video_id: str, note: FailureNote) -> None:
        """Keeps a note, in place of an older one."""
        atomic.write_json(self._path(video_id), asdict(note))

    def get(self, video_id: str) -> FailureNote | None:
        """The note of a video, or None."""
        path = self._path(video_id)
        return FailureNote(**json.loads(path.read_text())) if path.is_file() else None

    def clear(self, video_id: str) -> None:
        """The video has succeeded."""
        self._path(video_id).unlink(missing_ok=True)
