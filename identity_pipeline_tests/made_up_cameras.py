"""Videos of made-up cameras in a data folder: their tables alone, with no film behind them."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from identity_pipeline.core.camera.versions import Sighting
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline.tables import TABLES, empty


def film(store: TableStore, seen: Sighting, stem: str | None = None) -> str:
    """Writes what a video says of its camera; its id."""
    name = seen.video_id
    row = {
        "video_id": name,
        "path": f"/films/{stem or name}.mp4",
        "width": seen.frame_size[0],
        "height": seen.frame_size[1],
        "warnings": [],
    }
    video = pl.DataFrame([row], schema=TABLES["ride_video"])
    store.write("ride_video", name, video, "f")
    for table in ("places", "votes", "figures"):
        store.write(f"camera_{table}", name, getattr(seen, table), "f")
    for table in ("riders", "face_landmarks", "face_quality"):
        store.write(table, name, empty(table), "f")
    return name


def film_all(store: TableStore, seen: Iterable[Sighting]) -> list[str]:
    """Writes several; their ids."""
    return [film(store, each) for each in seen]
