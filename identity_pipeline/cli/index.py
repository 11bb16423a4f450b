"""`identity-pipeline index`: the vector index, what is in it, and making it anew."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

import click
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from identity_pipeline.cli.options import (
    console,
    data_option,
    merged_settings,
    open_store,
    overrides,
)
from identity_pipeline.settings import Settings
from identity_pipeline.stages import indexing
from identity_pipeline.stages.progress import Progress as Report
from identity_pipeline.storage.index_client import (
    IndexPlace,
)
from identity_pipeline.storage.tables import TableStore
from identity_pipeline.storage.vector_index import VectorIndex


@click.group()
def index() -> None:
    """The vector index: what similarity search and the library look things up in.

    It holds track templates, exemplars and exported images, one collection per embedding space. All
    of it comes from the tables, so nothing is lost with it: `index rebuild` makes it anew.

    \b
      identity-pipeline index status     where it is and what it holds
      identity-pipeline index check      whether it is what the tables say, video by video
      identity-pipeline index rebuild    make it anew from the tables

    It lies in data/index unless QDRANT_URL (and QDRANT_API_KEY) name a server.
    """


def opened(data: str | None) -> tuple[Settings, TableStore, VectorIndex]:
    """Settings, tables and index of a data folder."""
    settings = merged_settings(overrides(data))
    store = open_store(settings)
    return settings, store, VectorIndex(IndexPlace.of(store.layout), settings.index)


@contextmanager
def bar() -> Iterator[Report]:
    """A progress bar per stage."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[count]}"))
    with Progress(
        *columns,
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as progress:
        tasks = {}

        def report(stage: str, done: int, total: int | None, unit: str) -> None:
            if stage not in tasks:
                tasks[stage] = progress.add_task(stage, total=total, count="")
            count = f"{done}{f'/{total}' if total else ''} {unit}"
            progress.update(tasks[stage], completed=done, total=total, count=count)

        yield report


@index.command()
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@data_option
def status(as_json: bool, data: str | None) -> None:
    """Say where the index is, what it holds, and which videos are unfinished."""
    settings, _, vectors = opened(data)
    with vectors.open("showing the state of the index") as session:
        collections = session.collections()
    unfinished = vectors.unfinished()
    if as_json:
        facts = {
            "place": str(vectors.place),
            "collections": [asdict(collection) for collection in collections],
            "unfinished": unfinished,
        }
        click.echo(json.dumps(facts, indent=2))
        return
    console.print(f"The index is {vectors.place}.")
    table = Table()
    for column in ("recognition space", "vision space", "vectors", "points"):
        table.add_column(column, overflow="fold")
    for c in collections:
        sizes = ", ".join(f"{name} {size}" for name, size in sorted(c.dimensions.items()))
        table.add_row(c.space, c.vision_space or "none", sizes, str(c.count))
    console.print(table if collections else "It is empty.")
    if unfinished:
        console.print(
            f"{len(unfinished)} unfinished: {', '.join(unfinished)}. The next run of a video, or "
            "`identity-pipeline index rebuild`, mends it."
        )
    total, most = sum(c.count for c in collections), settings.index.embedded_points_max
    if vectors.place.url is None and total > most:
        console.print(
            f"{total} points are more than the embedded index is made for ({most}); start a Qdrant "
            "server and set QDRANT_URL."
        )


@index.command()
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@data_option
def check(as_json: bool, data: str | None) -> None:
    """Compare counts and checksums of the index with the tables, video by video.

    Exits with 1 when they differ; `identity-pipeline index rebuild` mends it.
    """
    _, store, vectors = opened(data)
    with bar() as report:
        differences = indexing.check(store, vectors, report)
    if as_json:
        click.echo(json.dumps([asdict(difference) for difference in differences], indent=2))
    elif not differences:
        console.print(f"{len(indexing.indexed_videos(store))} videos, all as the tables say.")
    else:
        table = Table()
        for column in ("video", "state", "by the tables", "in the index", "what is wrong"):
            table.add_column(column, overflow="fold")
        for d in differences:
            wanted = "none can be" if d.wanted is None else str(d.wanted)
            table.add_row(d.video_id, d.state, wanted, str(d.found), d.sentence)
        console.print(table)
        console.print("`identity-pipeline index rebuild` makes the index anew from the tables.")
    if differences:
        raise click.exceptions.Exit(1)


@index.command()
@data_option
def rebuild(data: str | None) -> None:
    """Make the index anew from the tables, beside the old one, and then switch over.

    The old index stays in use until the new one is whole. Videos whose own tables are of different
    models are left out and named; the command then exits with 1.
    """
    _, store, vectors = opened(data)
    with bar() as report:
        built = indexing.rebuild(store, vectors, report)
    console.print(f"{built.points} points of {built.videos} videos; the index is {vectors.place}.")
    for video_id, sentence in sorted(built.refused.items()):
        console.print(f"[red]left out {video_id}[/red]: {sentence}")
    if built.refused:
        raise click.exceptions.Exit(1)
