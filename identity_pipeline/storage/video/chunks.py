"""The finished chunks of an unfinished step: a stopped run is taken up behind the last of them.

A chunk is a folder of files, written beside its place and renamed into it, with the SHA-256 of
each file in `chunk.json`. Chunks lie below a key, the fingerprint of the work: code, settings,
models and inputs. They are dropped when the step's output is in place, or when the key changes.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from identity_pipeline.storage.files import atomic, locks, small_files
from identity_pipeline.storage.files.hashing import sha256_of_file
from identity_pipeline.storage.layout import Layout

DIGESTS = "chunk.json"
KEY_DIGITS = 16
WAIT_S = 10.0
"""How long a second run of the same video waits for the first; its steps take turns, no longer."""


def _go_on() -> None:
    """Does nothing after a chunk: the run is not stopped."""


@dataclass(frozen=True)
class ChunkStore:
    """The chunks of one step of one video under one key, counted from 0.

    Attributes:
        folder: where they lie; made with the first chunk.
        boundary: called after each chunk is in place; may raise to stop the run there.
    """

    folder: Path
    boundary: Callable[[], None] = _go_on

    def finished(self) -> Iterator[Path]:
        """Folders of the chunks from the first on, up to one that is missing or damaged."""
        number = 0
        while _is_whole(self._place(number)):
            yield self._place(number)
            number += 1

    def put(self, number: int, write: Callable[[Path], None]) -> Path:
        """Keeps a chunk: `write` fills a folder, which is then put in its place."""
        place = self._place(number)
        with atomic.new_folder(place) as folder:
            write(folder)
            digests = {path.name: sha256_of_file(path) for path in sorted(folder.iterdir())}
            (folder / DIGESTS).write_bytes(atomic.json_bytes(digests))
        self.boundary()
        return place

    def drop(self) -> None:
        """Forgets all chunks of the step: its output is in place."""
        shutil.rmtree(self.folder.parent, ignore_errors=True)

    def _place(self, number: int) -> Path:
        return self.folder / f"{number:05d}"


def _is_whole(place: Path) -> bool:
    try:
        digests = small_files.parse((place / DIGESTS).read_bytes(), dict[str, str])
        there = {path.name for path in place.iterdir()} - {DIGESTS}
        known = there == digests.keys()
        return known and all(sha256_of_file(place / n) == sha for n, sha in digests.items())
    except (OSError, ValueError):
        return False


@contextmanager
def open_chunks(
    layout: Layout, step: str, video_id: str, fingerprint: str, boundary: Callable[[], None]
) -> Iterator[ChunkStore]:
    """The chunks of a step while it runs; those of other fingerprints are removed.

    Raises:
        LockBusyError: another run works on the same video.
    """
    folder = layout.chunks(step, video_id)
    with locks.exclusive(layout.chunk_lock(video_id), f"the video {video_id}", step, WAIT_S):
        key = fingerprint[:KEY_DIGITS]
        if folder.is_dir():
            for other in folder.iterdir():
                if other.name != key:
                    shutil.rmtree(other, ignore_errors=True)
            atomic.sweep_temporaries(folder)
        yield ChunkStore(folder / key, boundary)


def unfinished(layout: Layout) -> dict[tuple[str, str], int]:
    """How many chunks are kept, by (step, video id)."""
    kept = (path.parent for path in (layout.root / "chunks").glob(f"*/*/*/[0-9]*/{DIGESTS}"))
    counts: dict[tuple[str, str], int] = {}
    for chunk in kept:
        step_and_video = (chunk.parents[2].name, chunk.parents[1].name)
        counts[step_and_video] = counts.get(step_and_video, 0) + 1
    return dict(sorted(counts.items()))
