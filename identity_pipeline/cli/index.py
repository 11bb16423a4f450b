"""`identity-pipeline index`: the vector index, what is in it, and making it anew."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from time import monotonic
from typing import TYPE_CHECKING, Final

import click
from rich.console import Console

from identity_pipeline.cli.lists import console, echo_json, echo_table, json_option, say
from identity_pipeline.cli.options import (
    data_option,
    merged_settings,
    open_stores,
    overrides,
)

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from identity_pipeline.settings import Settings
    from identity_pipeline.stages.progress.protocol import Progress as Report
    from identity_pipeline.stages.stores import LibraryStores
    from identity_pipeline.storage.index.session import Collection
    from identity_pipeline.storage.index.vector_index import VectorIndex

QUIET_S: Final = 2.0
"""What is over sooner shows no bar: it would only flicker."""
BETWEEN_S: Final = 0.1
"""Between two looks of a bar; told of every video, it would cost more than the video."""


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


def opened(data: str | None) -> tuple[Settings, LibraryStores, VectorIndex]:
    """Settings, tables and index of a data folder."""
    settings = merged_settings(overrides(data))
    stores = open_stores(settings)
    return settings, stores, stores.index(settings)


@contextmanager
def bar() -> Iterator[Report]:
    """A progress bar per stage."""
    with _progress(console) as progress:
        yield _reporting(progress)


@contextmanager
def later_bar() -> Iterator[Report]:
    """The same on stderr, of work that is usually over before a bar is seen."""
    progress, begins_at, told_at = _progress(Console(stderr=True)), monotonic() + QUIET_S, 0.0
    report_to = _reporting(progress)

    def report(stage: str, done: int, total: int | None, unit: str) -> None:
        nonlocal told_at
        now = monotonic()
        if now < begins_at or now - told_at < BETWEEN_S:
            return
        told_at = now
        progress.start()
        report_to(stage, done, total, unit)

    try:
        yield report
    finally:
        progress.stop()


def _progress(where: Console) -> Progress:
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[count]}"))
    return Progress(
        *columns,
        TimeElapsedColumn(),
        console=where,
        transient=True,
        disable=not where.is_terminal,
    )


def _reporting(progress: Progress) -> Report:
    """A callback that shows a bar for each stage."""
    tasks: dict[str, TaskID] = {}

    def report(stage: str, done: int, total: int | None, unit: str) -> None:
        if stage not in tasks:
            tasks[stage] = progress.add_task(stage, total=total, count="")
        count = f"{done}{f'/{total}' if total else ''} {unit}"
        progress.update(tasks[stage], completed=done, total=total, count=count)

    return report


def _cells(collection: Collection) -> tuple[object, ...]:
    vectors = (f"{name} {size}" for name, size in sorted(collection.dimensions.items()))
    space = collection.encoders or "none"
    return collection.space, space, ", ".join(vectors), collection.count


@index.command()
@json_option
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
        echo_json(facts)
        return
    say(f"The index is {vectors.place}.")
    if collections:
        echo_table(
            ("recognition space", "vision space", "vectors", ">points"), map(_cells, collections)
        )
    else:
        say("It is empty.")
    if unfinished:
        say(
            f"{len(unfinished)} unfinished: {', '.join(unfinished)}. The next run of a video, or "
            "`identity-pipeline index rebuild`, mends it."
        )
    total, most = sum(c.count for c in collections), settings.index.embedded_points_max
    if vectors.place.url is None and total > most:
        say(
            f"{total} points are more than the embedded index is made for ({most}); start a Qdrant "
            "server and set QDRANT_URL."
        )


@index.command()
@json_option
@data_option
def check(as_json: bool, data: str | None) -> None:
    """Compare counts and checksums of the index with the tables, video by video.

    Exits with 1 when they differ; `identity-pipeline index rebuild` mends it.
    """
    from identity_pipeline.stages.library import indexing

    _, stores, vectors = opened(data)
    with bar() as report:
        differences = indexing.check(stores, vectors, report)
    if as_json:
        echo_json([asdict(difference) for difference in differences])
    elif not differences:
        say(f"{len(indexing.indexed_videos(stores.tables))} videos, all as the tables say.")
    else:
        echo_table(
            ("video", "state", ">by the tables", ">in the index", "what is wrong"),
            (
                (
                    d.video_id,
                    d.state,
                    "none can be" if d.wanted is None else d.wanted,
                    d.found,
                    d.sentence,
                )
                for d in differences
            ),
        )
        say("`identity-pipeline index rebuild` makes the index anew from the tables.")
    if differences:
        raise click.exceptions.Exit(1)


@index.command()
@data_option
def rebuild(data: str | None) -> None:
    """Make the index anew from the tables, beside the old one, and then switch over.

    The old index stays in use until the new one is whole. Videos whose own tables are of different
    models are left out and named; the command then exits with 1.
    """
    from identity_pipeline.cli.working import refuse_unless_ready
    from identity_pipeline.stages.library import indexing

    settings, stores, vectors = opened(data)
    refuse_unless_ready(stores.tables, settings)
    with bar() as report:
        built = indexing.rebuild(stores, vectors, report)
        indexing.note_names(stores)
    say(f"{built.points} points of {built.videos} videos; the index is {vectors.place}.")
    for video_id, sentence in sorted(built.refused.items()):
        say(f"left out {video_id}: {sentence}", "red")
    if built.refused:
        raise click.exceptions.Exit(1)
