"""Pausing: how a run ends that was told to stop, and how it is taken up again.

A paused run ends as cancelled, not as failed, so that nothing retries it and nobody is alarmed; a
tag tells it from one that somebody cancelled. Its chunks stay. `paused_videos` requests a new run
of each such video once the pause is over.
"""

import dagster as dg

from identity_pipeline.defs.jobs import per_video
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.pause import paused
from identity_pipeline.storage.tables import TableStore

PAUSED_TAG = "identity_pipeline/paused"
YES = "true"
PARTITION_TAG = "dagster/partition"
BY_TAG = "identity_pipeline/by"
COMMAND_LINE = "command line"
CONTINUE_PRIORITY = "20"
"""What was begun goes before what is new."""


class RunPaused(dg.DagsterExecutionInterruptedError):
    """The run was told to stop; like Dagster's own interrupt it is no `Exception`."""


def stop_if_paused(context: dg.AssetExecutionContext, layout: Layout) -> None:
    """Ends the run where a pause is in force.

    Raises:
        RunPaused: it is; the run is tagged and ends as cancelled.
    """
    order = paused(layout)
    if order is None:
        return
    instance, run = context.instance, context.run
    instance.add_run_tags(run.run_id, {PAUSED_TAG: YES})
    # Without this Dagster takes the interrupt for a crash and the run for failed.
    instance.report_run_canceling(run, message=order.sentence())
    raise RunPaused(order.sentence())


def skip_while_paused(store: TableStore) -> dg.SkipReason | None:
    """Why a sensor or schedule starts nothing now; None when it may."""
    order = paused(store.layout)
    return dg.SkipReason(order.sentence()) if order else None


def stopped_by_pause(instance: dg.DagsterInstance) -> dict[str, dg.DagsterRun]:
    """Video -> run, of the videos whose latest run was stopped by a pause."""
    runs = instance.get_runs(
        dg.RunsFilter(
            job_name=per_video.name,
            statuses=[dg.DagsterRunStatus.CANCELED],
            tags={PAUSED_TAG: YES},
        )
    )
    found: dict[str, dg.DagsterRun] = {}
    for run in runs:
        video_id = run.tags.get(PARTITION_TAG)
        if video_id is None or video_id in found:
            continue
        latest = instance.get_runs(dg.RunsFilter(tags={PARTITION_TAG: video_id}), limit=1)
        if latest[0].run_id == run.run_id:
            found[video_id] = run
    return found


@dg.sensor(
    job=per_video,
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Takes up the videos that a pause stopped, once it is over.",
)
def paused_videos(
    context: dg.SensorEvaluationContext, store: dg.ResourceParam[TableStore]
) -> list[dg.RunRequest] | dg.SkipReason:
    """Runs of the command line are left to whoever started them."""
    waiting = skip_while_paused(store)
    if waiting:
        return waiting
    requests = [
        dg.RunRequest(
            run_key=f"continue-{run.run_id}",
            partition_key=video_id,
            tags={"dagster/priority": CONTINUE_PRIORITY, BY_TAG: "paused_videos"},
        )
        for video_id, run in stopped_by_pause(context.instance).items()
        if run.tags.get(BY_TAG) != COMMAND_LINE
    ]
    return requests or dg.SkipReason("No pause, and no video that one has stopped.")
