"""Group `operate`: what lies on the disk, and keeping it within its bounds."""

from collections.abc import Iterable
from datetime import UTC, datetime

import dagster as dg

from identity_pipeline.defs.instance import archiving, old_runs
from identity_pipeline.defs.resources.decorators import library_asset
from identity_pipeline.defs.resources.steps import LibraryStep
from identity_pipeline.settings import RetentionSettings, Settings
from identity_pipeline.storage.folder import disk
from identity_pipeline.storage.folder.disk import Droppable
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.tables import TableStore


@library_asset
def disk_usage(step: LibraryStep) -> dg.MaterializeResult:
    """Bytes by kind and what may go; drops and archives where [retention] says so; packs tables."""
    with step.healing():
        return _disk_usage(step.context, step.store, step.settings)


def _disk_usage(
    context: dg.AssetExecutionContext, store: TableStore, settings: Settings
) -> dg.MaterializeResult:
    now, wanted = datetime.now(UTC), settings.retention
    archived = archive_old(context, store, wanted, now)
    packed = pack_at_rest(store, settings, now.timestamp())
    things = droppable(context.instance, store.layout, now.timestamp(), 0.0)
    things = [thing for thing in things if thing.kind in disk.CHEAP]
    runs = list(old_runs.old_runs(context.instance, now.timestamp(), wanted.runs_days))
    freed = 0
    if wanted.delete:
        freed = disk.drop(store.layout, things)
        for run in runs:
            old_runs.drop_run(context.instance, run)
    else:
        context.log.info("retention.delete is off: nothing is dropped.")
    sums = disk.bytes_by_kind(store.layout, lambda folder: None)
    return dg.MaterializeResult(
        metadata={
            **{f"megabytes/{kind}": round(size / 1e6, 2) for kind, size in sums.items()},
            **{f"may_go/{kind}": round(size / 1e6, 2) for kind, size in may_go(things).items()},
            "runs_that_may_go": len(runs),
            "deleted": wanted.delete,
            "freed_megabytes": round(freed / 1e6, 2),
            "archived": archived,
            "packed": packed,
            "partitions": len(context.instance.get_dynamic_partitions("videos")),
        }
    )


def pack_at_rest(store: TableStore, settings: Settings, now: float) -> int:
    """Packs finished videos that have been at rest for `paths.pack_after_days`; how many."""
    from identity_pipeline.stages.planning.packing import at_rest_since, pack_videos, packable

    chosen = packable(store, settings, now)
    done = pack_videos(store, chosen, at_rest_since(settings, now))
    return sum(1 for _, files in done if files)


@library_asset
def retention_due(step: LibraryStep) -> dg.MaterializeResult:
    """What is kept longer than the settings [retention] say; goes where retention.delete is on."""
    from identity_pipeline.stages.privacy.retention import in_words, remove, told, what_is_due

    now, settings = datetime.now(UTC), step.settings
    with step.healing():
        dues = what_is_due(step.stores, settings, now.timestamp())
        deleting = settings.retention.delete
        gone = list(
            remove(
                step.stores,
                settings,
                dues if deleting else (),
                lambda video: archiving.taken_out(step.context.instance, step.store, video, now),
            )
        )
    stay = [f"{in_words(one.due)}: stays, {one.why_not}" for one in gone if one.why_not]
    listed = stay if deleting else [in_words(one) for one in dues]
    return dg.MaterializeResult(
        metadata={
            "summary": told(dues, deleting=deleting),
            "due": len(dues),
            "deleted": len(gone) - len(stay),
            "freed_megabytes": round(sum(one.bytes for one in gone) / 1e6, 2),
            "list": dg.MetadataValue.md("\n".join(f"- {line}" for line in listed) or "nothing"),
        }
    )


def droppable(
    instance: dg.DagsterInstance, layout: Layout, now: float, older_than_days: float
) -> list[Droppable]:
    """As `disk.droppable`, but for videos that a run is at."""
    busy = archiving.busy_videos(instance)
    things = disk.droppable(layout, now, older_than_days)
    return [thing for thing in things if thing.video_id not in busy]


def archive_old(
    context: dg.AssetExecutionContext,
    store: TableStore,
    wanted: RetentionSettings,
    now: datetime,
) -> int:
    """Archives what is old enough; none where no age is set."""
    if wanted.archive_after_days is None:
        return 0
    before = now.timestamp() - wanted.archive_after_days * disk.DAY_S
    count = 0
    keys = archiving.candidates(context.instance, store, before)
    for video_id, why_not in archiving.archive(context.instance, store, keys, now):
        if why_not:
            context.log.warning(f"{video_id} is not archived: {why_not}")
        count += why_not is None
    return count


def may_go(things: Iterable[Droppable]) -> dict[str, int]:
    """Bytes that may go, by kind."""
    sums: dict[str, int] = {}
    for thing in things:
        sums[thing.kind] = sums.get(thing.kind, 0) + thing.size
    return sums
