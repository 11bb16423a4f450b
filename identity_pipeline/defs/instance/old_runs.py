"""Dagster's records of runs that nothing needs any more: what may be dropped, and dropping it.

A run of a partition that is still there is its history: dropped, the partition would look as if it
were never made, and the sweep would run it again. So such runs stay, but for failures that a later
run has made up for; and the last run of every job stays.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg

from identity_pipeline.defs.instance.partitions import OF
from identity_pipeline.storage.folder.disk import DAY_S, size_of

FINISHED = [
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.CANCELED,
]
PAGE = 500


def old_runs(instance: dg.DagsterInstance, now: float, days: float) -> Iterator[dg.DagsterRun]:
    """Finished runs that were last changed so many days ago and that nothing needs."""
    before = datetime.fromtimestamp(now - days * DAY_S, UTC)
    keys = {
        str(key)
        for definition in OF.values()
        for key in definition.get_partition_keys(dynamic_partitions_store=instance)
    }
    done = instance.get_materialized_partitions(dg.AssetKey("identity_dataset"))
    last_of: dict[str, str] = {}
    for run in _pages(instance, before):
        partition = run.tags.get("dagster/partition")
        if partition is None:
            if last_of.setdefault(run.job_name, _last(instance, run.job_name)) != run.run_id:
                yield run
        elif partition not in keys or (partition in done and not run.is_success):
            yield run


def _pages(instance: dg.DagsterInstance, before: datetime) -> Iterator[dg.DagsterRun]:
    cursor: str | None = None
    wanted = dg.RunsFilter(statuses=FINISHED, updated_before=before)
    while page := instance.get_runs(wanted, limit=PAGE, cursor=cursor):
        cursor = page[-1].run_id
        yield from page


def _last(instance: dg.DagsterInstance, job: str) -> str:
    return instance.get_runs(dg.RunsFilter(job_name=job), limit=1)[0].run_id


def size_of_run(folder: Path, run: dg.DagsterRun) -> int:
    """Bytes of a run's own files: its event log and what it printed.

    Args:
        folder: Dagster's folder (`data/dagster`).
        run: the run.
    """
    own = [
        *folder.glob(f"storage/history/runs/{run.run_id}.db*"),
        *folder.glob(f"logs/**/{run.run_id}"),
        folder / "artifacts" / "storage" / run.run_id,
    ]
    return sum(size_of(path) for path in own)


def drop_run(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    """Removes a run with its events and its logs."""
    instance.compute_log_manager.delete_logs(prefix=[run.run_id])
    instance.delete_run(run.run_id)
