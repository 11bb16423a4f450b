"""Wall clock, own CPU time, and what the rest of the machine did meanwhile."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Sample:
    """One measurement.

    Attributes:
        wall: seconds on the clock.
        cpu: seconds of processor time of this process, over all its threads.
        others: processor cores that other processes kept busy on average; None where the system
            does not say.
    """

    wall: float = 0.0
    cpu: float = 0.0
    others: float | None = None

    def __add__(self, other: Sample) -> Sample:
        """Both one after the other; the load of the others is weighted by the clock."""
        wall = self.wall + other.wall
        if self.others is None or other.others is None or not wall:
            others = None
        else:
            others = (self.others * self.wall + other.others * other.wall) / wall
        return Sample(wall, self.cpu + other.cpu, others)


def _busy_seconds() -> float | None:
    """Processor seconds that all processes of this machine have used since it started."""
    stat = Path("/proc/stat")
    if not stat.is_file():
        return None
    user, nice, system, _idle, _wait, irq, softirq, *_ = (
        int(field) for field in stat.read_text(encoding="utf-8").split("\n", 1)[0].split()[1:]
    )
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


@contextmanager
def measured() -> Iterator[Sample]:
    """Fills the sample that it yields when the block ends."""
    sample = Sample()
    busy, cpu, wall = _busy_seconds(), time.process_time(), time.perf_counter()
    try:
        yield sample
    finally:
        sample.wall = time.perf_counter() - wall
        sample.cpu = time.process_time() - cpu
        now = _busy_seconds()
        if busy is not None and now is not None and sample.wall > 0:
            sample.others = max(0.0, (now - busy - sample.cpu) / sample.wall)


def median(samples: Sequence[Sample]) -> Sample:
    """The median of each number on its own."""
    others = [s.others for s in samples if s.others is not None]
    return Sample(
        wall=statistics.median(s.wall for s in samples),
        cpu=statistics.median(s.cpu for s in samples),
        others=statistics.median(others) if others else None,
    )


def total(samples: Sequence[Sample]) -> Sample:
    """The sum of samples."""
    return sum(samples[1:], start=samples[0])
