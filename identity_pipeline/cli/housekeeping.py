"""`identity-pipeline archive` and `clean`: keeping Dagster and the disk within their bounds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import count

import click
import polars as pl

from identity_pipeline.cli.curating import counted, echo_table
from identity_pipeline.cli.index import bar
from identity_pipeline.cli.instance import dagster_instance
from identity_pipeline.cli.options import (
    console,
    data_option,
    find_video,
    merged_settings,
    open_store,
    overrides,
)
from identity_pipeline.storage import disk
from identity_pipeline.storage.archive import Archive
from identity_pipeline.storage.disk import Droppable
from identity_pipeline.storage.tables import TableStore

SHOWN = 20


@click.command()
@click.option(
    "--older-than", type=click.FloatRange(0), metavar="DAYS", help="Videos finished so long ago."
)
@click.option(
    "--undo", "videos", multiple=True, metavar="VIDEO", help="Make VIDEO a partition again."
)
@click.option("--failed", multiple=True, metavar="VIDEO", help="VIDEO, which failed for good.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@data_option
def archive(
    older_than: float | None,
    videos: tuple[str, ...],
    failed: tuple[str, ...],
    dry_run: bool,
    data: str | None,
) -> None:
    """Take finished videos out of Dagster; their tables and image sets stay.

    Dagster's pages grow slow with the number of partitions, so finished ones leave: each after its
    tables and its export were read back and are whole. `sql`, `videos`, `why` and the library go
    on using them, and the sensor does not take them for new. A bad file leaves when it is named;
    until then Dagster marks every asset as failed, for want of that one video.

    \b
      identity-pipeline archive --older-than 30 --dry-run     which would go
      identity-pipeline archive --older-than 30               let them go
      identity-pipeline archive --failed broken               a bad file that was looked at
      identity-pipeline archive --undo ride_7                 bring one back
      identity-pipeline archive                               how many there are

    At night by itself: [retention] archive_after_days.
    """
    if sum((bool(videos), bool(failed), older_than is not None)) > 1:
        raise click.UsageError("--older-than, --failed and --undo exclude each other; give one.")
    store = open_store(merged_settings(overrides(data)))
    if videos:
        _bring_back(store, videos, dry_run)
    elif failed:
        _put_aside(store, failed, dry_run)
    elif older_than is not None:
        _archive(store, older_than, dry_run)
    else:
        with dagster_instance(store.layout) as instance:
            there = len(instance.get_dynamic_partitions("videos"))
        console.print(
            f"{counted(there, 'partition')} in Dagster, "
            f"{counted(len(Archive(store.layout).ids()), 'archived video')}."
        )


def _archive(store: TableStore, days: float, dry_run: bool) -> None:
    from identity_pipeline.defs import archiving

    now = datetime.now(UTC)
    with dagster_instance(store.layout) as instance:
        keys = archiving.candidates(instance, store, now.timestamp() - days * disk.DAY_S)
        if dry_run:
            for video_id in keys[:SHOWN]:
                console.print(f"would archive {video_id}")
            more = f" ({len(keys) - SHOWN} not shown)" if len(keys) > SHOWN else ""
            console.print(f"{counted(len(keys), 'video')} would be archived{more}.")
            return
        done, stay = 0, []
        with bar() as report:
            for video_id, why_not in archiving.archive(instance, store, keys, now):
                done += why_not is None
                stay += [f"{video_id} stays: {why_not}"] if why_not else []
                report("archive", done + len(stay), len(keys), "videos")
        left = len(instance.get_dynamic_partitions("videos"))
    for sentence in stay:
        console.print(sentence)
    console.print(f"{counted(done, 'video')} archived; {counted(left, 'partition')} in Dagster.")


def _put_aside(store: TableStore, names: Sequence[str], dry_run: bool) -> None:
    from identity_pipeline.defs import archiving

    with dagster_instance(store.layout) as instance:
        for name in names:
            video_id = find_video(store, name).video_id
            if dry_run:
                why_not = archiving.not_for_good(instance, store, video_id)
            else:
                why_not = archiving.put_aside(instance, store, video_id, datetime.now(UTC))
            done = "would be archived" if dry_run else "archived"
            console.print(f"{video_id} {f'stays: {why_not}' if why_not else done}.")


def _bring_back(store: TableStore, videos: Sequence[str], dry_run: bool) -> None:
    from identity_pipeline.defs import archiving

    with dagster_instance(store.layout) as instance:
        for name in videos:
            video_id = find_video(store, name).video_id
            if dry_run:
                there = Archive(store.layout).get(video_id) is not None
                console.print(f"{video_id} {'would come back' if there else 'is not archived'}.")
            elif archiving.unarchive(instance, store, video_id):
                console.print(f"{video_id} is a partition again.")
            else:
                console.print(f"{video_id} is not archived.")


@click.command()
@click.argument("kinds", nargs=-1, metavar="[KIND]...")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@click.option(
    "--older-than",
    type=click.FloatRange(0),
    default=0.0,
    metavar="DAYS",
    help="Crops and chunks of videos finished so long ago.  [default: 0]",
)
@data_option
def clean(kinds: tuple[str, ...], dry_run: bool, older_than: float, data: str | None) -> None:
    """Show what lies on the disk, by kind, and drop what can be made again.

    Without a KIND, what goes is what nobody misses: old generations of the library, templates in
    the space of heads that are neither live nor what a rollback goes back to, chunks of finished
    videos, half-written files of dead writers, Dagster's records of old runs that no partition
    needs. The crops of finished videos go when they are named: a video that is
    run again is then decoded once more, so they stay where the source video is gone. Never dropped:
    the ledger, image sets, tables, source videos, the library in force, trained heads.

    \b
      identity-pipeline clean --dry-run              how much there is, and what would go
      identity-pipeline clean                        drop what nobody misses
      identity-pipeline clean crops --older-than 30  drop crops of videos finished 30 days ago
    """
    from identity_pipeline.defs import housekeeping, old_runs

    may_go = [kind.name for kind in disk.KINDS if kind.again is not None]
    for kind in kinds:
        if kind not in may_go:
            raise click.UsageError(f"{kind!r} is never dropped; what may go: {', '.join(may_go)}")
    settings = merged_settings(overrides(data))
    store, now = open_store(settings), datetime.now(UTC).timestamp()
    wanted = kinds or disk.CHEAP
    with bar() as report:
        done = count(1)
        sums = disk.bytes_by_kind(
            store.layout, lambda folder: report("adding up", next(done), None, "folders")
        )
    with dagster_instance(store.layout) as instance:
        things = housekeeping.droppable(instance, store.layout, now, older_than)
        runs = list(old_runs.old_runs(instance, now, settings.retention.runs_days))
        folder = store.layout.root / "dagster"
        things += [Droppable("dagster", folder, old_runs.size_of_run(folder, r)) for r in runs]
        _show(sums, things)
        _say_cost(store, [t for t in things if t.kind == "crops"], "crops" in wanted)
        chosen = [thing for thing in things if thing.kind in wanted]
        if dry_run:
            verb = "would go"
        else:
            disk.drop(store.layout, [thing for thing in chosen if thing.kind != "dagster"])
            for run in runs if "dagster" in wanted else ():
                old_runs.drop_run(instance, run)
            verb = "dropped"
    size = sum(thing.size for thing in chosen)
    console.print(f"{counted(len(chosen), 'thing')}, {_megabytes(size)} MB {verb}.")


def _show(sums: dict[str, int], things: Sequence[Droppable]) -> None:
    may_go = dict.fromkeys((kind.name for kind in disk.KINDS), 0)
    for thing in things:
        may_go[thing.kind] += thing.size
    sums = {**sums, "temporary": may_go["temporary"]}
    echo_table(
        ("kind", ">MB", ">may go, MB", "what", "to have it again"),
        (
            (
                kind.name,
                _megabytes(sums[kind.name]),
                "never" if kind.again is None else _megabytes(may_go[kind.name]),
                kind.what,
                kind.again,
            )
            for kind in disk.KINDS
        ),
    )


def _say_cost(store: TableStore, crops: Sequence[Droppable], dropped: bool) -> None:
    """How much video is decoded again, if all of these are ever run with other settings."""
    if not crops:
        return
    paths = [store.layout.table("ride_video", str(thing.video_id)) for thing in crops]
    there = [path for path in paths if path.is_file()]
    total = pl.scan_parquet(there).select(pl.col("duration_ms").sum()).collect().item()
    hours = (total or 0.0) / 3.6e6
    verb = "are dropped" if dropped else "stay unless named"
    console.print(
        f"The crops of {counted(len(crops), 'finished video')} {verb}. Without them, running these "
        f"videos again decodes {hours:.2f} hours of video once more, whatever else is reused."
    )


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f}"
