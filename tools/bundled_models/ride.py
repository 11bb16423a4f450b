"""Rendered rides: what the on-ride camera sees, and the truth of every frame.

Belongs here: the course of a ride, the riders' choreography, compositing and writing.
Does not belong here: how a person or the scenery is drawn.
Run `python -m bundled_models.ride --facekit ARRAYS --out FOLDER` for the three demo rides, or add
`--riders 200001,200002 --seed 7 --name my_ride` for any other.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from tools.bundled_models import facekit, head, moments, scenery
from tools.bundled_models.choreography import (
    DEMO,
    Performance,
    RidePlan,
    course,
    drift,
    perform,
    person_name,
)
from tools.bundled_models.facekit import FaceKit

WIDTH, HEIGHT = 1280, 720
SCALE = 9.5  # px per cm at a rider's head
HEAD_Y = 395  # where a rider's head is, px
_SEAT = 760  # size of the seat pictures
_SLACK = 60  # rows of panorama above and below the picture, for the shake
_BARRIER_Y = 335  # in the station, bystanders stand behind what is below this row

# Shares of the ride in which something happens.
BOARDING, TUNNEL, FLASH, BLUR, BAR = (
    (0.0, 0.13),
    (0.33, 0.43),
    (0.56, 0.60),
    (0.67, 0.71),
    (0.80, 0.86),
)


@dataclass(frozen=True)
class _Stage:
    """Everything of a ride that is prepared once."""

    plan: RidePlan
    panorama: scenery.Picture
    station: scenery.Picture
    seats: list[NDArray[np.float32]]
    harnesses: list[NDArray[np.float32]]
    performers: list[Performance]
    bystanders: list[Performance]
    shake: NDArray[np.float64]  # (frames, 2)
    sun: NDArray[np.float64]  # angle per frame
    travelled: NDArray[np.float64]  # px of panorama per frame


def _stage(kit: FaceKit, plan: RidePlan) -> _Stage:
    rng = np.random.default_rng(plan.seed)
    frames = plan.frames
    speed = course(frames, [(0, 0), (0.13, 0), (0.2, 9), (0.44, 12), (0.58, 26), (0.9, 20), (1, 2)])
    tremble = 0.3 + speed / 9
    shake = np.stack(
        [drift(rng, frames, 4, 2.2) * tremble, drift(rng, frames, 4, 1.8) * tremble], 1
    )
    guests = RidePlan(
        "guests",
        tuple(int(s) for s in 300_000 + rng.integers(0, 90_000, 2)),
        plan.seed + 1,
        plan.seconds,
    )
    return _Stage(
        plan=plan,
        panorama=scenery.panorama(rng, WIDTH * 4, HEIGHT + 2 * _SLACK),
        station=scenery.station(rng, WIDTH, HEIGHT),
        seats=[
            scenery.seat_back(np.random.default_rng([plan.seed, 9]), _SEAT) for _ in plan.riders
        ],
        harnesses=[
            scenery.harness(np.random.default_rng([plan.seed, 10]), _SEAT) for _ in plan.riders
        ],
        performers=[perform(kit, plan, seat) for seat in range(len(plan.riders))],
        bystanders=[perform(kit, guests, seat) for seat in range(2)],
        shake=shake,
        sun=drift(rng, frames, plan.fps * 2, 1.2),
        travelled=np.cumsum(speed),
    )


def within(span: tuple[float, float], frame: int, plan: RidePlan) -> bool:
    return span[0] * plan.frames <= frame < span[1] * plan.frames


def _light(stage: _Stage, frame: int, boarding: bool) -> moments.Light:
    angle = stage.sun[frame]
    sun = np.array([np.sin(angle), 0.6, np.cos(angle) * 0.8 + 0.2])
    lamp = np.array([0.15, 0.9, 0.35])
    directions = np.array([lamp if boarding else sun, [0, 0.3, 1]])
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    key = (0.55, 0.53, 0.48) if boarding else (0.9, 0.86, 0.79)
    return moments.Light(
        directions.astype(np.float32),
        np.array([key, (0.12, 0.13, 0.15)], np.float32),
        np.array([0.38, 0.42, 0.5], np.float32),
        np.array([0.22, 0.2, 0.16], np.float32),
    )


def _portrait(
    kit: FaceKit, actor: Performance, frame: int, light: moments.Light, scale: float
) -> tuple[head.Portrait, int]:
    """A rider, and half the size of the picture, whose centre is the head's centre."""
    outfit = actor.dressed(frame)
    size = round(64 * scale)
    pose = (actor.pitch[frame], actor.yaw[frame], actor.roll[frame])
    camera = head.Camera(size=size, scale=scale, distance=70.0, supersampling=1.2)
    body_pose = (0.0, 0.15 * pose[1], 0.1 * pose[2])
    return head.draw(
        kit, actor.person, actor.weights(kit, frame), pose, light, camera, outfit, body_pose
    ), size // 2


