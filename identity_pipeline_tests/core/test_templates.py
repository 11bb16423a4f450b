"""Track templates: which faces count, how much, and why a track has none."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_pipeline.core.clustering.shared_frames import shared_frame_pairs
from identity_pipeline.core.matching import templates as of_templates
from identity_pipeline.core.matching.templates import (
    TRACK_TEMPLATES,
    VideoTables,
    build_templates,
    in_order,
    thin,
    together_in_order,
)
from identity_pipeline.core.vectors import NotUnitNormError, SpaceMismatchError
from identity_pipeline.settings import MatchSettings
from identity_pipeline_tests.core.builders import axis, plane
from identity_pipeline_tests.core.people import template, templates, video_tables

S = MatchSettings()


def face(frame: int, track: int = 0, **changes: Any) -> dict[str, Any]:
    return {"frame": frame, "track": track, "vector": plane(20.0 * frame), **changes}


def built(*faces: dict[str, Any], riders: tuple[int, ...] = (0,), **options: Any) -> dict[str, Any]:
    result = build_templates(video_tables("v", list(faces), riders), S, **options)
    assert dict(result.table.schema) == TRACK_TEMPLATES
    return {row["track_key"]: row for row in result.table.to_dicts()}


def test_a_template_is_the_quality_weighted_direction_of_the_usable_faces() -> None:
    faces = [
        face(0, vector=axis(0, 4), quality=0.2),
        face(1, vector=axis(1, 4), quality=0.4),
        face(2, vector=axis(2, 4), quality=0.4),
        face(3, vector=axis(3, 4), quality=0.9, because="witness"),
        face(4, vector=None, quality=0.9),
    ]
    row = built(*faces)["track:v:0"]
    assert row["template"] == pytest.approx([1 / 3, 2 / 3, 2 / 3, 0], abs=1e-6)
    assert row["face_count"] == 3
    assert row["quality"] == pytest.approx(1 / 3)
    assert row["spread"] == pytest.approx(1 - 1 / np.sqrt(3), abs=1e-6)
    assert (row["best_face_id"], row["best_frame"]) == ("000001-0", 1)
    assert row["box"] == [1.0, 2.0, 3.0, 1.0]
    assert row["frames"] == [0, 1, 2, 3, 4], "all faces tell where the track is"
    assert (row["first_frame"], row["last_frame"], row["rider"]) == (0, 4, 0)


def test_tracks_without_a_template_say_why() -> None:
    faces = [face(f, 0) for f in range(3)] + [face(f, 1) for f in range(2)]
    faces += [face(f, 2) for f in range(5)]
    result = build_templates(video_tables("v", faces, (0, 1)), S)
    assert result.table["track_key"].to_list() == ["track:v:0"]
    reasons = dict(result.without.select("track_key", "reason").iter_rows())
    assert reasons == {"track:v:1": "too_few_usable", "track:v:2": "no_rider"}


def test_all_tracks_on_request() -> None:
    faces = [face(f, t) for t in (0, 1) for f in range(3)]
    rows = built(*faces, all_tracks=True)
    assert {key: row["rider"] for key, row in rows.items()} == {"track:v:0": 0, "track:v:1": None}


def test_a_contaminated_tracklet_gives_a_template_on_each_side_of_its_cut() -> None:
    faces = [face(f, 0, tracklet=7, vector=axis(0, 4)) for f in range(4)]
    faces += [face(f, 1, tracklet=7, vector=axis(1, 4)) for f in range(4, 8)]
    rows = built(*faces, riders=(0, 1))
    assert rows["track:v:0"]["template"] == pytest.approx(axis(0, 4))
    assert rows["track:v:1"]["template"] == pytest.approx(axis(1, 4))


def test_a_standing_car_does_not_outvote_the_ride() -> None:
    still = [face(f, vector=plane(0)) for f in range(50)]
    row = built(*still, face(60, vector=plane(60)))["track:v:0"]
    assert row["template"] == pytest.approx(plane(30), abs=1e-5)
    assert row["face_count"] == 51


def test_of_a_run_the_best_stays() -> None:
    vectors = np.array([plane(0), plane(1), plane(2), plane(60), plane(0)], dtype=np.float32)
    quality = np.array([0.5, 0.9, 0.6, 0.1, 0.2])
    assert thin(vectors, quality, 0.98).tolist() == [1, 3, 4]
    assert thin(vectors, quality, 1.1).tolist() == [0, 1, 2, 3, 4]


def test_a_slow_turn_is_no_standing_car() -> None:
    """Each step is small, but a run ends where it has left its first face."""
    vectors = np.array([plane(4.0 * i) for i in range(23)], dtype=np.float32)
    kept = thin(vectors, np.ones(23), 0.98)
    assert kept.tolist() == list(range(0, 23, 3))


def test_broken_embeddings_are_refused() -> None:
    with pytest.raises(NotUnitNormError):
        built(*(face(f, vector=[2.0, 0, 0, 0]) for f in range(3)))
    video = video_tables("v", [face(f) for f in range(4)], (0,))
    mixed = video.embeddings.with_columns(space=video.embeddings["face_id"])
    broken = VideoTables("v", mixed, video.quality, video.tracks, video.riders, video.detections)
    with pytest.raises(SpaceMismatchError):
        build_templates(broken, S)


def test_a_video_without_faces_has_no_templates() -> None:
    assert built() == {}


def test_tracks_that_share_a_frame() -> None:
    table = templates(
        template("a:0", axis(0), frames=[1, 2, 3]),
        template("a:1", axis(1), frames=[3, 4]),
        template("a:2", axis(2), frames=[5]),
        template("b:0", axis(0), frames=[1, 2, 3]),
    )
    assert shared_frame_pairs(table) == [("track:a:0", "track:a:1")]


KEYS = st.lists(st.integers(0, 10_000), unique=True, max_size=60)


@pytest.mark.parametrize("cuts", [1, 8, 64])
@given(KEYS, st.integers(0, 60), st.integers(0, 60))
def test_rows_put_among_others_are_as_of_a_sort(
    cuts: int, keys: list[int], first: int, second: int
) -> None:
    """Whether few come, more than are put one by one, or none; vectors go with their keys."""
    rows = pl.DataFrame(
        {"track_key": [f"track:{k:05d}:1" for k in keys], "template": [[float(k)] for k in keys]},
        schema={"track_key": pl.String, "template": pl.List(pl.Float32)},
    )
    parts = [rows[:first], rows[first : first + second], rows[first + second :]]
    some, more, others = map(in_order, parts)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(of_templates, "MOST_CUTS", cuts)
        found = together_in_order(together_in_order(some, more), others)
    assert found.equals(rows.sort("track_key"))
    pieces = found["track_key"].get_chunks()
    assert all(map(len, pieces)) or not keys  # Polars ends at an empty piece
