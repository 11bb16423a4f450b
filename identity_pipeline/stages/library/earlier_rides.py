"""Models of rides by earlier versions of the program, which lack tables that one has now.

Videos keep such a model, so it is not made anew: all that it holds stays byte for byte, and what is
made of that is not outdated. It gets the tables that it lacks, of its own template, stretches and
videos.

What belongs here: adding them. What does not: mending a damaged model, and making the next
(`stages.library.camera_editions`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import polars as pl

from identity_pipeline.stages.library.ride_faces import tables_of_faces
from identity_pipeline.stages.video.ride_phases import template_of
from identity_pipeline.storage.cameras.cameras import RIDE, Cameras
from identity_pipeline.storage.cameras.editions import LABELS, Edition, EditionName
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline.tables import TABLES
from identity_pipeline.tables.ride import OF_FACES


def add_later_tables(
    store: TableStore, camera: str | None, whole: Iterable[EditionName]
) -> list[EditionName]:
    """Adds to models of a ride the tables that they lack.

    They are counted over those of its videos that are left and can be read; each row says of how
    many riders or rides it is.

    Args:
        store: the tables.
        camera: its name; None: the one without.
        whole: its models that are not damaged.

    Returns:
        Those that got one.

    Raises:
        DamagedFileError: a model is not what was written.
    """
    cameras, added = Cameras(store.layout), []
    for name in whole:
        model = cameras.edition(camera, name, RIDE)
        lacking = {LABELS, *OF_FACES} - set(model.tables)
        if lacking and cameras.add_tables(camera, model, _told(store, model, lacking), RIDE):
            added.append(name)
    return added


def _told(store: TableStore, model: Edition, lacking: set[str]) -> dict[str, pl.DataFrame]:
    """The tables that a model lacks; of what people say of the ride it holds nothing."""
    tables = {LABELS: pl.DataFrame(schema=TABLES[LABELS])}
    if lacking != {LABELS}:
        template, phases = template_of(model)
        members = tuple(model.table("ride_members").filter("counts")["video_id"])
        tables |= tables_of_faces(store, replace(template, members=members), phases)
    return {name: tables[name] for name in lacking}