def _place(canvas: NDArray[np.bool_], mask: NDArray[np.bool_], x: int, y: int) -> None:
    x0, y0, x1, y1 = (
        max(0, x),
        max(0, y),
        min(WIDTH, x + mask.shape[1]),
        min(HEIGHT, y + mask.shape[0]),
    )
    if x1 > x0 and y1 > y0:
        canvas[y0:y1, x0:x1] |= mask[y0 - y : y1 - y, x0 - x : x1 - x]


@dataclass
class _Face:
    """A face on its way into the truth."""

    name: str
    portrait: head.Portrait
    actor: Performance
    x: int
    y: int
    visible: NDArray[np.bool_]  # in the frame
    area: int

    def row(self, kit: FaceKit, frame: int) -> dict[str, Any]:
        eye, mouth, smile = moments.attributes(
            kit, self.actor.person, self.actor.weights(kit, frame)
        )
        offset = np.array([self.x, self.y])
        pose = (self.actor.pitch[frame], self.actor.yaw[frame], self.actor.roll[frame])
        return {
            "person": self.name,
            "box": [round(float(v), 1) for v in self.portrait.box + np.tile(offset, 2)],
            "pose": [round(float(v), 1) for v in pose],
            "landmarks": [
                [round(float(v), 1) for v in mark]
                for mark in self.portrait.landmarks[:, :2] + offset
            ],
            "occlusion": round(1 - float(self.visible.sum()) / max(1, self.area), 3),
            "eye_open": round(eye, 3),
            "mouth_open": round(mouth, 3),
            "smile": round(smile, 3),
        }


def _add_person(
    canvas: NDArray[np.float32], faces: list[_Face], name: str, actor: Performance, portrait: head.Portrait,
    x: int, y: int,
) -> None:  # fmt: skip
    scenery.paste(canvas, portrait.rgba, x, y)
    visible = np.zeros((HEIGHT, WIDTH), np.bool_)
    _place(visible, portrait.visible, x, y)
    for other in faces:  # whoever is drawn later hides who was drawn before
        hidden = np.zeros((HEIGHT, WIDTH), np.bool_)
        _place(hidden, portrait.rgba[..., 3] > 0.5, x, y)
        other.visible &= ~hidden
    faces.append(_Face(name, portrait, actor, x, y, visible, int(portrait.face.sum())))


