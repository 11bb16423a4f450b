"""Videos of made-up cameras in a data folder: their tables alone, with no film behind them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import polars as pl

from identity_pipeline.core.camera.versions import Sighting
from identity_pipeline.settings import load_settings
from identity_pipeline.stages.library.camera_model import make_model
from identity_pipeline.storage.cameras.cameras import CameraRecord, Cameras, CameraVersion
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline.tables import TABLES
from identity_pipeline_tests.core.camera.park import sightings


def film(store: TableStore, seen: Sighting, stem: str | None = None) -> str:
    """Writes what a video says of its camera; its id."""
    name = seen.video_id
    row = {
        "video_id": name,
        "path": f"/films/{stem or name}.mp4",
        "width": seen.frame_size[0],
        "height": seen.frame_size[1],
        "warnings": [],
    }
    video = pl.DataFrame([row], schema=TABLES["ride_video"])
    store.write("ride_video", name, video, "f")
    for table in ("places", "votes", "figures"):
        store.write(f"camera_{table}", name, getattr(seen, table), "f")
    for table, rows in _faces(seen).items():
        store.write(table, name, pl.DataFrame(rows, schema=TABLES[table]), "f")
    return name


def _faces(seen: Sighting) -> dict[str, list[dict[str, object]]]:
    """Riders who look where their vote says all the time, their tables by name."""
    landmarks: list[dict[str, object]] = []
    quality: list[dict[str, object]] = []
    riders: list[dict[str, object]] = []
    tracks = seen.places["track_id"].to_list()
    for vote, track in zip(seen.votes.iter_rows(named=True), tracks, strict=False):
        person = vote["person_id"]
        riders.append({"track_id": track, "person_id": person, "reason": "rider"})
        for frame in range(6):
            face = {"face_id": f"{frame:06d}-{person}", "frame_idx": frame}
            pose = {"yaw": vote["yaw"], "pitch": vote["pitch"] + 6, "pitch_raw": vote["pitch"]}
            mien = {"eye_open": 0.9, "mouth_open": 0.0, "smile": 0.0, "pitch_level": -6.0}
            about = {"person_id": person, "pose_source": vote["pose_source"]}
            landmarks.append({**face, **about, **pose, **mien})
            quality.append({**face, "loose": frame > 0, "luma_mean": 110.0, "clipped_share": 0.0})
    return {"riders": riders, "face_landmarks": landmarks, "face_quality": quality}


def film_all(store: TableStore, seen: Iterable[Sighting]) -> list[str]:
    """Writes several; their ids."""
    return [film(store, each) for each in seen]


def make_known(root: Path, camera: str, videos: int = 20, changed_at: int = 18) -> TableStore:
    """A data folder in which a camera of a name is known, that had a change of light."""
    store = TableStore(Layout(root))
    pattern = {"camera_pattern": "^([a-z0-9]+)_"}
    settings = load_settings(paths={"data": str(root)}, ingest=pattern)
    names = [film(store, each, f"{camera}_{each.video_id}") for each in sightings(videos)]
    light = CameraVersion(2, changed_at, False, ("the exposure is another one",), names[-1])
    record = CameraRecord(camera, tuple(names), (CameraVersion(), light))
    Cameras(store.layout).write_record(record)
    make_model(store, settings, camera)
    return store


def order_of(cameras: Cameras, camera: str | None) -> list[str]:
    """The videos of a camera as they came."""
    record = cameras.record(camera)
    return list(record.videos) if record else []
