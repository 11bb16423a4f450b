"""Seats of a camera, and who of a video sits where: never guessed, and never staff."""

from __future__ import annotations

from collections import Counter
from functools import cache
from itertools import product
from math import prod

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from identity_pipeline.core.camera.mixture import Mixture
from identity_pipeline.core.camera.places import places_of
from identity_pipeline.core.camera.seating import NOWHERE, _normalised, _totals, seat_tracks
from identity_pipeline.core.camera.seats import (
    BOARDING_PLACE,
    PASSING,
    SEAT,
    Heaps,
    _one_holds_one,
    find_seats,
)
from identity_pipeline.core.tracks.riders import find_riders
from identity_pipeline.settings import CameraSettings, RiderSettings
from identity_pipeline.tables import TABLES, conform
from identity_pipeline_tests.core.builders import MODEST
from identity_pipeline_tests.core.camera.park import ASPECT, ROW_OF_TWO, TWO_ROWS, Park, videos_of

S, R = CameraSettings(), RiderSettings()


@cache
def learnt(videos: int, **park: object) -> tuple[Park, pl.DataFrame]:
    """A camera after some videos, and the seats that they come to."""
    filming = Park(**park)  # pyright: ignore[reportArgumentType]
    places, _ = videos_of(filming, videos)
    return filming, find_seats(places, order_of(places), ASPECT, S)


def order_of(places: pl.DataFrame) -> list[str]:
    return sorted(set(places["video_id"]))


def seats_in(table: pl.DataFrame) -> pl.DataFrame:
    return table.filter(pl.col("kind") == SEAT).unique("place", maintain_order=True)


def nearest(park: Park, x: float, y: float, size: float) -> int:
    """The seat at which a grown-up would be seen nearest to there."""
    at = np.array([park.seen(seat.x, 88.0, seat.z, 0.17) for seat in park.seats])
    off = (at - (x, y, size)) / size
    return int((off**2).sum(axis=1).argmin())


CAMERAS = (
    {},
    {"phases": False},
    {"child": 0.5, "seed": 2},
    {"aside": 0.3, "turned": -12.0, "phases": False},
    {"aside": -0.3, "turned": 12.0, "seed": 4},
    {"seats": ROW_OF_TWO, "filled": (0.9, 0.6), "seed": 5},
    {"seats": (ROW_OF_TWO[0],), "filled": (1.0,), "seed": 6, "phases": False},
)


@pytest.mark.parametrize("park", CAMERAS)
@pytest.mark.parametrize("videos", [40, 160])
def test_seats_rows_and_places_are_found(park: dict[str, object], videos: int) -> None:
    filming, table = learnt(videos, **park)
    found = seats_in(table)
    assert found.height == len(filming.seats)
    assert found["row"].max() == (1 if len(filming.seats) == 4 else 0)
    true = [
        nearest(filming, x, y, np.exp(s)) for x, y, s in found.select("x", "y", "log_size").rows()
    ]
    assert sorted(true) == list(range(len(filming.seats)))
    assert all(
        (row == 1) == (filming.seats[k].z > 2) for k, row in zip(true, found["row"], strict=True)
    )
    for low, high, seat in zip(found["filled_low"], found["filled_high"], true, strict=True):
        assert low - 0.1 <= filming.filled[seat] <= high + 0.1


@pytest.mark.parametrize("park", CAMERAS)
def test_everybody_is_in_their_seat_or_in_none(park: dict[str, object]) -> None:
    """Children in front, empty seats, two rows; staff and passers-by beside them."""
    filming, table = learnt(40, **park)
    true = {
        row["place"]: nearest(filming, row["x"], row["y"], np.exp(row["log_size"]))
        for row in seats_in(table).iter_rows(named=True)
    }
    told = Counter[str]()
    for k in range(60):
        places, truth = filming.video(f"new{k}")
        for row in seat_tracks(places, table, ASPECT, S).iter_rows(named=True):
            rides = truth[row["track_id"]]
            if row["seat"] is not None:
                assert true[row["seat"]] == rides
            told["seated" if row["seat"] is not None else "not"] += rides is not None
    assert told["not"] <= 0.03 * told.total()


def test_a_place_where_staff_stands_is_no_seat() -> None:
    for phases, kind in ((True, BOARDING_PLACE), (False, PASSING)):
        filming, table = learnt(40, phases=phases)
        staff = table.filter(pl.col("kind") == kind, pl.col("videos") > 35)
        at = filming.seen(1.0, 120, 1.5, 0.17)
        assert any(
            abs(x - at[0]) < 0.1 and abs(y - at[1]) < 0.1 for x, y in staff.select("x", "y").rows()
        )


