"""Progress of long steps: in the Dagster UI while they run, and to `identity-pipeline status`.

An observation of the asset carries the counts, at most every few seconds: each costs the event log
a write. A file below the data folder carries them to other processes, at most every second.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import dagster as dg

from identity_pipeline.stages.progress import Progress
from identity_pipeline.stages.recipes import steps
from identity_pipeline.storage.leftovers import sweep_after
from identity_pipeline.storage.live import LiveStep, LiveSteps
from identity_pipeline.storage.tables import TableStore

SECONDS_BETWEEN_REPORTS = 5.0
SECONDS_BETWEEN_FILES = 1.0


class ProgressReporters:
    """Hands every step a callback that reports to the run's event log.

    The command line puts its own in place of it.
    """

    def reporter(self, context: dg.AssetExecutionContext) -> Progress:
        """A callback for one step."""
        report = _Reporter(context, SECONDS_BETWEEN_REPORTS, time.monotonic)
        return shown_to_others(context, report)


def live_step(context: dg.AssetExecutionContext) -> LiveStep:
    """The step that begins now."""
    partition = context.partition_key if context.has_partition_key else None
    name = context.op_execution_context.op.name
    return LiveStep(context.run_id, name, partition, time.time())


@contextmanager
def under_way(context: dg.AssetExecutionContext, store: TableStore) -> Iterator[None]:
    """Shows other processes that this step is at work; clears up behind one that was killed."""
    live, files = live_step(context), LiveSteps(store.layout)
    for dead in files.dead(live.video_id, live.started_at):
        outputs = [recipe.asset for recipe in steps().get(dead.step, ())]
        for path in sweep_after(store.layout, dead, outputs):
            context.log.info(f"{path.name}: half-written by a killed process; removed")
    with files.working(live):
        yield


def shown_to_others(context: dg.AssetExecutionContext, report: Progress) -> Progress:
    """The callback, which also writes the file that other processes read."""
    live, files = live_step(context), LiveSteps(context.resources.store.layout)
    last = 0.0

    def tell(stage: str, done: int, total: int | None, unit: str) -> None:
        nonlocal live, last
        report(stage, done, total, unit)
        now = time.time()
        if now - last >= SECONDS_BETWEEN_FILES:
            live, last = live.advanced(done, total, unit, now), now
            files.advance(live)

    return tell


class _Reporter:
    def __init__(
        self, context: dg.AssetExecutionContext, interval: float, clock: Callable[[], float]
    ) -> None:
        self._context = context
        self._interval = interval
        self._clock = clock
        self._started = self._last = clock()

    def __call__(self, stage: str, done: int, total: int | None, unit: str) -> None:
        now = self._clock()
        if now - self._last < self._interval:
            return
        self._last = now
        rate = done / max(now - self._started, 1e-9)
        of = "" if total is None else f" of {total}"
        left = None if not total or not done else round(max(0.0, (total - done) / rate))
        self._context.log.info(f"{stage}: {done}{of} {unit}, {rate:.1f} {unit}/s")
        metadata = {"done": done, "unit": unit, "per_second": round(rate, 2)}
        if total is not None and left is not None:
            metadata |= {"total": total, "seconds_left": left}
        partition = self._context.partition_key if self._context.has_partition_key else None
        for key in sorted(self._context.selected_asset_keys):
            self._context.log_event(
                dg.AssetObservation(key, partition=partition, metadata=dict(metadata))
            )
