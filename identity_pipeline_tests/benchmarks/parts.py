"""Bare decoding, and the loop that a user would write without this project."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from identity_pipeline.core.geometry import Box
from identity_pipeline.media.video import SamplingClock
from identity_pipeline.models.vision_encoder import VisionEncoder
from identity_pipeline_tests.benchmarks.same_faces import Boxes
from identity_pipeline_tests.benchmarks.timing import Sample, measured

VISION_PX = 224


@dataclass(frozen=True)
class Decoded:
    """How many frames a file has and how many were converted."""

    frames: int
    sampled: int


def decode_alone(video: Path, fps: float) -> Decoded:
    """PyAV with threads over the whole file; sampled frames are converted to BGR."""
    clock = SamplingClock(fps)
    frames = sampled = 0
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        base = float(stream.time_base or 0)
        for frame in container.decode(stream):
            frames += 1
            if clock.takes((frame.pts or 0) * base * 1000):
                frame.to_ndarray(format="bgr24")
                sampled += 1
    return Decoded(frames, sampled)


def decoded_frames(video: Path, limit: int) -> Iterator[NDArray[np.uint8]]:
    """The first frames of a file, as BGR."""
    with av.open(str(video)) as container:
        for frame in islice(container.decode(video=0), limit):
            yield np.asarray(frame.to_ndarray(format="bgr24"), dtype=np.uint8)


def shortened(video: Path, seconds: float, target: Path) -> Path:
    """Copies the packets of the beginning of a clip, without encoding them again."""
    with av.open(str(video)) as source, av.open(str(target), "w") as sink:
        given = source.streams.video[0]
        stream = sink.add_stream_from_template(given)
        for packet in source.demux(given):
            if packet.dts is None or packet.pts is None:
                continue
            if packet.pts * float(given.time_base or 0) < seconds:
                packet.stream = stream
                sink.mux(packet)
    return target


@dataclass(frozen=True)
class Looped:
    """What the user's loop found and took; the vision part is not in `faces_only`."""

    frames: int
    boxes: Boxes
    faces_only: Sample
    vision_only: Sample


def users_app(folder: Path, tasks: list[str], det_size: int, score_min: float) -> Any:
    """`FaceAnalysis` as its documentation shows it, with the same models."""
    from insightface.app import FaceAnalysis

    app = FaceAnalysis(str(folder), allowed_modules=tasks, providers=["CPUExecutionProvider"])
    app.prepare(ctx_id=0, det_thresh=score_min, det_size=(det_size, det_size))
    return app


def users_loop(video: Path, app: Any, fps: float, vision: VisionEncoder) -> Looped:
    """OpenCV reads every frame, `FaceAnalysis.get` sees every sampled one, vision face by face."""
    frames, boxes = 0, Boxes()
    seeing = Sample(others=0.0)
    with measured() as whole:
        for index, image in _opencv_frames(video, fps):
            frames += 1
            found = app.get(image)
            boxes[index] = [Box(*map(float, face.bbox)) for face in found]
            if found:
                with measured() as vision_part:
                    for face in found:
                        vision.embed([_crop(image, face.bbox)])
                seeing = seeing + vision_part
    alone = Sample(whole.wall - seeing.wall, whole.cpu - seeing.cpu, whole.others)
    return Looped(frames, boxes, alone, seeing)


def _opencv_frames(video: Path, fps: float) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Sampled frames and their numbers."""
    clock = SamplingClock(fps)
    capture = cv2.VideoCapture(str(video))
    step = 1000 / (capture.get(cv2.CAP_PROP_FPS) or 30)
    index = 0
    while True:
        there, image = capture.read()
        if not there:
            break
        if clock.takes(index * step):
            yield index, np.asarray(image, dtype=np.uint8)
        index += 1
    capture.release()


def _crop(image: NDArray[np.uint8], box: NDArray[np.floating]) -> NDArray[np.uint8]:
    x1, y1, x2, y2 = (float(v) for v in box)
    half = 0.75 * max(x2 - x1, y2 - y1)
    x, y = (x1 + x2) / 2, (y1 + y2) / 2
    top, left = max(0, round(y - half)), max(0, round(x - half))
    part = image[top : max(top + 1, round(y + half)), left : max(left + 1, round(x + half))]
    return np.asarray(cv2.resize(part, (VISION_PX, VISION_PX)), dtype=np.uint8)
