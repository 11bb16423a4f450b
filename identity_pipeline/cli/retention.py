"""`identity-pipeline retention`: what is kept longer than it may be, and letting it go."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from identity_pipeline.cli.index import bar
from identity_pipeline.cli.instance import dagster_instance
from identity_pipeline.cli.lists import echo_json, echo_table, json_option, say
from identity_pipeline.cli.options import data_option, merged_settings, open_store, overrides

if TYPE_CHECKING:
    from identity_pipeline.core.privacy.retention import Due


@click.command()
@click.option("--apply", "applied", is_flag=True, help="Let it go; without it nothing is changed.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@data_option
def retention(applied: bool, yes: bool, as_json: bool, data: str | None) -> None:
    """List what is kept longer than the settings [retention] say, and let it go.

    Each kind has its days, counted from when a ride was finished or a thing was made; a kind
    without days is kept for ever, which is the default of all but backups:

    \b
      sources_days      the ride's file in the data folder
      crops_days        pictures of every face, also where the ride's file is gone
      embeddings_days   faces as numbers: the ride leaves the library
      sets_days         the exported sets of a ride
      datasets_days     people's datasets
      photos_days       photographs that were taken in      (listed: `forget SET` removes them)
      backups_days      backups that this program made
      logs_days         tracebacks
      without_consent_days   riders without consent, once consent.required is on
                        (listed: `forget` removes them)

    A ride of which something goes leaves Dagster first, so that no sensor makes it again; the
    ledger and the library's decisions stay. Every night the schedule nightly_retention lists the
    same in the web UI (asset retention_due), and lets it go where retention.delete is on.

    \b
      identity-pipeline retention             what would go, and why
      identity-pipeline retention --apply     let it go
    """
    from identity_pipeline.defs.instance.archiving import taken_out
    from identity_pipeline.stages.privacy.retention import remove, told, what_is_due
    from identity_pipeline.stages.stores import LibraryStores

    settings = merged_settings(overrides(data))
    stores = LibraryStores.of(open_store(settings))
    now = datetime.now(UTC)
    dues = what_is_due(stores, settings, now.timestamp())
    if not as_json:
        _show(dues)
        say(told(dues, deleting=applied))
    if not applied or not dues:
        if as_json:
            echo_json([_row(one) for one in dues])
        return
    if not yes:
        click.confirm("It cannot be brought back. Let it go?", abort=True, err=as_json)
    rows = []
    with dagster_instance(stores.tables.layout) as instance, bar() as report:
        for done in remove(
            stores, settings, dues, lambda video: taken_out(instance, stores.tables, video, now)
        ):
            rows.append({**_row(done.due), "why it stays": done.why_not, "freed": done.bytes})
            report("removing", len(rows), len(dues), "things")
    _tell(rows, as_json)


def _row(one: Due) -> dict[str, Any]:
    from identity_pipeline.stages.privacy.retention import command_of

    return {
        "kind": one.thing.kind,
        "name": one.thing.name,
        "age_days": round(one.age, 1),
        "kept_days": one.days,
        "bytes": one.thing.size,
        "command": command_of(one),
    }


def _show(dues: list[Due]) -> None:
    if dues:
        echo_table(
            ("kind", "of", ">days", ">kept for", ">MB", "command"),
            (
                (
                    one.thing.kind,
                    one.thing.name,
                    f"{one.age:.0f}",
                    f"{one.days:g}",
                    "" if one.thing.size is None else f"{one.thing.size / 1e6:,.1f}",
                    _row(one)["command"] or "",
                )
                for one in dues
            ),
        )


def _tell(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        echo_json(rows)
        return
    for row in rows:
        if row["why it stays"]:
            say(f"{row['kind']} of {row['name']} stays: {row['why it stays']}.")
    gone = [row for row in rows if not row["why it stays"]]
    size = sum(row["freed"] for row in gone)
    say(f"{len(gone)} removed, {size / 1e6:,.1f} MB. Next: `identity-pipeline recluster`.")
