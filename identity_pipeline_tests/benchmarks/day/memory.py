"""Resident memory of a deployment over a day: the services' along the way, the workers' peaks."""

from __future__ import annotations

import statistics
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from identity_pipeline_tests.benchmarks.operated import Deployment
from identity_pipeline_tests.benchmarks.services import Role
from identity_pipeline_tests.benchmarks.watching import Watch

EVERY_S: Final = 3.0
FLAT: Final = 0.05
"""The last quarter's median may lie above the second's by this share of it."""


@dataclass
class Memory(Watch):
    """Samples of all processes, taken in a thread of its own.

    Attributes:
        services: (seconds since 1970, MB) of each service.
        peaks: MB of each run worker at its highest, by process.
    """

    deployment: Deployment
    services: dict[Role, list[tuple[float, float]]] = field(default_factory=dict)
    peaks: dict[int, float] = field(default_factory=dict)
    every_s: float = field(default=EVERY_S, kw_only=True)

    def look(self) -> None:
        """One sample of every process."""
        now = time.time()
        for process in self.deployment.processes():
            if process.role == "run worker":
                with suppress(OSError):  # it ended meanwhile
                    self.peaks[process.pid] = _peak_mb(process.pid)
            elif process.role != "helper":
                self.services.setdefault(process.role, []).append((now, process.memory_mb))


def _peak_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


@dataclass(frozen=True)
class Course:
    """How a service's memory went.

    Attributes:
        quarters: median of each quarter of the time, in MB.
        mb_per_hour: slope over the last three quarters (Theil-Sen), per hour of the wall.
        low, high: its 95 % interval.
        samples: how many there are.
    """

    quarters: tuple[float, float, float, float]
    mb_per_hour: float
    low: float
    high: float
    samples: int

    @property
    def flat(self) -> bool:
        """Whether the last quarter lies within `FLAT` of the second; the first warms up."""
        return self.quarters[3] <= self.quarters[1] * (1 + FLAT)


def course(samples: list[tuple[float, float]]) -> Course:
    """Quarters and slope of some samples.

    Raises:
        ValueError: there are fewer than eight.
    """
    from scipy.stats import theilslopes

    if len(samples) < 8:
        raise ValueError(f"{len(samples)} samples say nothing about growth")
    start, end = samples[0][0], samples[-1][0]
    parts: list[list[float]] = [[], [], [], []]
    for at, megabytes in samples:
        parts[min(3, int(4 * (at - start) / (end - start)))].append(megabytes)
    late = [(at / 3600, megabytes) for at, megabytes in samples if at >= start + (end - start) / 4]
    found = theilslopes([y for _, y in late], [x for x, _ in late])
    slope, _, low, high = np.asarray(found).tolist()
    first, second, third, last = (statistics.median(part) for part in parts)
    return Course((first, second, third, last), slope, low, high, len(samples))


def growth(peaks: list[float]) -> tuple[float, float, float]:
    """Of the peaks of workers in the order of the day: medians of both halves, MB per video."""
    from scipy.stats import theilslopes

    half = len(peaks) // 2
    slope = np.asarray(theilslopes(peaks, range(len(peaks)))).tolist()[0]
    return statistics.median(peaks[:half]), statistics.median(peaks[half:]), slope
