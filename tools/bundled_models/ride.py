"""Rendered rides: what the on-ride camera sees, written as a video with the truth of every frame.

Belongs here: the camera's faults, encoding, files, the command line. Does not belong here: the
scene (`stage`), its motion (`course`, `choreography`), the content of the truth (`truth`).
Run `python -m tools.bundled_models.ride --facekit ARRAYS --out FOLDER` for the three demo rides, or
add `--riders 200001,200002 --seed 7 --name my_ride` for any other.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from tools.bundled_models import facekit, truth
from tools.bundled_models.choreography import DEMO
from tools.bundled_models.course import RidePlan
from tools.bundled_models.facekit import FaceKit, Floats
from tools.bundled_models.stage import HEIGHT, WIDTH, Composer, Stage, prepare


def _camera(
    picture: Floats, rng: np.random.Generator, blur: int, down: bool, dark: bool, lens: float
) -> NDArray[np.uint8]:
    """Motion blur, a dirty lens, noise and clipping."""
    picture = np.minimum(picture, 1.0, out=picture)
    if blur:
        picture = np.asarray(cv2.blur(picture, (3, blur) if down else (blur, 3)), np.float32)
    if lens:
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), lens), np.float32)
    grain = rng.standard_normal((HEIGHT // 2, WIDTH // 2), np.float32) * (0.014 if dark else 0.006)
    noisy = picture + cv2.resize(grain, (WIDTH, HEIGHT))[..., None]
    return np.asarray(np.clip(noisy * 255 + 0.5, 0, 255), np.uint8)


def frames_of(kit: FaceKit, stage: Stage) -> Iterator[tuple[NDArray[np.uint8], dict[str, Any]]]:
    """Every frame (RGB) with its truth, in order; `lighting` is still to be named."""
    composer, rng = Composer(kit, stage), np.random.default_rng([stage.plan.seed, 99])
    course, mount = stage.course, stage.plan.mount
    lens = mount.lens if mount else 0.0
    for frame in stage.plan.filmed:
        canvas, faces = composer.frame(frame)
        dark = course.exposure[frame] < 0.5
        picture = _camera(canvas, rng, int(course.blur[frame]), course.blur_down, dark, lens)
        if mount:
            small = cv2.resize(picture, mount.size, interpolation=cv2.INTER_AREA)
            picture = np.asarray(small, np.uint8)
        bgr = np.ascontiguousarray(picture[..., ::-1])
        rows = [truth.face_row(kit, face, frame, bgr, mount) for face in faces]
        yield picture, truth.frame_row(stage, frame, rows)


def files_of(plan: RidePlan, folder: Path) -> tuple[Path, Path]:
    """Where a ride's video and its truth are written."""
    return folder / f"{plan.name}.mp4", folder / f"{plan.name}.truth.json"


def write(kit: FaceKit, plan: RidePlan, folder: Path, bit_rate: int = 1_050_000) -> None:
    """Render a ride into `folder`: `{name}.mp4` (H.264) and `{name}.truth.json`.

    Both are written beside and renamed, the video last: where it is, the ride is whole.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stage, rows = prepare(kit, plan), []
    video, facts = files_of(plan, folder)
    partial = video.with_suffix(".part.mp4")
    with av.open(str(partial), "w") as container:
        stream = container.add_stream("libx264", rate=plan.fps)
        stream.width, stream.height = plan.mount.size if plan.mount else (WIDTH, HEIGHT)
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": "22", "preset": "medium", "threads": "1"}
        stream.options |= {"maxrate": str(bit_rate), "bufsize": str(2 * bit_rate)}
        for picture, row in frames_of(kit, stage):
            rows.append(row)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode())
    truth.name_the_light(rows)
    document = truth.document(kit, plan, stage, rows)
    beside = facts.with_suffix(".part")
    beside.write_text(json.dumps(document, separators=(",", ":")), encoding="utf-8")
    beside.rename(facts)
    partial.rename(video)


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
    parser.add_argument("--fps", type=int, default=30)
    parser.add_argument("--takes", type=int, default=1, help="2: a second framing, as a hard cut")
    parser.add_argument("--only", help="of the demo rides, only this one")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    plans = [plan for plan in DEMO if arguments.only in (None, plan.name)]
    if arguments.riders:
        riders = tuple(int(seed) for seed in arguments.riders.split(","))
        course = (arguments.seed, arguments.seconds, arguments.fps, arguments.takes)
        plans = [RidePlan(arguments.name, riders, *course)]
    kit = facekit.load(arguments.facekit)
    for plan in plans:
        write(kit, plan, arguments.out)


if __name__ == "__main__":
    main()
