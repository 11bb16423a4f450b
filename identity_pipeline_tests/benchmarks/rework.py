"""What was made more than once: chunks, outputs and exports, watched as files while they are made.

Everything is put in place by a rename, so a file that was made again is another inode. What is made
and gone between two looks is not seen; what a killed run left behind stays until the next run, and
is.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from identity_pipeline.stages.specs.assets import VIDEO_SPECS
from identity_pipeline.storage.files import atomic
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.chunks import DIGESTS
from identity_pipeline_tests.benchmarks.watching import Watch

EVERY_S: Final = 0.25
LOOKED_AT_ANYWAY: Final = "ride_video"
"""A file may change under its name, so every run looks at it and writes its row."""
Stamp = tuple[int, int]


@dataclass
class Rework(Watch):
    """Watches a data folder in a thread of its own.

    Attributes:
        made: how often each chunk, output or export was seen to be made, by its path.
        lost: chunks that went before the output of their step was there.
        left_behind: chunks that a killed run left and another may take up.
    """

    layout: Layout
    made: Counter[str] = field(default_factory=Counter)
    lost: set[str] = field(default_factory=set)
    left_behind: set[str] = field(default_factory=set)
    every_s: float = field(default=EVERY_S, kw_only=True)
    _stamps: dict[str, Stamp] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self.look()

    def look(self) -> None:
        """Notes what is there now."""
        with self._lock:
            there = dict(_stamps(self.layout))
            for path, stamp in there.items():
                if self._stamps.get(path) != stamp:
                    self.made[path] += 1
            for path in self._stamps.keys() - there.keys():
                if path.startswith("chunks/") and not self._used(path):
                    self.lost.add(path)
            self._stamps = there

    def _used(self, chunk: str) -> bool:
        """Whether the step of a chunk has its outputs."""
        _, step, video, *_ = chunk.split("/")
        assets = [asset for asset, spec in VIDEO_SPECS.items() if spec.step == step]
        return all(self.layout.manifest(asset, video).exists() for asset in assets)

    def a_run_died(self, video_id: str | None) -> None:
        """Notes the chunks that a killed run leaves."""
        self.look()
        with self._lock:
            self.left_behind |= {
                path for path in self._stamps
                if path.startswith("chunks/") and path.split("/")[2] == video_id
            }  # fmt: skip

    def again(self, kind: str) -> list[str]:
        """Paths of a kind (`chunks/`, `tables/`, `output/`, `crops/`) that were made again."""
        ours = [path for path, times in self.made.items() if path.startswith(kind) and times > 1]
        return sorted(path for path in ours if f"/{LOOKED_AT_ANYWAY}/" not in path)

    def count(self, kind: str) -> int:
        """How many different things of a kind were made."""
        return sum(path.startswith(kind) for path in self.made)


def _stamps(layout: Layout) -> Iterator[tuple[str, Stamp]]:
    """(path below the data folder, what changes when it is made again)."""
    for asset in VIDEO_SPECS:
        for path in (layout.tables / asset).glob("*.manifest.json"):
            yield from _stamp(layout, path)
    for path in layout.output.glob("*/identity_builder"):
        yield from _stamp(layout, path)
    for path in (layout.root / "crops").glob("*"):
        yield from _stamp(layout, path)
    for path in (layout.root / "chunks").glob(f"*/*/*/[0-9]*/{DIGESTS}"):
        yield from _stamp(layout, path)


def _stamp(layout: Layout, path: Path) -> Iterator[tuple[str, Stamp]]:
    if atomic.is_temporary(path):
        return
    with suppress(OSError):  # it went meanwhile
        stat = path.stat()
        yield path.relative_to(layout.root).as_posix(), (stat.st_ino, stat.st_ctime_ns)
