"""Sensors: what happens by itself. `new_videos` turns finished files into partitions and runs."""

import json
import time
from collections.abc import Mapping, Set
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import dagster as dg

from identity_pipeline.defs.asked_for import runs_of, without_outcome
from identity_pipeline.defs.automation import NEW_VIDEO, tags
from identity_pipeline.defs.gate import skip_unless_ready
from identity_pipeline.defs.jobs import per_video
from identity_pipeline.defs.partitions import videos
from identity_pipeline.defs.preflight import Leave, leave_to_ask
from identity_pipeline.media.wording import counted
from identity_pipeline.settings import Settings
from identity_pipeline.stages.finished import with_sets
from identity_pipeline.stages.preflight import inbox_fault
from identity_pipeline.storage import private
from identity_pipeline.storage.archive import Archive
from identity_pipeline.storage.failures import FailureNotes
from identity_pipeline.storage.known_files import KnownFile, KnownFiles, Stamp, stamps_of
from identity_pipeline.storage.registry import video_files
from identity_pipeline.storage.tables import TableStore

TICKS_AHEAD = 20
"""The cursor remembers files for so many ticks; more are looked at when these are done."""
LOOKED_AT = 200
"""Videos that are not done and that Dagster knows, in one tick: a look is a query or two."""


def remembered_files(cursor: str | None) -> dict[str, Stamp]:
    """What one tick told the next: stamps of files that are still being looked at.

    A cursor of an unknown form remembers nothing, which only costs a look.
    """
    noted = json.loads(cursor or "{}")
    return {file: Stamp(*stamp) for file, stamp in noted.get("files", {}).items()}


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

    A file that was registered before costs one stat. Its video is requested where its image sets
    are not in this data folder, whatever Dagster remembers of it, unless it was archived, failed,
    is under way, or was cancelled. A request that was carried out after all is known by its key.
    """
    waiting = skip_unless_ready(context.instance, store)
    if waiting:
        return waiting
    if fault := inbox_fault(store.layout):
        return dg.SkipReason(fault)
    private.make_folder(store.layout.videos)
    seen = remembered_files(context.cursor)
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
    done = present & with_sets(store)
    wanted = wanted_runs(context.instance, store, settings, present - done, context.cursor)
    leave = leave_to_ask(store, settings, time.time(), limit) if wanted.runs else Leave(limit)
    if leave.skip:  # nothing of it is forgotten: the cursor stays, and what was registered, too
        return leave.skip
    runs = dict(islice(wanted.runs.items(), leave.at_most))
    cursor = json.dumps({"files": remembered, "after": wanted.after}, sort_keys=True)
    if not runs:
        context.update_cursor(cursor)
        return dg.SkipReason(
            f"{len(remembered)} files are still being looked at, {linked} were known under "
            f"another name, {counted(len(done), 'video')} of the inbox are done."
        )
    return dg.SensorResult(
        run_requests=[
            dg.RunRequest(
                run_key=f"new-{key}-{number}", partition_key=key, tags=tags("new_videos", NEW_VIDEO)
            )
            for key, number in runs.items()
        ],
        dynamic_partitions_requests=[videos.build_add_request(sorted(runs))],
        cursor=cursor,
    )


@dataclass(frozen=True)
class Wanted:
    """Videos to request, with the number of runs that each had, and the last one looked at."""

    runs: dict[str, int]
    after: str


def wanted_runs(
    instance: dg.DagsterInstance,
    store: TableStore,
    settings: Settings,
    undone: Set[str],
    cursor: str | None,
) -> Wanted:
    """Of the videos that are not done, those to request now.

    Videos that Dagster does not know come first. Of the others, `LOOKED_AT` are looked at, the next
    ones at the next tick: a season that waits in the queue is not looked through every time.
    """
    limit = settings.ingest.max_new_per_tick
    left_alone = Archive(store.layout).ids() | FailureNotes(store.layout).ids()
    partitions = set(instance.get_dynamic_partitions(str(videos.name)))
    new = sorted(undone - partitions - left_alone)[:limit]
    after = str(json.loads(cursor or "{}").get("after", ""))
    open_ = sorted((undone & partitions) - left_alone, key=lambda key: (key <= after, key))
    looked_at = open_[:LOOKED_AT]
    found = without_outcome(instance, store, settings, looked_at)
    chosen = {key: len(runs_of(instance, key)) for key in new} | dict(
        islice(found, limit - len(new))
    )
    return Wanted(chosen, looked_at[-1] if len(open_) > LOOKED_AT else "")
