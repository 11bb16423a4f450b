"""Small, valid tables and pictures for tests: no mocks, only inputs of the real functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from hypothesis import settings as hypothesis_settings
from numpy.typing import NDArray

from identity_pipeline.core.faces.buckets import (
    PITCH_NAMES,
    axis_bins,
    bin_of,
    bucket_key,
    lighting_bin,
    occlusion_bin,
)
from identity_pipeline.core.faces.pose import HeadPose
from identity_pipeline.core.imagesets.anchors import build_anchor_set
from identity_pipeline.core.imagesets.challenge import build_challenge_set
from identity_pipeline.core.imagesets.frame_ledger import build_ledger
from identity_pipeline.core.imagesets.image_sets import build_coverage_set
from identity_pipeline.core.imagesets.pairs import build_pair_set
from identity_pipeline.core.imagesets.selection import open_candidates, select, until_the_stop
from identity_pipeline.settings import BucketSettings, Settings
from identity_pipeline.tables import TABLES, conform

MODEST = hypothesis_settings(max_examples=40, deadline=None, derandomize=True)
FEW = hypothesis_settings(max_examples=15, deadline=None, derandomize=True)
FRAME_SIZE = (1280, 720)
Row = dict[str, Any]
Floats = NDArray[np.float64]


def unit(values: Sequence[float] | NDArray[np.floating]) -> list[float]:
    """The vector divided by its norm."""
    array = np.asarray(values, dtype=np.float64)
    return (array / np.linalg.norm(array)).tolist()


def plane(degrees: float, dimension: int = 4) -> list[float]:
    """A unit vector in the plane of the first two axes: cosines are cosines of angles."""
    vector = np.zeros(dimension)
    vector[:2] = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return vector.tolist()


def axis(index: int, dimension: int = 64) -> list[float]:
    """A unit vector along one axis: orthogonal to all others."""
    return np.eye(dimension)[index].tolist()


def seat_box(person: int) -> tuple[float, float, float, float]:
    """Where a rider sits in a 1280x720 frame."""
    left = 200.0 + 600.0 * person
    return left, 200.0, left + 160.0, 400.0


def candidate(frame: int, person: int = 0, **changes: Any) -> Row:
    """One row of `candidates`: a good frontal face, unless told otherwise.

    `vis` sets both vision vectors and the look; the bins follow from yaw, pitch, light and
    occlusion, `expression` names the expression bin.
    """
    x1, y1, x2, y2 = seat_box(person)
    row: Row = dict.fromkeys(TABLES["candidates"])
    row |= {
        "face_id": f"{frame:06d}-{person}",
        "frame_idx": frame,
        "person_id": person,
        "timestamp_ms": frame * 100.0,
        "stable_score": 0.8,
        "stable": True,
        "is_prototype": False,
        "stability_reason": "stable",
        "quality_score": 0.7,
        "strict": True,
        "loose": True,
        "strict_fails": [],
        "loose_fails": [],
        "unmeasured": [],
        "luma_mean": 120.0,
        "clipped_share": 0.0,
        "sharpness": 200.0,
        "yaw": 0.0,
        "pitch": 0.0,
        "roll": 0.0,
        "occlusion": 0.0,
        "x1": x1,
        "y1": y1,
        "x2": x2,
        "y2": y2,
        "crop_x1": x1 - 40,
        "crop_y1": y1 - 40,
        "crop_x2": x2 + 40,
        "crop_y2": y2 + 40,
        "expression": "neutral",
        "vis": axis((frame * 2 + person) % 64),
        "standing": "candidate",
    }
    row |= changes
    vector = row.pop("vis")
    row["e_vis_face"] = row["e_vis_face"] or vector
    row["e_vis_body"] = row["e_vis_body"] or vector
    row["look"] = row["look"] or row["e_vis_face"]
    return row | _bins(row, row.pop("expression"))


def _bins(row: Row, expression: str) -> Row:
    buckets = BucketSettings()
    yaw = bin_of(row["yaw"], buckets.yaw_edges, axis_bins(buckets.yaw_edges))
    pitch = bin_of(row["pitch"], buckets.pitch_edges, axis_bins(buckets.pitch_edges, PITCH_NAMES))
    return {
        "yaw_bin": yaw if isinstance(yaw, str) else yaw.label,
        "pitch_bin": pitch if isinstance(pitch, str) else pitch.label,
        "yaw_key": None if isinstance(yaw, str) else yaw.key,
        "pitch_key": None if isinstance(pitch, str) else pitch.key,
        "expression_bin": expression,
        "occlusion_bin": occlusion_bin(row["occlusion"], buckets),
        "lighting_bin": lighting_bin(row["luma_mean"], row["clipped_share"], None, buckets),
        "bucket_key": bucket_key(yaw, pitch, expression),
    }


def candidates(*rows: Row) -> pl.DataFrame:
    """The table `candidates`."""
    return conform("candidates", pl.DataFrame(list(rows), schema=TABLES["candidates"]))


def detections_of(faces: pl.DataFrame, *others: Row) -> pl.DataFrame:
    """The table `face_detections` of some candidates, and other faces besides."""
    kept = ("face_id", "frame_idx", "timestamp_ms", "x1", "y1", "x2", "y2")
    rows = [*faces.select(kept).to_dicts(), *others]
    blank = dict.fromkeys(TABLES["face_detections"])
    return pl.DataFrame(
        [{**blank, "score": 0.9, **row} for row in rows], schema=TABLES["face_detections"]
    )


@dataclass(frozen=True)
class Sets:
    """Everything after the observations."""

    selection: pl.DataFrame
    opened: pl.DataFrame
    tables: dict[str, pl.DataFrame]

    def __getitem__(self, name: str) -> pl.DataFrame:
        """One set by its short name."""
        return self.tables[f"{name}_set"]

    def faces(self, name: str) -> list[str]:
        """Face ids of a set in its order."""
        return self[name]["face_id"].to_list()


def build_sets(
    faces: pl.DataFrame, detections: pl.DataFrame | None = None, settings: Settings | None = None
) -> Sets:
    """Selection and the four sets by the real functions, in the order of the pipeline."""
    used = (settings or Settings()).selection
    seen = detections if detections is not None else detections_of(faces)
    opened = open_candidates(faces, used)
    anchors = build_anchor_set(opened, used)
    pair = build_pair_set(until_the_stop(faces, used), [anchors], seen, FRAME_SIZE, used)
    selection = select(faces, anchors, pair, used)
    coverage = build_coverage_set(opened, selection, anchors, pair, used)
    challenge = build_challenge_set(opened, [anchors, coverage], pair, used)
    tables = dict(
        zip(
            ("anchor_set", "coverage_set", "challenge_set", "pair_set"),
            (anchors, coverage, challenge, pair),
            strict=True,
        )
    )
    return Sets(selection, opened, tables)


def ledger_of(
    faces: pl.DataFrame,
    detections: pl.DataFrame,
    riders: pl.DataFrame,
    track_of: Mapping[str, int],
    settings: Settings | None = None,
) -> tuple[pl.DataFrame, Sets]:
    """The frame ledger of candidates, with the sets it accounts for."""
    used = settings or Settings()
    sets = build_sets(faces, detections, used)
    ids = detections["face_id"].to_list()
    tracks = detections.select("face_id", "frame_idx").with_columns(
        track_id=pl.Series([track_of[i] for i in ids], dtype=pl.Int64)
    )
    table = build_ledger(detections, tracks, riders, faces, sets.selection, sets.tables, {}, used)
    return table, sets


def random_candidates(
    rng: np.random.Generator, frames: int, people: int, dimension: int = 6
) -> pl.DataFrame:
    """Candidates all over the bins; some look alike, some are in no condition for any set."""
    looks = rng.normal(size=(8, dimension))
    rows = []
    for frame in range(frames):
        for person in range(people):
            if rng.random() < 0.2:
                continue
            close = looks[rng.integers(8)] + rng.choice([0.02, 0.5]) * rng.normal(size=dimension)
            rows.append(
                candidate(
                    frame,
                    person,
                    timestamp_ms=frame * float(300),
                    yaw=float(rng.uniform(-60, 60) * rng.choice([0.2, 1.0])),
                    pitch=float(rng.uniform(-35, 35) * rng.choice([0.2, 1.0])),
                    luma_mean=float(rng.choice([30.0, 120.0, 120.0, 120.0, 215.0])),
                    occlusion=rng.choice([None, 0.0, 0.2, 0.45]),
                    strict=bool(rng.random() < 0.7),
                    expression=str(rng.choice(["neutral", "smile", "mouth_open", "unknown"])),
                    quality_score=float(np.round(rng.random(), 2)),
                    stable_score=float(rng.uniform(0.35, 0.9)),
                    standing="candidate" if rng.random() < 0.9 else "cut_by_frame",
                    e_vis_face=unit(close),
                    e_vis_body=unit(rng.normal(size=dimension)),
                )
            )
    return candidates(*rows)


def rotation_from_pose(pose: HeadPose) -> NDArray[np.float64]:
    """The (3, 3) rotation of a pose; inverse of `pose_from_rotation`."""
    yaw, pitch, roll = np.radians(pose.yaw), np.radians(-pose.pitch), np.radians(-pose.roll)
    ry = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    rx = np.array(
        [[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]]
    )
    rz = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
    return ry @ rx @ rz


def render(
    head: Floats,
    pose: HeadPose,
    *,
    focal: float = 1500.0,
    distance: float = 75.0,
    centre: tuple[float, float] = (640.0, 360.0),
) -> Floats:
    """(N, 2) pixels of head points seen by a pinhole camera, image y down."""
    view = head @ rotation_from_pose(pose).T
    depth = distance - view[:, 2]
    return np.stack(
        [centre[0] + focal * view[:, 0] / depth, centre[1] - focal * view[:, 1] / depth], axis=1
    )


def face_picture(side: int = 448) -> NDArray[np.uint8]:
    """A drawn face, mean luma below 128, with key points on the scaled ArcFace template.

    Smooth skin, sharp eyes, brows, mouth and hair: the spectrum of a face, without any noise.
    """
    import cv2

    scale = side / 112
    y, x = np.mgrid[0:side, 0:side] / scale
    skin = 115 + 18 * np.cos((x - 50) / 28) + 10 * np.sin(y / 17)
    image = np.stack([skin * 0.75, skin * 0.95, skin * 1.05], axis=2)
    oval = ((x - 56) / 44) ** 2 + ((y - 66) / 54) ** 2 > 1
    image[oval] *= 0.45
    image = np.ascontiguousarray(np.clip(image, 0, 255).astype(np.uint8))

    def at(px: float, py: float) -> tuple[int, int]:
        return round(px * scale), round(py * scale)

    for ex, ey in ((38.3, 51.7), (73.5, 51.5)):
        for axes, colour in (((9, 4), (215, 225, 225)), ((4, 4), (60, 80, 90)), ((2, 2), (8,) * 3)):
            cv2.ellipse(image, at(ex, ey), at(*axes), 0, 0, 360, colour, -1, cv2.LINE_AA)
        cv2.line(
            image, at(ex - 10, ey - 9), at(ex + 10, ey - 10), (30, 40, 45), round(3 * scale), 16
        )
    cv2.ellipse(image, at(56, 92), at(15, 4), 0, 0, 360, (70, 70, 170), -1, cv2.LINE_AA)
    cv2.line(image, at(42, 92), at(70, 92), (30, 25, 70), round(scale), cv2.LINE_AA)
    cv2.ellipse(image, at(56, 72), at(6, 3), 0, 0, 180, (60, 80, 95), round(scale), cv2.LINE_AA)
    for i in range(14):
        cv2.line(image, at(8 + 7 * i, 8), at(4 + 7 * i, 30), (20, 25, 30), round(2 * scale), 16)
    return image