def _compose(kit: FaceKit, stage: _Stage, frame: int) -> tuple[NDArray[np.float32], list[_Face]]:
    """The scene in display values [0, 1] at normal exposure, and the faces in it."""
    plan = stage.plan
    boarding, exposed = within(BOARDING, frame, plan), exposure(plan, frame)
    light = _light(stage, frame, boarding).scaled(exposed)
    dx, dy = (round(float(v)) for v in stage.shake[frame])
    tone = np.float32(exposed ** (1 / 2.2))
    start = int(stage.travelled[frame]) % (stage.panorama.shape[1] - WIDTH)
    top = int(np.clip(_SLACK - 2 * dy, 0, 2 * _SLACK))
    behind = (
        stage.station if boarding else stage.panorama[top : top + HEIGHT, start : start + WIDTH]
    )
    canvas = behind.astype(np.float32) * (tone / 255)
    faces: list[_Face] = []
    if boarding:
        for k, actor in enumerate(stage.bystanders):
            portrait, half = _portrait(kit, actor, frame, light, 3.6)
            x = int((0.06 + 0.42 * k + 0.12 * frame / (BOARDING[1] * plan.frames)) * WIDTH)
            _add_person(
                canvas,
                faces,
                f"bystander_{actor.person.traits.seed}",
                actor,
                portrait,
                x - half,
                250 - half,
            )
        canvas[_BARRIER_Y:] = behind[_BARRIER_Y:].astype(np.float32) * (tone / 255)
    places = (0.5,) if len(plan.riders) == 1 else (0.29, 0.71)
    for k, (actor, place) in enumerate(zip(stage.performers, places, strict=True)):
        cx, cy = int(place * WIDTH) + dx, HEAD_Y + dy
        seat = stage.seats[k] * np.array([tone, tone, tone, 1], np.float32)
        scenery.paste(canvas, seat, cx - _SEAT // 2, cy - _SEAT // 2)
        _hide(faces, stage.seats[k][..., 3] > 0.5, cx - _SEAT // 2, cy - _SEAT // 2)
        portrait, half = _portrait(kit, actor, frame, light, SCALE)
        _add_person(
            canvas, faces, person_name(plan.riders[k]), actor, portrait, cx - half, cy - half
        )
        bars = stage.harnesses[k] * np.array([tone, tone, tone, 1], np.float32)
        scenery.paste(canvas, bars, cx - _SEAT // 2, cy - _SEAT // 2)
        _hide(faces, bars[..., 3] > 0.5, cx - _SEAT // 2, cy - _SEAT // 2)
    if within(BAR, frame, plan):
        _passing_bar(canvas, faces, (frame / plan.frames - BAR[0]) / (BAR[1] - BAR[0]), float(tone))
    return canvas, faces


def _hide(faces: list[_Face], mask: NDArray[np.bool_], x: int, y: int) -> None:
    if faces:
        hidden = np.zeros((HEIGHT, WIDTH), np.bool_)
        _place(hidden, mask, x, y)
        for face in faces:
            face.visible &= ~hidden


def _passing_bar(
    canvas: NDArray[np.float32], faces: list[_Face], share: float, tone: float
) -> None:
    """A post close to the camera crosses the picture."""
    left, width = int(share * (WIDTH + 160)) - 150, 120
    columns = np.arange(max(0, left), min(WIDTH, left + width))
    round_off = 0.35 + 0.65 * np.sin((columns - left + 0.5) / width * np.pi)
    canvas[:, columns] = (np.array([0.16, 0.24, 0.36]) * tone * round_off[:, None]).astype(
        np.float32
    )
    for face in faces:
        face.visible[:, columns] = False


def exposure(plan: RidePlan, frame: int) -> float:
    """Exposure of the scene: 1 is normal."""
    if within(TUNNEL, frame, plan):
        return 0.1
    return 4.2 if within(FLASH, frame, plan) else 1.0


def _camera(
    picture: NDArray[np.float32], rng: np.random.Generator, blurred: bool, dark: bool
) -> NDArray[np.uint8]:
    """Motion blur, noise and clipping."""
    if blurred:
        picture = np.asarray(cv2.blur(picture, (19, 3)), np.float32)
    grain = rng.standard_normal((HEIGHT // 2, WIDTH // 2)).astype(np.float32) * (
        0.018 if dark else 0.008
    )
    noisy = picture + cv2.resize(grain, (WIDTH, HEIGHT))[..., None]
    return np.asarray(np.clip(noisy * 255 + 0.5, 0, 255), np.uint8)


def frames_of(kit: FaceKit, plan: RidePlan) -> Iterator[tuple[NDArray[np.uint8], dict[str, Any]]]:
    """Every frame (RGB) with its truth, in order."""
    stage, rng = _stage(kit, plan), np.random.default_rng([plan.seed, 99])
    for frame in range(plan.frames):
        canvas, faces = _compose(kit, stage, frame)
        dark, flash = within(TUNNEL, frame, plan), within(FLASH, frame, plan)
        blurred = within(BLUR, frame, plan)
        picture = _camera(canvas, rng, blurred, dark)
        yield (
            picture,
            {
                "frame_idx": frame,
                "faces": [face.row(kit, frame) for face in faces],
                "lighting": "dark" if dark else "overexposed" if flash else "normal",
                "motion_blur": blurred,
                "occluder": within(BAR, frame, plan),
            },
        )


def write(kit: FaceKit, plan: RidePlan, folder: Path, bit_rate: int = 1_100_000) -> None:
    """Render a ride into `folder`: `{name}.mp4` (H.264) and `{name}.truth.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    truth: list[dict[str, Any]] = []
    partial = folder / f"{plan.name}.part.mp4"
    with av.open(str(partial), "w") as container:
        stream = container.add_stream("libx264", rate=plan.fps)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"crf": "22", "preset": "medium", "threads": "1"}
        stream.options |= {"maxrate": str(bit_rate), "bufsize": str(2 * bit_rate)}
        for picture, row in frames_of(kit, plan):
            truth.append(row)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode())
    people = [person_name(seed) for seed in plan.riders]
    document = {"people": people, "fps": plan.fps, "seed": plan.seed, "frames": truth}
    (folder / f"{plan.name}.truth.json").write_text(json.dumps(document, separators=(",", ":")))
    partial.rename(folder / f"{plan.name}.mp4")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--facekit", type=Path, required=True, help="the arrays, ict_facekit.npz")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--riders", help="seeds, left to right, separated by commas; default: the demo rides"
    )
    parser.add_argument("--name", default="ride")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=18.0)
    parser.add_argument("--only", help="of the demo rides, only this one")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    plans = [plan for plan in DEMO if arguments.only in (None, plan.name)]
    if arguments.riders:
        riders = tuple(int(seed) for seed in arguments.riders.split(","))
        plans = [RidePlan(arguments.name, riders, arguments.seed, arguments.seconds)]
    kit = facekit.load(arguments.facekit)
    for plan in plans:
        write(kit, plan, arguments.out)


if __name__ == "__main__":
    main()
