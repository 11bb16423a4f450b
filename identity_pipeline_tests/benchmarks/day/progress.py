"""What `status` says over a day: whether it ever fell, or changed what it had counted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from identity_pipeline.core.progress.shares import State
from identity_pipeline.storage.files.locks import LockBusyError
from identity_pipeline_tests.benchmarks.operated import Deployment
from identity_pipeline_tests.benchmarks.watching import Watch

EVERY_S: Final = 8.0


@dataclass
class ProgressWatch(Watch):
    """Looks at the progress in a thread of its own.

    Attributes:
        looks: how often.
        shares: the last share done of each batch, by its number.
        scopes: the steps of each batch as first seen.
        faults: what a batch said that it must not, in words.
        states: states of videos that were ever seen.
    """

    deployment: Deployment
    looks: int = 0
    shares: dict[int, float] = field(default_factory=dict)
    scopes: dict[int, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    states: set[State] = field(default_factory=set)
    every_s: float = field(default=EVERY_S, kw_only=True)

    def look(self) -> None:
        """One look; none where another process keeps the book of batches at this moment."""
        try:
            seen = self.deployment.status()
        except LockBusyError:
            return
        self.looks += 1
        self.states |= {video.state for video in seen.videos}
        for status in seen.batches:
            number, done = status.batch.number, status.portions.done
            scope = len(status.batch.keys())
            if done < self.shares.get(number, 0.0):
                self.faults.append(f"batch {number} fell from {self.shares[number]} to {done}")
            if self.scopes.setdefault(number, scope) != scope:
                self.faults.append(f"batch {number} changed its scope")
            if done == 1.0 and status.batch.open_keys():
                self.faults.append(f"batch {number} says all is done and it is not")
            self.shares[number] = done
