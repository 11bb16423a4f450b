"""Soundness of tables: what honest tables pass, and each fault by itself."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from identity_pipeline.tables import LIBRARY_TABLES, TABLES, empty
from identity_pipeline.tables.soundness import count_faults, faults, library_faults

TABLE_NAMES = sorted(TABLES.keys() - {"image_set"})


@pytest.mark.parametrize("name", TABLE_NAMES)
def test_an_empty_table_and_one_that_measured_nothing_are_sound(name: str) -> None:
    assert faults(name, empty(name)) == []
    nulls = pl.DataFrame([{}], schema=TABLES[name])
    keys = [pl.lit("k" if TABLES[name][c] == pl.String else 1).cast(TABLES[name][c]).alias(c)
            for c in TABLES[name].key]  # fmt: skip
    assert faults(name, nulls.with_columns(keys)) == []


def frames(**columns: object) -> pl.DataFrame:
    values = {"frame_idx": [0, 3], "luma_mean": [100.0, 120.0], "face_count": [1, 1], **columns}
    table = pl.DataFrame(values)
    missing = [pl.lit(None).alias(c) for c in TABLES["frames"] if c not in table.columns]
    return table.with_columns(missing).select(
        pl.col(c).cast(dtype) for c, dtype in TABLES["frames"].items()
    )


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"luma_mean": [100.0, 256.0]}, "luma_mean: 1 values like 256 outside [0, 255]"),
        ({"luma_mean": [float("nan"), 1.0]}, "luma_mean: 1 values"),
        ({"timestamp_ms": [float("inf"), 1.0]}, "timestamp_ms: 1 values are no number"),
        ({"frame_idx": [3, 3]}, "1 rows with a frame_idx that is there already"),
        ({"frame_idx": [None, 3]}, "1 rows without frame_idx"),
        ({"face_count": [-1, 1]}, "face_count: 1 values like -1"),
    ],
)
def test_each_fault_is_named(columns: dict[str, object], words: str) -> None:
    (fault,) = faults("frames", frames(**columns))
    assert fault.startswith(words)
    assert faults("frames", frames()) == []


def test_other_columns_are_a_fault() -> None:
    assert faults("frames", frames().drop("pts"))[0].startswith("its columns")


@pytest.mark.parametrize(("length", "sound"), [(1.0, True), (1.0005, True), (0.9, False)])
def test_vectors_are_of_unit_length(length: float, sound: bool) -> None:
    vector = np.eye(8, dtype=np.float32)[0] * length
    table = pl.DataFrame(
        [{"face_id": "000001-0", "frame_idx": 1, "space": "s", "e_id": vector.tolist()}],
        schema=TABLES["face_embeddings"],
    )
    assert (faults("face_embeddings", table) == []) == sound


def faces(name: str, ids: list[str]) -> pl.DataFrame:
    rows = [{"face_id": face, "frame_idx": int(face[:6])} for face in ids]
    return pl.DataFrame(rows, schema=TABLES[name])


def counted(**replaced: pl.DataFrame) -> list[str]:
    ids = ["000000-0", "000003-0"]
    tables = {
        "frames": frames(),
        "detections": faces("face_detections", ids),
        "quality": faces("face_quality", ids),
        "embeddings": faces("face_embeddings", ids[:1]),
        "tracks": faces("face_tracks", ids),
    }
    return count_faults(**{**tables, **replaced})


def test_counts_that_agree_have_no_fault() -> None:
    assert counted() == []


def test_lost_made_up_and_unsampled_faces_are_told_apart() -> None:
    assert counted(quality=faces("face_quality", ["000000-0"])) == [
        "face_quality lacks 1 of 2 faces"
    ]
    assert counted(embeddings=faces("face_embeddings", ["000009-0"])) == [
        "face_embeddings has 1 faces that were never detected"
    ]
    assert counted(frames=frames(frame_idx=[0, 4])) == ["1 frames with faces were never sampled"]
    assert counted(frames=frames(face_count=[1, 2])) == [
        "the frames count 3 faces, 2 are described"
    ]


def library(**changed: object) -> list[str]:
    rows = [
        {"track_key": "track:v-1:1", "state": "known", "person_id": "ada", "cluster_id": None},
        {"track_key": "track:v-1:2", "state": "unknown", "person_id": None, "cluster_id": 4},
    ]
    rows[0] |= changed
    people = pl.DataFrame([{"person_id": "ada"}], schema=TABLES["people"])
    clusters = pl.DataFrame(
        [{"cluster_id": 4, "tracks": ["track:v-1:2"]}], schema=TABLES["unknown_clusters"]
    )
    assignments = pl.DataFrame(rows, schema=TABLES["person_assignments"])
    return library_faults(people, assignments, clusters)


def test_the_tracks_of_a_library_add_up() -> None:
    assert library() == []
    assert library(person_id="bea") == ["1 tracks are of people who are not there"]
    assert library(state="unknown", person_id=None, cluster_id=4) == [
        "1 tracks are in a cluster by one table only"
    ]
    assert "track_key that is there already" in library(track_key="track:v-1:2")[0]
    tables = {name: empty(name) for name in LIBRARY_TABLES}
    assert not library_faults(
        tables["people"], tables["person_assignments"], tables["unknown_clusters"]
    )
