"""Which faces of a tracklet are embedded, so that an exchange of people does not pass unseen."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_pipeline.core.tracks.tracking import build_tracks
from identity_pipeline.core.tracks.witnesses import (
    doubtful_faces,
    first_witnesses,
    sudden_changes,
)
from identity_pipeline.settings import TrackingSettings
from identity_pipeline.tables import TABLES
from identity_pipeline_tests.core.builders import FEW, MODEST, axis

EVERY = 10


def faces(count: int, tracklet: int | None = 0, **columns: Any) -> pl.DataFrame:
    """One tracklet of usable faces of one quality, a face a frame."""
    plain = {"tracklet_id": [tracklet] * count, "loose": [True] * count}
    plain["quality_score"] = [0.5] * count
    return pl.DataFrame(
        {
            "face_id": [f"{i:06d}-{tracklet}" for i in range(count)],
            "frame_idx": range(count),
            **{**plain, **columns},
        },
        schema_overrides={"tracklet_id": pl.Int64, "frame_idx": pl.Int64},
    )


def frames(table: pl.DataFrame) -> list[int]:
    return table["frame_idx"].to_list()


def test_the_best_face_before_the_next_is_due_is_the_witness() -> None:
    score = [0.5] * 30
    score[8], score[3] = 0.7, 0.99  # 3 comes too early: the way to the next would be longer
    assert frames(first_witnesses(faces(30, quality_score=score), EVERY)) == [8, 16, 24]


def test_a_refused_face_stands_only_where_nothing_is_usable() -> None:
    loose = [i < 4 or i >= 25 for i in range(30)]
    table = first_witnesses(faces(30, loose=loose), EVERY)
    assert table.select("frame_idx", "because").rows() == [
        (3, "usable"),
        (11, "witness"),
        (19, "witness"),
        (27, "usable"),
    ]


@pytest.mark.parametrize("count", [1, 4, 9])
def test_the_shortest_tracklet_has_a_witness(count: int) -> None:
    assert first_witnesses(faces(count), EVERY).height == 1
    assert first_witnesses(faces(count, None), EVERY).height == count


def test_a_sudden_change_begins_a_stretch_of_its_own() -> None:
    """Five faces that look otherwise, between two witnesses."""
    looks = [
        (f"{i:06d}-0", np.array(axis(1 if 10 <= i < 15 else 0), np.float32)) for i in range(40)
    ]
    table = faces(40)
    changes = sudden_changes(table, looks, 0.5)
    assert changes == {"000010-0", "000015-0"}
    chosen = frames(first_witnesses(table, EVERY, changes))
    assert [frame for frame in chosen if 10 <= frame < 15] == [10]
    assert not [f for f in frames(first_witnesses(table, EVERY)) if 10 <= f < 15]


def test_what_is_refused_or_of_another_tracklet_is_no_sudden_change() -> None:
    looks = [(f"{i:06d}-0", np.array(axis(i % 2), np.float32)) for i in range(4)]
    assert sudden_changes(faces(4, loose=[True, False, True, False]), looks, 0.5) == set()
    assert sudden_changes(faces(4, tracklet_id=[0, 1, 0, 1]), looks, 0.5) == set()


def test_where_two_witnesses_disagree_all_usable_faces_between_them_are_embedded() -> None:
    table = faces(31, loose=[i != 12 for i in range(31)])
    embedded = pl.DataFrame(
        {
            "face_id": ["000000-0", "000010-0", "000020-0", "000030-0"],
            "e_id": [axis(0), axis(0), axis(1), axis(1)],
        }
    )
    assert frames(doubtful_faces(table, embedded, 0.5)) == [11, *range(13, 20)]
    assert doubtful_faces(table, embedded.head(2), 0.5).height == 0
    assert doubtful_faces(table, embedded.clear(), 0.5).height == 0


@st.composite
def scenes(draw: st.DrawFn) -> pl.DataFrame:
    """Up to three tracklets side by side, some faces refused, some of no tracklet."""
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    parts = []
    for tracklet in (0, 1, None)[: draw(st.integers(1, 3))]:
        count = int(rng.integers(1, 60))
        loose, score = (rng.random(count) < 0.7).tolist(), np.round(rng.random(count), 2).tolist()
        parts.append(faces(count, tracklet, loose=loose, quality_score=score))
    return pl.concat(parts)


@given(scenes(), st.integers(1, 12), st.integers(0, 2**31))
@MODEST
def test_no_stretch_goes_unwatched_in_any_order_of_rows(
    scene: pl.DataFrame, every: int, seed: int
) -> None:
    table = first_witnesses(scene, every)
    chosen = set(table["face_id"])
    assert table["face_id"].is_unique().all()
    for (tracklet,), rows in scene.sort("frame_idx").group_by("tracklet_id"):
        at = [-1, *(i for i, f in enumerate(rows["face_id"]) if f in chosen)]
        if tracklet is None:
            assert len(at) == rows.height + 1
            continue
        assert len(at) > 1
        assert all(b - a <= every for a, b in pairwise(at))
        assert rows.height - at[-1] <= every
    order = np.random.default_rng(seed).permutation(scene.height).tolist()
    assert first_witnesses(scene[order], every).equals(table)


@given(st.integers(EVERY, 40), st.integers(0, 40), st.integers(0, 2**31))
@FEW
def test_people_who_change_places_for_a_second_are_told_apart(
    length: int, start: int, seed: int
) -> None:
    """As far as their looks differ, whatever is not embedded in between."""
    rng = np.random.default_rng(seed)
    count = 120
    people = [1 if 20 + start <= i < 20 + start + length else 0 for i in range(count)]
    scene = faces(count, quality_score=np.round(rng.random(count), 2).tolist())
    look = {f: axis(p) for f, p in zip(scene["face_id"], people, strict=True)}

    def embedded(rows: pl.DataFrame) -> pl.DataFrame:
        vectors = [look[face] for face in rows["face_id"]]
        return rows.with_columns(
            space=pl.lit("s"), e_id=pl.Series(vectors, dtype=pl.List(pl.Float32))
        ).select(TABLES["face_embeddings"].keys())

    first = embedded(first_witnesses(scene, EVERY))
    more = embedded(doubtful_faces(scene, first, 0.5))
    blank = dict.fromkeys(TABLES["face_detections"], 0.0)
    rows = [{**blank, **r} for r in scene.select("face_id", "frame_idx", "tracklet_id").to_dicts()]
    detections = pl.DataFrame(rows, schema=TABLES["face_detections"])
    tracks = build_tracks(detections, pl.concat([first, more]), TrackingSettings())
    ids = tracks.sort("frame_idx")["track_id"].to_list()
    assert [1 if i != ids[0] else 0 for i in ids] == people
