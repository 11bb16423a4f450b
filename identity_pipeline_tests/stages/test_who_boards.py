"""Who is there while the car boards alone is no rider, by the seats and by the ride alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from identity_pipeline.core.tracks.riders import find_riders
from identity_pipeline.settings import Settings
from identity_pipeline.stages.specs.assets import VIDEO_SPECS
from identity_pipeline.stages.video.camera_view import boarding_of, seating_of
from identity_pipeline.storage.cameras.cameras import RIDE, Cameras
from identity_pipeline.storage.cameras.editions import Edition, EditionName
from identity_pipeline.storage.layout import Layout
from identity_pipeline.tables import TABLES, conform
from identity_pipeline_tests.core.ride.tables import phases_of

S = Settings()
SIZE = (1280, 720)
PHASES = phases_of(("boarding", 10), ("ride", 40))
SEAT = {"x": 500 / 720, "y": 300 / 720, "log_size": float(np.log(100 / 720)), "videos": 20}
NOBODY = {"kind": "elsewhere", "weight": 0.1}
RIDES, STANDS = (450, 250, 550, 350), (825, 225, 975, 375)


def tables(phases: pl.DataFrame = PHASES) -> dict[str, pl.DataFrame]:
    """A rider all the ride, and somebody of the staff, larger, for nine seconds of boarding."""
    frames = phases.select("frame_idx", "timestamp_ms", sampling_fps=None)
    faces = [(n, 1, RIDES) for n in range(500)] + [(n, 2, STANDS) for n in range(90)]
    rows = [
        {
            **{"face_id": f"{n:06d}-{track}", "frame_idx": n, "timestamp_ms": n * 100.0},
            **{"track_id": track, "det_score": 0.9},
            **dict(zip(("x1", "y1", "x2", "y2"), map(float, box), strict=True)),
        }
        for n, track, box in faces
    ]
    told = {
        name: pl.DataFrame(
            [{key: row[key] for key in TABLES[name] if key in row} for row in rows],
            schema={key: dtype for key, dtype in TABLES[name].items() if key in rows[0]},
        )
        for name in ("face_tracks", "face_detections")
    }
    told["face_detections"] = told["face_detections"].with_columns(tracklet_id=0)
    size = pl.DataFrame({"width": [SIZE[0]], "height": [SIZE[1]]})
    return {**told, "frames": frames, "ride_phases": phases, "ride_video": size}


@pytest.fixture
def cameras(tmp_path: Path) -> Cameras:
    """One camera of one seat, and a model of its ride."""
    found = Cameras(Layout(tmp_path))
    spread = [0.002, 0.0, 0.0, 0.002, 0.0, 0.02]
    seat = {"place": 0, "kind": "seat", "row": 0, "depth": 1.0, **SEAT, "spread": spread}
    rows = [{**seat, "weight": 0.9, "tracks": 20.0}, NOBODY]
    seats = pl.DataFrame(rows, schema=TABLES["camera_seats"])
    found.write_model(None, EditionName(1, 20, 20), {"camera_seats": seats}, {})
    found.write_model(None, EditionName(1, 20, 20), {}, {}, RIDE)
    return found


def reasons(
    shown: dict[str, pl.DataFrame], camera: Edition | None, ride: Edition | None
) -> dict[int, str]:
    seating = seating_of(camera, shown.__getitem__, S)
    riders = find_riders(
        shown["face_tracks"], shown["face_detections"], 500, SIZE, S.riders, seating=seating,
        at_boarding=boarding_of(ride, seating, shown.__getitem__, S),
    )  # fmt: skip
    return dict(conform("riders", riders).select("track_id", "reason").iter_rows())


def test_where_neither_is_known_whoever_is_near_rides() -> None:
    assert set(reasons(tables(), None, None).values()) == {"rider"}


def test_where_the_seats_are_known_staff_at_boarding_is_no_rider(cameras: Cameras) -> None:
    camera = cameras.edition(None, "1.20")
    assert reasons(tables(), camera, None) == {1: "rider", 2: "boarding_only"}
    unknown = tables(phases_of((None, 50)))
    assert reasons(unknown, camera, None)[2] != "boarding_only"


def test_where_the_ride_alone_is_known_its_phases_tell_it(cameras: Cameras) -> None:
    ride = cameras.edition(None, "1.20", RIDE)
    assert reasons(tables(), None, ride) == {1: "rider", 2: "boarding_only"}
    assert set(reasons(tables(phases_of((None, 50))), None, ride).values()) == {"rider"}


def test_of_who_rides_the_phases_count_only_where_a_model_is_kept() -> None:
    spec = VIDEO_SPECS["riders"]
    assert "ride_phases" not in spec.inputs_with(())
    assert "ride_phases" in spec.inputs_with(("camera",)) and "ride_phases" in spec.inputs_with(
        ("ride",)
    )
