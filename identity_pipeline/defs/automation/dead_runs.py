"""Runs that died: found by their process, failed, and the reason left on their video.

Who launched a run fails it when its worker dies, but may be dead too: after a kill of the whole
host a run would stay started, and keep its GPU slot, for ever. A process is looked up only where it
must be on this host. Of other launchers the launcher itself is asked.
"""

import time
from collections.abc import Iterator, Set
from typing import Protocol, runtime_checkable

import dagster as dg

from identity_pipeline.defs.compat import WorkerStatus
from identity_pipeline.defs.instance.gate import skip_unless_ready
from identity_pipeline.defs.instance.jobs import per_video
from identity_pipeline.defs.instance.pausing import PARTITION_TAG
from identity_pipeline.defs.instance.preflight import is_no_try
from identity_pipeline.defs.instance.tags import HOST, NEW_VIDEO, WILL_RETRY, tags
from identity_pipeline.settings import Settings
from identity_pipeline.stages.specs.assets import VIDEO_SPECS
from identity_pipeline.storage.files.processes import birth_of
from identity_pipeline.storage.progress.heartbeat import host
from identity_pipeline.storage.video.failures import (
    CHECK_FAILED,
    RUN_DIED,
    FailureNote,
    FailureNotes,
)
from identity_pipeline.storage.video.registry import mending_command
from identity_pipeline.storage.video.tables import TableStore

UNDER_WAY = [
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.CANCELING,
]
DIED = "its process is gone: killed, out of memory, or the host went down"
BEFORE = "before the first step"
UNSAID = "This run has been marked as failed from outside the execution context."
"""What Dagster says of a run whose process it misses."""
TAGS = tags("dead_runs", NEW_VIDEO)
STARTING_S = 120.0
"""A launched run that has not told its process yet is spared so long, as by run monitoring."""
RECENT_S = 2 * 3600.0
"""Notes of so long ago are looked at every 30 s; two rounds of the hourly sweep."""


