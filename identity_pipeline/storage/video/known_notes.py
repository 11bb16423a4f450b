"""The notes of one asset for all videos, remembered, so that only those that changed are read."""

from __future__ import annotations

from typing import Any, Final

from identity_pipeline.storage.progress.known import Memory, looked_at, quiet
from identity_pipeline.storage.video.tables import Manifest, TableStore

VERSION: Final = 2


def notes_of(store: TableStore, asset: str) -> dict[str, Manifest]:
    """The notes of an asset for all videos with one: each as `TableStore.noted` reads it."""
    memory, folder = Memory(store.layout, f"notes-{asset}", VERSION), store.layout.tables / asset
    before = memory.recall()
    known: dict[str, list[Any]] = before.get("videos", {})
    if not quiet(before, folder):
        now = looked_at(folder)
        present = store.outputs.stamps(asset)
        fresh = {
            video: known[video]
            if video in known and known[video][0] == stamp
            else [stamp, *_noted(store, asset, video)]
            for video, stamp in present.items()
        }
        if fresh != known or now["folder"] != before.get("folder"):
            memory.keep({**now, "videos": fresh})
        known = fresh
    return {video: Manifest(*entry[1:]) for video, entry in known.items() if len(entry) > 1}


def _noted(store: TableStore, asset: str, video_id: str) -> list[Any]:
    noted = store.noted(asset, video_id)
    return [noted.fingerprint, noted.data_version, noted.rows, noted.space] if noted else []
