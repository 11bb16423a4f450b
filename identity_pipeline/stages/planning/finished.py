"""Which videos are done: told by what lies in the data folder, and by nothing else.

Dagster's partitions and runs say what was done once, perhaps in another folder, perhaps of what was
deleted since. Whoever asks whether a video wants a run asks here.
"""

from __future__ import annotations

from typing import Final

from identity_pipeline.settings import Settings
from identity_pipeline.stages.specs.assets import VIDEO_SPECS
from identity_pipeline.storage.video.failures import FailureNotes
from identity_pipeline.storage.video.tables import TableStore

SETS: Final = "identity_dataset"
"""Its note and its export are what a person waits for."""
LAST: Final = (SETS, "track_templates", "face_index")
"""A video is finished when all of these are there: nothing of a video is made of them."""


def with_sets(store: TableStore) -> set[str]:
    """Videos whose image sets are there, or the word that there are none; no file is opened."""
    noted = store.videos_noted(SETS)
    return {video_id for video_id in noted if store.layout.export(video_id).is_dir()}


def finished(store: TableStore, settings: Settings) -> set[str]:
    """Videos of which everything is there and the last attempt did not fail; no file is opened.

    Args:
        store: the tables.
        settings: whether the index is kept.
    """
    wanted = [name for name in LAST[1:] if not VIDEO_SPECS[name].leaves_nothing(settings)]
    there = [store.videos_noted(name) for name in wanted]
    return set.intersection(with_sets(store), *there) - FailureNotes(store.layout).ids()


def is_finished(store: TableStore, settings: Settings, video_id: str) -> bool:
    """The same of one video, now."""
    return (
        store.layout.export(video_id).is_dir()
        and all(
            store.layout.manifest(name, video_id).is_file()
            for name in LAST
            if not VIDEO_SPECS[name].leaves_nothing(settings)
        )
        and video_id not in FailureNotes(store.layout).ids()
    )
