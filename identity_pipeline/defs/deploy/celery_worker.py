"""The Celery app of a worker, made from the launcher of `dagster.yaml`, so that both agree.

Needs the extra `deploy`.
"""

from __future__ import annotations

import ctypes
import signal
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import dagster as dg

from identity_pipeline.defs.deploy.warm_worker import open_all, tidy_up
from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.settings import load_settings
from identity_pipeline.stages.specs.spec import GPU

if TYPE_CHECKING:
    from celery import Celery

DEFINITIONS = "identity_pipeline.definitions"
OPEN_WITHIN_S = 300.0
"""A process that has not opened everything by then is replaced."""
_PR_SET_PDEATHSIG = 1
"""Of <sys/prctl.h>."""


class NoCeleryError(IdentityPipelineError, RuntimeError):
    """The instance does not start its runs by Celery."""


def worker_app(instance: dg.DagsterInstance) -> Celery:
    """The app whose tasks are the runs of an instance.

    Raises:
        NoCeleryError: its launcher is another.
    """
    from dagster_celery.launcher import CeleryRunLauncher
    from dagster_celery.tasks import create_execute_job_task

    launcher = instance.run_launcher
    if not isinstance(launcher, CeleryRunLauncher):
        raise NoCeleryError(
            f"the run launcher of this dagster.yaml is {type(launcher).__name__}, which needs no "
            "workers; set DAGSTER_HOME to a folder such as deploy/linux."
        )
    app = launcher.celery
    create_execute_job_task(app)
    app.conf.update(
        # A worker takes a run when it has nothing to do, not one more to lie behind the first.
        worker_disable_prefetch=True,
        worker_prefetch_multiplier=1,
        # A run is never given out twice: Dagster finds the dead one and starts another.
        task_acks_late=False,
        task_reject_on_worker_lost=False,
        worker_max_tasks_per_child=load_settings().workers.runs,
        worker_proc_alive_timeout=OPEN_WITHIN_S,
        worker_redirect_stdouts=False,  # Dagster keeps what a run prints
        worker_hijack_root_logger=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
    )
    return app


def arguments(queues: tuple[str, ...], slots: int, name: str, log_level: str) -> list[str]:
    """The command line of Celery for a worker."""
    return [
        "worker",
        f"--queues={','.join(queues)}",
        f"--concurrency={slots}",
        "--pool=prefork",
        f"--hostname={name}@%h",
        "--without-gossip",
        "--without-mingle",
        f"--loglevel={log_level}",
    ]


def open_before_the_first_run(queues: tuple[str, ...], slots: int) -> None:
    """Makes each process of a worker open, as it starts, what its runs need, and keep it.

    Args:
        queues: that the worker takes runs from; one that takes no videos opens no models.
        slots: runs that it does at once, which share the cores.
    """
    from celery.signals import task_postrun, worker_process_init

    if GPU in queues:
        worker_process_init.connect(partial(_open_all, slots), weak=False)
    task_postrun.connect(_tidy_up, weak=False)


def _open_all(slots: int, **_: Any) -> None:
    open_all(DEFINITIONS, slots)


def _tidy_up(**_: Any) -> None:
    tidy_up()


def die_with_the_worker() -> None:
    """Makes each process of a worker end when the worker is killed, as on a host that went down.

    Else it would work on at a video that Dagster has given to another worker meanwhile.
    """
    from celery.signals import worker_process_init

    worker_process_init.connect(_end_with_parent, weak=False)


def _end_with_parent(**_: Any) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
