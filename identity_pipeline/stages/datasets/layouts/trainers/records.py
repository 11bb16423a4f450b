"""What is told of each picture, as one flat record of plain values.

What belongs here: the columns of loaders that read metadata. What does not: how a loader wants them
written. Embeddings, and vectors of any kind that were computed from a face, are never among them.
"""

from __future__ import annotations

import math
from typing import Any, Final

import polars as pl

from identity_pipeline.stages.datasets.pictures import Dataset, Picture
from identity_pipeline.tables import BOX, TABLES

OWN: Final = {
    "key": pl.String,
    "person": pl.String,
    "person_id": pl.String,
    "token": pl.String,
    "class_word": pl.String,
    "source_id": pl.String,
    "source_kind": pl.String,
    "source_date": pl.String,
    "origin": pl.String,
    "role": pl.String,
    "rank": pl.Int64,
    "split": pl.String,
    "variant": pl.String,
    "face_id": pl.String,
    "frame_idx": pl.Int64,
    "timestamp_ms": pl.Float64,
    "width": pl.Int64,
    "height": pl.Int64,
    "face": pl.List(pl.Float64),
    "key_points": pl.List(pl.List(pl.Float64)),
}
"""Columns of every picture and their types; the face is x1, y1, x2, y2 in its own pixels."""
PLAIN: Final = (pl.String, pl.Boolean, pl.Int64, pl.Float32, pl.Float64)
OF_THE_FRAME: Final = frozenset({*BOX, "crop_x1", "crop_y1", "crop_x2", "crop_y2", "crop_px"})
"""Measures of the table `candidates` in pixels of a source that is not in the export."""
WITHIN_THE_RIDE: Final = frozenset(
    {
        *("standing", "moment_id", "representative_face_id"),
        *("decided", "anchor_place", "human_place"),
    }
)
"""Of the choice within one ride, which says nothing about the picture."""
MEASURED: Final = {
    name: pl.Float64 if dtype == pl.Float32 else dtype
    for name, dtype in TABLES["candidates"].items()
    if dtype in PLAIN and name not in {*OWN, *OF_THE_FRAME, *WITHIN_THE_RIDE}
}
"""What was measured of a face, in one value each."""
COLUMNS: Final = {**OWN, "text": pl.String, **MEASURED}


def record_of(picture: Picture, dataset: Dataset) -> dict[str, Any]:
    """Everything that is told of a picture: `COLUMNS`; what is not known is null.

    Numbers of 32 bits are told to their seven digits.
    """
    person, source = picture.person, picture.source
    own = {
        "key": picture.key,
        "person": person.name,
        "person_id": person.person_id,
        "token": person.token,
        "class_word": person.class_word,
        "source_id": source.source_id,
        "source_kind": source.kind,
        "source_date": source.date,
        "origin": source.origin,
        "role": picture.role,
        "rank": picture.rank,
        "split": picture.split,
        "variant": picture.variant,
        "face_id": picture.face_id,
        "frame_idx": picture.frame_idx,
        "timestamp_ms": picture.timestamp_ms,
        "width": picture.width,
        "height": picture.height,
        "face": [_told(float(value)) for value in picture.face],
        "key_points": [[_told(float(value)) for value in point] for point in picture.key_points],
        "text": dataset.captions.get(picture.key),
    }
    return {**own, **{name: _measure(picture, name) for name in MEASURED}}


def _measure(picture: Picture, name: str) -> Any:
    """A measure in its column's type; None for what is null or not a number."""
    value = picture.measured.get(name)
    if value is None or MEASURED[name] != pl.Float64:
        return value
    return _told(float(value))


def _told(value: float) -> float | None:
    return float(f"{value:.7g}") if math.isfinite(value) else None
