"""What a data folder notes about an object store: what is there, and what was refused and why.

Only a memory, so that nothing is read twice: it can be deleted at any time.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from identity_pipeline.storage.files import atomic, small_files
from identity_pipeline.storage.layout import Layout, check_video_id

SUFFIX = ".json"
LIBRARY_NOTE = "library"
"""No video is called so: its id ends in digits of a digest."""


@dataclass(frozen=True)
class Refusal:
    """Something that was not sent.

    Attributes:
        why_not: a sentence.
        stamp: of its files then; it is not tried again by itself while they are the same.
    """

    why_not: str
    stamp: str


@dataclass(frozen=True)
class _Sent:
    generation: str


@dataclass(frozen=True)
class PublishingNotes:
    """Notes on one address; a note on what is there has the time of the files it is about.

    Attributes:
        layout: the data folder.
        url: the address.
    """

    layout: Layout
    url: str

    @property
    def sent(self) -> Path:
        """The folder of what is there."""
        return self.layout.published / hashlib.sha256(self.url.encode()).hexdigest()[:12]

    @property
    def refused(self) -> Path:
        """The folder of what was refused."""
        return self.sent / "refused"

    def generation(self) -> str | None:
        """The library's generation that is there."""
        note = small_files.recall(self._note(self.sent, None), _Sent)
        return note.generation if note else None

    def refusals(self) -> dict[str, Refusal]:
        """Name -> the note on it, of everything that was refused when it was last tried."""
        found = {
            name: small_files.recall(self.refused / f"{name}{SUFFIX}", Refusal)
            for name in sorted(times(self.refused, SUFFIX))
        }
        return {name: refusal for name, refusal in found.items() if refusal is not None}

    def note_sent(self, video_id: str | None, version: str, generation: str, at: int) -> None:
        """Notes what is there now; `at` is in nanoseconds since 1970."""
        note = self._note(self.sent, video_id)
        atomic.write_json(note, {"version": version, "generation": generation})
        os.utime(note, ns=(at, at))
        self._note(self.refused, video_id).unlink(missing_ok=True)

    def note_refused(self, video_id: str | None, refusal: Refusal) -> None:
        """Notes that it was not sent, and why."""
        atomic.write_json(self._note(self.refused, video_id), asdict(refusal))

    def _note(self, folder: Path, video_id: str | None) -> Path:
        name = LIBRARY_NOTE if video_id is None else check_video_id(video_id)
        return folder / f"{name}{SUFFIX}"


def times(folder: Path, suffix: str, only: str | None = None) -> dict[str, int]:
    """Name -> time of change of every file of a folder with a suffix."""
    if not folder.is_dir():
        return {}
    names: Iterable[str] = [f"{only}{suffix}"] if only else os.listdir(folder)  # noqa: PTH208
    wanted = (n for n in names if n.endswith(suffix) and not atomic.is_temporary(Path(n)))
    found: dict[str, int] = {}
    for name in wanted:
        try:
            found[name.removesuffix(suffix)] = (folder / name).stat().st_mtime_ns
        except FileNotFoundError:
            continue
    return found


def changed(paths: Iterable[Path]) -> list[int | None]:
    """When each was written or put there, in nanoseconds since 1970; None for one not there."""
    return [
        path.lstat().st_mtime_ns if path.is_symlink() or path.exists() else None for path in paths
    ]