def test_a_tall_and_a_small_rider_fill_one_seat() -> None:
    """Many videos, hardly any sway, half of them children: two heaps, one above the other."""
    _, table = learnt(
        200, seats=ROW_OF_TWO, filled=(1.0, 0.7), child=0.5, sway=0.01, bystanders=0, staff=False
    )
    assert seats_in(table).height == 2


def test_too_few_videos_know_no_seat() -> None:
    _, table = learnt(19)
    assert table.height == 0 and table.schema == TABLES["camera_seats"]


@pytest.mark.parametrize("every", [1, 5])
@pytest.mark.parametrize("seed", range(3))
def test_a_camera_that_is_turned_again_and_again_has_no_seats(seed: int, every: int) -> None:
    park, rng, tables = Park(seed=seed), np.random.default_rng(seed), []
    for k in range(40):
        if k % every == 0:
            park.bump = (rng.uniform(-0.3, 0.3), rng.uniform(-0.2, 0.2))
        tables.append(park.video(f"v{k:03d}")[0])
    places = pl.concat(tables)
    assert find_seats(places, order_of(places), ASPECT, S).is_empty()


def test_rows_in_another_order_make_the_same_seats() -> None:
    places, _ = videos_of(Park(seed=7), 24)
    mixed = places.sample(fraction=1, shuffle=True, seed=1)
    order = order_of(places)
    assert find_seats(mixed, order, ASPECT, S).equals(find_seats(places, order, ASPECT, S))


@MODEST
@given(
    tracks=st.lists(
        st.tuples(st.floats(0.1, 1.6), st.floats(0.1, 0.9), st.floats(0.03, 0.3)),
        min_size=1,
        max_size=7,
    ),
    apart=st.sets(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=6),
)
def test_two_faces_of_one_frame_are_never_in_one_seat(
    tracks: list[tuple[float, float, float]], apart: set[tuple[int, int]]
) -> None:
    _, table = learnt(40)
    never = apart | {(b, a) for a, b in apart}
    rows = [
        {"video_id": "v", "track_id": k, "x": x, "y": y, "size": s, "presence": 0.9, "faces": 90,
         "tenths": [9] * 10, "boarding_share": 0.1, "boarding_usual": 0.1,
         "beside": [o for o in range(len(tracks)) if o != k and (k, o) not in never]}
        for k, (x, y, s) in enumerate(tracks)
    ]  # fmt: skip
    places = pl.DataFrame(rows, schema={"video_id": pl.String, **TABLES["camera_places"]})
    told = seat_tracks(places, table, ASPECT, S)
    assert told.height == len(tracks)
    seat = dict(told.select("track_id", "seat").iter_rows())
    for row in rows:
        for other in row["beside"]:
            assert seat[row["track_id"]] is None or seat[row["track_id"]] != seat[other]
    assert told.filter(pl.col("seat").is_not_null() & (pl.col("sure") < S.seat_sure)).is_empty()


def test_tracks_that_break_off_again_and_again_are_all_seated() -> None:
    """Of four riders in eight pieces each those of one tenth are seen together."""
    _, table = learnt(40)
    four, _ = Park(filled=(1.0,) * 4, bystanders=0, staff=False, child=0.0).video("v")
    assert four.height == 4
    pieces = [
        row | {"track_id": 4 * k + n, "beside": [4 * k + m for m in range(4) if m != n]}
        for k in range(8)
        for n, row in enumerate(four.iter_rows(named=True))
    ]
    found = seat_tracks(pl.DataFrame(pieces, schema=four.schema), table, ASPECT, S)
    assert found["seat"].to_list() == 8 * seat_tracks(four, table, ASPECT, S)["seat"].to_list()
    assert found["seat"].n_unique() == 4


@settings(max_examples=60)
@given(data=st.data(), tracks=st.integers(1, 5), places=st.integers(1, 3))
def test_a_track_is_weighed_over_all_ways_to_seat_the_others(
    data: st.DataObject, tracks: int, places: int
) -> None:
    """Against every way to seat them, written out."""
    share = st.floats(0.01, 1.0)
    likely = [
        {p: data.draw(share) for p in range(NOWHERE, data.draw(st.integers(0, places)))}
        for _ in range(tracks)
    ]
    before = [sorted(data.draw(st.sets(st.integers(0, k - 1)))) if k else [] for k in range(tracks)]
    true = [dict.fromkeys(own, 0.0) for own in likely]
    for way in product(*likely):
        if all(way[k] == NOWHERE or way[k] != way[o] for k in range(tracks) for o in before[k]):
            weight = prod(own[place] for own, place in zip(likely, way, strict=True))
            for totals, place in zip(true, way, strict=True):
                totals[place] += weight
    found = _totals(likely, before)
    assert found is not None
    for own, totals in zip(found, true, strict=True):
        assert _normalised(own) == pytest.approx(_normalised(totals))


