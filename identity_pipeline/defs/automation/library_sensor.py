"""The sensor `library_changed`: new templates or new decisions bring the library up to date."""

import json
import time
from collections.abc import Iterable
from pathlib import Path

import dagster as dg

from identity_pipeline.defs.instance import tags
from identity_pipeline.defs.instance.gate import skip_unless_ready
from identity_pipeline.defs.instance.jobs import library, per_video
from identity_pipeline.settings import Settings
from identity_pipeline.stages.specs.assets import TEMPLATE_TABLES
from identity_pipeline.stages.specs.spec import switched_off
from identity_pipeline.storage.files.hashing import sha256_of_value
from identity_pipeline.storage.video.tables import TableStore

BY = {tags.BY: "library_changed"}
TAGS = tags.tags("library_changed", tags.LIBRARY)
UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


def library_stamp(store: TableStore) -> str | None:
    """Changes with any video's templates, the ledger, or the head that is live; None without any.

    The folder's time changes with each file renamed into it, so that no file is opened however
    many videos there are.
    """
    known = _times([*(store.layout.tables / name for name in TEMPLATE_TABLES), *_decided(store)])
    return None if not any(known) else sha256_of_value(known)


def decisions_stamp(store: TableStore) -> str:
    """Changes with the ledger or the head that is live."""
    return sha256_of_value(_times(_decided(store)))


def _decided(store: TableStore) -> list[Path]:
    return [store.layout.ledger, store.layout.heads / "live.json"]


def _times(paths: Iterable[Path]) -> list[int | None]:
    return [path.stat().st_mtime_ns if path.exists() else None for path in paths]


def why_wait(instance: dg.DagsterInstance, every_s: float, *, decided: bool) -> str | None:
    """Why a changed library is not computed now; None where it is.

    Args:
        instance: whose runs are looked at.
        every_s: at most so often while videos are under way.
        decided: somebody waits for a decision to show.
    """
    # Its own runs only: one of the command line that was killed must not hold it up.
    own = dg.RunsFilter(job_name=library.name, tags=BY)
    before = instance.get_run_records(own, limit=1)
    if before and before[0].dagster_run.status in UNDER_WAY:
        return f"Run {before[0].dagster_run.run_id[:8]} of the library is under way."
    rush = dg.RunsFilter(job_name=per_video.name, statuses=UNDER_WAY)
    if decided or not before or not instance.get_runs(rush, limit=1):
        return None
    wait = every_s - (time.time() - before[0].create_timestamp.timestamp())
    return f"More videos are under way; at the latest in {wait:.0f} s." if wait > 0 else None


@dg.sensor(
    job=library,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Requests a run of the library when videos were finished or people were labelled.",
)
def library_changed(
    context: dg.SensorEvaluationContext,
    store: dg.ResourceParam[TableStore],
    settings: dg.ResourceParam[Settings],
) -> dg.SensorResult | dg.SkipReason:
    """One run at a time; what changes meanwhile is in the next.

    In a rush, finished videos are gathered for a while. Decisions are not: somebody waits for them.
    """
    waiting = skip_unless_ready(context.instance, store)
    if waiting:
        return waiting
    if off := switched_off(settings, "library"):
        return dg.SkipReason(f"The library is {off}.")
    seen, decided = _seen(context.cursor)
    stamp, decisions = library_stamp(store), decisions_stamp(store)
    if stamp is None:
        return dg.SkipReason("No video has been processed yet.")
    last = context.instance.get_runs(dg.RunsFilter(job_name=library.name, tags=BY), limit=1)
    failed = bool(last) and last[0].status == dg.DagsterRunStatus.FAILURE
    if stamp == seen and not failed:
        return dg.SkipReason("No new templates and no new decisions.")
    every_s = settings.ingest.library_every_s
    if why := why_wait(context.instance, every_s, decided=decisions != decided):
        return dg.SkipReason(why)
    return dg.SensorResult(
        run_requests=[
            # A failed run is tried once more: the same key is never run twice.
            dg.RunRequest(run_key=f"{stamp}-again" if stamp == seen else stamp, tags=TAGS)
        ],
        cursor=json.dumps([stamp, decisions]),
    )


def _seen(cursor: str | None) -> tuple[str | None, str | None]:
    """The stamps of the last request: of everything, and of decisions."""
    try:
        noted = json.loads(cursor or "null")
    except ValueError:  # only a memory: the library is looked at once more
        return None, None
    match noted:
        case [str() as stamp, str() as decisions]:
            return stamp, decisions
        case str():
            return noted, None
        case _:
            return None, None
