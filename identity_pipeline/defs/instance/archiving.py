"""Archiving: a finished video's partition leaves Dagster, its tables and exports stay.

So does, when it is named, that of a video that failed for good: Dagster shows an asset as failed as
long as one of its partitions is.

A partition goes only when everything that it stands for was read back and is whole. The mark is
written before the partition is dropped, so that no crash makes the sensor see a new video.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

import dagster as dg

from identity_pipeline.defs.instance.partitions import videos
from identity_pipeline.stages.specs.assets import VIDEO_SPECS
from identity_pipeline.storage.folder.disk import finished_before
from identity_pipeline.storage.video.archive import Archive, ArchiveMark
from identity_pipeline.storage.video.failures import FailureNotes
from identity_pipeline.storage.video.outputs import MANIFEST
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline.tables import TABLES

NOT_FINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def candidates(instance: dg.DagsterInstance, store: TableStore, before: float) -> list[str]:
    """Partitions of videos that were finished before a moment and that no run is at, sorted.

    Args:
        instance: Dagster's.
        store: the tables.
        before: seconds since 1970.
    """
    keys = set(instance.get_dynamic_partitions(str(videos.name)))
    return sorted(keys & finished_before(store.layout, before) - busy_videos(instance))


def busy_videos(instance: dg.DagsterInstance) -> set[str]:
    """Videos that a run is at, or waits for."""
    runs = instance.get_runs(dg.RunsFilter(statuses=NOT_FINISHED))
    return {run.tags["dagster/partition"] for run in runs if "dagster/partition" in run.tags}


def unsafe(store: TableStore, video_id: str) -> str | None:
    """Why a video must not be archived yet; None when all that it stands for is whole."""
    from identity_pipeline.stages.specs.exported import export_is_whole

    if FailureNotes(store.layout).get(video_id) is not None:
        return "its last run failed"
    for asset in sorted(TABLES.keys() & VIDEO_SPECS.keys()):
        if store.noted(asset, video_id) and store.manifest(asset, video_id) is None:
            return f"its table {asset} is damaged"
    if store.noted("identity_dataset", video_id) is None:
        return "it is not finished"
    files = store.read("identity_dataset", video_id)
    if not export_is_whole(store.layout.export(video_id), files):
        return "its export differs from its manifest"
    return None


def archive(
    instance: dg.DagsterInstance, store: TableStore, video_ids: Iterable[str], now: datetime
) -> Iterator[tuple[str, str | None]]:
    """Archives videos one by one; yields each with why it stays, or None."""
    archived = Archive(store.layout)
    for video_id in video_ids:
        why_not = unsafe(store, video_id)
        if why_not is None:
            archived.put(video_id, _mark(store, video_id, now))
            instance.delete_dynamic_partition(str(videos.name), video_id)
        yield video_id, why_not


def taken_out(
    instance: dg.DagsterInstance, store: TableStore, video_id: str, now: datetime
) -> str | None:
    """Takes a finished video out of Dagster before something of it goes; why it stays, or None.

    Without its mark a sensor would take it for unfinished, and make again what was to go.
    """
    if Archive(store.layout).get(video_id) is not None:
        return None
    if video_id in busy_videos(instance):
        return "a run is at it"
    Archive(store.layout).put(video_id, _mark(store, video_id, now))
    instance.delete_dynamic_partition(str(videos.name), video_id)
    return None


def _mark(store: TableStore, video_id: str, now: datetime) -> ArchiveMark:
    """What is noted of a video that is taken out.

    Raises:
        FileNotFoundError: it is not finished.
    """
    note = store.outputs.find("identity_dataset", video_id, MANIFEST)
    if note is None:
        raise FileNotFoundError(f"{video_id} has no image sets")
    return ArchiveMark(_iso(now), _iso(datetime.fromtimestamp(note.changed_ns / 1e9, UTC)))


def not_for_good(instance: dg.DagsterInstance, store: TableStore, video_id: str) -> str | None:
    """Why a video must not be put aside as failed; None when it failed for good."""
    note = FailureNotes(store.layout).get(video_id)
    if note is None or not note.permanent:
        return "it did not fail for good"
    if video_id in busy_videos(instance):
        return "a run is at it"
    return None


def put_aside(
    instance: dg.DagsterInstance, store: TableStore, video_id: str, now: datetime
) -> str | None:
    """Takes a video that failed for good out of Dagster; returns why it stays, or None.

    The note of its failure stays, and so it does in every list.
    """
    why_not = not_for_good(instance, store, video_id)
    if why_not is None:
        failed = FailureNotes(store.layout).noted_at(video_id) or now.timestamp()
        mark = ArchiveMark(_iso(now), _iso(datetime.fromtimestamp(failed, UTC)))
        Archive(store.layout).put(video_id, mark)
        instance.delete_dynamic_partition(str(videos.name), video_id)
    return why_not


def unarchive(instance: dg.DagsterInstance, store: TableStore, video_id: str) -> bool:
    """Makes an archived video a partition again; False when it was not archived.

    What Dagster still remembers of it is shown as before; where its runs were dropped, the sweep
    runs it once more, and everything is reused.
    """
    archived = Archive(store.layout)
    if archived.get(video_id) is None:
        return False
    instance.add_dynamic_partitions(str(videos.name), [video_id])
    archived.remove(video_id)
    return True


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
