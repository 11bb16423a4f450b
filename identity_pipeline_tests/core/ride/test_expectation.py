"""In which parts of a ride no rider is seen well, and that it takes twenty rides to say so."""

from __future__ import annotations

import polars as pl
import pytest

from identity_pipeline.core.ride.expectation import expectations, expected_of, good_by_phase
from identity_pipeline.core.ride.spans import Span
from identity_pipeline.settings import RideSettings
from identity_pipeline.tables import TABLES
from identity_pipeline_tests.core.ride.tables import phases_of

S = RideSettings()
SPANS = [
    Span(0.0, 41_000.0, 0, "ride"),
    Span(41_000.0, 58_400.0, 1, "dark", "tunnel", by_people=True),
    Span(58_400.0, 60_000.0),
]


RIDE = phases_of(("boarding", 2), ("dark", 3), (None, 1))


def seen(*faces: tuple[int, bool]) -> pl.DataFrame:
    """Riders' faces: the second, and the verdict of the loose gate."""
    rows = [(10 * second, good) for second, good in faces]
    return pl.DataFrame(rows, schema={"frame_idx": pl.Int64, "loose": pl.Boolean}, orient="row")


def test_a_part_is_good_where_a_usable_face_of_a_rider_is_seen_in_it() -> None:
    told = good_by_phase(RIDE, seen((0, True), (3, False), (5, True)))
    assert told.rows() == [(0, True), (1, False)]
    assert good_by_phase(RIDE, seen((3, True))).rows() == [(0, False), (1, True)]


def test_where_nobody_rides_nothing_is_said_of_riders() -> None:
    nobody = good_by_phase(RIDE, seen())
    assert nobody.is_empty()
    assert expected_of([nobody]).is_empty() and expected_of([]).is_empty()


def test_what_not_to_expect_is_said_with_how_many_rides_say_so() -> None:
    rides = [good_by_phase(RIDE, seen((0, True))) for _ in range(24)]
    expected = expected_of(rides)
    assert expected.rows() == [(0, 24, 24), (1, 0, 24)]
    told = expectations(SPANS, expected, S)
    assert told == ("No good frames 0:41 to 0:58: tunnel (0 of 24 rides).",)


@pytest.mark.parametrize(
    ("good", "rides", "said"),
    [(0, 19, ""), (0, 20, "No good"), (3, 200, "Hardly any good"), (9, 60, ""), (20, 20, "")],
)
def test_it_takes_twenty_rides_to_say_so(good: int, rides: int, said: str) -> None:
    expected = pl.DataFrame([(1, good, rides)], schema=TABLES["ride_expected"], orient="row")
    told = expectations(SPANS, expected, S)
    assert (len(told) == 1 and told[0].startswith(said)) if said else not told
