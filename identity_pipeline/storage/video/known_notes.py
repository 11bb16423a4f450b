"""The notes of one asset for all videos, remembered, so that only those that changed are read."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from identity_pipeline.storage.files import atomic
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.progress.known import Memory, looked_at, quiet, stamp_of
from identity_pipeline.storage.video.tables import Manifest, TableStore

VERSION: Final = 1
ENDINGS: Final = (".manifest.json", ".made-of.json", ".parquet")


@dataclass(frozen=True)
class Notes:
    """What is noted of an asset.

    Attributes:
        stamps: changes with each file of a video's output, by video.
        manifests: of each video that has one which can be read.
    """

    stamps: Mapping[str, str]
    manifests: Mapping[str, Manifest]


def notes_of(store: TableStore, asset: str) -> Notes:
    """The notes of an asset for all videos: each as `TableStore.noted` reads it."""
    memory, folder = Memory(store.layout, f"notes-{asset}", VERSION), store.layout.tables / asset
    before = memory.recall()
    known: dict[str, list[Any]] = before.get("videos", {})
    if not quiet(before, folder):
        now = looked_at(folder)
        present = _stamps(store.layout, asset)
        fresh = {
            video: known[video]
            if video in known and known[video][0] == stamp
            else [stamp, *_noted(store, asset, video)]
            for video, stamp in present.items()
        }
        if fresh != known or now["folder"] != before.get("folder"):
            memory.keep({**now, "videos": fresh})
        known = fresh
    stamps = {video: entry[0] for video, entry in known.items()}
    noted = {video: Manifest(*entry[1:]) for video, entry in known.items() if len(entry) > 1}
    return Notes(stamps, noted)


def _noted(store: TableStore, asset: str, video_id: str) -> list[Any]:
    noted = store.noted(asset, video_id)
    return [noted.fingerprint, noted.data_version, noted.rows, noted.space] if noted else []


def _stamps(layout: Layout, asset: str) -> dict[str, str]:
    """The stamps of all files of each video's output."""
    found: dict[str, dict[str, str]] = {}
    folder = layout.tables / asset
    if not folder.is_dir():
        return {}
    with os.scandir(folder) as entries:
        for entry in entries:
            ending = next((end for end in ENDINGS if entry.name.endswith(end)), None)
            if ending is None or entry.name.startswith(atomic.TEMPORARY_MARK):
                continue
            try:
                stamp = stamp_of(entry.stat())
            except FileNotFoundError:  # it went in between
                continue
            found.setdefault(entry.name.removesuffix(ending), {})[ending] = stamp
    return {
        video: " ".join(files.get(ending, "-") for ending in ENDINGS)
        for video, files in found.items()
    }
