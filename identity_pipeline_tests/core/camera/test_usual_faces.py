"""What riders' faces measure in each phase, and what it says of a face and of a ride."""

from __future__ import annotations

import polars as pl

from identity_pipeline.core.camera.usual_faces import (
    beside_usual,
    failing_as_usual,
    failures_of,
    measured_by_phase,
    usual_faces,
)
from identity_pipeline.core.ride.spans import Span
from identity_pipeline.tables import conform
from identity_pipeline_tests.core.ride.tables import phases_of

RIDE = phases_of(("boarding", 4), ("dark", 3), ("ride", 4))
TUNNEL = Span(4000.0, 7000.0, 1, "dark", "tunnel")


def faces(person: int, light_in: dict[int, float], fails: str | None = "too_dark") -> pl.DataFrame:
    """Ten faces a second of a rider, as light as it is said of each second."""
    rows = [
        {
            **{"frame_idx": 10 * second + k, "person_id": person, "luma_mean": light + k},
            **{"sharpness": 100.0, "face_px": None},
            "strict_fails": [fails] if fails and light < 40 else [],
        }
        for second, light in light_in.items()
        for k in range(10)
    ]
    return pl.DataFrame(rows, schema_overrides={"face_px": pl.Float32})


USUAL = [
    measured_by_phase(RIDE, faces(0, {0: 90.0, 1: 90.0, 2: 90.0, 5: 20.0, 8: 100.0}))
    for _ in range(20)
]


def test_the_usual_values_are_of_faces_each_rider_weighing_the_same() -> None:
    table = conform("ride_faces", usual_faces(USUAL))
    rows = {row[:2]: row[2:] for row in table.iter_rows()}
    assert rows[1, "luma_mean"] == (20, 200, 20.0, 24.0, 28.0)
    assert rows[0, "luma_mean"] == (20, 600, 90.0, 94.0, 98.0)
    assert rows[1, "face_px"] == (0, 0, None, None, None)  # null where nothing was measured
    assert rows[None, "luma_mean"][:2] == (20, 1000)
    longer = faces(0, {5: 20.0}), faces(1, dict.fromkeys((4, 5, 6), 60.0))
    both = usual_faces([measured_by_phase(RIDE, pl.concat(longer))])
    middle = both.filter(phase_number=1, figure="luma_mean")["usual"][0]
    assert middle == 29.0  # half of the weight is the rider's who was seen a third as long
    assert usual_faces([]).is_empty()


def test_a_face_is_bad_for_its_place_or_its_place_is() -> None:
    table = usual_faces(USUAL)
    (place,) = beside_usual(table, TUNNEL, {"luma_mean": 24.0}, ["too_dark", "score_low"], 20)
    assert place == (
        "Its light, 24, is as usual in tunnel, 0:04 to 0:07: there eight of ten faces of riders "
        "have 20 to 28, over the whole ride 24 to 104."
    )
    (face,) = beside_usual(table, TUNNEL, {"luma_mean": 9.0}, ["too_dark"], 20)
    assert "9, is less than usual in tunnel" in face
    assert beside_usual(table, TUNNEL, {"luma_mean": 24.0}, ["too_dark"], 21) == ()
    assert beside_usual(table, TUNNEL, {"luma_mean": None}, ["too_dark"], 20) == ()
    assert beside_usual(table, TUNNEL, {"face_px": 50.0}, ["few_pixels"], 20) == ()
    assert beside_usual(table, TUNNEL, {"luma_mean": 24.0}, [], 20) == ()


def test_a_ride_whose_faces_fail_where_they_always_do_is_told_so() -> None:
    table = conform("ride_failures", failures_of(USUAL))
    assert table.rows() == [("too_dark", 1, 20, 20)]
    own = faces(0, {0: 90.0, 1: 30.0, 4: 20.0, 5: 20.0, 8: 90.0, 9: 90.0})
    assert failing_as_usual(table, RIDE, own, 20) == (
        "20 of 30 riders' faces that are too dark for an anchor are in dark, 0:04 to 0:07, "
        "as most are in 20 of 20 rides here.",
    )


def test_nothing_is_said_of_what_is_not_usual_or_could_not_be_otherwise() -> None:
    table, usual = failures_of(USUAL), faces(0, {0: 90.0, 5: 20.0, 8: 90.0})
    elsewhere = faces(0, {0: 30.0, 1: 30.0, 5: 20.0, 8: 90.0, 9: 90.0})
    assert failing_as_usual(table, RIDE, elsewhere, 20) == ()
    there_alone = faces(0, {4: 20.0, 5: 20.0, 8: 90.0})
    assert failing_as_usual(table, RIDE, there_alone, 20) == ()
    few = faces(0, {5: 20.0, 0: 90.0}).filter(pl.col("frame_idx") != 50)
    assert failing_as_usual(table, RIDE, few, 20) == ()
    assert failing_as_usual(table, RIDE, usual, 21) == ()
    assert not failing_as_usual(table.with_columns(rides=pl.lit(15)), RIDE, usual, 20)  # by chance
    assert failing_as_usual(table.with_columns(rides=pl.lit(17)), RIDE, usual, 20)
    assert failures_of([]).is_empty()
