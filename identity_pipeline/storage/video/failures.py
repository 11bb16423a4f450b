"""Why a video failed, kept beside the tables until it succeeds; which errors heal by waiting."""

from __future__ import annotations

import errno
from dataclasses import asdict, dataclass
from pathlib import Path

from identity_pipeline.storage.files import atomic, small_files
from identity_pipeline.storage.files.locks import LockBusyError
from identity_pipeline.storage.layout import Layout, check_video_id
from identity_pipeline.storage.video.registry import mending_command

PASSING = frozenset(
    {
        errno.EAGAIN,
        errno.EBUSY,
        errno.ECONNREFUSED,
        errno.ECONNRESET,
        errno.EHOSTUNREACH,
        errno.EIO,
        errno.ENETUNREACH,
        errno.ESTALE,
        errno.ETIMEDOUT,
    }
)
"""Errors of a share, a disk or a server that is back in a moment. A full disk is not: it wants a
person, or the hourly sweep."""
CHECK_FAILED = "check_failed"
"""Code of a note on a table that its own check refused."""
RUN_DIED = "run_died"
"""Code of a note on a run that ended without a word; a new run of the video makes it untrue."""
DAMAGED = "damaged"
"""Code of a note on a table that is not what was written; it goes when the video can be read."""
NOTE_DAMAGED = "note_damaged"
"""Code of a note that cannot be read; that there is one says that the video did fail."""
MEMORY_WORDS = ("out of memory", "failed to allocate memory")
"""What torch and onnxruntime say when another run has taken the memory of the accelerator."""


def heals_by_waiting(error: BaseException) -> bool:
    """Whether trying the same again in a moment may succeed; bugs and bad input never do."""
    if isinstance(error, LockBusyError):
        return True
    if isinstance(error, OSError):
        return error.errno in PASSING or isinstance(error, ConnectionError | TimeoutError)
    said = str(error).lower()
    return isinstance(error, RuntimeError) and any(words in said for words in MEMORY_WORDS)


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
        """The note of a video, or None; of a damaged note, one that says so."""
        path = self._path(video_id)
        if not path.is_file():  # as of most; only of the others it is looked up how they are mended
            return None
        mend = f"`{mending_command(self.layout, video_id)}` tries again, and then it is known."
        try:
            return small_files.read(path, FailureNote, mend)
        except small_files.DamagedFileError as error:
            return FailureNote(NOTE_DAMAGED, f"Why it failed is lost: {error}", "", False)

    def ids(self) -> set[str]:
        """All videos with a note; no file is opened."""
        paths = (self.layout.root / "failures").glob("*.json")
        return {path.stem for path in paths if not atomic.is_temporary(path)}

    def videos_with(self, code: str, since: float) -> list[str]:
        """Videos whose note has a code, in alphabetical order.

        Args:
            code: of the note.
            since: only notes written after this, in seconds since 1970; others are not opened.
        """
        recent = (v for v in sorted(self.ids()) if (self.noted_at(v) or 0.0) > since)
        notes = ((video_id, self.get(video_id)) for video_id in recent)
        return [video_id for video_id, note in notes if note is not None and note.code == code]

    def noted_at(self, video_id: str) -> float | None:
        """When the note of a video was written, in seconds since 1970, or None."""
        path = self._path(video_id)
        return path.stat().st_mtime if path.is_file() else None

    def clear(self, video_id: str) -> None:
        """The video has succeeded."""
        self._path(video_id).unlink(missing_ok=True)

    def a_run_works(self, video_id: str) -> None:
        """What an older run died of is no longer true; what a step said of itself stays."""
        note = self.get(video_id)
        if note is not None and note.code == RUN_DIED:
            self.clear(video_id)
