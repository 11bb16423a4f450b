"""Heartbeats: one small file per run and step, which tells other processes how far the step is.

The file is there while the step runs, and a thread of its process touches it every few seconds. A
killed process leaves its file behind, and is told from a living one by its process number and start
time, or, from another host, by the time of the last touch. Nothing waits for the disk here: a lost
file costs a line of a display.

Between two steps, while a run reads and writes tables, the file of the last one stays and says that
it ended: so a run is never taken for dead, nor a dead one for living, in between.
"""

from __future__ import annotations

import atexit
import json
import os
import platform
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from identity_pipeline.storage.files import atomic, private, small_files
from identity_pipeline.storage.files.processes import birth_of
from identity_pipeline.storage.layout import Layout, check_video_id

BEAT_S = 5.0
"""A living step touches its file so often."""
LOST_AFTER_S = 60.0
"""A step of another host that did not for as long is taken for dead: twelve beats missed."""


def host() -> str:
    """The name of this machine."""
    return platform.node()


def _tick_of(pid: int) -> int | None:
    birth = birth_of(pid)
    return birth.tick if birth else None


@dataclass(frozen=True)
class Heartbeat:
    """A step that is under way, or was when its process died.

    Attributes:
        run_id: of Dagster.
        step: its name.
        video_id: the partition; None for a step of the library.
        started_at: seconds since 1970.
        pid, born, host: the process, the tick at which it started (see `processes.Birth`; None
            where it was not told), and its machine.
        unit: of what is counted; empty before the first report.
        done, total: units done in this attempt, and to be done; None while unknown.
        counting_since: when the first unit was reported, so that opening models is no part of the
            rate.
        beat_at: the last sign of life.
        ended: the step is over; its process, if it lives, is on its way to the next.
    """

    run_id: str
    step: str
    video_id: str | None
    started_at: float
    pid: int = field(default_factory=os.getpid)
    born: int | None = field(default_factory=lambda: _tick_of(os.getpid()))
    host: str = field(default_factory=host)
    unit: str = ""
    done: int = 0
    total: int | None = None
    counting_since: float | None = None
    counted_from: int = 0
    beat_at: float = 0.0
    ended: bool = False

    def alive(self, now: float) -> bool:
        """Whether the process still works on it."""
        if self.host != host() or self.born is None:
            return now - self.beat_at < LOST_AFTER_S
        return _tick_of(self.pid) == self.born

    @property
    def per_second(self) -> float | None:
        """Units per second since the first report; None before the second."""
        if self.counting_since is None or self.done <= self.counted_from:
            return None
        seconds = self.beat_at - self.counting_since
        return (self.done - self.counted_from) / seconds if seconds > 0 else None

    def advanced(self, done: int, total: int | None, unit: str, now: float) -> Heartbeat:
        """The step after another report."""
        first = self.counting_since is None or unit != self.unit or done < self.done
        return replace(
            self,
            done=done,
            total=total,
            unit=unit,
            counting_since=now if first else self.counting_since,
            counted_from=done if first else self.counted_from,
        )


@dataclass(frozen=True)
class Heartbeats:
    """The files in `data/progress/live`."""

    layout: Layout

    @property
    def folder(self) -> Path:
        """Where they lie."""
        return self.layout.progress / "live"

    def all(self) -> list[Heartbeat]:
        """What every process works on, or did when it died; the latest last."""
        found = []
        for path in self.folder.glob("*.json"):
            if not atomic.is_temporary(path):
                with suppress(OSError, ValueError):  # it ended meanwhile
                    noted = small_files.parse(path.read_bytes(), Heartbeat)
                    found.append(replace(noted, beat_at=path.stat().st_mtime))
        return sorted(found, key=lambda step: (step.started_at, step.step))

    def dead(self, video_id: str | None, now: float) -> list[Heartbeat]:
        """Steps of a video, or of the library, whose process died in them or behind them."""
        mine = (step for step in self.all() if step.video_id == video_id)
        return [step for step in mine if not step.alive(now)]

    @contextmanager
    def working(self, step: Heartbeat) -> Iterator[None]:
        """Shows a step while the block runs, and removes what dead runs of the video left."""
        for other in self.dead(step.video_id, step.started_at):
            self._path(other).unlink(missing_ok=True)
        self.put(step)
        _ENDED.discard(self._path(step))  # it is tried again
        remove_ended()
        path, over = self._path(step), threading.Event()
        beating = threading.Thread(target=_beat, args=(path, over), daemon=True)
        beating.start()
        try:
            yield
        finally:
            over.set()
            beating.join()
            self.put(replace(step, ended=True))
            _ENDED.add(path)

    def advance(self, step: Heartbeat) -> None:
        """Shows how far a step is, if it is shown at all: nothing else would take the file away."""
        if self._path(step).exists():
            self.put(step)

    def put(self, step: Heartbeat) -> None:
        """Writes the file of a step."""
        path = self._path(step)
        private.make_folder(path.parent)
        temporary = atomic.temporary_beside(path)
        temporary.write_text(json.dumps(asdict(step)), encoding="utf-8")
        temporary.replace(path)

    def _path(self, step: Heartbeat) -> Path:
        return self.folder / f"{check_video_id(step.run_id)}-{check_video_id(step.step)}.json"


_ENDED: set[Path] = set()
"""Files of this process whose step is over: removed when the next begins, or the process ends."""


@atexit.register
def remove_ended() -> None:
    """Takes away what this process shows of steps that are over; its run has ended."""
    while _ENDED:
        _ENDED.pop().unlink(missing_ok=True)


def _beat(path: Path, over: threading.Event) -> None:
    while not over.wait(BEAT_S):
        with suppress(OSError):
            os.utime(path)
