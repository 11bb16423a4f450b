"""Private parts of Dagster that are needed, in one place; each may go with any new version.

`PRIVATE` says what of the product hangs on each. `identity_pipeline_tests/defs/test_compat.py`
holds what is expected of them, so that a new Dagster that changed one is known by its name. What
Dagster exports is taken from `dagster` itself, and never from here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dagster._config.config_schema import UserConfigSchema
from dagster._core.instance.ref import InstanceRef
from dagster._core.launcher.base import CheckRunHealthResult, LaunchRunContext, WorkerStatus
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._core.storage.root import LocalArtifactStorage
from dagster._core.storage.runs import SqliteRunStorage
from dagster._core.storage.schedules import SqliteScheduleStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClassData
from dagster._utils import get_run_crash_explanation as crash_explanation
from dagster._utils.error import SerializableErrorInfo
from dagster._utils.interrupts import capture_interrupts

if TYPE_CHECKING:
    import dagster as dg

QUEUE_LOG: Final = "dagster.daemon.QueuedRunCoordinatorDaemon"
"""The logger of the daemon that takes runs from the queue."""
PRIVATE: Final = {
    "UserConfigSchema": "types of what dagster.yaml may say; nothing at run time",
    "ConfigurableClassData": "types of where a class was configured; nothing at run time",
    "CheckRunHealthResult": "the Celery launcher's answer whether somebody is at a run",
    "WorkerStatus": "dead runs are told from living ones, also of other hosts",
    "LocalComputeLogManager": "what runs print lies in the data folder ({data}/dagster/logs)",
    "LocalArtifactStorage": "Dagster's own files lie in the data folder ({data}/dagster/artifacts)",
    "DagsterSqliteStorage": "Dagster's database lies in the data folder ({data}/dagster/storage)",
    "SqliteEventLogStorage": "its databases stay open, and a run's log has no echoes",
    "SqliteRunStorage": "its database stays open between two statements",
    "SqliteScheduleStorage": "its database stays open between two statements",
    "InstanceRef": "workers are told which instance they work for",
    "LaunchRunContext": "types of what a launcher is handed; nothing at run time",
    "capture_interrupts": "a run that somebody stops ends as cancelled, and its worker lives",
    "crash_explanation": "the reason of a run whose worker died, in Dagster's own words",
    "execute_run": "workers do one run after another in their own process",
    "SerializableErrorInfo": "`run` and the sensors say why a run failed, down to the first cause",
}
"""What breaks if Dagster changes it, by name."""


def execute_run(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Does a run in this process, as the process that Dagster's launchers start for it does.

    It reports all that happens, its own end included, and raises nothing.

    Args:
        instance: where the run was made.
        run_id: which.

    Returns:
        Whether it began here: what another process is at is left alone.
    """
    import dagster as dg
    from dagster._cli.api import _execute_run_command_body  # what only workers need

    kinds: set[str] = set()
    _execute_run_command_body(
        run_id, instance, lambda event: kinds.add(event.event_type_value), False
    )
    return dg.DagsterEventType.RUN_START.value in kinds


__all__ = [
    "PRIVATE",
    "CheckRunHealthResult",
    "ConfigurableClassData",
    "DagsterSqliteStorage",
    "InstanceRef",
    "LaunchRunContext",
    "LocalArtifactStorage",
    "LocalComputeLogManager",
    "SerializableErrorInfo",
    "SqliteEventLogStorage",
    "SqliteRunStorage",
    "SqliteScheduleStorage",
    "UserConfigSchema",
    "WorkerStatus",
    "capture_interrupts",
    "crash_explanation",
    "execute_run",
]
