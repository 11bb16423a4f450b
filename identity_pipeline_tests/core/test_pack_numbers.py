"""Numbers of a recogniser from rides without labels, in a space where everybody looks alike."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from identity_pipeline.core.matching.pack_numbers import centre_of, pack_numbers
from identity_pipeline.core.matching.templates import VideoTables
from identity_pipeline.core.vectors import Matrix, normalise
from identity_pipeline.settings import load_settings
from identity_pipeline.settings.numbers import DECIDING
from identity_pipeline_tests.core.people import directions, looks, video_tables

MATCH = load_settings(models={"face_pack": "buffalo_l"}).match
FRAMES = 30


def common(rng: np.random.Generator, strength: float) -> Matrix:
    """What all faces of a space have in common."""
    return strength * directions(rng, 1)


def rides(
    count: int, strength: float = 2.0, noise: float = 0.8, seed: int = 0
) -> list[VideoTables]:
    """Rides of two strangers each, whose vectors have a common part; all on one wrong track."""
    rng = np.random.default_rng(seed)
    shared, people = common(rng, strength), directions(rng, 2 * count)
    videos = []
    for ride in range(count):
        faces = []
        for seat in range(2):
            person = people[2 * ride + seat]
            own = rng.normal(size=(FRAMES, 64)) * noise / 8
            vectors = normalise(person + shared + own)
            faces += [
                {"frame": 3 * n, "track": 0, "tracklet": seat, "vector": v.tolist()}
                for n, v in enumerate(vectors)
            ]
        videos.append(video_tables(f"ride-{ride:03d}", faces, (0,)))
    return videos


def test_numbers_follow_the_space_and_tell_who_is_one_person() -> None:
    found = pack_numbers(rides(20), MATCH)
    assert found.reason is None
    assert set(found.values) == {*DECIDING, "tracking.part_cos"}
    strangers, own = 4 / 5, 1 - 0.8**2 / (2 * 5.64)
    # Strangers are at .8 here, where the defaults for spaces like ArcFace's would join them all.
    assert found.values["match.default_exclude"] > strangers > MATCH.default_assign
    assert found.values["match.default_suggest"] < found.values["match.default_assign"] < 1
    assert found.values["tracking.stitch_cos_with_margin"] < found.values["tracking.stitch_cos"]
    assert found.values["stability.stable_min"] < own
    assert "40 tracklets of 20 rides" in found.provenance["tracking.stitch_cos"]
    again = pack_numbers(rides(20, seed=9), MATCH)
    assert again.values["match.default_suggest"] == pytest.approx(
        found.values["match.default_suggest"], abs=0.03
    )


def test_two_rides_tell_too_little() -> None:
    found = pack_numbers(rides(2), MATCH)
    assert found.values == {} and "independent pairs" in str(found.reason)


def test_a_recogniser_that_tells_nobody_apart_has_no_numbers() -> None:
    found = pack_numbers(rides(20, strength=0, noise=30), MATCH)
    assert found.values == {} and found.reason


def test_faces_that_do_not_last_say_nothing() -> None:
    short = [
        VideoTables(
            video.video_id,
            video.embeddings.filter(pl.col("frame_idx") < 20),
            *(getattr(video, name) for name in ("quality", "tracks", "riders", "detections")),
        )
        for video in rides(20)
    ]
    assert pack_numbers(short, MATCH).values == {}


def features(people: int, strength: float) -> list[Matrix]:
    rng = np.random.default_rng(3)
    shared = common(rng, strength)
    return [
        (shared + looks(rng, person, 5, 0.5)).astype(np.float32)
        for person in directions(rng, people)
    ]


def test_the_centre_is_what_all_have_in_common() -> None:
    own = features(60, 3.0)
    centre, reason = centre_of(own)
    assert reason is None
    units = normalise(np.stack([each.mean(axis=0) for each in own]) - centre)
    cosines = (units @ units.T)[np.triu_indices(60, k=1)]
    assert abs(float(np.median(cosines))) < 0.05


def test_of_few_people_or_about_nothing_no_centre_is_made() -> None:
    assert "39 tracklets" in str(centre_of(features(39, 3.0))[1])
    assert "no common direction" in str(centre_of(features(60, 0.0))[1])
