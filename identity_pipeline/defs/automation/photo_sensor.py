"""The sensor `new_photos`: pictures in `data/photos/{name}/` become evidence of that person."""

import time
from datetime import UTC, datetime

import dagster as dg

from identity_pipeline.defs.automation.asked_for import may_try, runs_of
from identity_pipeline.defs.instance.gate import skip_unless_ready
from identity_pipeline.defs.instance.jobs import per_photo_set
from identity_pipeline.defs.instance.partitions import photo_sets
from identity_pipeline.defs.instance.preflight import leave_to_ask
from identity_pipeline.defs.instance.tags import NEW_VIDEO, tags
from identity_pipeline.media.wording import counted
from identity_pipeline.settings import Settings
from identity_pipeline.stages.specs.spec import switched_off
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.files import private
from identity_pipeline.storage.video.failures import FailureNotes
from identity_pipeline.storage.video.tables import TableStore

NAME = "new_photos"


@dg.sensor(
    job=per_photo_set,
    name=NAME,
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Takes finished pictures of data/photos/NAME in, and decides that they are NAME.",
)
def new_photos(
    context: dg.SensorEvaluationContext,
    store: dg.ResourceParam[TableStore],
    settings: dg.ResourceParam[Settings],
) -> dg.SensorResult | dg.SkipReason:
    """A folder is finished when none of its files has changed since the last tick.

    The new contents of a folder become a set, whose steps are asked for; once they are done the
    set is decided to be whom the folder names, and `library_changed` does the rest.
    """
    from identity_pipeline.stages.photos import watching
    from identity_pipeline.stages.photos.enrolling import unmeasured_sets

    waiting = skip_unless_ready(context.instance, store)
    if waiting:
        return waiting
    if off := switched_off(settings, "library"):
        return dg.SkipReason(f"The library is {off}.")
    private.make_folder(store.layout.photos)
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    before = watching.remembered(context.cursor)
    look = watching.Look(LibraryStores.of(store), settings, now).at(before)
    for sentence in look.said:
        context.log.warning(sentence)
    # Sets of others too: of a command that was stopped, or of a backup that was restored.
    unmeasured = sorted({*look.unmeasured, *unmeasured_sets(store)})
    runs = _wanted(context.instance, store, settings, unmeasured)
    leave = leave_to_ask(store, settings, time.time(), settings.ingest.max_new_per_tick)
    asked = dict(list(runs.items())[: leave.at_most])
    cursor = watching.as_cursor(look.memory)
    if asked:
        return dg.SensorResult(
            run_requests=[
                dg.RunRequest(
                    run_key=f"photos-{key}-{number}",
                    partition_key=key,
                    tags=tags(NAME, NEW_VIDEO),
                )
                for key, number in asked.items()
            ],
            dynamic_partitions_requests=[photo_sets.build_add_request(sorted(asked))],
            cursor=cursor,
        )
    context.update_cursor(cursor)
    if runs and leave.skip:
        return leave.skip
    settled = sum(len(seen.settled) for seen in look.memory.values())
    return dg.SkipReason(
        f"{counted(look.changing, 'folder')} still changing, {counted(look.decided, 'set')} "
        f"decided now, {counted(len(unmeasured), 'set')} not measured yet, "
        f"{counted(settled, 'set')} of which nothing more is to be done."
    )


def _wanted(
    instance: dg.DagsterInstance, store: TableStore, settings: Settings, unmeasured: list[str]
) -> dict[str, int]:
    """Sets to ask for, each with the number of runs that it had; not those that failed for good."""
    notes, found = FailureNotes(store.layout), {}
    for set_id in unmeasured:
        note, runs = notes.get(set_id), runs_of(instance, set_id)
        failed_for_good = note is not None and note.permanent
        if not failed_for_good and may_try(runs, settings.ingest.max_retries):
            found[set_id] = len(runs)
    return found
