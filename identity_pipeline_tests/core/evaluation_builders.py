"""Truth and tables of small made-up videos for tests of the evaluation: exact, no mocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from identity_pipeline.core.evaluation.evidence import (
    FACE_COLUMNS,
    Evidence,
    VideoTables,
    gather,
)
from identity_pipeline.core.evaluation.truth import (
    FACES,
    RENDERED,
    TRUE_BOX,
    TRUTH_FACES,
    TRUTH_FRAMES,
    Truth,
)
from identity_pipeline.tables import BOX, SET_ASSETS, TABLES

Row = dict[str, Any]
SIDE = 100.0
LEFT, RIGHT, BACK = (0.0, 0.0), (500.0, 0.0), (300.0, 0.0)
FRAME_MS = 100.0


def box_at(place: tuple[float, float], side: float = SIDE) -> tuple[float, float, float, float]:
    x, y = place
    return x, y, x + side, y + side


def true_face(
    frame: int, person: str, place: tuple[float, float], side: float = SIDE, **more: Any
) -> Row:
    """A true face; `more` are columns without their `true_`."""
    return {
        "frame_idx": frame,
        "person": person,
        **dict(zip(TRUE_BOX, box_at(place, side), strict=True)),
        **{f"true_{name}": value for name, value in more.items()},
    }


def found(
    frame: int,
    place: tuple[float, float],
    track: int | None,
    person: int | None = None,
    side: float = SIDE,
    **more: Any,
) -> Row:
    """A detected face of a track, held for a person; `more` are columns of any table."""
    return {
        "frame_idx": frame,
        "timestamp_ms": frame * FRAME_MS,
        "place": place,
        **dict(zip(BOX, box_at(place, side), strict=True)),
        "track_id": track,
        "tracklet_id": track,
        "person_id": person,
        "loose": True,
        **more,
    }


def face_id(frame: int, place: tuple[float, float]) -> str:
    return f"{frame:06d}-{place[0]:.0f}"


def truth_of(
    faces: Sequence[Row], people: Sequence[str], kind: str = FACES, origin: str = RENDERED
) -> Truth:
    rows = [{**row, "rider": row["person"] in people} for row in faces]
    frames = sorted({row["frame_idx"] for row in rows})
    return Truth(
        origin=origin,
        kind=kind,
        people=tuple(people),
        traits=(),
        frames=pl.DataFrame([{"frame_idx": f} for f in frames], schema=TRUTH_FRAMES),
        faces=pl.DataFrame(rows, schema=TRUTH_FACES),
    )


def video_of(
    name: str,
    faces: Sequence[Row],
    detections: Sequence[Row],
    people: Sequence[str],
    images: Sequence[tuple[str, str, int, str]] = (),
    kind: str = FACES,
) -> VideoTables:
    """A video with its tables.

    Args:
        name: of the video.
        faces: made by `true_face`.
        detections: made by `found`.
        people: the riders.
        images: (set, image, person_id, face_id) of exported faces.
        kind: of the truth.
    """
    rows = [{**d, "face_id": face_id(d["frame_idx"], d["place"])} for d in detections]
    tables = {name: _table(name, rows) for name in FACE_COLUMNS}
    needs = {
        "face_landmarks": "yaw",
        "face_buckets": "yaw_bin",
        "face_embeddings": "e_id",
        "vision_embeddings": "e_vis_face",
    }
    for asset, needed in needs.items():
        tables[asset] = tables[asset].filter(pl.col(needed).is_not_null())
    seats = {r["track_id"]: r["person_id"] for r in rows if r["track_id"] is not None}
    tables["riders"] = pl.DataFrame(
        [{"track_id": t, "person_id": p} for t, p in seats.items()], schema=TABLES["riders"]
    )
    sampled = sorted({r["frame_idx"] for r in [*faces, *detections]})
    tables["frames"] = pl.DataFrame([{"frame_idx": f} for f in sampled], schema=TABLES["frames"])
    for asset in SET_ASSETS:
        exported = [
            {"image": image, "person_id": person, "face_id": face}
            for chosen, image, person, face in images
            if f"{chosen}_set" == asset
        ]
        tables[asset] = pl.DataFrame(exported, schema=TABLES[asset])
    return VideoTables(name, truth_of(faces, people, kind), tables)


def _table(asset: str, rows: list[Row]) -> pl.DataFrame:
    names = {"vision_embeddings": {"space": "vision_space"}}.get(asset, {})
    schema = TABLES[asset]
    picked = [{c: row.get(names.get(c, c)) for c in schema} for row in rows]
    return pl.DataFrame(picked, schema=schema)


def evidence_of(*videos: VideoTables) -> Evidence:
    return gather(RENDERED, videos)


def duo(frames: int = 10, swap_at: int | None = None, name: str = "ride") -> VideoTables:
    """Two riders found in every frame; from `swap_at` on their tracks are exchanged."""
    faces, detections = [], []
    for frame in range(frames):
        faces += [true_face(frame, "ann", LEFT), true_face(frame, "ben", RIGHT)]
        swapped = swap_at is not None and frame >= swap_at
        tracks = (2, 1) if swapped else (1, 2)
        for place, track in zip((LEFT, RIGHT), tracks, strict=True):
            detections.append(found(frame, place, track, track - 1))
    return video_of(name, faces, detections, ["ann", "ben"])
