"""What Dagster knows of the runs, as plain facts for `stages.planning.status`."""

from __future__ import annotations

import dagster as dg

from identity_pipeline.core.progress.shares import LEARNING_WORK, LIBRARY_WORK
from identity_pipeline.defs.instance.jobs import learn, library, per_photo_set, per_video
from identity_pipeline.defs.instance.preflight import is_no_try
from identity_pipeline.defs.instance.tags import WILL_RETRY
from identity_pipeline.stages.planning.phases import RunFact

LOOKED_AT = 1000
"""The latest runs of each job that are looked at; older ones are history."""
OF_JOB = {
    per_video.name: LIBRARY_WORK,
    per_photo_set.name: LIBRARY_WORK,
    library.name: LIBRARY_WORK,
    learn.name: LEARNING_WORK,
}
"""Whose work the runs of a job are that have no partition."""
STATUS = {
    dg.DagsterRunStatus.QUEUED: "queued",
    dg.DagsterRunStatus.NOT_STARTED: "queued",
    dg.DagsterRunStatus.STARTING: "started",
    dg.DagsterRunStatus.STARTED: "started",
    dg.DagsterRunStatus.CANCELING: "started",
    dg.DagsterRunStatus.CANCELED: "cancelled",
    dg.DagsterRunStatus.FAILURE: "failed",
}


def last_runs(instance: dg.DagsterInstance, without: str | None = None) -> dict[str, RunFact]:
    """The last run of each video, of the library and of learning; successful ones too.

    Args:
        instance: of Dagster.
        without: a run to leave out: the one that asks.
    """
    found: dict[str, RunFact] = {}
    for job, of in OF_JOB.items():
        for record in instance.get_run_records(dg.RunsFilter(job_name=job), limit=LOOKED_AT):
            run = record.dagster_run
            key = run.tags.get("dagster/partition", of)
            if run.run_id != without and not is_no_try(run):
                status = "queued" if _is_retried(run) else STATUS.get(run.status, "succeeded")
                since = record.start_time or record.update_timestamp.timestamp()
                found.setdefault(key, RunFact(run.run_id, status, since))
    return found


def _is_retried(run: dg.DagsterRun) -> bool:
    """Whether Dagster is about to start a run again that died; then that run is the last one."""
    return run.status == dg.DagsterRunStatus.FAILURE and run.tags.get(WILL_RETRY) == "true"
