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
    chosen = _packed(store, named) if undo else _packable(store, settings, named)
    done = [(video_id, 0) for video_id in chosen]
    if not dry_run:
        done = _unpacked(store, chosen) if undo else _pack(store, settings, chosen, bool(named))
    if as_json:
        echo_json([{"video": video_id, "files": files} for video_id, files in done])
        return
    verb = {(True, True): "would be unpacked", (True, False): "unpacked"}.get(
        (undo, dry_run), "would be packed" if dry_run else "packed"
    )
    total = sum(files for _, files in done)
    files = "" if dry_run else f" ({counted(total, 'file')})"
    say(f"{counted(len(done), 'video')} {verb}{files}.")


def _packable(store: TableStore, settings: Settings, named: Sequence[str]) -> list[str]:
    """Those that are packed; of named ones all.

    Raises:
        UsageError: one that is named is not finished.
    """
    from identity_pipeline.stages.planning.packing import packable
    from identity_pipeline.stages.planning.video_list import is_finished

    for video_id in named:
        if not is_finished(store, settings, video_id):
            raise click.UsageError(
                f"{video_id} is not finished; `identity-pipeline status {video_id}` says what is "
                "missing."
            )
    return list(named) or packable(store, settings, datetime.now(UTC).timestamp())


def _pack(
    store: TableStore, settings: Settings, videos: Sequence[str], now: bool
) -> list[tuple[str, int]]:
    from identity_pipeline.stages.planning.packing import at_rest_since, pack_videos

    moment = datetime.now(UTC).timestamp()
    before = moment if now else at_rest_since(settings, moment)
    with bar() as report:
        return list(pack_videos(store, videos, before, report))


def _packed(store: TableStore, named: Sequence[str]) -> list[str]:
    from identity_pipeline.storage.video.packs import packs_in

    packed = packs_in(store.layout)
    return [video_id for video_id in named or sorted(packed) if video_id in packed]


def _unpacked(store: TableStore, videos: Sequence[str]) -> list[tuple[str, int]]:
    from identity_pipeline.storage.video.packs import unpack

    done = []
    with bar() as report:
        for n, video_id in enumerate(videos, 1):
            done.append((video_id, unpack(store.layout, video_id)))
            report("unpacking", n, len(videos), "videos")
    return done
