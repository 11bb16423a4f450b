"""The heartbeat of a step while it runs, whether Dagster or a command runs it, and what it cost.

What does not belong here: the file that other processes read (`storage.progress.heartbeat`), and
what else a runner tells of its steps.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from identity_pipeline.stages.progress.costing import note_cost
from identity_pipeline.stages.progress.protocol import Progress
from identity_pipeline.stages.specs.assets import steps
from identity_pipeline.storage.progress.heartbeat import Heartbeat, Heartbeats
from identity_pipeline.storage.progress.leftovers import sweep_after
from identity_pipeline.storage.video.tables import TableStore

SECONDS_BETWEEN_FILES = 1.0
LOG = logging.getLogger(__name__)


@dataclass
class Work:
    """What a step has done so far.

    Attributes:
        under_way: it has begun.
        computed: it computed something.
        taken_up: a part of that was there from a stopped run, so the time it took is no price.
        units: units of work that were done; None where the step's tables count them.
    """

    under_way: bool = False
    computed: bool = False
    taken_up: bool = False
    units: int | None = None


def command_step(step: str) -> Heartbeat:
    """A step of the library or of learning that a command begins now, without a run of Dagster."""
    return Heartbeat(f"command-{os.getpid()}", step, None, time.time())


@contextmanager
def heartbeat(store: TableStore, step: Heartbeat, work: Work, models: str = "") -> Iterator[Work]:
    """Shows other processes that a step works, and notes what it cost if it computed it all.

    What a killed process left half-written of the same video goes first.

    Args:
        store: below whose data folder the heartbeats lie.
        step: that begins now.
        work: filled in by the block.
        models: see `costing.models_key`.
    """
    started = time.perf_counter()
    _clear_up(store, step)
    with Heartbeats(store.layout).working(step):
        yield work
    if work.computed and not work.taken_up:
        took = time.perf_counter() - started
        note_cost(store, step.step, step.video_id, took, models, work.units)


def _clear_up(store: TableStore, begun: Heartbeat) -> None:
    """Removes what killed processes left half-written in steps of the same video."""
    for dead in Heartbeats(store.layout).dead(begun.video_id, begun.started_at):
        outputs = [spec.key for spec in steps().get(dead.step, ())]
        for path in sweep_after(store.layout, dead, outputs):
            LOG.info("%s: half-written by a killed process; removed", path.name)


def shown_to_others(store: TableStore, step: Heartbeat, report: Progress) -> Progress:
    """The callback, which also writes the file that other processes read."""
    live, files = step, Heartbeats(store.layout)
    last = 0.0

    def tell(stage: str, done: int, total: int | None, unit: str) -> None:
        nonlocal live, last
        report(stage, done, total, unit)
        now = time.time()
        if now - last >= SECONDS_BETWEEN_FILES:
            live, last = live.advanced(done, total, unit, now), now
            files.advance(live)

    return tell
