"""What others learn from phases; and nothing where no phase is known."""

from __future__ import annotations

import polars as pl
import pytest

from identity_pipeline.core.ride.frame_phases import Span
from identity_pipeline.core.ride.naming import Phase
from identity_pipeline.core.ride.uses import (
    Expectation,
    beside_normal,
    clock,
    expectation_sentences,
    expectations,
    face_figures,
    face_normals,
    seen_at_boarding,
    timeline_rows,
    windows,
)
from identity_pipeline.core.video.highlights import Window
from identity_pipeline.settings import RideSettings
from identity_pipeline.tables.ride import RIDE_TABLES

S = RideSettings()


def phases_of(*stretches: tuple[str | None, int]) -> pl.DataFrame:
    """Table `ride_phases` at 10 frames a second, of phases and seconds."""
    names = [name for name, seconds in stretches for _ in range(10 * seconds)]
    rows = [
        {"frame_idx": n, "timestamp_ms": 100.0 * n, "phase": name} for n, name in enumerate(names)
    ]
    return pl.DataFrame(rows, schema=RIDE_TABLES["ride_phases"])


RIDE = phases_of(("boarding", 10), ("ride", 30), ("dark", 10), ("boarding", 10))


def track(number: int, *seconds: int) -> pl.DataFrame:
    """A face in every frame of these seconds."""
    frames = [10 * second + n for second in seconds for n in range(10)]
    return pl.DataFrame({"track_id": number, "frame_idx": frames})


def verdicts(phases: pl.DataFrame, *tracks: pl.DataFrame) -> list[bool | None]:
    return seen_at_boarding(pl.concat(tracks), phases, S)["boarding_only"].to_list()


def test_who_is_there_at_boarding_alone_for_long_enough_is_no_rider() -> None:
    rider, staff, glimpse = track(1, *range(60)), track(2, *range(2, 9)), track(3, 4, 5)
    assert verdicts(RIDE, rider, staff, glimpse) == [False, True, None]


def test_a_rider_seen_once_beside_boarding_is_not_there_at_boarding_alone() -> None:
    assert verdicts(RIDE, track(1, *range(9), 20)) == [False]


def test_frames_of_one_second_are_one_sight() -> None:
    assert verdicts(RIDE, track(1, 3)) == [None]


def test_where_phases_are_not_known_nobody_is_told_from_them() -> None:
    unknown = phases_of(("boarding", 10), (None, 50))
    assert verdicts(unknown, track(1, *range(9))) == [None]
    assert verdicts(unknown.clear(), track(1, *range(9))) == [None]


def test_in_the_dark_nobody_need_be_seen() -> None:
    dark = phases_of(("boarding", 10), ("dark", 60))
    assert verdicts(dark, track(1, *range(9))) == [None]


TUNNEL = Phase(80, 170, "dark", "tunnel", "human")
SPANS = [
    Span(0.0, 41.0, 0, Phase(0, 80, "ride")),
    Span(41.0, 58.4, 1, TUNNEL),
    Span(58.4, 60.0, None, None),
]


def test_windows_are_of_phases_that_weigh_more() -> None:
    assert windows(SPANS, {"dark": 2.0, "ride": 1.0}) == [Window(41.0, 58.4, 2.0)]
    assert windows(SPANS, {}) == []


def good(number: int, with_good: int, rides: int) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "video_id": [f"v{n}" for n in range(rides)],
            "phase_number": number,
            "good": [n < with_good for n in range(rides)],
        }
    )


def test_what_not_to_expect_is_said_with_how_many_rides_say_so() -> None:
    expected = expectations(pl.concat([good(0, 24, 24), good(1, 0, 24)]))
    assert [(one.with_good, one.rides) for one in expected] == [(24, 24), (0, 24)]
    assert expectation_sentences(SPANS, expected, S) == [
        "No good frames 0:41-0:58: tunnel (0 of 24 rides)."
    ]


@pytest.mark.parametrize(
    ("hits", "rides", "said"), [(0, 19, 0), (0, 20, 1), (3, 200, 1), (9, 60, 0)]
)
def test_it_takes_twenty_rides_to_say_so(hits: int, rides: int, said: int) -> None:
    assert len(expectation_sentences(SPANS, expectations(good(1, hits, rides)), S)) == said


def test_of_what_was_not_measured_nothing_is_expected() -> None:
    nothing = good(1, 0, 30).with_columns(good=pl.lit(None, dtype=pl.Boolean))
    assert expectations(nothing) == []
    assert expectation_sentences(SPANS, [Expectation(5, 0, 90, 0.01)], S) == []


def test_times_are_said_in_minutes_and_whole_seconds() -> None:
    assert [clock(s) for s in (0, 41, 58.4, 59.6, 125)] == ["0:00", "0:41", "0:58", "1:00", "2:05"]


def faces(number: int | None, *luma: float | None) -> pl.DataFrame:
    schema = {"phase_number": pl.Int64, "luma": pl.Float64}
    return pl.DataFrame([(number, value) for value in luma], schema=schema, orient="row")


def test_faces_are_held_against_those_of_the_same_phase() -> None:
    videos = [face_figures(faces(1, 28 + n, 30 + n, 32 + n), ["luma"]) for n in range(21)]
    normals = face_normals(pl.concat(videos), 20)
    assert normals.row(0) == (1, "luma", 21, 40.0, pytest.approx(2 * 1.4826))
    told = beside_normal(
        pl.concat([faces(1, 40.0, 46.0, None), faces(2, 40.0), faces(None, 40.0)]), normals, "luma"
    )
    assert told.to_list() == [0.0, pytest.approx(6 / 2.9652), None, None, None]


def test_few_videos_have_no_normal_and_one_value_alone_is_none() -> None:
    figures = face_figures(faces(1, 30, 30, 30), ["luma"])
    assert face_normals(figures, 2).is_empty()
    assert beside_normal(faces(1, 50.0), face_normals(figures, 1), "luma").to_list() == [None]


def test_the_timeline_says_what_is_not_known() -> None:
    rows = timeline_rows(SPANS)
    assert rows["words"].to_list() == ["ride", "tunnel", "not known"]
    assert rows["source"].to_list() == ["template", "human", None]
    assert timeline_rows([]).is_empty()
