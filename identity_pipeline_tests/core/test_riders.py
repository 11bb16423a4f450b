"""Who rides: scores, seats, and the reason of everybody else."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from identity_pipeline.core.tracks.riders import find_riders, rider_faces, score_tracks
from identity_pipeline.settings import RiderSettings
from identity_pipeline.tables import TABLES, conform

S = RiderSettings()
SIZE = (1000, 500)


def scene(*people: dict[str, Any]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Tracks and detections; a person has `frames`, a centre `at` and a `side`."""
    rows = []
    for track, person in enumerate(people):
        x, y = person.get("at", (500, 250))
        half = person.get("side", 100) / 2
        for frame in person["frames"]:
            rows.append(
                dict.fromkeys(TABLES["face_detections"], 0.5)
                | {"face_id": f"{frame:06d}-{track}", "frame_idx": frame, "tracklet_id": track}
                | {"timestamp_ms": frame * 100.0, "track_id": track}
                | {"x1": x - half, "x2": x + half, "y1": y - half, "y2": y + half}
            )
    schema = {**TABLES["face_detections"], "track_id": pl.Int64}
    table = pl.DataFrame(rows, schema=schema).sample(fraction=1, shuffle=True, seed=4)
    return table.select("face_id", "frame_idx", "track_id"), table.drop("track_id")


def riders(*people: dict[str, Any], settings: RiderSettings = S, frames: int = 100) -> pl.DataFrame:
    tracks, detections = scene(*people)
    return conform("riders", find_riders(tracks, detections, frames, SIZE, settings))


def told(table: pl.DataFrame) -> list[tuple[int | None, str]]:
    return table.sort("track_id").select("person_id", "reason").rows()


def test_the_three_parts_and_their_weights() -> None:
    tracks, detections = scene(
        {"frames": range(50), "at": (500, 250), "side": 100},
        {"frames": range(20), "at": (1000, 0), "side": 50},
    )
    first, second = score_tracks(tracks, detections, 100, SIZE, S).sort("track_id").to_dicts()
    assert (first["size_score"], first["centre_score"], first["length_score"]) == (1, 1, 0.5)
    assert first["track_score"] == pytest.approx(0.4 + 0.3 + 0.15)
    assert second["size_score"] == pytest.approx(0.25)
    assert second["centre_score"] == pytest.approx(0, abs=1e-4)
    assert second["track_score"] == pytest.approx(0.4 * 0.25 + 0.3 * 0.2, abs=1e-4)
    assert first["mean_area_share"] == pytest.approx(100 * 100 / 500_000)
    assert (first["mean_centre_x_norm"], first["mean_centre_y_norm"]) == (0.5, 0.5)
    assert (first["face_count"], first["first_ms"], first["last_ms"]) == (50, 0, 4900)


def test_the_weights_are_settings() -> None:
    tracks, detections = scene({"frames": range(50)})
    weights = RiderSettings(size_weight=0.1, centre_weight=0.2, length_weight=0.7)
    scored = score_tracks(tracks, detections, 100, SIZE, weights)
    assert scored["track_score"].item() == pytest.approx(0.1 + 0.2 + 0.35)


def test_the_centre_is_measured_in_normalised_units() -> None:
    """A quarter of the width and a quarter of the height count the same."""
    tracks, detections = scene({"frames": [0], "at": (250, 250)}, {"frames": [1], "at": (500, 125)})
    scores = score_tracks(tracks, detections, 10, SIZE, S)["centre_score"].to_list()
    assert scores == pytest.approx([1 - 0.25 / 0.7071] * 2)


@pytest.mark.parametrize(("seen", "reason"), [(10, "rider"), (9, "too_short")])
def test_a_rider_is_seen_in_a_tenth_of_the_frames(seen: int, reason: str) -> None:
    assert riders({"frames": range(seen)})["reason"].to_list() == [reason]


def test_a_sole_persistent_face_is_a_rider_however_small_and_far_off() -> None:
    table = riders(
        {"frames": range(12), "at": (20, 20), "side": 8}, {"frames": range(9), "side": 300}
    )
    assert told(table) == [(0, "rider"), (None, "too_short")]


def test_two_riders_are_numbered_from_left_to_right() -> None:
    right_first = riders(
        {"frames": range(90), "at": (800, 250)}, {"frames": range(80), "at": (200, 250)}
    )
    assert told(right_first) == [(1, "rider"), (0, "rider")]


def test_the_third_persistent_face_is_a_bystander() -> None:
    table = riders(
        {"frames": range(90), "at": (300, 250)},
        {"frames": range(90), "at": (500, 250), "side": 80},
        {"frames": range(90), "at": (700, 250)},
        {"frames": range(50), "at": (650, 20), "side": 70},
    )
    assert told(table) == [(0, "rider"), (None, "bystander"), (1, "rider"), (None, "bystander")]


@pytest.mark.parametrize(("side", "reason"), [(40, "rider"), (38, "too_small")])
def test_a_second_face_far_smaller_sits_in_another_row(side: int, reason: str) -> None:
    """0.16 and 0.144 of the largest area."""
    table = riders({"frames": range(90), "at": (300, 250)}, {"frames": range(90), "side": side})
    assert told(table)[1][1] == reason


@pytest.mark.parametrize(("shared", "reason"), [(3, "rider"), (2, "never_beside_rider")])
def test_a_second_rider_is_seen_beside_the_first(shared: int, reason: str) -> None:
    later = range(50 - shared, 90)
    table = riders(
        {"frames": range(50), "at": (300, 250)}, {"frames": later, "at": (700, 250), "side": 90}
    )
    assert told(table)[1][1] == reason


def test_one_seat_makes_one_rider() -> None:
    people = [{"frames": range(90), "at": (x, 250)} for x in (300, 500)]
    table = riders(*people, settings=RiderSettings(max_riders=1))
    assert told(table) == [(None, "bystander"), (0, "rider")]


def test_equal_scores_go_to_the_first_track() -> None:
    people = [{"frames": range(90)} for _ in range(3)]
    assert [reason for _, reason in told(riders(*people))] == ["rider", "rider", "bystander"]


def test_faces_of_the_riders_alone_in_time_order() -> None:
    tracks, detections = scene(
        {"frames": range(20), "at": (700, 250)},
        {"frames": range(20), "at": (300, 250)},
        {"frames": range(3)},
    )
    table = rider_faces(tracks, find_riders(tracks, detections, 20, SIZE, S))
    assert table["person_id"].to_list() == [0] * 20 + [1] * 20
    assert table["track_id"].to_list() == [1] * 20 + [0] * 20
    assert table["frame_idx"].to_list() == [*range(20), *range(20)]


def test_nobody_seen_is_nobody_riding() -> None:
    assert riders().height == 0
