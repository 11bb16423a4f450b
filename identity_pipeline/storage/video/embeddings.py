"""The identity vectors of a video, as they lie in two tables.

What belongs here: reading both as one. What does not: which faces get one
(`core.tracks.witnesses`, `core.imagesets.moments`).
"""

from __future__ import annotations

from typing import Final

import polars as pl

from identity_pipeline.core.vectors import all_embeddings
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline.tables import empty

WITNESSES, OF_MOMENTS = "face_embeddings", "moment_embeddings"
IDENTITY_TABLES: Final = (WITNESSES, OF_MOMENTS)


def read_embeddings(store: TableStore, video_id: str) -> pl.DataFrame:
    """Every identity vector of a video, in time order.

    A video that was processed before there were moments has all its vectors in the first table.

    Args:
        store: the tables.
        video_id: of which video.

    Raises:
        MissingTableError: it was never embedded.
        DamagedTableError: a table is not what was written.
    """
    later = store.noted(OF_MOMENTS, video_id) is not None
    of_moments = store.read(OF_MOMENTS, video_id) if later else empty(OF_MOMENTS)
    return all_embeddings(store.read(WITNESSES, video_id), of_moments)
