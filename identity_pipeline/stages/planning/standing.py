"""What stands already of what a run is asked for: a run that has nothing to do then does nothing.

By the same fingerprints as the steps and `plan`: every byte of what is there is read. What is left
over is for the steps themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from identity_pipeline.settings import Settings
from identity_pipeline.stages.planning.library_planning import plan_library
from identity_pipeline.stages.planning.planning import PlannedVideo, plan_video
from identity_pipeline.stages.planning.staleness import Models, Verdict
from identity_pipeline.stages.progress.costing import prices
from identity_pipeline.storage.video.failures import FailureNotes
from identity_pipeline.storage.video.tables import TableStore


@dataclass(frozen=True)
class Standing:
    """What a run would reuse whole.

    Attributes:
        videos: of which no step would compute, and none failed the last time.
        library: whether the library would not change either, once all the others stand.
    """

    videos: frozenset[str]
    library: bool


def standing(
    store: TableStore, settings: Settings, models: Models, video_ids: Sequence[str], today: str
) -> Standing:
    """What stands of some videos, and of the library.

    Args:
        store: the tables.
        settings: a run would have.
        models: a run would have.
        video_ids: that a run is asked for.
        today: ISO time with a zone.
    """
    costs = prices(store, settings, models.digests)
    planned = [plan_video(store, settings, models, costs, video_id) for video_id in video_ids]
    failed = FailureNotes(store.layout).ids()
    videos = frozenset(v.video_id for v in planned if _stands(v) and v.video_id not in failed)
    whole = len(videos) == len(set(video_ids))
    library = whole and _stands(plan_library(store, settings, costs, planned, today))
    return Standing(videos, library)


def _stands(planned: PlannedVideo) -> bool:
    return all(step.verdict in (Verdict.REUSE, Verdict.ASIDE) for step in planned.steps)