def test_many_who_may_sit_anywhere_are_weighed_and_still_more_are_in_no_seat() -> None:
    def found(tracks: int, together: int, places: int) -> list[dict[int, float]] | None:
        before = [list(range(max(0, k - together + 1), k)) for k in range(tracks)]
        return _totals([dict.fromkeys(range(NOWHERE, places), 0.01)] * tracks, before)

    assert found(16, 6, 6) is not None and found(30, 8, 8) is None
    long = found(400, 2, 2)  # .01 to the 400th is less than any float
    assert long is not None and all(sum(own.values()) > 0 for own in long)


def test_parts_that_were_seen_together_are_two_seats_though_a_third_is_like_both() -> None:
    means = np.array([[0.5, 0.4, -1.8], [0.6, 0.4, -1.8], [0.7, 0.4, -1.8]])
    three = Mixture(np.full(4, 0.25), means, np.stack([0.01 * np.eye(3)] * 3), 0.1, np.full(3, 9.0))
    nobody = Mixture(np.ones(1), np.empty((0, 3)), np.empty((0, 3, 3)), 0.1)
    rows = {"video_id": ["a", "a", "b"], "track_id": [0, 1, 0], "beside": [[1], [0], []]}
    places = pl.DataFrame(rows, schema_overrides={"beside": pl.List(pl.Int64)})
    group = _one_holds_one(Heaps(places, np.array([0, 2, 1]), three, nobody))
    assert group[0] != group[2] and group[1] in (group[0], group[2])


def test_who_is_between_two_seats_is_in_none() -> None:
    filming, table = learnt(40, seats=ROW_OF_TWO, filled=(0.9, 0.6), seed=5)
    places, _ = Park(seats=ROW_OF_TWO, filled=(1.0, 0.0), bystanders=0, staff=False).video("v")
    centre = filming.seen(0.0, 85.0, 1.4, 0.17)
    between = places.with_columns(x=pl.lit(centre[0]), y=pl.lit(centre[1]), size=pl.lit(centre[2]))
    assert seat_tracks(between, table, ASPECT, S)["seat"].to_list() == [None]


# --- riders by their seats ----------------------------------------------------------------------


def riders(
    seats: dict[int, tuple[int | None, int | None, str]] | None, **boxes: object
) -> list[str]:
    """The reasons of tracks with boxes (x, y, side, frames), by how they stand to the seats."""
    faces = [
        dict.fromkeys(TABLES["face_detections"], 0.5)
        | {"face_id": f"{frame:06d}-{track}", "frame_idx": frame, "tracklet_id": track,
           "track_id": track, "timestamp_ms": frame * 100.0, "x1": x - side / 2, "x2": x + side / 2,
           "y1": y - side / 2, "y2": y + side / 2}
        for track, (x, y, side, frames) in enumerate(boxes.values())  # pyright: ignore
        for frame in frames
    ]  # fmt: skip
    table = pl.DataFrame(faces, schema={**TABLES["face_detections"], "track_id": pl.Int64})
    tracks, detections = table.select("face_id", "frame_idx", "track_id"), table.drop("track_id")
    seating = None
    if seats is not None:
        rows = [(track, *told, 1.0) for track, told in seats.items()]
        columns = ["track_id", "seat", "row", "standing", "sure"]
        seating = pl.DataFrame(rows, schema=columns, orient="row", infer_schema_length=None)
        seating = seating.cast({"seat": pl.Int64, "row": pl.Int64})
    found = conform("riders", find_riders(tracks, detections, 100, (1280, 720), R, seating=seating))
    return found.sort("track_id")["reason"].to_list()


WHOLE = range(100)


def test_a_child_in_front_rides_and_grown_ups_behind_do_not() -> None:
    scene = {
        "child": (500, 400, 70, WHOLE),
        "left": (400, 300, 90, WHOLE),
        "right": (800, 300, 95, WHOLE),
    }
    assert riders(None, **scene).count("rider") == 2
    assert riders(None, **scene)[0] == "bystander"
    seated = {0: (0, 0, "seated"), 1: (2, 1, "seated"), 2: (3, 1, "seated")}
    assert riders(seated, **scene) == ["rider", "row_behind", "row_behind"]


