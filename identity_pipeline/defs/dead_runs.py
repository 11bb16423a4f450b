"""Runs that died: found by their process, failed, and the reason left on their video.

Dagster's own launcher does not look after its processes: after a kill of the whole host a run would
stay started, and keep its GPU slot, for ever.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import dagster as dg

from identity_pipeline.defs.automation import NEW_VIDEO, tags
from identity_pipeline.defs.jobs import per_video
from identity_pipeline.defs.pausing import PARTITION_TAG, skip_while_paused
from identity_pipeline.settings import Settings
from identity_pipeline.storage.failures import CHECK_FAILED, RUN_DIED, FailureNote, FailureNotes
from identity_pipeline.storage.tables import TableStore

UNDER_WAY = [
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.CANCELING,
]
DIED = "its process is gone: killed, out of memory, or the host went down"
WILL_RETRY = "dagster/will_retry"
TAGS = tags("dead_runs", NEW_VIDEO)


def runs_under_way(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """Runs that Dagster holds to be running."""
    return list(instance.get_runs(dg.RunsFilter(statuses=UNDER_WAY)))


def is_dead(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool | None:
    """Whether the process of a run on this host is gone; None while it cannot be told.

    Only Dagster's default launcher runs on this host; of other launchers nothing is said, nor of a
    run that has not told its process yet.
    """
    from dagster._core.launcher import DefaultRunLauncher

    if not isinstance(instance.run_launcher, DefaultRunLauncher):
        return None
    told = process_of(instance, run)
    return None if told is None else not _lives(*told)


def process_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> tuple[int, float] | None:
    """(process, seconds since 1970 at which it said so) of the worker of a run."""
    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
        event = entry.dagster_event
        pid = event.engine_event_data.metadata.get("pid") if event else None
        if pid is not None and str(pid.value).isdigit():
            return int(str(pid.value)), entry.timestamp
    return None


def _lives(pid: int, since: float) -> bool:
    """Whether a process is there, and was before that moment: numbers are given anew."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    stat = Path(f"/proc/{pid}/stat")
    if not stat.is_file():  # no Linux: the number has to do
        return True
    fields = stat.read_text().rpartition(")")[2].split()
    booted = next(
        int(line.split()[1])
        for line in Path("/proc/stat").read_text().splitlines()
        if line.startswith("btime")
    )
    started = booted + int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return fields[0] != "Z" and started <= since + 1.0


def fail_run(instance: dg.DagsterInstance, run: dg.DagsterRun, reason: str) -> None:
    """Fails a run and frees its slots in all pools."""
    instance.report_run_failed(run, f"{reason[0].upper()}{reason[1:]}.")
    instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)


@dg.sensor(
    job=per_video,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Fails runs whose process is gone, so that their GPU slots are free again, and "
    "takes their videos up where Dagster did not.",
)
def dead_runs(
    context: dg.SensorEvaluationContext,
    store: dg.ResourceParam[TableStore],
    settings: dg.ResourceParam[Settings],
) -> list[dg.RunRequest] | dg.SkipReason:
    """A run says how it ended before its process ends, so the process is looked at first."""
    suspects = [run for run in runs_under_way(context.instance) if is_dead(context.instance, run)]
    failed = [run for run in suspects if _still_under_way(context.instance, run)]
    for run in failed:
        context.log.warning(f"run {run.run_id[:8]} of {subject_of(run)}: {DIED}")
        fail_run(context.instance, run, DIED)
    if skip_while_paused(store) is None:
        requests = [
            # The same key is never run twice.
            dg.RunRequest(run_key=f"died-{run_id}", partition_key=video_id, tags=TAGS)
            for video_id, run_id in not_taken_up(
                context.instance, store, settings.ingest.max_retries
            )
        ]
        if requests:
            return requests
    return dg.SkipReason(f"{len(failed)} dead runs failed.")


def not_taken_up(
    instance: dg.DagsterInstance, store: TableStore, max_retries: int
) -> Iterator[tuple[str, str]]:
    """(video, its last run) of videos whose run died and that Dagster will not start again.

    It tries once, and gives up if the code server is not there at that moment. Videos that were run
    more often than `max_retries` are left out.
    """
    for video_id in FailureNotes(store.layout).videos_with(RUN_DIED):
        runs = instance.get_runs(dg.RunsFilter(tags={PARTITION_TAG: video_id}))
        if not runs or len(runs) > max_retries:
            continue
        if runs[0].status == dg.DagsterRunStatus.FAILURE and runs[0].tags.get(WILL_RETRY) != "true":
            yield video_id, runs[0].run_id


def _still_under_way(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    known = instance.get_run_by_id(run.run_id)
    return known is not None and known.status in UNDER_WAY


def subject_of(run: dg.DagsterRun) -> str:
    """The video of a run, else its job."""
    return run.tags.get("dagster/partition", run.job_name)


@dg.run_failure_sensor(
    monitored_jobs=[per_video],
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=15,
    description="Leaves the reason on the video of a failed run, where its step could not.",
)
def failed_videos(context: dg.RunFailureSensorContext, store: dg.ResourceParam[TableStore]) -> None:
    """A killed worker and a failed check leave no note of their own.

    Nothing is noted where a later run has taken the video up, nor of a run that died when its steps
    were done.
    """
    video_id = context.dagster_run.tags.get("dagster/partition")
    if video_id is None:
        return
    newest = context.instance.get_runs(dg.RunsFilter(tags={"dagster/partition": video_id}), limit=1)
    if newest and newest[0].run_id != context.dagster_run.run_id:
        return
    if all_steps_done(context.instance, context.dagster_run):
        return
    notes = FailureNotes(store.layout)
    record = context.instance.get_run_record_by_id(context.dagster_run.run_id)
    began = (record.start_time or record.create_timestamp.timestamp()) if record else 0.0
    noted = notes.noted_at(video_id)
    if noted is not None and noted >= began:  # the step itself said why
        return
    notes.put(video_id, note_of(context))


def all_steps_done(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether a run had nothing left to do."""
    if run.execution_plan_snapshot_id is None:
        return False
    planned = instance.get_execution_plan_snapshot(run.execution_plan_snapshot_id)
    stats = instance.get_run_step_stats(run.run_id)
    done = {step.step_key for step in stats if step.status and step.status.value == "SUCCESS"}
    return done >= set(planned.step_keys_to_execute)


def note_of(context: dg.RunFailureSensorContext) -> FailureNote:
    """What became of a failed run, as far as its events tell."""
    failures = context.get_step_failure_events()
    if failures:
        event = failures[0]
        error = event.step_failure_data.error
        sentence = _first_line(error.message if error else event.message)
        code = CHECK_FAILED if "AssetCheckFailed" in sentence else "step_failed"
        return FailureNote(code, sentence, str(event.step_key), permanent=False)
    steps = context.instance.get_run_step_stats(context.dagster_run.run_id)
    open_steps = [step.step_key for step in steps if step.end_time is None]
    where = open_steps[-1] if open_steps else "before the first step"
    message = _first_line(context.failure_event.message)
    retried = context.dagster_run.tags.get(WILL_RETRY) == "true"
    again = "a new run takes it up" if retried else "it is tried again up to ingest.max_retries"
    sentence = f"{message} At {where}; {again}."
    return FailureNote(RUN_DIED, sentence, where, permanent=False)


def _first_line(text: str | None) -> str:
    return next(iter((text or "").strip().splitlines()), "The run failed without a word.")


ALL_SENSORS = [failed_videos, dead_runs]
