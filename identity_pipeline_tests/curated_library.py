"""A small library to curate: four rides of four invented people, written as tables.

::

    ride-a  1 = A   2 = B     (in one frame, as in all rides)
    ride-b  1 = A   2 = C
    ride-c  1 = A, seen badly: only good enough to be suggested      2 = B
    ride-d  1 = D

So cluster 1 is A in rides a and b, cluster 2 is B in rides a and c, and the rest is noise.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from click.testing import CliRunner, Result

from identity_pipeline.cli.main import cli
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.library.generations import Generations
from identity_pipeline.storage.video.crop_archive import CropArchive, part_in, write_part
from identity_pipeline.storage.video.registry import VideoRegistry
from identity_pipeline.storage.video.tables import Manifest, TableStore
from identity_pipeline.tables import LIBRARY_TABLES
from identity_pipeline_tests.storage.small_library import put

SPACE = "test@000000000000/16"
FRAMES = (0, 3, 6)
PINS = {
    "IDENTITY_PIPELINE__CLUSTER__MERGE_COS": "0.6",
    "IDENTITY_PIPELINE__MATCH__PIN_EXCLUDE": "0.25",
    "IDENTITY_PIPELINE__MATCH__PIN_SUGGEST": "0.35",
    "IDENTITY_PIPELINE__MATCH__PIN_ASSIGN": "0.45",
    "COLUMNS": "250",
    "USER": "tester",
}
RIDES = {
    "ride-a": {1: ("A", 1.0), 2: ("B", 1.0)},
    "ride-b": {1: ("A", 0.95), 2: ("C", 1.0)},
    "ride-c": {1: ("A", 0.4), 2: ("B", 0.9)},
    "ride-d": {1: ("D", 1.0)},
}


def look(person: str, likeness: float, own: int) -> list[float]:
    """A unit vector with this cosine to its person, and nothing in common with anything else."""
    vector = np.zeros(16, dtype=np.float32)
    vector["ABCD".index(person)] = likeness
    vector[own] += np.sqrt(1 - likeness**2)
    return vector.tolist()


def write_video(
    store: TableStore,
    video_id: str,
    looks: dict[int, list[float]],
    frames: dict[int, tuple[int, ...]] | None = None,
    space: str = SPACE,
) -> None:
    """The tables of one video; tracks lie side by side, in the same frames unless told."""
    faces = [
        {
            "face_id": f"{frame:06d}-{track - 1}",
            "frame_idx": frame,
            "track_id": track,
            "x1": 100.0 * track,
            "y1": 0.0,
            "x2": 100.0 * track + 60,
            "y2": 60.0,
            "quality_score": 0.5 + frame / 100,
        }
        for track in looks
        for frame in (frames or {}).get(track, FRAMES)
    ]
    for asset, columns in {
        "face_detections": ("face_id", "frame_idx", "x1", "y1", "x2", "y2"),
        "face_tracks": ("face_id", "frame_idx", "track_id"),
        "face_quality": ("face_id", "frame_idx", "quality_score"),
    }.items():
        put(store, asset, video_id, [{name: face[name] for name in columns} for face in faces])
    embedded = [
        {
            "face_id": face["face_id"],
            "frame_idx": face["frame_idx"],
            "space": space,
            "because": "usable",
            "e_id": looks[int(str(face["track_id"]))],
        }
        for face in faces
    ]
    put(store, "face_embeddings", video_id, embedded)
    riders = [{"track_id": n, "person_id": n - 1, "reason": "rider"} for n in looks]
    put(store, "riders", video_id, riders)
    sampled = sorted({int(str(face["frame_idx"])) for face in faces})
    put(store, "frames", video_id, [{"frame_idx": frame} for frame in sampled])
    rows = []
    for track, vector in looks.items():
        seen = list((frames or {}).get(track, FRAMES))
        rows.append(
            {
                "track_key": f"track:{video_id}:{track}",
                "video_id": video_id,
                "track_id": track,
                "rider": track - 1,
                "face_count": 10,
                "quality": 0.8,
                "frames": seen,
                "best_face_id": f"{seen[-1]:06d}-{track - 1}",
                "best_frame": seen[-1],
                "box": [100.0 * track, 0.0, 100.0 * track + 60, 60.0],
                "spread": 0.1,
                "space": space,
                "template": vector,
            }
        )
    put(store, "track_templates", video_id, rows)
    crops = store.layout.crops(video_id)
    crops.mkdir(parents=True, exist_ok=True)
    rows = [{"face_id": face["face_id"], "aligned": bytes(112 * 112 * 3)} for face in faces]
    write_part(part_in(crops, 0), rows)
    crop_version = CropArchive(crops).data_version()
    store.note("face_crops", video_id, Manifest("f", crop_version, len(rows)))


def write_truth(video: Path, looks: dict[int, tuple[str, float]]) -> None:
    """The truth file of a ride."""
    box = {track: [100.0 * track, 0.0, 100.0 * track + 60, 60.0] for track in looks}
    frames = [
        {
            "frame_idx": frame,
            "faces": [{"person": who, "box": box[t]} for t, (who, _) in looks.items()],
        }
        for frame in FRAMES
    ]
    people = [who for who, _ in looks.values()]
    truth = {"people": people, "fps": 30, "rendered": True, "frames": frames}
    video.with_suffix(".truth.json").write_text(json.dumps(truth))


def write_rides(root: Path) -> TableStore:
    """All rides, registered, with their truth beside them; nothing is grouped yet."""
    store = TableStore(Layout(root / "data"))
    own = 4
    for name, tracks in RIDES.items():
        video = root / f"{name}.mp4"
        video.write_bytes(name.encode())
        write_truth(video, tracks)
        record, _ = VideoRegistry(store.layout).register(video)
        looks = {}
        for track, (person, likeness) in tracks.items():
            looks[track] = look(person, likeness, own)
            own += 1
        write_video(store, record.video_id, looks)
    return store


def call(root: Path, *arguments: str, code: int = 0) -> str:
    """A command on the library, which must end with this code; its output."""
    result: Result = CliRunner().invoke(
        cli, [*arguments, "--data", str(root / "data")], env=PINS, catch_exceptions=False
    )
    assert result.exit_code == code, result.output
    return result.output


def asked(root: Path, *arguments: str) -> Any:
    """What a command says with `--json`."""
    return json.loads(call(root, *arguments, "--json"))


def in_force(store: TableStore) -> dict[str, pl.DataFrame]:
    """The tables of the generation in force."""
    with Generations(store.layout).open() as snapshot:
        return {name: snapshot.table(name) for name in LIBRARY_TABLES}


def started(code: str, root: Path) -> subprocess.Popen[str]:
    """A Python process that has `call` and `root`."""
    head = (
        "import os, signal, sys\nfrom pathlib import Path\n"
        "from identity_pipeline_tests.curated_library import call\n"
        f"root = Path({str(root)!r})\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", head + code],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
