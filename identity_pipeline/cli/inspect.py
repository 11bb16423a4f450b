"""`videos`, `settings`, `models`: what there is."""

from __future__ import annotations

import json
from pathlib import Path

import click
from pydantic import BaseModel
from rich.table import Table

from identity_pipeline.cli.options import (
    console,
    data_option,
    merged_settings,
    model_options,
    open_store,
    overrides,
)
from identity_pipeline.storage.archive import Archive
from identity_pipeline.storage.chunks import unfinished
from identity_pipeline.storage.failures import FailureNotes
from identity_pipeline.storage.pause import paused
from identity_pipeline.storage.registry import VideoRegistry
from identity_pipeline.storage.tables import TableStore


def video_state(store: TableStore, video_id: str) -> str:
    """`done`, `done (archived)`, `failed: CODE`, or how far the tables reach."""
    note = FailureNotes(store.layout).get(video_id)
    if note is not None:
        return f"[red]failed: {note.code}[/red] - {note.sentence}"
    if store.noted("identity_dataset", video_id):
        archived = " (archived)" if Archive(store.layout).get(video_id) else ""
        return f"[green]done[/green]{archived}"
    kept = [n for (step, video), n in unfinished(store.layout).items() if video == video_id]
    chunks = f", {sum(kept)} chunks of the next step are kept" if kept else ""
    reached = [a for a in ("frames", "riders", "selection") if store.noted(a, video_id)]
    if reached or kept:
        begun = f"{reached[-1]} is there" if reached else "the first pass"
        return f"{'paused' if paused(store.layout) else 'begun'}: {begun}{chunks}"
    return "waiting"


@click.command()
@data_option
def videos(data: str | None) -> None:
    """List the registered videos, their state and their other names."""
    store = open_store(merged_settings(overrides(data)))
    table = Table()
    for column in ("video", "file", "state"):
        table.add_column(column, overflow="fold")
    records = list(VideoRegistry(store.layout).all())
    for record in records:
        names = [Path(p).name for p in (record.path, *record.links)]
        table.add_row(record.video_id, ", ".join(names), video_state(store, record.video_id))
    if not records:
        console.print(
            f"No video yet. Drop one into {store.layout.videos}, or: identity-pipeline run FILE"
        )
        return
    console.print(table)
    order = paused(store.layout)
    if order:
        console.print(order.sentence(), soft_wrap=True, highlight=False)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For machines: the values only.")
@click.argument("group", required=False)
def settings(group: str | None, as_json: bool) -> None:
    """Show every setting with its unit and where its default comes from; of one GROUP if given.

    Change one in settings.toml ([selection] novelty_min = 0.2) or by the environment
    (IDENTITY_PIPELINE__SELECTION__NOVELTY_MIN=0.2).
    """
    current = merged_settings({})
    if as_json:
        click.echo(json.dumps(current.model_dump(mode="json"), indent=2))
        return
    names = [group] if group else list(type(current).model_fields)
    for name in names:
        if name not in type(current).model_fields:
            raise click.UsageError(
                f"no group {name!r}; groups: {', '.join(type(current).model_fields)}"
            )
        console.print(settings_table(name, getattr(current, name)))


def settings_table(name: str, group: BaseModel) -> Table:
    """The settings of one group; a changed value is marked."""
    table = Table(title=f"\\[{name}] {type(group).__doc__}", title_justify="left")
    for column in ("setting", "value", "unit", "what it does", "source"):
        table.add_column(column, overflow="fold")
    for field, info in type(group).model_fields.items():
        extra = info.json_schema_extra
        notes = extra if isinstance(extra, dict) else {}
        value = getattr(group, field)
        shown = str(value) if value == info.default else f"[bold yellow]{value}[/] (changed)"
        table.add_row(
            field, shown, str(notes.get("unit")), info.description, str(notes.get("source"))
        )
    return table


@click.command()
@model_options
def models(pack: str | None, vision: str | None, device: str | None) -> None:
    """Show the models in use, their digests and licences, and what really runs them."""
    from identity_pipeline.models.hub import ModelHub
    from identity_pipeline.stages.provenance import model_facts

    current = merged_settings(overrides(None, pack, vision, device))
    table = Table()
    for column in ("role", "name", "sha256", "licence", "runs on"):
        table.add_column(column)
    try:
        facts = model_facts(ModelHub(current.models))
    except RuntimeError as error:
        raise click.ClickException(str(error)) from error
    for fact in facts:
        table.add_row(
            fact.role,
            fact.name,
            (fact.sha256 or "")[:12],
            fact.licence or "not known",
            fact.provider or "not known",
        )
    console.print(table)
