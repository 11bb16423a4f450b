"""Reading truth files: `X.truth.json` beside `X.mp4`, rendered or made by hand.

What belongs here: the shape of the file and one clear sentence for every way to be wrong. What is
done with it: `core.evaluation`. Both forms are shown in `docs/evaluating.md`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import polars as pl
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from identity_pipeline.core.evaluation.truth import (
    FACES,
    REAL,
    RENDERED,
    SEATS,
    TRUE_BOX,
    TRUTH_FACES,
    TRUTH_FRAMES,
    Truth,
)
from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.storage.video.registry import Registration

SUFFIX = ".truth.json"
LANDMARKS = 68
Lighting = Literal["dark", "normal", "overexposed"]
FRAMES_MAX = 10**9
"""Frames of a video at most: a year at 30 frames a second. More is a slip of the pen."""
PIXELS_MAX = 1e6
"""Of a corner, to either side: no picture is so large, and areas stay numbers."""


Pixels = Annotated[float, Field(ge=-PIXELS_MAX, le=PIXELS_MAX, allow_inf_nan=False)]
Degrees = Annotated[float, Field(ge=-360.0, le=360.0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
# Relative to the person's own neutral.
Openness = Annotated[float, Field(ge=-100.0, le=100.0, allow_inf_nan=False)]
Corners = tuple[Pixels, Pixels, Pixels, Pixels]
# What a renderer notes as a number or a name is, for the evaluation, there or not there.
Flag = Annotated[bool, BeforeValidator(bool)]


class TruthError(IdentityPipelineError, ValueError):
    """A truth file cannot be used; the sentence says which and why."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


class _Face(_Part):
    person: str = Field(min_length=1)
    box: Corners
    pose: tuple[Degrees, Degrees, Degrees] | None = None
    landmarks: list[Annotated[list[Pixels], Field(min_length=2, max_length=3)]] | None = None
    occlusion: Share | None = None
    eye_open: Openness | None = None
    mouth_open: Openness | None = None
    smile: Openness | None = None
    lighting: Lighting | None = None


class _Frame(_Part):
    frame_idx: int = Field(ge=0, le=FRAMES_MAX)
    faces: list[_Face] | None = None
    seats: list[Corners] | None = None
    lighting: Lighting | None = None
    motion_blur: Flag | None = None
    occluder: Flag | None = None
    scene_cut: Flag | None = None


class _File(_Part):
    people: list[Annotated[str, Field(min_length=1)]] = Field(min_length=1)
    frames: list[_Frame] = Field(min_length=1)
    rendered: bool | None = None
    seed: Any = None
    twins: Any = None
    children: Any = None


def truth_path(record: Registration, folder: Path | None = None) -> Path | None:
    """The truth file of a video: in the folder if one is given, else beside any of its paths."""
    paths = [Path(path) for path in (record.path, *record.links)]
    if folder is not None:
        paths = [folder / path.name for path in paths]
    candidates = (path.with_suffix(SUFFIX) for path in paths)
    return next((path for path in candidates if path.is_file()), None)


def read_truth(path: Path) -> Truth:
    """Reads and checks a truth file.

    Raises:
        TruthError: it is no truth file, or contradicts itself.
    """
    file = _parsed(path)
    kind = _kind(path, file.frames)
    for fault in _faults(file, kind):
        raise TruthError(f"{path.name} is no usable truth: {fault}.")
    rendered = file.rendered if file.rendered is not None else file.seed is not None
    traits = tuple(name for name in ("twins", "children") if getattr(file, name))
    frames = [frame.model_dump(include=set(TRUTH_FRAMES)) for frame in file.frames]
    rows = [row for frame in file.frames for row in _rows(frame, file.people)]
    return Truth(
        origin=RENDERED if rendered else REAL,
        kind=kind,
        people=tuple(file.people),
        traits=traits,
        frames=pl.DataFrame(frames, schema=TRUTH_FRAMES).sort("frame_idx"),
        faces=pl.DataFrame(rows, schema=TRUTH_FACES).sort("frame_idx", "person"),
    )


