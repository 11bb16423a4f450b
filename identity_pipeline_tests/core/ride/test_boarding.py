"""Who is there at boarding alone; nobody where the phases do not say it."""

from __future__ import annotations

import polars as pl

from identity_pipeline.core.ride.boarding import at_boarding_alone
from identity_pipeline.settings import RideSettings
from identity_pipeline_tests.core.ride.tables import phases_of

S = RideSettings()
RIDE = phases_of(("boarding", 10), ("ride", 30), ("dark", 10), ("boarding", 10))


def track(number: int, *seconds: int) -> pl.DataFrame:
    """A face in every frame of these seconds."""
    frames = [10 * second + n for second in seconds for n in range(10)]
    return pl.DataFrame({"track_id": number, "frame_idx": frames})


def told(phases: pl.DataFrame, *tracks: pl.DataFrame) -> set[int]:
    return set(at_boarding_alone(pl.concat(tracks), phases, S))


def test_who_is_there_at_boarding_alone_for_long_enough_is_no_rider() -> None:
    rider, staff, glimpse = track(1, *range(60)), track(2, *range(2, 9)), track(3, 4, 5)
    assert told(RIDE, rider, staff, glimpse) == {2}


def test_a_rider_seen_once_beside_boarding_is_not_there_at_boarding_alone() -> None:
    assert not told(RIDE, track(1, *range(9), 20))


def test_frames_of_one_second_are_one_sight() -> None:
    assert not told(RIDE, track(1, 3))


def test_where_phases_are_not_known_nobody_is_told_from_them() -> None:
    unknown = phases_of(("boarding", 10), (None, 50))
    assert not told(unknown, track(1, *range(9)))
    assert not told(unknown.clear(), track(1, *range(9)))


def test_who_is_seen_where_the_phase_is_not_known_is_not_there_at_boarding_alone() -> None:
    begun = phases_of(("boarding", 10), ("ride", 32), (None, 9))
    assert told(begun, track(1, *range(9)), track(2, *range(9), 45)) == {1}


def test_in_the_dark_nobody_need_be_seen() -> None:
    assert not told(phases_of(("boarding", 10), ("dark", 60)), track(1, *range(9)))
