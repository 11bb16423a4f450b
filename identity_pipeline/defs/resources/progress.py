"""Progress of long steps: in the Dagster UI while they run, and to `identity-pipeline status`.

An observation carries the counts, on the first asset of a step; each comes after as long as all
before it, so that the log of a long video is hardly longer than that of a short one. A file below
the data folder carries them to other processes, at most every second:
`stages.progress.heartbeat`.
"""

import time
from collections.abc import Callable

import dagster as dg

from identity_pipeline.stages.progress.heartbeat import shown_to_others
from identity_pipeline.stages.progress.protocol import Progress
from identity_pipeline.stages.specs.assets import outputs_of
from identity_pipeline.storage.progress.heartbeat import Heartbeat

FIRST_REPORT_S = 5.0


class ProgressReporters:
    """Hands every step a callback that reports to the run's event log.

    The command line puts its own in place of it.
    """

    def reporter(self, context: dg.AssetExecutionContext) -> Progress:
        """A callback for one step."""
        report = _Reporter(context, FIRST_REPORT_S, time.monotonic)
        return shown_to_others(context.resources.store, heartbeat_of(context), report)


def heartbeat_of(context: dg.AssetExecutionContext) -> Heartbeat:
    """The step that begins now."""
    key = context.partition_key if context.has_partition_key else None
    # A dataset's is of a person, and of no video.
    partition = None if isinstance(key, dg.MultiPartitionKey) else key
    name = context.op_execution_context.op.name
    return Heartbeat(context.run_id, name, partition, time.time())


class _Reporter:
    def __init__(
        self, context: dg.AssetExecutionContext, first: float, clock: Callable[[], float]
    ) -> None:
        self._context = context
        self._first = first
        self._clock = clock
        self._started = self._last = clock()

    def __call__(self, stage: str, done: int, total: int | None, unit: str) -> None:
        now = self._clock()
        if now - self._last < max(self._first, self._last - self._started):
            return
        self._last = now
        rate = done / max(now - self._started, 1e-9)
        of = "" if total is None else f" of {total}"
        left = None if not total or not done else round(max(0.0, (total - done) / rate))
        said = f"{stage}: {done}{of} {unit}, {rate:.1f} {unit}/s"
        metadata = {"done": done, "unit": unit, "per_second": round(rate, 2)}
        if total is not None and left is not None:
            metadata |= {"total": total, "seconds_left": left}
        partition = self._context.partition_key if self._context.has_partition_key else None
        self._context.log_event(
            dg.AssetObservation(
                self._shown(), description=said, partition=partition, metadata=metadata
            )
        )

    def _shown(self) -> str:
        """The first asset that the step makes now."""
        selected = {key.path[-1] for key in self._context.selected_asset_keys}
        outputs = outputs_of(self._context.op_execution_context.op.name)
        return next(name for name in outputs if name in selected)