def runs_under_way(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """Runs that Dagster holds to be running."""
    return list(instance.get_runs(dg.RunsFilter(statuses=UNDER_WAY)))


@runtime_checkable
class TellsLost(Protocol):
    """A launcher that can tell whether anybody is still at a run, also before it has begun."""

    def lost(self, run: dg.DagsterRun) -> bool | None:
        """Whether nobody is; None while that cannot be told."""


GONE = (WorkerStatus.FAILED, WorkerStatus.NOT_FOUND, WorkerStatus.SUCCESS)
"""What a launcher says of a worker that is over, of a run that is not."""


def is_dead(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool | None:
    """Whether what ran a run is gone; None while it cannot be told.

    A run of the command line is judged by its process, on the host where it was started only. Any
    other is judged by its launcher, or, where that starts processes on this host, by its process.
    """
    if is_process_of_this_host(instance, run):
        told = process_of(instance, run)
        return None if told is None else not _lives(*told)
    launcher = instance.run_launcher
    if _told_host(run):
        return None
    if isinstance(launcher, TellsLost):
        return launcher.lost(run)
    if run.status == dg.DagsterRunStatus.STARTED and launcher.supports_check_run_worker_health:
        status = launcher.check_run_worker_health(run).status
        return None if status == WorkerStatus.UNKNOWN else status in GONE
    return None


def is_process_of_this_host(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether a run is a process that can only be on this host."""
    told = _told_host(run)
    return told == host() if told else isinstance(instance.run_launcher, dg.DefaultRunLauncher)


def _told_host(run: dg.DagsterRun) -> str | None:
    """The host that a run of the command line named; a re-execution may be anywhere."""
    return None if run.parent_run_id else run.tags.get(HOST)


def is_monitored(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether Dagster's run monitoring asks the launcher about a run by itself."""
    return (
        run.status == dg.DagsterRunStatus.STARTED
        and not _told_host(run)
        and instance.run_monitoring_enabled
        and instance.run_launcher.supports_check_run_worker_health
    )


def is_ours(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether nobody else looks after a run: Dagster ends cancelled ones of other launchers."""
    if run.status == dg.DagsterRunStatus.CANCELING and not is_process_of_this_host(instance, run):
        return False
    return not is_monitored(instance, run)


def why_spared(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str | None:
    """Why a run is not failed by hand; None where it is dead, or never told its process here."""
    dead = is_dead(instance, run)
    if dead is False:
        return "is alive"
    if dead:
        return None
    if is_process_of_this_host(instance, run):
        record = instance.get_run_record_by_id(run.run_id)
        waited = time.time() - record.update_timestamp.timestamp() if record else STARTING_S
        starting = run.status == dg.DagsterRunStatus.STARTING and waited < STARTING_S
        return "is just starting" if starting else None
    return "cannot be judged from here"


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
    birth = birth_of(pid)
    return birth is not None and birth.at <= since + 1.0


def fail_run(instance: dg.DagsterInstance, run: dg.DagsterRun, reason: str) -> None:
    """Ends a run, as failed or as cancelled where that was asked for, and frees its slots."""
    said = f"{reason[0].upper()}{reason[1:]}."
    if run.status == dg.DagsterRunStatus.CANCELING:
        instance.report_run_canceled(run, said)
    else:
        instance.report_run_failed(run, said)
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
) -> dg.SensorResult:
    """A run says how it ended before its process ends, so one look at the process is enough.

    What a launcher tells of a worker elsewhere may be on its way; it has to be so at two looks.
    """
    instance = context.instance
    sure, suspects = _dead(instance, set((context.cursor or "").split()))
    failed = [run for run in sure if _still_under_way(instance, run)]
    for run in failed:
        context.log.warning(f"run {run.run_id[:8]} of {subject_of(run)}: {DIED}")
        fail_run(instance, run, DIED)
    requests = _requests(instance, store, settings.ingest.max_retries)
    said = f"{len(failed)} dead runs failed, {len(suspects)} suspected."
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else dg.SkipReason(said),
        cursor=" ".join(suspects),
    )


def _dead(instance: dg.DagsterInstance, before: Set[str]) -> tuple[list[dg.DagsterRun], list[str]]:
    """Runs that are surely dead, and the ids of those that are if it is so at the next look."""
    ours = [run for run in runs_under_way(instance) if is_ours(instance, run)]
    dead = [run for run in ours if is_dead(instance, run)]
    sure = [r for r in dead if r.run_id in before or is_process_of_this_host(instance, r)]
    return sure, [run.run_id for run in dead if run not in sure]


def _requests(
    instance: dg.DagsterInstance, store: TableStore, max_retries: int
) -> list[dg.RunRequest]:
    """Runs of videos that nobody else takes up; the same key is never run twice."""
    if skip_unless_ready(instance, store):
        return []
    return [
        dg.RunRequest(run_key=f"died-{run_id}", partition_key=video_id, tags=TAGS)
        for video_id, run_id in not_taken_up(instance, store, max_retries)
    ]


def not_taken_up(
    instance: dg.DagsterInstance, store: TableStore, max_retries: int
) -> Iterator[tuple[str, str]]:
    """(video, its last run) of videos whose run died and that Dagster will not start again.

    It gives up if the code server is not there at that moment. Videos that failed more often than
    `max_retries` are left out, and what died longer ago is left to the hourly sweep.
    """
    for video_id in FailureNotes(store.layout).videos_with(RUN_DIED, time.time() - RECENT_S):
        last = instance.get_runs(dg.RunsFilter(tags={PARTITION_TAG: video_id}), limit=1)
        if not last or failures_of(instance, video_id) > max_retries:
            continue
        if last[0].status == dg.DagsterRunStatus.FAILURE and last[0].tags.get(WILL_RETRY) != "true":
            yield video_id, last[0].run_id


def failures_of(instance: dg.DagsterInstance, video_id: str) -> int:
    """How many runs of a video have failed."""
    failed = instance.get_runs(
        dg.RunsFilter(tags={PARTITION_TAG: video_id}, statuses=[dg.DagsterRunStatus.FAILURE])
    )
    return sum(not is_no_try(run) for run in failed)


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
def failed_videos(
    context: dg.RunFailureSensorContext,
    store: dg.ResourceParam[TableStore],
    settings: dg.ResourceParam[Settings],
) -> None:
    """A killed worker and a failed check leave no note of their own.

    Nothing is noted where a later run has taken the video up, nor of a run that could not begin, or
    died when its steps were done.
    """
    video_id = context.dagster_run.tags.get("dagster/partition")
    if video_id is None:
        return
    run = context.dagster_run
    if _is_settled(context.instance, run, video_id) or all_steps_done(context.instance, run):
        return
    notes = FailureNotes(store.layout)
    record = context.instance.get_run_record_by_id(run.run_id)
    began = (record.start_time or record.create_timestamp.timestamp()) if record else 0.0
    noted = notes.noted_at(video_id)
    said_by_step = noted is not None and noted >= began
    note = notes.get(video_id) if said_by_step else None
    if note is None:
        note = note_of(context, _who_tries_again(context, video_id, store, settings))
        notes.put(video_id, note)
    show_on_partition(context.instance, video_id, note)


def _is_settled(instance: dg.DagsterInstance, run: dg.DagsterRun, video_id: str) -> bool:
    """Whether a later run has its video, it could not begin, or whoever started it stopped it."""
    found = instance.get_runs(dg.RunsFilter(tags={PARTITION_TAG: video_id}), limit=1)
    newest = next(iter(found), run)
    return (
        newest.run_id != run.run_id
        or is_no_try(newest)
        or newest.status == dg.DagsterRunStatus.CANCELED
    )


def show_on_partition(instance: dg.DagsterInstance, video_id: str, note: FailureNote) -> None:
    """The reason among the events of the asset that was not made, where the UI shows the failure.

    A note names a step or an output; what is neither (a check, no step at all) is shown where the
    work on a video begins.
    """
    named = (r.key for r in VIDEO_SPECS.values() if note.asset in (r.key, r.step))
    reason = {"failed": note.sentence, "reason_code": note.code, "tried_again": not note.permanent}
    event = dg.AssetObservation(next(named, "ride_video"), partition=video_id, metadata=reason)
    instance.report_runless_asset_event(event)


def all_steps_done(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether a run had nothing left to do."""
    if run.execution_plan_snapshot_id is None:
        return False
    planned = instance.get_execution_plan_snapshot(run.execution_plan_snapshot_id)
    stats = instance.get_run_step_stats(run.run_id)
    done = {step.step_key for step in stats if step.status and step.status.value == "SUCCESS"}
    return done >= set(planned.step_keys_to_execute)


def _who_tries_again(
    context: dg.RunFailureSensorContext, video_id: str, store: TableStore, settings: Settings
) -> str:
    """Who takes a video up whose run died, in words."""
    if context.dagster_run.tags.get(WILL_RETRY) == "true":
        return "a new run takes it up"
    failures = failures_of(context.instance, video_id)
    if failures <= settings.ingest.max_retries:
        return "it is tried again (ingest.max_retries)"
    return (
        f"it failed {failures} times, so it is not tried again by itself (ingest.max_retries): "
        f"once the cause is gone, `{mending_command(store.layout, video_id)}` does so"
    )


def note_of(context: dg.RunFailureSensorContext, again: str) -> FailureNote:
    """What became of a failed run, as far as its events tell.

    Args:
        context: of the run.
        again: who takes up a run that died; see `_who_tries_again`.
    """
    failures = context.get_step_failure_events()
    if failures:
        event = failures[0]
        error = event.step_failure_data.error
        sentence = _first_line(error.message if error else event.message)
        code = CHECK_FAILED if "AssetCheckFailed" in sentence else "step_failed"
        return FailureNote(code, sentence, str(event.step_key), permanent=False)
    steps = context.instance.get_run_step_stats(context.dagster_run.run_id)
    open_steps = [step.step_key for step in steps if step.end_time is None]
    where = open_steps[-1] if open_steps else BEFORE
    at = f"at {where}" if open_steps else where
    message = _first_line(context.failure_event.message)
    said = "" if message == UNSAID else f" {message}"
    sentence = f"Its run ended without a word {at}; {again}.{said}"
    return FailureNote(RUN_DIED, sentence, where, permanent=False)


def _first_line(text: str | None) -> str:
    return next(iter((text or "").strip().splitlines()), "The run failed without a word.")


ALL_SENSORS = [failed_videos, dead_runs]
