"""A ride of a few rendered frames with made-up faces: tables, crops and the file, without a net."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl

from identity_pipeline.media.crops import ImageBGR
from identity_pipeline.media.video import sampled_frames
from identity_pipeline.models.face_pack import Detections
from identity_pipeline.settings import CropSettings, VideoSettings
from identity_pipeline.stages.video.detect import found_faces
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.crop_archive import CropArchive, part_in, write_part
from identity_pipeline.storage.video.registry import VideoRegistry
from identity_pipeline.storage.video.tables import Manifest, TableStore
from identity_pipeline.tables import TABLES
from identity_pipeline_tests.synthetic import write_video

FACES = {0: (120, 70, 170, 140), 1: (340, 90, 380, 146)}
"""Boxes by track: the same in all frames."""
COLOURS = {0: (60, 120, 230), 1: (230, 160, 60)}
SIZE = 480, 270
"""Width and height, px."""


@dataclass(frozen=True)
class SmallRide:
    """A ride of two people.

    Attributes:
        store: its tables.
        video_id: of it.
        file: the source.
    """

    store: TableStore
    video_id: str
    file: Path


def picture(n: int) -> ImageBGR:
    """A frame: a bright wall, and two discs for faces, with a mark that tells the frame."""
    width, height = SIZE
    wall = np.full((height, width, 3), (190, 180, 170), dtype=np.uint8)
    wall[:, ::12] = 150
    for track, (x1, y1, x2, y2) in FACES.items():
        centre, axes = ((x1 + x2) // 2, (y1 + y2) // 2), ((x2 - x1) // 2, (y2 - y1) // 2)
        cv2.ellipse(wall, centre, axes, 0, 0, 360, COLOURS[track], -1)
        cv2.circle(wall, (x1 + 10 + 3 * n, centre[1]), 5, (20, 20, 20), -1)
    return wall


def write_ride(root: Path, *, frames: int = 8, name: str = "ride.mp4") -> SmallRide:
    """Writes a ride of ten frames a second, with what the pass and the tracker make of it."""
    root.mkdir(parents=True, exist_ok=True)
    file = write_video(root / name, (picture(n) for n in range(frames)), fps=10)
    layout = Layout(root / "data")
    video_id = VideoRegistry(layout).register(file)[0].video_id
    ride = SmallRide(TableStore(layout), video_id, file)
    measure(ride)
    return ride


def measure(ride: SmallRide, shift: int = 0) -> None:
    """Makes tables and crops, with the faces found so many px farther right."""
    rows: dict[str, list[dict[str, Any]]] = {"frames": [], "face_detections": []}
    crops: list[Mapping[str, object]] = []
    boxes = np.array([(x1 + shift, y1, x2 + shift, y2) for x1, y1, x2, y2 in FACES.values()])
    points = np.stack([_points(*box) for box in boxes.tolist()])
    found = Detections(boxes.astype(np.float32), np.array([0.9, 0.8], np.float32), points)
    for frame in sampled_frames(ride.file, VideoSettings()):
        faces, cut = found_faces(
            frame.frame_idx, frame.timestamp_ms, frame.bgr, found, CropSettings()
        )
        rows["frames"].append({n: getattr(frame, n) for n in ("frame_idx", "pts", "timestamp_ms")})
        rows["face_detections"] += faces
        crops += cut
    folder = ride.store.layout.crops(ride.video_id)
    folder.mkdir(parents=True, exist_ok=True)
    half = len(crops) // 2
    for number, part in enumerate((crops[:half], crops[half:])):
        write_part(part_in(folder, number), part)
    faces = rows["face_detections"]
    ids = [{k: row[k] for k in ("face_id", "frame_idx")} for row in faces]
    track = [int(row["face_id"].rpartition("-")[2]) for row in faces]
    rows["face_tracks"] = [{**i, "track_id": t} for i, t in zip(ids, track, strict=True)]
    rows["face_quality"] = [{**i, "quality_score": 0.5 + i["frame_idx"] / 100} for i in ids]
    rows["ride_video"] = [{"video_id": ride.video_id, "width": SIZE[0], "height": SIZE[1]}]
    for asset, own in rows.items():
        table = pl.DataFrame(own, schema_overrides=dict(TABLES[asset]))
        lacking = [pl.lit(None, dtype=d).alias(c) for c, d in TABLES[asset].items()]
        table = table.with_columns(c for c in lacking if c.meta.output_name() not in table.columns)
        ride.store.write(asset, ride.video_id, table, "f")
    version = CropArchive(folder).data_version()
    ride.store.note("face_crops", ride.video_id, Manifest("f", version, len(crops)))


def _points(x1: float, y1: float, x2: float, y2: float) -> np.ndarray:
    shares = np.array([(0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.8), (0.65, 0.8)])
    return (shares * [x2 - x1, y2 - y1] + [x1, y1]).astype(np.float32)
