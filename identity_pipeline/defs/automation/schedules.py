"""Schedules: every hour what the sensor missed and what failed but may heal; every night the rest.

The night brings the library up to date and looks at what is kept.
"""

import time
from collections.abc import Iterator
from contextlib import suppress

import dagster as dg

from identity_pipeline.defs.automation.asked_for import may_try, runs_of
from identity_pipeline.defs.instance.gate import skip_unless_ready
from identity_pipeline.defs.instance.jobs import nightly, per_video, retention
from identity_pipeline.defs.instance.partitions import videos
from identity_pipeline.defs.instance.pausing import unless_paused
from identity_pipeline.defs.instance.preflight import leave_to_ask
from identity_pipeline.defs.instance.tags import NIGHT, SWEEP, tags
from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.settings import Settings
from identity_pipeline.stages.planning.video_list import finished
from identity_pipeline.storage.video.archive import Archive
from identity_pipeline.storage.video.failures import FailureNotes
from identity_pipeline.storage.video.known_files import KnownFiles, stamps_of
from identity_pipeline.storage.video.registry import VideoRegistry, video_files
from identity_pipeline.storage.video.tables import TableStore

SETTLED_SECONDS = 300
"""A file that has not changed for as long is finished; the sweep has no earlier look to compare."""


def register_missed(
    instance: dg.DagsterInstance, store: TableStore, settings: Settings, now: float
) -> list[str]:
    """Registers settled files without a partition and makes partitions of all registered videos.

    Known files cost one stat; archived videos stay archived.
    """
    registry, known = VideoRegistry(store.layout), KnownFiles(store.layout).all()
    found = video_files(store.layout.videos, settings.ingest.extensions)
    stamps = stamps_of(found)
    for file in found:
        stamp = stamps.get(str(file))
        if stamp is None or (str(file) in known and known[str(file)].stamp == stamp):
            continue
        if now - stamp.mtime_ns / 1e9 >= SETTLED_SECONDS:
            # An unusable file, of which the sensor tells, must not keep the others waiting.
            with suppress(OSError, IdentityPipelineError):
                registry.register_remembered(file)
    name = str(videos.name)
    there = set(instance.get_dynamic_partitions(name)) | Archive(store.layout).ids()
    missing = sorted(set(registry.ids()) - there)
    if missing:
        instance.add_dynamic_partitions(name, missing)
    return missing


def unfinished(
    instance: dg.DagsterInstance, store: TableStore, settings: Settings
) -> Iterator[tuple[str, int]]:
    """(video, number of runs so far) of registered videos that want another run.

    Left out are those that are done, failed for good, or that `may_try` leaves alone. A partition
    of which this data folder knows no video is none of its videos.
    """
    done, notes = finished(store, settings), FailureNotes(store.layout)
    registered = set(VideoRegistry(store.layout).ids())
    for video_id in instance.get_dynamic_partitions(str(videos.name)):
        if video_id in done or video_id not in registered:
            continue
        note = notes.get(video_id)
        if note is not None and note.permanent:
            continue
        runs = runs_of(instance, video_id)
        if may_try(runs, settings.ingest.max_retries):
            yield video_id, len(runs)


@dg.schedule(
    job=per_video,
    cron_schedule="7 * * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every hour: registers missed files and retries what failed but may heal.",
)
def sweep_videos(
    context: dg.ScheduleEvaluationContext,
    store: dg.ResourceParam[TableStore],
    settings: dg.ResourceParam[Settings],
) -> list[dg.RunRequest] | dg.SkipReason:
    """Requests a run for every registered video that is not done and may still be."""
    waiting = skip_unless_ready(context.instance, store)
    if waiting:
        return waiting
    now = context.scheduled_execution_time.timestamp()
    register_missed(context.instance, store, settings, now)
    wanted = list(unfinished(context.instance, store, settings))
    leave = leave_to_ask(store, settings, time.time(), len(wanted))
    if wanted and leave.skip:
        return leave.skip
    requests = [
        dg.RunRequest(
            run_key=f"sweep-{video_id}-{runs}",
            partition_key=video_id,
            tags=tags("sweep_videos", SWEEP),
        )
        for video_id, runs in wanted[: leave.at_most]
    ]
    return requests or dg.SkipReason(
        "Every registered video is done, under way, or failed for good."
    )


nightly_library = unless_paused(
    nightly.name,
    "30 2 * * *",
    "nightly_library",
    tags("nightly_library", NIGHT),
    "Every night: who is who across all videos, profiles and reports. Where nothing changed, what "
    "is there is reused.",
)

nightly_retention = unless_paused(
    retention.name,
    "45 3 * * *",
    "nightly_retention",
    tags("nightly_retention", NIGHT),
    "Every night: what lies on the disk, by kind, and what may go. Deletes and archives nothing "
    "unless the settings [retention] say so.",
)

ALL_SCHEDULES = [sweep_videos, nightly_library, nightly_retention]
