"""Runs as Celery tasks: Dagster's own launcher, and what it lacks to be left alone for a season.

`dagster_celery.CeleryRunLauncher` starts each run as one task. It takes a task that was started for
one that lives, so after the loss of a worker's host its run would stay started, and keep its GPU
slot, until it has run for too long; and it ends a run without telling Dagster that it was asked to,
so that what somebody cancelled counts as failed. Both are mended here. Needs the extra `deploy`.
"""

from __future__ import annotations

from typing import Any

import dagster as dg
from celery.states import PENDING, READY_STATES
from dagster_celery.launcher import CeleryRunLauncher
from dagster_celery.tags import DAGSTER_CELERY_TASK_ID_TAG

from identity_pipeline.defs.compat import CheckRunHealthResult, WorkerStatus

ANSWER_S = 5.0
"""How long a worker may take to answer; its main process does nothing else than answer."""
NO_CELERY = "it was not started by Celery"
LOST = "no worker is at it any more: killed, out of memory, or its host went down"


class WatchedCeleryRunLauncher(CeleryRunLauncher):
    """One run is one task, and one whose worker died is noticed by Dagster's run monitoring."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._missed: set[str] = set()

    def lost(self, run: dg.DagsterRun) -> bool | None:
        """Whether no worker is at a run any more; None while that cannot be told.

        It cannot be told of a run that waits for a worker, nor of one that Celery did not start.

        Raises:
            OSError, kombu.exceptions.OperationalError: the broker cannot be asked.
        """
        task_id = run.tags.get(DAGSTER_CELERY_TASK_ID_TAG)
        if task_id is None:
            return None
        meta = self.celery.backend.get_task_meta(task_id)
        if meta["status"] in READY_STATES:
            return True
        if meta["status"] == PENDING and run.status == dg.DagsterRunStatus.STARTING:
            return None
        return not self._is_anyone_at(task_id, meta.get("result"))

    def _is_anyone_at(self, task_id: str, started: Any) -> bool:
        """Asks the worker that has noted that it began; all of them where that note is lost."""
        worker = started.get("hostname") if isinstance(started, dict) else None
        asked = self.celery.control.inspect(
            destination=[worker] if worker else None, timeout=ANSWER_S
        )
        answers = asked.query_task(task_id) or {}
        return any(task_id in tasks for tasks in answers.values())

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """A run counts as dead at the second look in a row that finds nobody at it."""
        lost = self.lost(run)
        if lost is None:
            return CheckRunHealthResult(WorkerStatus.RUNNING, NO_CELERY)
        if not lost:
            self._missed.discard(run.run_id)
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        if run.run_id not in self._missed:
            self._missed.add(run.run_id)
            return CheckRunHealthResult(WorkerStatus.RUNNING, f"suspected: {LOST}")
        self._missed.discard(run.run_id)
        return CheckRunHealthResult(WorkerStatus.NOT_FOUND, LOST)

    def terminate(self, run_id: str) -> bool:
        """Asks a run to stop; it ends as cancelled, behind what it is at."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished or DAGSTER_CELERY_TASK_ID_TAG not in run.tags:
            return False
        self._instance.report_run_canceling(run)
        return super().terminate(run_id)

    def get_run_worker_debug_info(
        self, run: dg.DagsterRun, include_container_logs: bool | None = True
    ) -> str | None:
        """What Celery knows of a run, for the message of its failure."""
        task_id = run.tags.get(DAGSTER_CELERY_TASK_ID_TAG)
        if task_id is None:
            return None
        meta = self.celery.backend.get_task_meta(task_id)
        return f"Celery task {task_id}: {meta['status']} {meta.get('result') or ''}".rstrip()
