"""`identity-pipeline archive` and `clean`: keeping Dagster and the disk within their bounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING, Any

import click

from identity_pipeline.cli.curating import counted
from identity_pipeline.cli.index import bar
from identity_pipeline.cli.instance import dagster_instance
from identity_pipeline.cli.lists import echo_json, echo_table, json_option, say
from identity_pipeline.cli.options import (
    data_option,
    find_video,
    merged_settings,
    open_store,
    overrides,
)

if TYPE_CHECKING:
    from identity_pipeline.storage.folder.disk import Droppable
    from identity_pipeline.storage.video.tables import TableStore


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
@json_option
@data_option
def archive(
    older_than: float | None,
    videos: tuple[str, ...],
    failed: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
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
    from identity_pipeline.storage.video.archive import Archive

    if sum((bool(videos), bool(failed), older_than is not None)) > 1:
        raise click.UsageError("--older-than, --failed and --undo exclude each other; give one.")
    store = open_store(merged_settings(overrides(data)))
    if videos:
        _told(_bring_back(store, videos, dry_run), as_json)
    elif failed:
        rows = _put_aside(store, failed, dry_run)
        _told(rows, as_json)
        if any(row["why"] for row in rows):
            raise SystemExit(1)  # it was named, and it stays
    elif older_than is not None:
        _archive(store, older_than, dry_run, as_json)
    else:
        with dagster_instance(store.layout) as instance:
            there = len(instance.get_dynamic_partitions("videos"))
        gone = Archive(store.layout).ids()
        if as_json:
            echo_json([_row(video_id, "archived") for video_id in sorted(gone)])
            return
        say(f"{counted(there, 'partition')} in Dagster, {counted(len(gone), 'archived video')}.")


def _row(video_id: str, state: str, why: str | None = None) -> dict[str, str | None]:
    """What became of one video, or would, and why it stays."""
    return {"video": video_id, "state": state, "why": why}


def _told(rows: Sequence[dict[str, str | None]], as_json: bool) -> None:
    if as_json:
        echo_json(rows)
        return
    for row in rows:
        why = f": {row['why']}" if row["why"] else ""
        say(f"{row['video']} {row['state']}{why}.")


def _archive(store: TableStore, days: float, dry_run: bool, as_json: bool) -> None:
    from identity_pipeline.defs.instance import archiving
    from identity_pipeline.storage.folder import disk

    now = datetime.now(UTC)
    with dagster_instance(store.layout) as instance:
        keys = archiving.candidates(instance, store, now.timestamp() - days * disk.DAY_S)
        if dry_run:
            _would_archive(keys, as_json)
            return
        rows = []
        with bar() as report:
            for video_id, why_not in archiving.archive(instance, store, keys, now):
                rows.append(_row(video_id, "stays" if why_not else "is archived", why_not))
                report("archive", len(rows), len(keys), "videos")
        left = len(instance.get_dynamic_partitions("videos"))
    if as_json:
        echo_json(rows)
        return
    stay = [row for row in rows if row["why"]]
    _told(stay, as_json)
    done = counted(len(rows) - len(stay), "video")
    say(f"{done} archived; {counted(left, 'partition')} in Dagster.")


def _would_archive(keys: Sequence[str], as_json: bool) -> None:
    if as_json:
        echo_json([_row(video_id, "would be archived") for video_id in keys])
        return
    for video_id in keys[:SHOWN]:
        say(f"would archive {video_id}")
    more = f" ({len(keys) - SHOWN} not shown)" if len(keys) > SHOWN else ""
    say(f"{counted(len(keys), 'video')} would be archived{more}.")


def _put_aside(
    store: TableStore, names: Sequence[str], dry_run: bool
) -> list[dict[str, str | None]]:
    from identity_pipeline.defs.instance import archiving

    rows = []
    with dagster_instance(store.layout) as instance:
        for name in names:
            video_id = find_video(store, name).video_id
            if dry_run:
                why_not = archiving.not_for_good(instance, store, video_id)
            else:
                why_not = archiving.put_aside(instance, store, video_id, datetime.now(UTC))
            done = "would be archived" if dry_run else "archived"
            rows.append(_row(video_id, "stays" if why_not else done, why_not))
    return rows


def _bring_back(
    store: TableStore, videos: Sequence[str], dry_run: bool
) -> list[dict[str, str | None]]:
    from identity_pipeline.defs.instance import archiving
    from identity_pipeline.storage.video.archive import Archive

    rows = []
    with dagster_instance(store.layout) as instance:
        for name in videos:
            video_id = find_video(store, name).video_id
            if dry_run:
                there = Archive(store.layout).get(video_id) is not None
                back = "would come back"
            else:
                there = archiving.unarchive(instance, store, video_id)
                back = "is a partition again"
            rows.append(_row(video_id, back if there else "is not archived"))
    return rows


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
@json_option
@data_option
def clean(
    kinds: tuple[str, ...], dry_run: bool, older_than: float, as_json: bool, data: str | None
) -> None:
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
    from identity_pipeline.defs.assets import housekeeping
    from identity_pipeline.defs.instance import old_runs
    from identity_pipeline.storage.folder import disk
    from identity_pipeline.storage.folder.disk import Droppable

    _refuse_what_stays(kinds)
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
        folder = store.layout.dagster
        of_runs = [Droppable("dagster", folder, old_runs.size_of_run(folder, r)) for r in runs]
        if not as_json:
            _show(sums, things + of_runs)
            _say_cost(store, _of_kinds(things, ["crops"]), "crops" in wanted)
        if not dry_run:
            disk.drop(store.layout, _of_kinds(things, wanted))
            for run in runs if "dagster" in wanted else ():
                old_runs.drop_run(instance, run)
    things += of_runs
    _say_gone(_kinds(sums, things), _of_kinds(things, wanted), dry_run, as_json)


def _of_kinds(things: Sequence[Droppable], kinds: Sequence[str]) -> list[Droppable]:
    return [thing for thing in things if thing.kind in kinds]


def _say_gone(
    rows: Sequence[dict[str, Any]], gone: Sequence[Droppable], dry_run: bool, as_json: bool
) -> None:
    verb = "would go" if dry_run else "dropped"
    if as_json:
        dropped = {thing.kind for thing in gone}
        echo_json([{**row, verb: row["kind"] in dropped} for row in rows])
        return
    size = sum(thing.size for thing in gone)
    say(f"{counted(len(gone), 'thing')}, {_megabytes(size)} MB {verb}.")


def _refuse_what_stays(kinds: Sequence[str]) -> None:
    from identity_pipeline.storage.folder import disk

    may_go = [kind.name for kind in disk.KINDS if kind.again is not None]
    for kind in kinds:
        if kind not in may_go:
            raise click.UsageError(f"{kind!r} is never dropped; what may go: {', '.join(may_go)}")


def _kinds(sums: Mapping[str, int], things: Sequence[Droppable]) -> list[dict[str, Any]]:
    """How much there is of each kind, and how much of it may go, in MB; null for never."""
    from identity_pipeline.storage.folder import disk

    may_go = dict.fromkeys((kind.name for kind in disk.KINDS), 0)
    for thing in things:
        may_go[thing.kind] += thing.size
    sums = {**sums, "temporary": may_go["temporary"]}
    return [
        {
            "kind": kind.name,
            "MB": sums[kind.name] / 1e6,
            "may go, MB": None if kind.again is None else may_go[kind.name] / 1e6,
            "what": kind.what,
            "to have it again": kind.again,
        }
        for kind in disk.KINDS
    ]


def _show(sums: Mapping[str, int], things: Sequence[Droppable]) -> None:
    echo_table(
        ("kind", ">MB", ">may go, MB", "what", "to have it again"),
        (
            (
                row["kind"],
                f"{row['MB']:,.1f}",
                "never" if row["may go, MB"] is None else f"{row['may go, MB']:,.1f}",
                row["what"],
                row["to have it again"],
            )
            for row in _kinds(sums, things)
        ),
    )


def _say_cost(store: TableStore, crops: Sequence[Droppable], dropped: bool) -> None:
    """How much video is decoded again, if all of these are ever run with other settings."""
    if not crops:
        return
    videos = [str(thing.video_id) for thing in crops]
    total = sum(
        float(store.read("ride_video", video_id, ("duration_ms",))["duration_ms"].sum())
        for video_id in videos
        if store.outputs.has("ride_video", video_id)
    )
    hours = total / 3.6e6
    verb = "are dropped" if dropped else "stay unless named"
    say(
        f"The crops of {counted(len(crops), 'finished video')} {verb}. Without them, running these "
        f"videos again decodes {hours:.2f} hours of video once more, whatever else is reused."
    )


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f}"
