"""Whether a process of this machine still runs, told from another that got its number later."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Birth:
    """When a process started: with its number, this names one process.

    Attributes:
        at: seconds since 1970, by the clock as it is set now.
        tick: hundredths of a second since the machine started, which no change of the clock moves.
    """

    at: float
    tick: int


def birth_of(pid: int) -> Birth | None:
    """When a running process started; None where no process with this number runs any more.

    Raises:
        psutil.AccessDenied: it runs, and this user may not look at it.
    """
    import psutil

    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:  # it ended, and its parent has not noticed
            return None
        at = process.create_time()
    except psutil.NoSuchProcess:
        return None
    return Birth(at, round((at - psutil.boot_time()) * 100))


def is_running(pid: int) -> bool:
    """Whether a process with this number runs, also one that this user may not look at."""
    import psutil

    try:
        return birth_of(pid) is not None
    except psutil.AccessDenied:
        return True
