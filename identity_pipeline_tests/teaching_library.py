"""A library from which something can be learned: invented people whose light hides who they are.

A face is its person's direction plus a strong part of the ride's light, which lies in a few
directions that all rides share, plus noise. A recogniser that does not know which directions are
light takes two people in equal light for one; a head can learn it from labels.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from identity_pipeline.core.heads.training_set import split_of
from identity_pipeline.core.vectors import normalise, to_series
from identity_pipeline.settings import TrainSettings
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.registry import VideoRegistry
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline.tables import TABLES
from identity_pipeline_tests.curated_library import call
from identity_pipeline_tests.storage.small_library import put

DIMENSION, LIGHTS, FACES = 64, 3, 6
SPACE = f"test@111111111111/{DIMENSION}"
Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Ride:
    """One rider's track."""

    video_id: str
    person: str
    faces: Vectors

    @property
    def track_key(self) -> str:
        return f"track:{self.video_id}:1"


def rides(
    people: int = 30, each: int = 3, light: float = 1.6, seed: int = 0, faces_each: int = FACES
) -> list[Ride]:
    """Rides of people, each alone; without light the recogniser would hardly ever err."""
    rng = np.random.default_rng(seed)
    who = normalise(rng.normal(size=(people, DIMENSION - LIGHTS)))
    found = []
    for number in range(people):
        for ride in range(each):
            faces = np.zeros((faces_each, DIMENSION))
            faces[:, : DIMENSION - LIGHTS] = who[number]
            direction = normalise(rng.normal(size=(1, LIGHTS)))[0]
            faces[:, DIMENSION - LIGHTS :] = light * direction
            faces += rng.normal(scale=0.35 / np.sqrt(DIMENSION), size=faces.shape)
            faces[:, DIMENSION - LIGHTS :] += rng.normal(scale=0.3, size=(faces_each, LIGHTS))
            name = f"ride-{number:02d}{ride}"
            video_id = f"{name}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
            found.append(Ride(video_id, f"person-{number:02d}", normalise(faces)))
    return found


def without_meaning(seed: int = 0) -> list[Ride]:
    """The same rides with random embeddings."""
    rng = np.random.default_rng(seed)
    return [
        Ride(r.video_id, r.person, normalise(rng.normal(size=(FACES, DIMENSION)))) for r in rides()
    ]


def training_table(found: list[Ride], settings: TrainSettings) -> pl.DataFrame:
    """The table `training_set` of rides whose people are all known."""
    parts = [
        pl.DataFrame(
            {
                "person_id": ride.person,
                "track_key": ride.track_key,
                "video_id": ride.video_id,
                "face_id": [f"{n:06d}-0" for n in range(len(ride.faces))],
                "split": split_of(ride.person, ride.video_id, settings),
                "quality": 0.8,
                "space": SPACE,
                "e_id": to_series("e_id", ride.faces),
            },
            schema=TABLES["training_set"],
        )
        for ride in found
    ]
    return pl.concat(parts)


def write_library(root: Path, found: list[Ride]) -> TableStore:
    """The tables of the rides; nobody is known yet."""
    store = TableStore(Layout(root / "data"))
    for ride in found:
        write_ride(root, store, ride)
    return store


def write_ride(root: Path, store: TableStore, ride: Ride) -> None:
    """A registered ride: the tables that templates are made of, and its templates."""
    stem = ride.video_id.rsplit("-", 1)[0]
    video = root / f"{stem}.mp4"
    video.write_bytes(stem.encode())
    assert VideoRegistry(store.layout).register(video)[0].video_id == ride.video_id
    from identity_pipeline.settings import Settings
    from identity_pipeline.stages.library.spaces import read_video, templates_of_video

    frames = [n * 15 for n in range(len(ride.faces))]
    ids = [f"{frame:06d}-0" for frame in frames]
    faces = [{"face_id": i, "frame_idx": f} for i, f in zip(ids, frames, strict=True)]
    box = {"x1": 100.0, "y1": 0.0, "x2": 160.0, "y2": 60.0}
    put(store, "face_detections", ride.video_id,
        [f | box | {"timestamp_ms": f["frame_idx"] * 100.0} for f in faces])  # fmt: skip
    put(store, "face_tracks", ride.video_id, [f | {"track_id": 1} for f in faces])
    put(store, "face_quality", ride.video_id, [f | {"quality_score": 0.8} for f in faces])
    embedded = [
        face | {"space": SPACE, "because": "usable", "e_id": vector}
        for face, vector in zip(faces, ride.faces.tolist(), strict=True)
    ]
    put(store, "face_embeddings", ride.video_id, embedded)
    put(store, "riders", ride.video_id, [{"track_id": 1, "person_id": 0, "reason": "rider"}])
    made = templates_of_video(read_video(store, ride.video_id), Settings())
    for name, table in made.items():
        store.write(name, ride.video_id, table, "f")


def label(root: Path, found: list[Ride]) -> None:
    """Names everybody, as a curator would."""
    for person in sorted({ride.person for ride in found}):
        tracks = [f"{ride.video_id}:1" for ride in found if ride.person == person]
        call(root, "label", *tracks, "--name", person)
