"""`identity-pipeline recover`: after a crash of the host."""

from __future__ import annotations

import click
import dagster as dg

from identity_pipeline.cli.options import (
    console,
    data_option,
    merged_settings,
    open_store,
    overrides,
)
from identity_pipeline.cli.run import dagster_instance
from identity_pipeline.storage import atomic

UNFINISHED = [
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.CANCELING,
]


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@data_option
def recover(dry_run: bool, data: str | None) -> None:
    """Clean up after a crash: fail runs that a dead host left as started, sweep half-written files.

    Only run it while neither `make dev` nor another run is active: a live run would be failed too.
    The hourly sweep, or a new run, then takes the videos up again.
    """
    store = open_store(merged_settings(overrides(data)))
    with dagster_instance() as instance:
        runs = instance.get_runs(dg.RunsFilter(statuses=UNFINISHED))
        for run in runs:
            key = run.tags.get("dagster/partition", run.job_name)
            console.print(f"{'would fail' if dry_run else 'failing'} run {run.run_id[:8]} of {key}")
            if not dry_run:
                instance.report_run_failed(run, "The host died while this run was active.")
    if dry_run:
        console.print(f"{len(runs)} runs would be failed.")
        return
    swept = atomic.sweep_temporaries(store.layout.root) if store.layout.root.is_dir() else []
    console.print(f"{len(runs)} runs failed, {len(swept)} half-written files removed.")
