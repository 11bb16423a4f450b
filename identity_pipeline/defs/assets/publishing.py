"""Group `operate`: finished videos and the library copied to an object store.

This is no step of `per_video`: a slow store would keep a GPU waiting, and an unreachable one would
fail videos that are done.
"""

from collections.abc import Sequence

import dagster as dg

from identity_pipeline.defs.instance.archiving import NOT_FINISHED, busy_videos
from identity_pipeline.defs.instance.gate import skip_unless_ready
from identity_pipeline.defs.instance.jobs import publish
from identity_pipeline.defs.instance.pausing import stop_if_paused
from identity_pipeline.defs.instance.preflight import check_folder
from identity_pipeline.defs.instance.tags import NIGHT, tags
from identity_pipeline.defs.resources.decorators import library_asset
from identity_pipeline.defs.resources.results import skipped
from identity_pipeline.defs.resources.steps import LibraryStep
from identity_pipeline.settings import Settings
from identity_pipeline.stages.publishing.publishing import Published, Publisher
from identity_pipeline.storage.video.tables import TableStore

OFF = "publish.url is empty: nothing is copied anywhere"
LOOK_EVERY_S = 300
MOST = 500
"""Videos of one run; `publish_finished` asks for the next. After a new address all are behind."""
LIBRARY = "the library"
SHOWN = 20
"""Sentences on what was refused."""


@library_asset
def published(step: LibraryStep) -> dg.MaterializeResult:
    """What of finished videos and of the library lies in the object store of [publish]."""
    if not step.settings.publish.url:
        return dg.MaterializeResult(metadata=skipped(OFF))
    check_folder(step.context, step.store, step.settings)
    with step.healing():
        return _publish(step.context, step.store, step.settings)


def _publish(
    context: dg.AssetExecutionContext, store: TableStore, settings: Settings
) -> dg.MaterializeResult:
    """Publishes what is new, up to `MOST` of it.

    Raises:
        RunPaused: a pause is in force; what is there stays there.
        Failure: after all the others, where the store has something wrong of one.
    """
    work = Publisher.of(store.layout, settings)
    busy = busy_videos(context.instance)
    wanted = [video_id for video_id in work.pending() if video_id not in busy]
    done: list[Published] = []
    for video_id in wanted[:MOST]:
        stop_if_paused(context, store.layout)
        done.append(work.publish(video_id))
        if done[-1].why_not:
            context.log.warning(f"{video_id or LIBRARY} stays here: {done[-1].why_not}")
    metadata = {
        "url": settings.publish.url,
        **_counts(done),
        "left": len(wanted) - len(done),
        **_refused(work),
    }
    if faults := [one.why_not for one in done if one.is_fault and one.why_not]:
        raise dg.Failure("\n".join(faults), metadata=metadata, allow_retries=False)
    return dg.MaterializeResult(metadata=metadata)


def _counts(done: Sequence[Published]) -> dict[str, int | float]:
    """What was sent and what was there already."""
    sent = [one.version for one in done if one.is_new and one.version]
    return {
        "sent": len(sent),
        "files_sent": sum(len(version.files) for version in sent),
        "megabytes_sent": round(sum(version.size for version in sent) / 1e6, 2),
        "there_already": sum(not one.is_new and one.version is not None for one in done),
    }


def _refused(work: Publisher) -> dict[str, int | str]:
    """How much is refused, and why, of the first of it."""
    refused = work.refused()
    why = [f"{video_id or LIBRARY}: {why}" for video_id, why in list(refused.items())[:SHOWN]]
    return {"refused": len(refused), "why_refused": "\n".join(why)}


@dg.sensor(
    job=publish,
    minimum_interval_seconds=LOOK_EVERY_S,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Copies finished videos and the library to the object store of [publish].",
)
def publish_finished(
    context: dg.SensorEvaluationContext,
    store: dg.ResourceParam[TableStore],
    settings: dg.ResourceParam[Settings],
) -> dg.RunRequest | dg.SkipReason:
    """Asks for one run for all that is new; none while such a run waits or works."""
    if not settings.publish.url:
        return dg.SkipReason(OFF)
    waiting = skip_unless_ready(context.instance, store)
    if waiting:
        return waiting
    under_way = dg.RunsFilter(job_name=publish.name, statuses=NOT_FINISHED)
    if context.instance.get_runs(under_way, limit=1):
        return dg.SkipReason("A run is at it.")
    work = Publisher.of(store.layout, settings)
    stamp = work.stamp()  # before the look: what comes during it makes the next one look again
    pending = set(work.pending()) if stamp != context.cursor else set()
    if not pending:
        context.update_cursor(stamp)
        return dg.SkipReason("Everything finished is there.")
    if pending <= busy_videos(context.instance):
        return dg.SkipReason("What is not there yet is under way.")
    return dg.RunRequest(tags=tags("publish_finished", NIGHT))
