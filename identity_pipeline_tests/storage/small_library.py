"""A library of a few invented vectors: the tables that the index and the catalogue read."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from identity_pipeline.core.vectors import normalise
from identity_pipeline.settings import IndexSettings
from identity_pipeline.storage.index.client import IndexPlace
from identity_pipeline.storage.index.vector_index import VectorIndex
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.library.generations import Generations
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline.tables import LIBRARY_TABLES, SET_ASSETS, TABLES, empty

ROOT = Path(__file__).parents[2]
SPACE, VISION = "pack/net@0123456789ab/8", "vision@ba9876543210/6"
RIDE_A, RIDE_B = "ride-a-00000001", "ride-b-00000002"


def table(asset: str, rows: Iterable[dict[str, Any]]) -> pl.DataFrame:
    """A table of some columns; the others are null."""
    return pl.DataFrame(list(rows), schema=TABLES[asset])


def put(store: TableStore, asset: str, video_id: str | None, rows: list[dict[str, Any]]) -> None:
    store.write(asset, video_id, table(asset, rows), "f")


def unit(rng: np.random.Generator, count: int, size: int) -> list[list[float]]:
    return normalise(rng.normal(size=(count, size))).tolist()


def write_ride(
    store: TableStore,
    video_id: str,
    *,
    seed: int = 0,
    faces: int = 8,
    space: str = SPACE,
    vision: str = VISION,
    body: str | None = None,
) -> None:
    """Two riders' tracks 0 and 1, faces in turn; every second image set gets its share of faces.

    Without `body` the table is as it was before bodies could have a space of their own.
    """
    rng = np.random.default_rng(seed)
    ids = [f"{i:06d}-0" for i in range(faces)]
    base = [{"face_id": face, "frame_idx": i} for i, face in enumerate(ids)]
    rider = [i % 2 for i in range(faces)]
    e_id = unit(rng, faces, int(space.rsplit("/", maxsplit=1)[-1]))
    dims = int(vision.rsplit("/", maxsplit=1)[-1])
    body_dims = int((body or vision).rsplit("/", maxsplit=1)[-1])
    e_face, e_body = unit(rng, faces, dims), unit(rng, faces, body_dims)
    put(
        store,
        "face_embeddings",
        video_id,
        [{**b, "space": space, "e_id": e_id[i]} for i, b in enumerate(base)],
    )
    put(
        store,
        "vision_embeddings",
        video_id,
        [
            {
                **{**b, "space": vision, "body_space": body},
                **{"e_vis_face": e_face[i], "e_vis_body": e_body[i]},
            }
            for i, b in enumerate(base)
        ],
    )
    put(store, "face_tracks", video_id, [{**b, "track_id": rider[i]} for i, b in enumerate(base)])
    files = []
    for n, asset in enumerate(SET_ASSETS):
        rows = [
            {
                **base[i],
                "person_id": rider[i],
                "image": f"{asset}_{i:03d}",
                "rank": i,
                "quality_score": 0.5 + i / 100,
            }
            for i in range(n, faces, len(SET_ASSETS))
        ]
        put(store, asset, video_id, rows)
        kind = asset.removesuffix("_set")
        for row in rows:
            owner = None if kind == "pair" else row["person_id"]
            file = f"{kind}/{row['image']}.jpg"
            files.append({"file": file, "type": kind, "person_id": owner, "size_bytes": 1})
    files.append({"file": "index.html", "type": "metadata", "size_bytes": 1})
    put(store, "identity_dataset", video_id, files)
    put(
        store,
        "track_templates",
        video_id,
        [
            {
                "track_key": f"track:{video_id}:{track}",
                "video_id": video_id,
                "track_id": track,
                "rider": track,
                "face_count": faces // 2,
                "quality": 0.75,
                "best_face_id": ids[track],
                "best_frame": track,
                "space": space,
                "template": e_id[track],
            }
            for track in (0, 1)
        ],
    )


def name_track(store: TableStore, video_id: str, track_id: int, person_id: str) -> None:
    """The library knows one track."""
    row = {
        "track_key": f"track:{video_id}:{track_id}",
        "video_id": video_id,
        "track_id": track_id,
        "state": "known",
        "person_id": person_id,
        "display": f"person_{person_id}",
        "origin": "human",
    }
    put_library(store, "person_assignments", [row])


def put_library(store: TableStore, name: str, rows: list[dict[str, Any]]) -> None:
    """A generation with one other table than the one before."""
    generations = Generations(store.layout)
    last = generations.find()
    tables = {n: last.table(n) if last else empty(n) for n in LIBRARY_TABLES}
    tables[name] = table(name, rows)
    generations.publish(tables, "f" * 64, space="", next_cluster_id=1)


def index_of(store: TableStore, **settings: Any) -> VectorIndex:
    """The embedded index of a data folder."""
    return VectorIndex(IndexPlace(store.layout.index), IndexSettings(**settings))


def started(code: str, root: Path) -> subprocess.Popen[str]:
    """A Python process that has `store` and `index` of a data folder."""
    head = (
        "import os, signal, sys, time\nfrom pathlib import Path\n"
        "from identity_pipeline_tests.storage.small_library import *\n"
        "from identity_pipeline.stages.library import indexing\n"
        "from identity_pipeline.stages.stores import LibraryStores\n"
        f"root = Path({str(root)!r})\nstore = TableStore(Layout(root))\nindex = index_of(store)\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", head + code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


__all__ = [
    "RIDE_A",
    "RIDE_B",
    "SPACE",
    "VISION",
    "Layout",
    "TableStore",
    "index_of",
    "name_track",
    "put",
    "put_library",
    "started",
    "table",
    "unit",
    "write_ride",
]
