"""How many faces each track has and how good they are: the templates without their vectors.

A list of all people needs them of every video, so they are remembered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import polars as pl

from identity_pipeline.storage.progress.known import Memory, looked_at, quiet
from identity_pipeline.storage.video.tables import TableStore

VERSION: Final = 1
ASSET: Final = "track_templates"
COLUMNS: Final = ("track_key", "face_count", "quality")
SCHEMA: Final = {"track_key": pl.String, "face_count": pl.Int64, "quality": pl.Float32}

Read = Callable[[str], pl.DataFrame | None]


def track_counts(
    store: TableStore,
    video_ids: Iterable[str],
    read: Read,
) -> pl.DataFrame:
    """track_key, face_count and quality of the tracks of some videos.

    Args:
        store: the tables.
        video_ids: of which videos; one without templates has none.
        read: gives these columns of a video, in this order; None where they cannot be read.
    """
    memory, folder = Memory(store.layout, "track-counts", VERSION), store.layout.tables / ASSET
    before = memory.recall()
    known: dict[str, list[Any]] = before.get("videos", {})
    still, now = quiet(before, folder), looked_at(folder)
    wanted = sorted(set(video_ids))
    same = _same(store, wanted, known, still)
    changed = [video for video in wanted if video not in same]
    fresh = {video: entry for video in changed if (entry := _read(store, video, read))}
    if fresh or not still:
        kept = _same(store, known, known, still)
        memory.keep({**now, "videos": {**kept, **fresh}})
    found = sorted({**same, **fresh}.items())
    rows = [row for _, entry in found for row in entry[1]]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def _read(store: TableStore, video_id: str, read: Read) -> list[Any] | None:
    """What is remembered of a video; None where it has no templates that can be read."""
    stamp = _stamp(store, video_id)
    table = None if stamp is None else read(video_id)
    return None if table is None else [stamp, [list(row) for row in table.iter_rows()]]


def _same(
    store: TableStore, videos: Iterable[str], known: Mapping[str, list[Any]], still: bool
) -> dict[str, list[Any]]:
    """What is remembered of videos whose templates are those that were read."""
    there = {video: known[video] for video in videos if video in known}
    return there if still else {v: e for v, e in there.items() if _stamp(store, v) == e[0]}


def _stamp(store: TableStore, video_id: str) -> str | None:
    found = store.outputs.find(ASSET, video_id)
    return found.stamp if found else None
