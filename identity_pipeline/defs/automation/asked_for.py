"""Which videos want a run that nobody else will ask for, and how often they had one.

Whether a video is done is told by the data folder (`stages.planning.video_list`). Of Dagster's runs
it is only asked whether one is under way, whether a person cancelled the last one, and how many
there were.
"""

from collections.abc import Iterable, Iterator

import dagster as dg

from identity_pipeline.defs.instance.pausing import PARTITION_TAG
from identity_pipeline.defs.instance.preflight import is_no_try
from identity_pipeline.defs.instance.tags import BY
from identity_pipeline.settings import Settings
from identity_pipeline.stages.planning.video_list import is_finished
from identity_pipeline.storage.video.tables import TableStore

FINISHED = (
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.CANCELED,
)
BY_THEMSELVES = ("new_videos", "new_photos", "sweep_videos", "dead_runs")
"""Who asks for runs of videos that are not done."""


def runs_of(instance: dg.DagsterInstance, video_id: str) -> list[dg.DagsterRun]:
    """All runs of a video, the newest first."""
    return list(instance.get_runs(dg.RunsFilter(tags={PARTITION_TAG: video_id})))


def may_try(runs: list[dg.DagsterRun], max_retries: int) -> bool:
    """Whether a video that is not done may have another run.

    Not while one is under way or waits, nor after somebody cancelled the last one, nor when it
    failed, or succeeded by itself and left nothing behind, more often than that.
    """
    statuses = [run.status for run in runs]
    if not set(statuses) <= set(FINISHED) or dg.DagsterRunStatus.CANCELED in statuses[:1]:
        return False
    tries = [(run.status, run.tags.get(BY)) for run in runs if not is_no_try(run)]
    failures = sum(status == dg.DagsterRunStatus.FAILURE for status, _ in tries)
    in_vain = sum(tries.count((dg.DagsterRunStatus.SUCCESS, by)) for by in BY_THEMSELVES)
    return failures <= max_retries and in_vain <= max_retries + 1


def without_outcome(
    instance: dg.DagsterInstance, store: TableStore, settings: Settings, videos: Iterable[str]
) -> Iterator[tuple[str, int]]:
    """(video, number of its runs) of videos without a run, or whose last one left nothing here.

    A run that failed is left to the sweep, and one that died to `dead_runs`.
    """
    for video_id in videos:
        runs = runs_of(instance, video_id)
        if runs and runs[0].status != dg.DagsterRunStatus.SUCCESS and not is_no_try(runs[0]):
            continue
        # It may have ended between the look at the folder and the look at the runs.
        if may_try(runs, settings.ingest.max_retries) and not is_finished(
            store, settings, video_id
        ):
            yield video_id, len(runs)