def test_two_in_two_seats_are_two_however_unlike_in_size_and_never_seen_together() -> None:
    scene = {"near": (300, 300, 200, range(50)), "far": (900, 300, 60, range(50, 100))}
    assert riders(None, **scene) == ["rider", "too_small"]
    assert riders({0: (0, 0, "seated"), 1: (1, 0, "seated")}, **scene) == ["rider", "rider"]
    assert riders({0: (0, 0, "seated"), 1: (0, 0, "seated")}, **scene) == ["rider", "too_small"]


def test_staff_rides_never() -> None:
    scene = {"rider": (500, 300, 100, WHOLE), "staff": (900, 300, 150, range(30))}
    assert riders(None, **scene) == ["rider", "rider"]
    for standing, reason in (("only_boarding", "boarding_only"), ("not_a_seat", "no_seat")):
        told = {0: (0, 0, "seated"), 1: (None, None, standing)}
        assert riders(told, **scene) == ["rider", reason]


def test_who_is_in_no_known_seat_may_take_the_place_that_is_left() -> None:
    scene = {"rider": (500, 300, 100, WHOLE), "unsure": (900, 300, 90, WHOLE)}
    assert riders({0: (0, 0, "seated"), 1: (None, None, "unsure")}, **scene) == ["rider", "rider"]


def test_where_nobody_is_seated_all_is_as_without_seats() -> None:
    scene = {
        "one": (500, 300, 100, WHOLE),
        "two": (900, 300, 90, range(30)),
        "three": (90, 90, 20, range(5)),
    }
    nobody = {
        0: (None, None, "elsewhere"),
        1: (None, None, "only_boarding"),
        2: (None, None, "brief"),
    }
    assert riders(nobody, **scene) == riders(None, **scene)


# --- the table ----------------------------------------------------------------------------------


def test_where_a_track_is_and_when() -> None:
    frames = pl.DataFrame(
        {"frame_idx": list(range(100)), "timestamp_ms": [k * 100.0 for k in range(100)]}
    )
    faces = [
        dict.fromkeys(TABLES["face_detections"], 0.5)
        | {"face_id": f"{frame:06d}-{track}", "frame_idx": frame,
           "track_id": track, "tracklet_id": 0, "timestamp_ms": frame * 100.0,
           "x1": x1, "x2": x1 + 80, "y1": 180.0, "y2": 260.0}
        for track, x1, seen in (
            (4, 320.0, range(100)), (9, 600.0, range(15)), (11, 700.0, range(40, 45)),
            (12, 350.0, range(40, 45)),  # the face of 4, found twice
        )
        for frame in seen
    ]  # fmt: skip
    table = pl.DataFrame(faces, schema={**TABLES["face_detections"], "track_id": pl.Int64})
    tracks, detections = table.select("face_id", "frame_idx", "track_id"), table.drop("track_id")
    phases = frames.select(
        "frame_idx", phase=pl.when(pl.col("frame_idx") < 20).then(pl.lit("boarding"))
    )
    plain = conform("camera_places", places_of(tracks, detections, frames, (1280, 720)))
    assert plain["boarding_share"].null_count() == plain["boarding_usual"].null_count() == 4
    told = conform("camera_places", places_of(tracks, detections, frames, (1280, 720), phases))
    rider, staff, passer, twice = told.to_dicts()
    assert (rider["x"], rider["y"], rider["size"]) == pytest.approx((0.5, 220 / 720, 80 / 720))
    assert rider["tenths"] == [10] * 10 and staff["tenths"] == [10, 5] + [0] * 8
    assert (rider["presence"], staff["presence"], staff["faces"]) == (1.0, 0.15, 15)
    assert (rider["beside"], staff["beside"], passer["beside"]) == ([9, 11], [4], [4, 12])
    assert twice["beside"] == [11]
    assert staff["boarding_share"] == 1.0
    assert passer["boarding_share"] is None  # a phase that is not known is none


def test_no_face_is_no_place() -> None:
    empty = pl.DataFrame(schema=TABLES["face_tracks"])
    frames = pl.DataFrame({"frame_idx": [0], "timestamp_ms": [0.0]})
    nothing = pl.DataFrame(schema=TABLES["face_detections"])
    found = places_of(empty, nothing, frames, (1280, 720))
    assert found.is_empty() and found.schema == TABLES["camera_places"]
    _, table = learnt(40)
    assert seat_tracks(found.with_columns(video_id=pl.lit("v")), table, ASPECT, S).is_empty()


def test_two_rows_of_two_are_meant_by_the_made_up_camera() -> None:
    """The truth that others are held against: the rear row is smaller, nearer the middle."""
    park = Park()
    front, rear = (park.seen(TWO_ROWS[k].x, 88, TWO_ROWS[k].z, 0.17) for k in (0, 2))
    assert front[2] > 1.5 * rear[2] and front[0] < rear[0]
