"""Sensors: what happens by itself. `new_videos` turns finished files into partitions and runs."""

import json
from collections.abc import Iterable
from pathlib import Path

import dagster as dg

from identity_pipeline.defs.jobs import per_video
from identity_pipeline.defs.partitions import videos
from identity_pipeline.defs.pausing import skip_while_paused
from identity_pipeline.settings import Settings
from identity_pipeline.storage.registry import VideoRegistry, video_files
from identity_pipeline.storage.tables import TableStore

Stamp = tuple[int, int]
"""Size in bytes and time of the last change in ns."""
NEW_VIDEO_PRIORITY = "10"
"""A new video goes before a sweep or a backfill."""


def stamps_of(files: Iterable[Path]) -> dict[str, Stamp]:
    """The stamp of every file that still exists."""
    stamps: dict[str, Stamp] = {}
    for file in files:
        try:
            stat = file.stat()
        except OSError:
            continue
        stamps[str(file)] = (stat.st_size, stat.st_mtime_ns)
    return stamps


def sort_arrivals(
    now: dict[str, Stamp], seen: dict[str, Stamp], done: dict[str, Stamp], limit: int
) -> tuple[list[str], dict[str, Stamp], dict[str, Stamp]]:
    """Which files are finished, which are to be looked at again, which are done.

    Args:
        now: stamps of this tick.
        seen: stamps of the last tick.
        done: files that were registered already, with their stamp then.
        limit: registrations in one tick.

    Returns:
        Finished files to register, the stamps to remember, and `done` without vanished files. A
        file is finished when its stamp is that of the last tick.
    """
    still_done = {file: stamp for file, stamp in done.items() if now.get(file) == stamp}
    open_files = {file: stamp for file, stamp in now.items() if file not in still_done}
    finished = sorted(file for file, stamp in open_files.items() if seen.get(file) == stamp)
    return finished[:limit], open_files, still_done


@dg.sensor(
    job=per_video,
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Registers finished files of the videos folder and requests their runs.",
)
def new_videos(
    context: dg.SensorEvaluationContext,
    store: dg.ResourceParam[TableStore],
    settings: dg.ResourceParam[Settings],
) -> dg.SensorResult | dg.SkipReason:
    """A file counts as finished when its size and time were the same at the last tick."""
    waiting = skip_while_paused(store)
    if waiting:
        return waiting
    store.layout.videos.mkdir(parents=True, exist_ok=True)
    memory = json.loads(context.cursor or "{}")
    seen = {file: tuple(stamp) for file, stamp in memory.get("seen", {}).items()}
    done = {file: tuple(stamp) for file, stamp in memory.get("done", {}).items()}
    now = stamps_of(video_files(store.layout.videos, settings.ingest.extensions))
    finished, remembered, done = sort_arrivals(now, seen, done, settings.ingest.max_new_per_tick)
    registry = VideoRegistry(store.layout)
    new_keys: list[str] = []
    linked = 0
    for file in finished:
        try:
            record, is_new = registry.register(Path(file))
        except OSError as error:  # one unreadable file must not keep the others waiting
            context.log.warning(f"{file} cannot be read and is tried again: {error}")
            continue
        done[file] = remembered.pop(file)
        if is_new or not _known(context.instance, record.video_id):
            new_keys.append(record.video_id)
        else:
            linked += 1
    cursor = json.dumps({"seen": remembered, "done": done}, sort_keys=True)
    if not new_keys:
        context.update_cursor(cursor)
        return dg.SkipReason(
            f"{len(remembered)} files are still being looked at, {linked} were known under "
            f"another name, {len(done)} are done."
        )
    keys = sorted(set(new_keys))
    return dg.SensorResult(
        run_requests=[
            dg.RunRequest(
                run_key=f"new-{key}",
                partition_key=key,
                tags={"dagster/priority": NEW_VIDEO_PRIORITY, "identity_pipeline/by": "new_videos"},
            )
            for key in keys
        ],
        dynamic_partitions_requests=[videos.build_add_request(keys)],
        cursor=cursor,
    )


def _known(instance: dg.DagsterInstance, key: str) -> bool:
    return instance.has_dynamic_partition(str(videos.name), key)
