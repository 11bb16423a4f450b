"""Pictures of people as layouts are handed them: cut from the bundled rides, faces detected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

import identity_pipeline
from identity_pipeline.core.geometry import Box
from identity_pipeline.media.crops import ImageBGR, encode_jpeg
from identity_pipeline.models.face_pack import FacePack
from identity_pipeline.settings import ModelSettings
from identity_pipeline.stages.datasets.pictures import Person, Picture, Source

RIDES: Final = Path(identity_pipeline.__file__).parent / "bundled" / "rides"
ADA: Final = Person("0d9a1c52-3a5e-4a35-8a58-0f3f6f0c1a01", "Ada Sol", "ada-sol", "ada", "person")
BEN: Final = Person("7c1d2e34-5b6f-4c7d-9e8f-1a2b3c4d5e02", "Ben", "ben", "ben", "person")
RIDE: Final = Source("demo_solo-00000001", "ride", "ab" * 32, "2026-05-01", "human")


@cache
def pack() -> FacePack:
    """The open pack."""
    return FacePack(ModelSettings(face_pack="open", device="cpu"))


@cache
def frame(ride: str, index: int) -> ImageBGR:
    """A frame of a bundled ride."""
    reader = cv2.VideoCapture(str(RIDES / f"{ride}.mp4"))
    reader.set(cv2.CAP_PROP_POS_FRAMES, index)
    found, pixels = reader.read()
    assert found
    return np.asarray(pixels, np.uint8)


@cache
def portrait(ride: str = "demo_solo", index: int = 60) -> tuple[ImageBGR, Box, np.ndarray]:
    """A square about the largest face of a frame, the face in it, and its key points."""
    pixels = frame(ride, index)
    found = pack().detect(pixels)
    areas = [Box(*box).area for box in found.boxes.tolist()]
    n = int(np.argmax(areas))
    face = Box(*found.boxes[n].tolist())
    side = int(min(2.4 * face.longer_side, *pixels.shape[:2]))
    x = int(np.clip(face.centre[0] - side / 2, 0, pixels.shape[1] - side))
    y = int(np.clip(face.centre[1] - side / 2, 0, pixels.shape[0] - side))
    moved = Box(face.x1 - x, face.y1 - y, face.x2 - x, face.y2 - y)
    return pixels[y : y + side, x : x + side], moved, found.key_points[n] - [x, y]


def picture(
    rank: int,
    pixels: ImageBGR | None = None,
    *,
    person: Person = ADA,
    source: Source = RIDE,
    face: Box | None = None,
    measured: Mapping[str, Any] | None = None,
    **others: Any,
) -> Picture:
    """A picture of a person; of the bundled solo ride unless pixels are given."""
    shown, box, points = portrait()
    pixels = shown if pixels is None else pixels
    return Picture(
        key=f"{person.slug}_{rank:03d}",
        person=person,
        source=source,
        face_id=f"{rank:06d}-0",
        frame_idx=rank,
        timestamp_ms=40.0 * rank,
        role="anchor",
        rank=rank,
        split="train",
        variant=None,
        jpeg=encode_jpeg(pixels, 92),
        width=pixels.shape[1],
        height=pixels.shape[0],
        face=box if face is None else face,
        key_points=points.astype(np.float32),
        measured={"yaw": 4.0, "pitch": -3.0, "quality_score": 0.8} | dict(measured or {}),
        **others,
    )


def turned(yaws: Sequence[float | None], person: Person = ADA) -> list[Picture]:
    """The same picture several times, told as turned so far."""
    first = picture(1, person=person)
    return [
        replace(
            first,
            key=f"{person.slug}_{rank:03d}",
            rank=rank,
            frame_idx=rank,
            timestamp_ms=40.0 * rank,
            face_id=f"{rank:06d}-0",
            measured={"yaw": yaw, "pitch": 0.0},
        )
        for rank, yaw in enumerate(yaws, 1)
    ]
