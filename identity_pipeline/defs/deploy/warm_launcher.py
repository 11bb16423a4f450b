"""Runs on one machine: given to workers that have everything open, one run at a time each.

Dagster's own launcher starts a process for each run, which imports everything and opens all models
before the first frame. Here the process that launches (the daemon) keeps workers (`warm_worker`),
and starts one where none is free. A worker that dies takes its run with it and no other.
"""

from __future__ import annotations

import logging

import dagster as dg

from identity_pipeline.defs.compat import QUEUE_LOG, LaunchRunContext
from identity_pipeline.defs.deploy.worker_pool import pool_of


class NoOriginError(dg.DagsterError):
    """A run does not say where its code is."""


class WarmRunLauncher(dg.DefaultRunLauncher):
    """As Dagster's own, whose runs are processes of this host; but the processes stay."""

    def launch_run(self, context: LaunchRunContext) -> None:
        """Gives a run to a worker.

        Raises:
            NoOriginError: the run was made without a code location.
            OSError: no process could be started.
        """
        run = context.dagster_run
        if run.job_code_origin is None:
            raise NoOriginError(f"run {run.run_id} does not say where its code is")
        say_waiting_once()
        pool_of(self._instance).give(self._instance, run, run.job_code_origin)

    def terminate(self, run_id: str) -> bool:
        """Asks a run to stop; its worker sees it within a second."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        self._instance.report_run_canceling(run)
        return True


class _SaidOnce(logging.Filter):
    """Lets a sentence through that is another one than the last."""

    last = ""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it is new; a warning always is."""
        said, self.last = self.last, record.getMessage()
        return record.levelno > logging.INFO or said != self.last


def say_waiting_once() -> None:
    """While a run waits for a slot the daemon says again and again that it looks; once will do."""
    logger = logging.getLogger(QUEUE_LOG)
    if not any(isinstance(one, _SaidOnce) for one in logger.filters):
        logger.addFilter(_SaidOnce())
