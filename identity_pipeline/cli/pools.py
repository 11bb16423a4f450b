"""`identity-pipeline pools`: what is scarce, and who has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from identity_pipeline.cli.instance import dagster_instance
from identity_pipeline.cli.lists import echo_json, echo_table, json_option
from identity_pipeline.cli.options import data_option, merged_settings, open_store, overrides

if TYPE_CHECKING:
    import dagster as dg

    from identity_pipeline.defs.instance.pools import PoolUse


def _wish(text: str, pools: Sequence[str]) -> tuple[str, int]:
    name, _, slots = text.partition("=")
    if not slots.isdigit():
        raise click.UsageError(f"{text!r} is not POOL=SLOTS, such as gpu=2.")
    if name not in pools:
        raise click.UsageError(f"there is no pool {name!r}; pools: {', '.join(pools)}")
    return name, int(slots)


def _holder(run: dg.DagsterRun, at: Mapping[str, str]) -> str:
    name = run.tags.get("dagster/partition", run.job_name)
    return f"{name}, at {at[run.run_id]}" if run.run_id in at else name


def _row(use: PoolUse, at: Mapping[str, str]) -> dict[str, Any]:
    """One pool, as `--json` prints it."""
    return {
        "pool": use.name,
        "slots": use.slots,
        "from": "dagster.yaml" if use.from_file else "--set",
        "held by": [_holder(run, at) for run in use.inside],
        "waiting": use.waiting,
    }


@click.command()
@click.option(
    "--set",
    "wishes",
    multiple=True,
    metavar="POOL=SLOTS",
    help="Change a pool's slots; may repeat.",
)
@json_option
@data_option
def pools(wishes: tuple[str, ...], as_json: bool, data: str | None) -> None:
    """Show the pools of scarce things: their slots, who holds them, who waits.

    Slots come from dagster.yaml (concurrency.pools.default_limit) until --set gives a pool its own
    number, which Dagster keeps in its database. A run holds its slot from start to end; the step
    that it is at is told by the data folder.

    \b
      identity-pipeline pools                 what is held, and makes new pools known
      identity-pipeline pools --set gpu=2     two GPUs, or two videos that share one
    """
    from identity_pipeline.defs.instance import pools as scarce
    from identity_pipeline.storage.progress.heartbeat import Heartbeats

    chosen = [_wish(wish, scarce.ALL_POOLS) for wish in wishes]
    store = open_store(merged_settings(overrides(data)), new=True)
    with dagster_instance(store.layout) as instance:
        scarce.make_known(instance)
        for name, slots in chosen:
            instance.event_log_storage.set_concurrency_slots(name, slots)
        found = scarce.uses(instance)
    live = Heartbeats(store.layout).all()
    at = {step.run_id: step.step for step in live if not step.ended}
    if not found:
        raise click.ClickException(
            "Dagster has no default for pools here; set concurrency.pools.default_limit in "
            "dagster.yaml, or give --set."
        )
    rows = [_row(use, at) for use in found]
    if as_json:
        echo_json(rows)
        return
    echo_table(
        ("pool", ">slots", "from", "held by", ">waiting"),
        (
            (r["pool"], r["slots"], r["from"], ", ".join(r["held by"]) or "nobody", r["waiting"])
            for r in rows
        ),
    )