def _parsed(path: Path) -> _File:
    try:
        return _File.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise TruthError(f"{path.name} is no usable truth: {_fault(error)}.") from error
    except OSError as error:
        raise TruthError(f"{path.name} cannot be read: {error.strerror}.") from error


def _fault(error: ValidationError) -> str:
    """Place and value of the first fault, and what is wrong with it."""
    first = error.errors(include_url=False, include_context=False)[0]
    place = ".".join(map(str, first["loc"]))
    shown = repr(first["input"])
    value = f" is {shown}" if place and len(shown) <= 60 else ""
    message = str(first["msg"]).replace("Input should", "it must")
    return f"{place or 'the file'}{value}: {message[0].lower()}{message[1:]}"


def _kind(path: Path, frames: list[_Frame]) -> str:
    faces = sum(frame.faces is not None for frame in frames)
    seats = sum(frame.seats is not None for frame in frames)
    if (faces, seats) not in ((len(frames), 0), (0, len(frames))):
        raise TruthError(
            f"{path.name} is no usable truth: every frame needs `faces`, or every frame `seats`, "
            f"but of {len(frames)} frames {faces} have faces and {seats} have seats."
        )
    return FACES if faces else SEATS


def _faults(file: _File, kind: str) -> Iterable[str]:
    if len(set(file.people)) != len(file.people):
        yield f"people names somebody twice: {', '.join(file.people)}"
    seen: set[int] = set()
    for frame in file.frames:
        where = f"frame {frame.frame_idx}"
        if frame.frame_idx in seen:
            yield f"{where} is there twice"
        seen.add(frame.frame_idx)
        if kind == SEATS and len(frame.seats or ()) != len(file.people):
            yield f"{where} has {len(frame.seats or ())} seats for {len(file.people)} people"
        yield from (f"{where}: {fault}" for fault in _face_faults(frame))


def _face_faults(frame: _Frame) -> Iterable[str]:
    faces = frame.faces or []
    boxes = [*(face.box for face in faces), *(frame.seats or ())]
    if not all(map(_has_area, boxes)):
        yield "a box is not x1, y1, x2, y2 with x1 < x2 and y1 < y2"
    if len({face.person for face in faces}) != len(faces):
        yield "somebody is in it twice"
    if {len(face.landmarks) for face in faces if face.landmarks is not None} - {LANDMARKS}:
        yield f"a face has landmarks, but not {LANDMARKS}"


def _has_area(box: Corners) -> bool:
    x1, y1, x2, y2 = box
    return x1 < x2 and y1 < y2


def _rows(frame: _Frame, people: list[str]) -> Iterable[dict[str, Any]]:
    for person, seat in zip(people, frame.seats or (), strict=False):
        yield {
            "frame_idx": frame.frame_idx,
            "person": person,
            "rider": True,
            **dict(zip(TRUE_BOX, seat, strict=True)),
            "true_lighting": frame.lighting,
        }
    for face in frame.faces or ():
        yield _face_row(frame, face, people)


def _face_row(frame: _Frame, face: _Face, people: list[str]) -> dict[str, Any]:
    pitch, yaw, roll = face.pose or (None, None, None)
    measures = ("occlusion", "eye_open", "mouth_open", "smile")
    points = face.landmarks
    return {
        "frame_idx": frame.frame_idx,
        "person": face.person,
        "rider": face.person in people,
        **dict(zip(TRUE_BOX, face.box, strict=True)),
        "true_pitch": pitch,
        "true_yaw": yaw,
        "true_roll": roll,
        **{f"true_{name}": getattr(face, name) for name in measures},
        "true_lighting": face.lighting or frame.lighting,
        "true_landmarks": None if points is None else [v for p in points for v in p[:2]],
    }
