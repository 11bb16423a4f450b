"""`identity-pipeline recover`: after a crash of the host."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict

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

    store = open_store(merged_settings(overrides(data)))
    with dagster_instance(store.layout) as instance:
        rows = []
        for run in runs_under_way(instance):
            spared = None if everything else why_spared(instance, run)
            rows.append(_row(run.run_id, subject_of(run), spared))
            if not as_json:
                say(_sentence(rows[-1], dry_run))
            if not spared and not dry_run:
                fail_run(instance, run, HOST_DIED)
    swept = [] if dry_run else _swept(store.layout.root)
    runs = counted(sum(row["failed"] for row in rows), "run")
    if as_json:
        echo_json(rows)
    elif dry_run:
        say(f"{runs} would be failed.")
    else:
        say(f"{runs} failed, {counted(len(swept), 'half-written file')} removed.")


def _swept(root: Path) -> list[Path]:
    from identity_pipeline.storage.files import atomic

    return atomic.sweep_temporaries(root, spare_living=True) if root.is_dir() else []


class _Row(TypedDict("_Row", {"why not": str | None})):
    """One run under way, and why it is spared."""

    run: str
    of: str
    failed: bool


def _row(run_id: str, subject: str, spared: str | None) -> _Row:
    return {"run": run_id, "of": subject, "failed": not spared, "why not": spared}


def _sentence(row: _Row, dry_run: bool) -> str:
    name = f"run {row['run'][:8]} of {row['of']}"
    if not row["failed"]:
        return f"{name} {row['why not']} and is left alone (--all fails it too)"
    return f"{'would fail' if dry_run else 'failing'} {name}"
