"""The training set: split once for ever by person and video, thinned, refused when too small."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_pipeline.core.heads.training_set import (
    HELD_OUT,
    TRAIN,
    split_of,
    sufficiency,
    teachers,
    teaching_arrays,
    teaching_faces,
    worth_labelling,
)
from identity_pipeline.core.matching.templates import VideoTables
from identity_pipeline.core.vectors import SpaceMismatchError, normalise, to_series
from identity_pipeline.settings import TrainSettings
from identity_pipeline.tables import TABLES
from identity_pipeline_tests.storage.small_library import table
from identity_pipeline_tests.teaching_library import rides, training_table

SETTINGS = TrainSettings()


@given(st.uuids().map(str), st.text("abc0123456789-", min_size=1, max_size=20))
def test_the_split_hangs_on_person_and_video_alone(person: str, video: str) -> None:
    split = split_of(person, video, SETTINGS)
    assert split == split_of(person, video, TrainSettings(margin=0.5, epochs=3))
    alone = {split_of(person, f"other-{n}", SETTINGS) for n in range(40)}
    if alone == {HELD_OUT}:  # the person is held out, so is each of their videos
        assert split == HELD_OUT


def test_a_person_who_is_held_out_teaches_in_no_video_and_a_held_out_video_teaches_nobody() -> None:
    full = training_table(rides(people=60, each=4), SETTINGS)
    of_person = full.group_by("person_id").agg(pl.col("split").unique())
    never = of_person.filter(pl.col("split").list.len() == 1, pl.col("split").list[0] == HELD_OUT)
    share = never.height / of_person.height
    assert 0.1 < share < 0.45  # a quarter, and who is held out by chance in all four videos
    taught = teachers(full, SETTINGS)
    assert set(taught["split"]) == {TRAIN}
    assert not set(taught["person_id"]) & set(never["person_id"])


def test_near_identical_faces_of_a_track_teach_once_and_unconfirmed_tracks_not_at_all() -> None:
    rng = np.random.default_rng(0)
    three = normalise(rng.normal(size=(3, 16)))
    vectors = np.repeat(three, 4, axis=0)
    ids = [f"{n:06d}-0" for n in range(12)]
    faces = pl.DataFrame({"face_id": ids, "frame_idx": range(12)})

    def with_columns(asset: str, **columns: object) -> pl.DataFrame:
        rows = faces.with_columns(**{k: pl.lit(v) for k, v in columns.items()}).to_dicts()
        return table(asset, rows)

    embeddings = with_columns("face_embeddings", space="s@0/16", because="usable")
    embeddings = embeddings.with_columns(to_series("e_id", vectors))
    video = VideoTables(
        "ride-a-00000001",
        embeddings,
        with_columns("face_quality", quality_score=0.5),
        with_columns("face_tracks", track_id=1),
        table("riders", [{"track_id": 1, "person_id": 0}]),
        with_columns("face_detections", timestamp_ms=0.0, x1=0.0, y1=0.0, x2=1.0, y2=1.0),
    )
    found = teaching_faces(video, {"track:ride-a-00000001:1": "p"}, SETTINGS)
    assert found.height == 3
    assert found.schema == pl.Schema(TABLES["training_set"])
    few = SETTINGS.model_copy(update={"faces_per_track_max": 2})
    assert teaching_faces(video, {"track:ride-a-00000001:1": "p"}, few).height == 2
    assert teaching_faces(video, {"track:ride-a-00000001:2": "p"}, SETTINGS).height == 0


def test_too_little_is_said_in_numbers() -> None:
    found = sufficiency(training_table(rides(people=4, each=3), SETTINGS), SETTINGS)
    assert f"of {SETTINGS.people_min} people with 2 confirmed tracks or more" in found.missing[0]
    assert any("people with a held-out track" in missing for missing in found.missing)
    assert sufficiency(training_table(rides(), SETTINGS), SETTINGS).missing == ()


def test_a_person_with_one_track_does_not_teach() -> None:
    once = training_table(rides(people=30, each=1), SETTINGS)
    assert teachers(once, SETTINGS).height == 0
    assert sufficiency(once, SETTINGS).held_out_people == 0


def test_two_recognisers_are_never_mixed() -> None:
    mixed = training_table(rides(), SETTINGS).with_columns(
        space=pl.when(pl.col("person_id") == "person-00")
        .then(pl.lit("other@0/64"))
        .otherwise(pl.col("space"))
    )
    with pytest.raises(SpaceMismatchError):
        sufficiency(mixed, SETTINGS)


def test_clusters_of_most_videos_are_worth_labelling_first() -> None:
    clusters = table(
        "unknown_clusters",
        [
            {"cluster_id": 1, "track_count": 9, "video_count": 2},
            {"cluster_id": 2, "track_count": 3, "video_count": 3},
            {"cluster_id": 3, "track_count": 3, "video_count": 2},
        ],
    )
    assert worth_labelling(clusters, 2) == [2, 1]


def test_the_order_of_the_rows_does_not_matter() -> None:
    full = training_table(rides(), SETTINGS)
    one = teaching_arrays(teachers(full, SETTINGS))
    other = teaching_arrays(teachers(full.sample(fraction=1.0, shuffle=True, seed=1), SETTINGS))
    assert one.people == other.people
    assert np.array_equal(one.vectors, other.vectors)
    assert np.array_equal(one.person, other.person)
