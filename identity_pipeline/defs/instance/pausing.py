"""Pausing: how a run ends that was told to stop, and how it is taken up again.

A paused run ends as cancelled, not as failed, so that nothing retries it and nobody is alarmed; a
tag tells it from one that somebody cancelled. Its chunks, or the epochs of a training, stay.
`paused_videos` requests a new run of each such video or training once the pause is over.
"""

import dagster as dg

from identity_pipeline.defs.instance.gate import skip_unless_ready
from identity_pipeline.defs.instance.jobs import learn, per_photo_set, per_video
from identity_pipeline.defs.instance.tags import (
    BY,
    CONTINUE,
    FORGETTING,
    PRIORITY,
    STANDING_TAG,
    tags,
)
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.progress.pause import paused
from identity_pipeline.storage.video.tables import TableStore

PAUSED_TAG = "identity_pipeline/paused"
YES = "true"
TAGS = tags("paused_videos", CONTINUE)
PARTITION_TAG = "dagster/partition"
COMMAND_LINE = "command line"


class RunPaused(dg.DagsterExecutionInterruptedError):
    """The run was told to stop; like Dagster's own interrupt it is no `Exception`."""


def stop_if_paused(context: dg.AssetExecutionContext, layout: Layout) -> None:
    """Ends the run where a pause is in force.

    Raises:
        RunPaused: it is; the run is tagged and ends as cancelled.
    """
    order = paused(layout)
    if order is None or context.run.tags.get(BY) == FORGETTING:
        return
    instance, run = context.instance, context.run
    instance.add_run_tags(run.run_id, {PAUSED_TAG: YES})
    # Without this Dagster takes the interrupt for a crash and the run for failed.
    instance.report_run_canceling(run, message=order.sentence())
    raise RunPaused(order.sentence())


def stopped_by_pause(
    instance: dg.DagsterInstance, job: str = per_video.name
) -> dict[str, dg.DagsterRun]:
    """Video -> run, of the videos (or photo sets) whose latest run was stopped by a pause."""
    runs = instance.get_runs(
        dg.RunsFilter(
            job_name=job,
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


def stopped_training(instance: dg.DagsterInstance) -> dg.DagsterRun | None:
    """The latest training, if a pause stopped it."""
    latest = instance.get_runs(dg.RunsFilter(job_name=learn.name), limit=1)
    stopped = latest and latest[0].status == dg.DagsterRunStatus.CANCELED
    return latest[0] if stopped and PAUSED_TAG in latest[0].tags else None


def unless_paused(
    job: str,
    cron_schedule: str,
    by: str,
    tags: dict[str, str],
    description: str,
    status: dg.DefaultScheduleStatus = dg.DefaultScheduleStatus.RUNNING,
) -> dg.ScheduleDefinition:
    """A schedule that starts nothing while a pause is in force.

    Args:
        job: name of the job to run.
        cron_schedule: when.
        by: its name.
        tags: of its runs.
        description: what it does.
        status: whether it runs from the start.
    """

    @dg.schedule(
        job_name=job,
        name=by,
        cron_schedule=cron_schedule,
        default_status=status,
        description=description,
    )
    def schedule(
        context: dg.ScheduleEvaluationContext, store: dg.ResourceParam[TableStore]
    ) -> dg.RunRequest | dg.SkipReason:
        return skip_unless_ready(context.instance, store) or dg.RunRequest(tags=tags)

    return schedule


@dg.sensor(
    jobs=[per_video, per_photo_set, learn],
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Takes up the videos, photo sets and training that a pause stopped.",
)
def paused_videos(
    context: dg.SensorEvaluationContext, store: dg.ResourceParam[TableStore]
) -> list[dg.RunRequest] | dg.SkipReason:
    """Runs of the command line are left to whoever started them."""
    waiting = skip_unless_ready(context.instance, store)
    if waiting:
        return waiting
    requests = [
        dg.RunRequest(
            run_key=f"continue-{run.run_id}",
            job_name=job.name,
            partition_key=video_id,
            tags={**TAGS, **_kept_tags(run)},
        )
        for job in (per_video, per_photo_set)
        for video_id, run in stopped_by_pause(context.instance, job.name).items()
        if run.tags.get(BY) != COMMAND_LINE
    ]
    training = stopped_training(context.instance)
    if training:
        run_key = f"continue-{training.run_id}"
        requests.append(dg.RunRequest(run_key=run_key, job_name=learn.name, tags=TAGS))
    return requests or dg.SkipReason("No pause, and no video that one has stopped.")


def _kept_tags(run: dg.DagsterRun) -> dict[str, str]:
    """What was only to be brought up to date goes on with its own priority, behind new videos."""
    kept = (STANDING_TAG, PRIORITY) if STANDING_TAG in run.tags else ()
    return {name: run.tags[name] for name in kept if name in run.tags}
