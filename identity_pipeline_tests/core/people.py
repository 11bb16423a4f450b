"""Synthetic people for tests of the library: unit vectors around a direction per person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from identity_pipeline.core.matching.templates import TRACK_TEMPLATES, VideoTables
from identity_pipeline.core.matching.thresholds import OperatingPoint, Thresholds
from identity_pipeline.core.vectors import Matrix, normalise
from identity_pipeline.tables import TABLES

SPACE = "test@000000000000/64"


def looks(
    rng: np.random.Generator, person: np.ndarray, count: int, noise: float, dimension: int = 64
) -> Matrix:
    """Unit vectors around a direction; expected cosine of two of them: 1 / (1 + noise^2)."""
    spread = rng.normal(size=(count, dimension)) * noise / np.sqrt(dimension)
    return normalise(person + spread)


def directions(rng: np.random.Generator, count: int, dimension: int = 64) -> Matrix:
    """Random unit vectors: people."""
    return normalise(rng.normal(size=(count, dimension)))


def template(key: str, vector: Sequence[float] | np.ndarray, **changes: Any) -> dict[str, Any]:
    """One row of `track_templates`; the key is `video:track`, frames 0 to 9 unless told."""
    video, track = key.split(":")
    frames = list(changes.pop("frames", range(10)))
    row = {
        "track_key": f"track:{video}:{track}",
        "video_id": video,
        "track_id": int(track),
        "rider": int(track),
        "face_count": 10,
        "quality": 0.8,
        "first_frame": frames[0],
        "last_frame": frames[-1],
        "frames": frames,
        "best_face_id": "000000-0",
        "best_frame": 0,
        "box": [0.0, 0.0, 10.0, 10.0],
        "spread": 0.1,
        "space": SPACE,
        "template": np.asarray(vector, dtype=np.float32).tolist(),
    }
    return {**row, **changes}


def templates(*rows: dict[str, Any]) -> pl.DataFrame:
    """The table `track_templates`."""
    return pl.DataFrame(list(rows), schema=TRACK_TEMPLATES)


def fixed_thresholds(
    assign: float = 0.6, suggest: float = 0.4, exclude: float = 0.2, level: str = "template"
) -> Thresholds:
    """Thresholds that do not depend on the number of references."""
    values = {"exclude": exclude, "suggest": suggest, "assign": assign}
    return Thresholds(
        SPACE,
        level,
        {name: OperatingPoint(1e-3, 0.5, None, pinned=value) for name, value in values.items()},
    )


def video_tables(video_id: str, faces: list[dict[str, Any]], riders: Sequence[int]) -> VideoTables:
    """The tables of one video.

    Args:
        video_id: its id.
        faces: frame, track, vector (null: not embedded), quality, because.
        riders: tracks that are riders, from left to right.
    """
    rows = []
    for face in faces:
        number = sum(r["frame_idx"] == face["frame"] for r in rows)
        rows.append(
            {
                "face_id": f"{face['frame']:06d}-{number}",
                "frame_idx": face["frame"],
                "timestamp_ms": face["frame"] * 100.0,
                "track_id": face["track"],
                "tracklet_id": face.get("tracklet", face["track"]),
                "quality_score": face.get("quality", 0.8),
                "because": face.get("because", "usable"),
                "loose": face.get("because", "usable") == "usable",
                "e_id": face["vector"],
                "space": SPACE,
                "x1": 1.0,
                "y1": 2.0,
                "x2": 3.0,
                "y2": float(face["frame"]),
            }
        )

    def table(name: str, records: list[dict[str, Any]]) -> pl.DataFrame:
        blank = dict.fromkeys(TABLES[name])
        kept = [{**blank, **{k: r[k] for k in blank if k in r}} for r in records]
        return pl.DataFrame(kept, schema=TABLES[name])

    seats = {track: place for place, track in enumerate(riders)}
    tracks = sorted({r["track_id"] for r in rows})
    return VideoTables(
        video_id,
        table("face_embeddings", [r for r in rows if r["e_id"] is not None]),
        table("face_quality", rows),
        table("face_tracks", rows),
        table("riders", [{"track_id": t, "person_id": seats.get(t)} for t in tracks]),
        table("face_detections", rows),
    )
