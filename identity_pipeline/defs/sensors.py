"""Sensors: what happens by itself. `new_videos` turns finished files into partitions and runs."""

import json
from collections.abc import Mapping
from pathlib import Path

import dagster as dg

from identity_pipeline.defs.automation import NEW_VIDEO, tags
from identity_pipeline.defs.jobs import per_video
from identity_pipeline.defs.partitions import videos
from identity_pipeline.defs.pausing import skip_while_paused
from identity_pipeline.settings import Settings
from identity_pipeline.storage.archive import Archive
from identity_pipeline.storage.known_files import KnownFile, KnownFiles, Stamp, stamps_of
from identity_pipeline.storage.registry import video_files
from identity_pipeline.storage.tables import TableStore

TICKS_AHEAD = 20
"""The cursor remembers files for so many ticks; more are looked at when these are done."""


def sort_arrivals(
    now: Mapping[str, Stamp], seen: Mapping[str, Stamp], known: Mapping[str, KnownFile], limit: int
) -> tuple[list[str], dict[str, Stamp], list[str]]:
    """Which files are finished, which are to be looked at again, which are gone.

    Args:
        now: stamps of this tick.
        seen: stamps of the last tick, of files that were not known then.
        known: files that were registered already.
        limit: registrations in one tick.

    Returns:
        Finished files to register, the stamps to remember, and known files that are gone. A file
        is finished when its stamp is that of the last tick. What is remembered is bounded by
        `TICKS_AHEAD` times the limit, however many files arrive at once.
    """
    waiting = sorted(
        file for file, stamp in now.items() if file not in known or known[file].stamp != stamp
    )[: TICKS_AHEAD * limit]
    finished = [file for file in waiting if seen.get(file) == now[file]][:limit]
    return finished, {file: now[file] for file in waiting}, sorted(known.keys() - now.keys())


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
    """A file counts as finished when its size and time were the same at the last tick.

    A file that was registered before costs one stat. Its video is requested again only where
    Dagster has no partition for it and it was not archived.
    """
    waiting = skip_while_paused(store)
    if waiting:
        return waiting
    store.layout.videos.mkdir(parents=True, exist_ok=True)
    seen = {file: Stamp(*stamp) for file, stamp in json.loads(context.cursor or "{}").items()}
    limit = settings.ingest.max_new_per_tick
    now = stamps_of(video_files(store.layout.videos, settings.ingest.extensions))
    files = KnownFiles(store.layout)
    known = files.all()
    finished, remembered, gone = sort_arrivals(now, seen, known, limit)
    files.forget(gone)
    present = {file.video_id for path, file in known.items() if path in now}
    linked = 0
    for file in finished:
        try:
            record, is_new = files.register(Path(file))
        except OSError as error:  # one unreadable file must not keep the others waiting
            context.log.warning(f"{file} cannot be read and is tried again: {error}")
            continue
        del remembered[file]
        present.add(record.video_id)
        linked += not is_new
    partitions = context.instance.get_dynamic_partitions(str(videos.name))
    keys = sorted(present.difference(partitions, Archive(store.layout).ids()))[:limit]
    cursor = json.dumps(remembered, sort_keys=True)
    if not keys:
        context.update_cursor(cursor)
        return dg.SkipReason(
            f"{len(remembered)} files are still being looked at, {linked} were known under "
            f"another name, {len(now) - len(remembered)} are done."
        )
    return dg.SensorResult(
        run_requests=[
            dg.RunRequest(
                run_key=f"new-{key}", partition_key=key, tags=tags("new_videos", NEW_VIDEO)
            )
            for key in keys
        ],
        dynamic_partitions_requests=[videos.build_add_request(keys)],
        cursor=cursor,
    )
