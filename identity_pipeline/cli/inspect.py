"""`videos`, `settings`, `models`: what there is."""

from __future__ import annotations

import json
from pathlib import Path

import click
from pydantic import BaseModel
from rich.markup import escape
from rich.table import Table

from identity_pipeline.cli.options import (
    console,
    data_option,
    merged_settings,
    model_options,
    open_store,
    overrides,
)
from identity_pipeline.errors import printable
from identity_pipeline.media.wording import counted
from identity_pipeline.stages.video_list import Kind, VideoList
from identity_pipeline.stages.video_notes import notes
from identity_pipeline.storage.pause import paused
from identity_pipeline.storage.registry import VideoRegistry
from identity_pipeline.storage.small_files import DamagedFileError
from identity_pipeline.storage.tables import TableStore

STYLES = {Kind.FAILED: "red", Kind.DONE: "green", Kind.ARCHIVED: "green"}
SHOWN = 50
"""Videos listed without --all; chosen: a screen or two."""


@click.command()
@click.option(
    "--limit",
    type=click.IntRange(1),
    default=SHOWN,
    show_default=True,
    help="List so many, the newest.",
)
@click.option("--all", "everything", is_flag=True, help="List all.")
@click.option(
    "--state",
    "states",
    type=click.Choice([kind.value for kind in Kind]),
    multiple=True,
    help="Only videos in this state; may be given again.",
)
@data_option
def videos(limit: int, everything: bool, states: tuple[str, ...], data: str | None) -> None:
    """List the registered videos, their state and their other names, the newest first.

    \b
    Examples:
      identity-pipeline videos
      identity-pipeline videos --state failed --all
      identity-pipeline sql "SELECT video_id, path FROM videos"     every video, for machines
    """
    store = open_store(merged_settings(overrides(data)))
    known = VideoList.of(store)
    if not known.ids:
        console.print(
            f"No video yet. Drop one into {store.layout.videos}, or: identity-pipeline run FILE"
        )
        return
    chosen = known.chosen([Kind(state) for state in states])
    shown = chosen if everything else chosen[:limit]
    if shown:
        console.print(_video_table(known, store, shown))
    if len(chosen) > len(shown):
        console.print(f"… and {len(chosen) - len(shown)} more, --all shows them.")
    counts = known.counts()
    parts = ", ".join(f"{counts[kind]} {kind.value}" for kind in Kind if counts[kind])
    console.print(f"{counted(len(known.ids), 'video')}: {parts}.", highlight=False)
    order = paused(store.layout)
    if order:
        console.print(order.sentence(), soft_wrap=True, highlight=False)


def _video_table(known: VideoList, store: TableStore, shown: list[str]) -> Table:
    registry = VideoRegistry(store.layout)
    table = Table()
    for column in ("video", "file", "state"):
        table.add_column(column, overflow="fold")
    for video_id in shown:
        try:
            record, damage = registry.get(video_id), None
        except DamagedFileError as error:
            record, damage = None, error
        if record is None and damage is None:  # it was taken away meanwhile
            continue
        names = [Path(p).name for p in (record.path, *record.links)] if record else ["not known"]
        words = escape(f"damaged: {damage}" if damage else known.words(video_id))
        style = STYLES[Kind.FAILED] if damage else STYLES.get(known.kind(video_id))
        state = f"[{style}]{words}[/]" if style else words
        said = "".join(f"\n[yellow]{escape(note)}[/]" for note in notes(store, video_id))
        table.add_row(video_id, escape(printable(", ".join(names))), state + said)
    return table


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
    for fact in model_facts(ModelHub(current.models)):
        table.add_row(
            fact.role,
            fact.name,
            (fact.sha256 or "")[:12],
            fact.licence or "not known",
            fact.provider or "not known",
        )
    console.print(table)
