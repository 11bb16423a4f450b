"""Who the riders of the real clips are."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from identity_pipeline.stages.library.statistics import true_people
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.video.tables import TableStore

SOLO = {"solo_d10": "d10", "solo_d18": "d18", "solo_d19": "d19"}


def people(store: TableStore, real: Path, assignments: pl.DataFrame) -> dict[str, str]:
    """Who each track is; clips of one person have no truth file, their name says it."""
    known, faults = true_people(LibraryStores.of(store), real / "videos")
    assert not faults
    known = {key: name.removesuffix(".mp4") for key, name in known.items()}
    for key, video in assignments.select("track_key", "video_id").iter_rows():
        name = next((name for stem, name in SOLO.items() if video.startswith(stem)), None)
        known |= {key: name} if name else {}
    return known
