"""All templates of a library with pairs and samples, for tests and benchmarks that judge them."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from identity_pipeline.stages.library.copies_in_force import copies_in_force
from identity_pipeline.stages.library.reading import of_video, read_inputs
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline.tables import empty


@dataclass(frozen=True)
class LibraryTables:
    """`track_templates`, `calibration_pairs` and `face_samples` of all videos that count together.

    Attributes:
        templates, pairs, samples: the tables.
        space: key of their embedding space.
    """

    templates: pl.DataFrame
    pairs: pl.DataFrame
    samples: pl.DataFrame
    space: str

    @property
    def videos(self) -> int:
        """How many have a track."""
        return self.templates["video_id"].n_unique()


def read_templates(store: TableStore) -> LibraryTables:
    """Those of a data folder, in the recogniser's space."""
    stores = LibraryStores.of(store)
    copies = copies_in_force(stores)
    inputs = read_inputs(stores, copies)
    several = [of_video(inputs.own, video_id) for video_id in sorted(inputs.versions)]

    def whole(name: str) -> pl.DataFrame:
        table = copies.counted(pl.concat([empty(name), *(tables[name] for tables in several)]))
        return table.filter(pl.col("space") == inputs.space)

    names = ("track_templates", "calibration_pairs", "face_samples")
    return LibraryTables(*map(whole, names), inputs.space)
