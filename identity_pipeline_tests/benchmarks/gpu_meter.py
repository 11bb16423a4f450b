"""How busy a GPU is and what it has in memory, as its driver says.

NVML is asked where the package `nvidia-ml-py` (module `pynvml`) is installed, else `nvidia-smi`.
"Busy" is the driver's counter: the share of the last sixth of a second to second, by card, in which
any kernel ran.
"""

from __future__ import annotations

import csv
import importlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import fmean
from threading import Event, Thread
from typing import Any, Final

EVERY_S: Final = 0.2
SETTLED_S: Final = 1.0
"""Readings before it tell of the time before they began."""


@dataclass(frozen=True)
class Reading:
    """One look at a card; None is what it does not say.

    Attributes:
        busy: share of the time, in [0, 1].
        used_mb: memory of the card that anybody holds, in MiB.
        own_mb: what this process holds of it, where the driver knows it by our number: in a
            container it mostly does not.
    """

    busy: float | None
    used_mb: float | None
    own_mb: float | None


@dataclass(frozen=True)
class Meter:
    """What is asked.

    Attributes:
        name: of the source.
        read: looks once.
    """

    name: str
    read: Callable[[], Reading]


def meter_here() -> Meter | None:
    """What there is to ask about the first card that this process may see; None: nothing."""
    card = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")[0].strip() or "0"
    try:
        return _nvml(importlib.import_module("pynvml"), card)
    except ImportError:
        return _smi(program, card) if (program := shutil.which("nvidia-smi")) else None


def _nvml(nvml: Any, card: str) -> Meter:
    nvml.nvmlInit()
    by_number = card.isdecimal()
    find = nvml.nvmlDeviceGetHandleByIndex if by_number else nvml.nvmlDeviceGetHandleByUUID
    device = find(int(card) if by_number else card)

    def asked(question: Callable[[Any], Any]) -> Any:
        try:
            return question(device)
        except nvml.NVMLError:  # a card that does not answer it
            return None

    def read() -> Reading:
        rates = asked(nvml.nvmlDeviceGetUtilizationRates)
        memory = asked(nvml.nvmlDeviceGetMemoryInfo)
        processes = asked(nvml.nvmlDeviceGetComputeRunningProcesses) or ()
        own = [one.usedGpuMemory for one in processes if one.pid == os.getpid()]
        return Reading(
            rates.gpu / 100 if rates else None,
            memory.used / 2**20 if memory else None,
            own[0] / 2**20 if own and own[0] is not None else None,
        )

    return Meter("NVML", read)


def _smi(program: str, card: str) -> Meter:
    def told(query: str) -> str:
        command = [program, "-i", card, query, "--format=csv"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def read() -> Reading:
        return reading_of(
            told("--query-gpu=utilization.gpu,memory.used"),
            told("--query-compute-apps=pid,used_memory"),
            os.getpid(),
        )

    return Meter("nvidia-smi", read)


def reading_of(card: str, processes: str, pid: int) -> Reading:
    """What `nvidia-smi --format=csv` printed.

    Args:
        card: of `--query-gpu=utilization.gpu,memory.used`.
        processes: of `--query-compute-apps=pid,used_memory`.
        pid: this process.
    """
    _, (busy, used) = _numbers(card)
    own = [memory for number, memory in _numbers(processes)[1:] if number == pid]
    return Reading(None if busy is None else busy / 100, used, own[0] if own else None)


def _numbers(printed: str) -> list[list[float | None]]:
    """The numbers of a table without their units; None for headings and what is not supported."""
    rows = csv.reader(printed.splitlines(), skipinitialspace=True)
    return [[_number(field) for field in row] for row in rows if row]


def _number(field: str) -> float | None:
    try:
        return float(field.split(" ", maxsplit=1)[0])
    except ValueError:  # [N/A], [Not Supported], a heading
        return None


@contextmanager
def watched(meter: Meter | None) -> Iterator[list[Reading]]:
    """Readings while a block runs, which are there when it ends."""
    found: list[Reading] = []
    if meter is None:
        yield found
        return
    ended = Event()

    def watch() -> None:
        wait = SETTLED_S
        while not ended.wait(wait):
            found.append(meter.read())
            wait = EVERY_S

    thread = Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        ended.set()
        thread.join()


def busy(readings: list[Reading]) -> float | None:
    """The mean share; None where nothing was read."""
    shares = [one.busy for one in readings if one.busy is not None]
    return fmean(shares) if shares else None


def memory_mb(readings: list[Reading], before: Reading) -> float | None:
    """The most that this process held, in MiB: by its number, else by what the card got fuller.

    Args:
        readings: of a run.
        before: one from before this process used the card.
    """
    own = [one.own_mb for one in readings if one.own_mb is not None]
    if own:
        return max(own)
    used = [one.used_mb for one in readings if one.used_mb is not None]
    return max(used) - before.used_mb if used and before.used_mb is not None else None
