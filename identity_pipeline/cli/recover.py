"""`identity-pipeline recover`: after a crash of the host."""

from __future__ import annotations

import click

from identity_pipeline.cli.instance import dagster_instance
from identity_pipeline.cli.lists import echo_json, json_option, say
from identity_pipeline.cli.options import (
    data_option,
    merged_settings,
    open_store,
    overrides,
)

HOST_DIED = "the host died while this run was active"


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--all", "everything", is_flag=True, help="Fail runs whose process is alive, too.")
@json_option
@data_option
def recover(dry_run: bool, everything: bool, as_json: bool, data: str | None) -> None:
    """Clean up after a crash: fail dead runs, free their slots, sweep half-written files.

    A run is dead when its process is gone, or, of runs that a launcher starts on other hosts, when
    the launcher says so. What is alive, or cannot be judged from here, is left alone, and so are
    the files that it writes. The sensor dead_runs does the same while `make dev` is up. The hourly
    sweep, or a new run, then takes the videos up again.
    """
    from identity_pipeline.defs.automation.dead_runs import (
        fail_run,
        runs_under_way,
        subject_of,
        why_spared,
    )
    from identity_pipeline.media.wording import counted
    from identity_pipeline.storage.files import atomic

    store = open_store(merged_settings(overrides(data)))
    with dagster_instance(store.layout) as instance:
        rows = []
        for run in runs_under_way(instance):
            name = f"run {run.run_id[:8]} of {subject_of(run)}"
            spared = None if everything else why_spared(instance, run)
            row = {
                "run": run.run_id,
                "of": subject_of(run),
                "failed": not spared,
                "why not": spared,
            }
            rows.append(row)
            if not as_json:
                verb = "would fail" if dry_run else "failing"
                alone = f"{name} {spared} and is left alone (--all fails it too)"
                say(alone if spared else f"{verb} {name}")
            if not spared and not dry_run:
                fail_run(instance, run, HOST_DIED)
    failed = sum(row["failed"] for row in rows)
    if dry_run and as_json:
        echo_json(rows)
        return
    if dry_run:
        say(f"{counted(failed, 'run')} would be failed.")
        return
    root = store.layout.root
    swept = atomic.sweep_temporaries(root, spare_living=True) if root.is_dir() else []
    if as_json:
        echo_json(rows)
        return
    runs, files = counted(failed, "run"), counted(len(swept), "half-written file")
    say(f"{runs} failed, {files} removed.")
