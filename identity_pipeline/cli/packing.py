"""`identity-pipeline pack`: all tables of a finished video in one file, and back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from identity_pipeline.cli.curating import counted
from identity_pipeline.cli.index import bar
from identity_pipeline.cli.lists import echo_json, json_option, say
from identity_pipeline.cli.options import (
    data_option,
    find_video,
    merged_settings,
    open_store,
    overrides,
)

if TYPE_CHECKING:
    from identity_pipeline.settings import Settings
    from identity_pipeline.storage.video.tables import TableStore


@click.command()
@click.argument("videos", nargs=-1, metavar="[VIDEO]...")
@click.option("--undo", is_flag=True, help="Put the files back; without VIDEO of all.")
@click.option("--dry-run", is_flag=True, help="Only say which videos it would be.")
@json_option
@data_option
def pack(
    videos: tuple[str, ...], undo: bool, dry_run: bool, as_json: bool, data: str | None
) -> None:
    """Keep the tables of finished videos in one file each.

    Else there are three files for every step of every video.

    Every command reads a packed video as before, `sql` too; one that is made anew, redacted or
    forgotten is unpacked by that. Without VIDEO, those go that have been finished and at rest for
    paths.pack_after_days; the night does the same by itself. Programs of your own that read
    data/tables/STEP/VIDEO.parquet find them again after --undo; unset paths.pack_after_days then.

    \b
      identity-pipeline pack --dry-run       which it would be
      identity-pipeline pack                 pack them
      identity-pipeline pack ride_7          this one now
      identity-pipeline pack --undo          all files as they were
    """
    settings = merged_settings(overrides(data))
    store = open_store(settings)
    named = [find_video(store, word).video_id for word in videos]
    done = _undone(store, named, dry_run) if undo else _done(store, settings, named, dry_run)
    if as_json:
        echo_json([{"video": video_id, "files": files} for video_id, files in done])
        return
    verb = "unpacked" if undo else "packed"
    if dry_run:
        say(f"{counted(len(done), 'video')} would be {verb}.")
        return
    total = sum(files for _, files in done)
    say(f"{counted(len(done), 'video')} {verb} ({counted(total, 'file')}).")


def _done(
    store: TableStore, settings: Settings, named: Sequence[str], dry_run: bool
) -> list[tuple[str, int]]:
    """Packs those that are named, or all at rest; each with its files.

    Raises:
        UsageError: one that is named is not finished.
    """
    from identity_pipeline.stages.planning.packing import at_rest_since, pack_videos, packable
    from identity_pipeline.stages.planning.video_list import is_finished

    for video_id in named:
        if not is_finished(store, settings, video_id):
            raise click.UsageError(
                f"{video_id} is not finished; `identity-pipeline status {video_id}` says what is "
                "missing."
            )
    now = datetime.now(UTC).timestamp()
    chosen = named or packable(store, settings, now)
    if dry_run:
        return [(video_id, 0) for video_id in chosen]
    with bar() as report:
        before = now if named else at_rest_since(settings, now)
        return list(pack_videos(store, chosen, before, report))


def _undone(store: TableStore, named: Sequence[str], dry_run: bool) -> list[tuple[str, int]]:
    """Unpacks those that are named, or all; each with its files."""
    from identity_pipeline.storage.video.packs import packs_in, unpack

    packed, done = packs_in(store.layout), []
    chosen = [video_id for video_id in named or sorted(packed) if video_id in packed]
    with bar() as report:
        for n, video_id in enumerate(chosen, 1):
            done.append((video_id, 0 if dry_run else unpack(store.layout, video_id)))
            report("unpacking", n, len(chosen), "videos")
    return done
