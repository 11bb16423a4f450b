"""Progress of long steps: visible in the Dagster UI while they run.

An observation of the asset carries the counts, at most every few seconds: each costs the event log
a write.
"""

import time
from collections.abc import Callable

import dagster as dg

from identity_pipeline.stages.progress import Progress

SECONDS_BETWEEN_REPORTS = 5.0


class ProgressReporters:
    """Hands every step a callback that reports to the run's event log.

    The command line puts its own in place of it.
    """

    def reporter(self, context: dg.AssetExecutionContext) -> Progress:
        """A callback for one step."""
        return _Reporter(context, SECONDS_BETWEEN_REPORTS, time.monotonic)


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
        left = None if not total else round(max(0.0, (total - done) / rate))
        self._context.log.info(f"{stage}: {done}{of} {unit}, {rate:.1f} {unit}/s")
        metadata = {"done": done, "unit": unit, "per_second": round(rate, 2)}
        if total is not None and left is not None:
            metadata |= {"total": total, "seconds_left": left}
        partition = self._context.partition_key if self._context.has_partition_key else None
        for key in sorted(self._context.selected_asset_keys):
            self._context.log_event(
                dg.AssetObservation(key, partition=partition, metadata=dict(metadata))
            )
