"""What makes a table trustworthy by itself: keys, ranges, unit vectors; and counts between tables.

What belongs here: faults that no honest computation can give, so that what follows would be
meaningless. What is merely unusual is `core.camera.watch`. Null is "not measured", never a fault;
NaN and infinity are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import polars as pl

from identity_pipeline.tables import TABLES
from identity_pipeline.tables.base import COSINE, COUNT, SHARE, Range

LUMA: Final[Range] = (0.0, 255.0)
ANGLE: Final[Range] = (-180.0, 180.0)
SLACK: Final = 1e-3
"""Of ranges and of unit length: 32-bit numbers, and the boundary that embeddings pass."""

RANGES: Final[Mapping[str, Range]] = {
    **dict.fromkeys(("luma_mean", "luma_p05", "luma_p50", "luma_p95", "contrast", "noise"), LUMA),
    "surround_luma": LUMA,
    **dict.fromkeys(("clipped_share", "crushed_share", "outside_share", "occlusion"), SHARE),
    **dict.fromkeys(("quality_score", "presence", "track_score", "size_score"), SHARE),
    **dict.fromkeys(("centre_score", "length_score"), SHARE),
    **dict.fromkeys(("eye_left_there", "eye_right_there", "cover_beside"), SHARE),
    **dict.fromkeys(("stable_score", "rival_score", "track_cos", "stitch_cos"), COSINE),
    **dict.fromkeys(("yaw", "pitch", "roll", "yaw_raw", "pitch_raw", "pitch_level"), ANGLE),
    **dict.fromkeys(("frame_idx", "face_count", "rows", "size_bytes", "sharpness"), COUNT),
    **dict.fromkeys(("face_px", "area_share", "eye_ratio", "mouth_ratio"), COUNT),
    "scene_correlation": COSINE,
    "novelty": (0.0, 2.0),
    "recent_novelty": (0.0, 2.0),
}
"""By column, in every table that has it."""
UNIT: Final = ("e_id", "e_vis_face", "e_vis_body", "template")


def faults(name: str, table: pl.DataFrame) -> list[str]:
    """What is wrong with a table, one sentence each; an empty list means nothing.

    Args:
        name: asset.
        table: conforming to its schema.
    """
    ranges = {**RANGES, **TABLES[name].ranges}
    found = [*_schema(name, table), *_keys(name, table), *_boxes(table)]
    for column, dtype in table.schema.items():
        if column in ranges:
            found += _range(table[column], *ranges[column])
        elif dtype.is_float():
            found += _finite(table[column])
        if column in UNIT:
            found += _unit(table[column])
    return found


def _schema(name: str, table: pl.DataFrame) -> list[str]:
    expected = pl.Schema(TABLES[name])
    return [] if table.schema == expected else [f"its columns are not those of {name}"]


def _keys(name: str, table: pl.DataFrame) -> list[str]:
    key = list(TABLES[name].key)
    if not key:
        return []
    nulls = table.select(pl.any_horizontal(pl.col(key).is_null()).sum()).item()
    twice = table.height - table.select(key).n_unique() if table.height else 0
    named = ", ".join(key)
    return [
        *([f"{nulls} rows without {named}"] if nulls else []),
        *([f"{twice} rows with a {named} that is there already"] if twice else []),
    ]


def _boxes(table: pl.DataFrame) -> list[str]:
    if not {"x1", "y1", "x2", "y2"} <= set(table.columns):
        return []
    inverted = table.filter((pl.col("x2") <= pl.col("x1")) | (pl.col("y2") <= pl.col("y1"))).height
    return [f"{inverted} boxes without an area"] if inverted else []


def _finite(column: pl.Series) -> list[str]:
    wrong = int((~column.drop_nulls().is_finite()).sum())
    return [f"{column.name}: {wrong} values are no number"] if wrong else []


def _range(column: pl.Series, low: float, high: float) -> list[str]:
    values = column.drop_nulls().cast(pl.Float64)
    outside = values.filter(~values.is_finite() | (values < low - SLACK) | (values > high + SLACK))
    if not outside.len():
        return []
    return [
        f"{column.name}: {outside.len()} values like {outside[0]:g} outside [{low:g}, {high:g}]"
    ]


def _unit(column: pl.Series) -> list[str]:
    vectors = column.drop_nulls()
    if not vectors.len():
        return []
    flat = vectors.explode(empty_as_null=True, keep_nulls=True).to_numpy()
    norms = np.linalg.norm(flat.reshape(len(vectors), -1), axis=1)
    wrong = int((~(np.abs(norms - 1.0) <= SLACK)).sum())
    return [f"{column.name}: {wrong} vectors are not of unit length"] if wrong else []


def count_faults(
    frames: pl.DataFrame,
    detections: pl.DataFrame,
    quality: pl.DataFrame,
    embeddings: pl.DataFrame,
    tracks: pl.DataFrame,
) -> list[str]:
    """Faces that were lost or made up between the tables of one video.

    Args:
        frames: table `frames`.
        detections: table `face_detections`.
        quality: table `face_quality`: of every face.
        embeddings: table `face_embeddings`: of some.
        tracks: table `face_tracks`: of every face.
    """
    counted = int(frames["face_count"].sum())
    found = []
    if counted != detections.height:
        found.append(f"the frames count {counted} faces, {detections.height} are described")
    faces = set(detections["face_id"])
    for name, table, all_of_them in (
        ("face_quality", quality, True),
        ("face_tracks", tracks, True),
        ("face_embeddings", embeddings, False),
    ):
        there = set(table["face_id"])
        if there - faces:
            found.append(f"{name} has {len(there - faces)} faces that were never detected")
        if all_of_them and faces - there:
            found.append(f"{name} lacks {len(faces - there)} of {len(faces)} faces")
    unsampled = set(detections["frame_idx"]) - set(frames["frame_idx"])
    if unsampled:
        found.append(f"{len(unsampled)} frames with faces were never sampled")
    return found


def library_faults(
    people: pl.DataFrame, assignments: pl.DataFrame, clusters: pl.DataFrame
) -> list[str]:
    """Tracks that were lost, counted twice or given to nobody in one generation of the library.

    Args:
        people: table `people`.
        assignments: table `person_assignments`.
        clusters: table `unknown_clusters`.
    """
    tables = {"people": people, "person_assignments": assignments, "unknown_clusters": clusters}
    found = [f"{name}: {fault}" for name, table in tables.items() for fault in faults(name, table)]
    known = assignments.filter(pl.col("state") == "known")
    nobody = known.filter(~pl.col("person_id").is_in(people["person_id"].to_list())).height
    if nobody:
        found.append(f"{nobody} tracks are of people who are not there")
    members = assignments.filter(pl.col("cluster_id").is_not_null()).select(
        "cluster_id", track="track_key"
    )
    listed = clusters.select("cluster_id", track="tracks").explode("track")
    apart = members.join(listed, on=["cluster_id", "track"], how="anti").height
    apart += listed.join(members, on=["cluster_id", "track"], how="anti").height
    if apart:
        found.append(f"{apart} tracks are in a cluster by one table only")
    return found
