"""Which videos are packed, and packing them: those that are finished and have not changed of late.

What a pack is says `storage.video.packs`. A video that is made anew is unpacked by the first step
that writes something of it, and packed again when it has been at rest as long.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from identity_pipeline.settings import Settings
from identity_pipeline.stages.planning.video_list import SETS, finished
from identity_pipeline.stages.progress.protocol import Progress, silent
from identity_pipeline.storage.folder.disk import DAY_S
from identity_pipeline.storage.video.outputs import MANIFEST
from identity_pipeline.storage.video.packs import pack
from identity_pipeline.storage.video.tables import TableStore


def packable(store: TableStore, settings: Settings, now: float) -> list[str]:
    """Finished videos whose files lie by themselves and have been at rest for long enough, sorted.

    Args:
        store: the tables.
        settings: `paths.pack_after_days`; without any there are none.
        now: seconds since 1970.
    """
    before_ns = at_rest_since(settings, now) * 1e9
    notes = store.outputs.loose(SETS, MANIFEST)
    old = {video_id for video_id, note in notes.items() if note.changed_ns <= before_ns}
    return sorted(old & finished(store, settings)) if old else []


def at_rest_since(settings: Settings, now: float) -> float:
    """What changed later is not packed, in seconds since 1970; see `packable`."""
    days = settings.paths.pack_after_days
    return 0.0 if days is None else now - days * DAY_S


def pack_videos(
    store: TableStore, videos: Iterable[str], before: float, progress: Progress = silent
) -> Iterator[tuple[str, int]]:
    """Packs videos one by one; yields each with how many files went into its pack.

    Args:
        store: the tables.
        videos: finished ones.
        before: a video with a file that changed later stays as it is, with 0; seconds since 1970.
        progress: told of videos.
    """
    several = list(videos)
    for n, video_id in enumerate(several, 1):
        yield video_id, pack(store.layout, video_id, int(before * 1e9), SETS)
        progress("packing", n, len(several), "videos")
