"""The sensor `library_changed`: new templates or new decisions bring the library up to date."""

import json

import dagster as dg

from identity_pipeline.defs import automation
from identity_pipeline.defs.jobs import library
from identity_pipeline.defs.pausing import skip_while_paused
from identity_pipeline.settings import Settings
from identity_pipeline.stages.phases import switched_off
from identity_pipeline.storage.hashing import sha256_of_value
from identity_pipeline.storage.tables import TableStore

TEMPLATES = ("track_templates", "calibration_pairs", "face_samples")
BY = {automation.BY: "library_changed"}
TAGS = automation.tags("library_changed", automation.LIBRARY)
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
    live = store.layout.heads / "live.json"
    paths = [*(store.layout.tables / name for name in TEMPLATES), store.layout.ledger, live]
    known = [path.stat().st_mtime_ns if path.exists() else None for path in paths]
    return None if not any(known) else sha256_of_value(known)


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
    """One run at a time; what changes meanwhile is in the next."""
    waiting = skip_while_paused(store)
    if waiting:
        return waiting
    if off := switched_off(settings, "library"):
        return dg.SkipReason(f"The library is {off}.")
    seen = json.loads(context.cursor or "null")
    stamp = library_stamp(store)
    if stamp is None:
        return dg.SkipReason("No video has been processed yet.")
    last = context.instance.get_runs(dg.RunsFilter(job_name=library.name, tags=BY), limit=1)
    failed = bool(last) and last[0].status == dg.DagsterRunStatus.FAILURE
    if stamp == seen and not failed:
        return dg.SkipReason("No new templates and no new decisions.")
    # Its own runs only: one of the command line that was killed must not hold it up.
    running = context.instance.get_runs(
        dg.RunsFilter(job_name=library.name, statuses=UNDER_WAY, tags=BY), limit=1
    )
    if running:
        return dg.SkipReason(f"Run {running[0].run_id[:8]} of the library is under way.")
    return dg.SensorResult(
        run_requests=[
            # A failed run is tried once more: the same key is never run twice.
            dg.RunRequest(run_key=f"{stamp}-again" if stamp == seen else stamp, tags=TAGS)
        ],
        cursor=json.dumps(stamp),
    )
