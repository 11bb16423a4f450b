"""Whether anything may be started by itself now: each sensor and schedule asks this first."""

import dagster as dg

from identity_pipeline.defs.instance.binding import bind
from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.storage.progress.pause import paused
from identity_pipeline.storage.video.tables import TableStore


def skip_unless_ready(instance: dg.DagsterInstance, store: TableStore) -> dg.SkipReason | None:
    """Why nothing is started now, in a sentence; None when it may be.

    Args:
        instance: Dagster's, which must be that of the data folder.
        store: below the data folder, where a pause may be in force.
    """
    try:
        bind(instance, store.layout)
    except IdentityPipelineError as error:
        return dg.SkipReason(str(error))
    order = paused(store.layout)
    return dg.SkipReason(order.sentence()) if order else None
