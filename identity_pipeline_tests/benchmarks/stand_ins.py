"""Networks that hold a GPU as long as it would compute, and say what was recorded of them.

Everything around them is the pipeline's own (scaling, batches, outputs read, threads) but for the
copies to a GPU and back (1.2 million bytes a frame). A call waits for its turn at the one GPU and
then sleeps, which lets other threads go on, as a call of CUDA does. What a network says of a
picture is computed once, by the real small network, and remembered; where it was not yet, the call
computes it and says so (`Gpu.learnt`).

Where there is a GPU, `noted` writes down when the real networks were called instead.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from threading import Lock
from typing import Any, Final

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from identity_pipeline.core.vectors import Matrix, normalise
from identity_pipeline.media.crops import ImageBGR
from identity_pipeline.models.picture_net import PictureNet
from identity_pipeline.models.vision_encoder import VisionEncoder

RECOGNISED_PX: Final = 112
CALL_MS: Final = 0.1
"""What a call costs beside its pictures, as kernels are launched one by one: an assumption."""


@dataclass(frozen=True)
class Card:
    """Milliseconds a picture of a GPU, in batches.

    Attributes:
        name: of the card, and how it computes.
        source: of the figures, in short.
        detector: SCRFD-10G at 640 x 640; other sizes by their area.
        recogniser: ArcFace's ResNet-50.
        vision: DINOv2-small at 224 x 224.
        mesh, iris, cover: of one picture of 192, 64 and 96 pixels.
    """

    name: str
    source: str
    detector: float
    recogniser: float
    vision: float
    mesh: float
    iris: float
    cover: float

    def milliseconds(self, height: int, width: int) -> float:
        """Of one picture, by the size of the input that it is given to."""
        of_side = {112: self.recogniser, 192: self.mesh, 64: self.iris, 96: self.cover}
        if height == width and height in of_side:
            return of_side[height]
        return self.detector * height * width / 640**2


CARDS: Final = {
    "new": Card(
        "RTX-5090 class, half precision",
        "detector and recogniser: published for TensorRT (huggingface.co/alonsorobots/"
        "scrfd_320_batched), the detector's by its area; encoder, mesh and iris: measured on an "
        "H100 in full precision (docs/models.md); that this card is as fast as that, and the cover "
        "net: assumed",
        # Published: .18 ms at 320 x 320 in batches of 16; four times the area. That eight frames a
        # call and 640 pixels cost no more than by area is an assumption.
        detector=0.72,
        # Published: .33 ms in batches of 16.
        recogniser=0.33,
        # Measured on an H100 in full precision, batches of 16 (docs/models.md, GPU). That this card
        # needs as long in half precision is an assumption.
        vision=0.72,
        # Measured on an H100: 1.0 ms for the mesh twice and both eyes (docs/models.md, GPU). How
        # much of it is mesh and how much iris is an assumption.
        mesh=0.35,
        iris=0.15,
        # An assumption: it was not measured on a GPU.
        cover=0.1,
    ),
    "old": Card(
        "RTX-2080Ti class, full precision",
        "detector: 4.9 ms at 640 x 480 (SCRFD, Guo et al. 2021), by area; all others: assumed",
        # Published: 4.9 ms at 640 x 480, one frame a call; 4/3 of the area. That batches do not
        # make it cheaper is an assumption.
        detector=6.5,
        # An assumption: nine times the new card's, as its detector.
        recogniser=3.0,
        # Assumptions: nothing is published; three to six times the new card's.
        vision=4.0,
        mesh=1.0,
        iris=0.4,
        cover=0.3,
    ),
}


@dataclass
class Gpu:
    """One GPU, and when it was held: whoever computes on a timed one holds it alone.

    Attributes:
        card: how long it takes; None: no time, while outputs are recorded.
        held: beginning and end of each call, by `time.perf_counter`.
        detected: the same of calls of the pass's detector.
        learnt: pictures that were computed, not remembered.
    """

    card: Card | None = None
    held: list[tuple[float, float]] = field(default_factory=list)
    detected: list[tuple[float, float]] = field(default_factory=list)
    learnt: int = 0
    turn: Lock = field(default_factory=Lock)
    known: dict[tuple[object, ...], Sequence[Any]] = field(default_factory=dict)

    def hold(self, milliseconds: float) -> tuple[float, float]:
        """Waits for the GPU, and holds it."""
        with self.turn:
            began = time.perf_counter()
            ends = began + (milliseconds + CALL_MS) / 1000
            while (left := ends - time.perf_counter()) > 0:
                time.sleep(left)
            self.held.append((began, time.perf_counter()))
        return self.held[-1]

    def busy(self, window: tuple[float, float]) -> float:
        """Seconds of a span of time in which it was held."""
        seconds, (now, end) = 0.0, window
        for began, ends in sorted(self.held):  # calls of several real networks may overlap
            seconds += max(0.0, min(ends, end) - max(began, now))
            now = max(now, ends)
        return seconds

    def forget_times(self) -> None:
        """Begins anew to note calls."""
        self.held.clear()
        self.detected.clear()
        self.learnt = 0

    def said(
        self, keys: Sequence[tuple[object, ...]], compute: Callable[[], Sequence[Sequence[Any]]]
    ) -> list[Sequence[Any]]:
        """The outputs of each picture; where one is not known all are computed.

        Args:
            keys: of the pictures.
            compute: gives the outputs of each picture.
        """
        if not all(key in self.known for key in keys):
            self.learnt += len(keys)
            self.known.update(zip(keys, compute(), strict=True))
        return [self.known[key] for key in keys]


def _name(picture: NDArray[Any]) -> bytes:
    """What tells a picture from others, cheaply: a grid of its numbers."""
    rows, columns = np.array(picture.shape[-2:] if picture.shape[0] == 3 else picture.shape[:2])
    step = max(1, int(min(rows, columns)) // 24)
    grid = picture[:, ::step, ::step] if picture.shape[0] == 3 else picture[::step, ::step]
    return grid.tobytes()


@contextmanager
def standing_in(gpu: Gpu, vision_batch: int) -> Iterator[None]:
    """All networks of this process hold a GPU instead of computing.

    Args:
        gpu: the one that they hold.
        vision_batch: crops in a call of the vision encoder.
    """
    with ExitStack() as stack:
        _instead(stack, onnxruntime.InferenceSession, "run", partial(_session, gpu))
        _instead(stack, PictureNet, "run", partial(_picture_net, gpu))
        _instead(stack, VisionEncoder, "embed", partial(_vision, gpu, vision_batch))
        yield


@contextmanager
def noted(gpu: Gpu) -> Iterator[None]:
    """All networks compute, and it is noted when they did."""

    def noting(into: Callable[[Any], list[tuple[float, float]]], call: Any) -> Any:
        def timed(self: Any, *given: Any, **how: Any) -> Any:
            began = time.perf_counter()
            try:
                return call(self, *given, **how)
            finally:
                into(self).append((began, time.perf_counter()))

        return timed

    def as_held(_: object) -> list[tuple[float, float]]:
        return gpu.held

    def as_detected(net: PictureNet) -> list[tuple[float, float]]:
        return gpu.detected if net.height > RECOGNISED_PX else []

    with ExitStack() as stack:
        for name in ("run", "run_with_iobinding"):
            _instead(stack, onnxruntime.InferenceSession, name, partial(noting, as_held))
        _instead(stack, PictureNet, "run", partial(noting, as_detected))
        _instead(stack, VisionEncoder, "embed", partial(noting, as_held))
        yield


def _instead(stack: ExitStack, of: type, name: str, made: Callable[[Any], Any]) -> None:
    original = getattr(of, name)
    setattr(of, name, made(original))
    stack.callback(setattr, of, name, original)


def _session(gpu: Gpu, run: Any) -> Any:
    def standing(self: Any, names: Any, feed: dict[str, Any], *rest: Any, **how: Any) -> Any:
        (blob,) = feed.values()
        if gpu.card is not None:
            gpu.hold(len(blob) * gpu.card.milliseconds(*blob.shape[2:]))
        keys = [(id(self), tuple(names or ()), _name(picture)) for picture in blob]

        def compute() -> list[list[Any]]:
            outputs = run(self, names, feed, *rest, **how)
            if len(blob) == 1:
                return [outputs]
            return [[output[n : n + 1] for output in outputs] for n in range(len(blob))]

        told = gpu.said(keys, compute)
        return told[0] if len(told) == 1 else [np.concatenate(o) for o in zip(*told, strict=True)]

    return standing


def _picture_net(gpu: Gpu, run: Any) -> Any:
    def standing(self: PictureNet, pictures: Sequence[ImageBGR]) -> list[NDArray[Any]]:
        if gpu.card is not None:  # every call is of a whole batch
            held = gpu.hold(self.batch * gpu.card.milliseconds(self.height, self.width))
            gpu.detected += [held] if self.height > RECOGNISED_PX else []
        keys = [(id(self), picture.shape, _name(picture)) for picture in pictures]

        def compute() -> list[list[Any]]:
            outputs = run(self, pictures)
            return [[output[n] for output in outputs] for n in range(len(pictures))]

        return [np.stack(parts) for parts in zip(*gpu.said(keys, compute), strict=True)]

    return standing


def _vision(gpu: Gpu, batch: int, _: Any) -> Any:
    def standing(self: VisionEncoder, crops: Sequence[ImageBGR]) -> Matrix:
        for start in range(0, len(crops), batch):
            part = crops[start : start + batch]
            self.preprocess(part)
            if gpu.card is not None:
                gpu.hold(len(part) * gpu.card.vision)
        small = [cv2.resize(crop, (12, 12), interpolation=cv2.INTER_AREA) for crop in crops]
        turned = np.random.default_rng(0).normal(size=(432, self.space.dimension))
        return normalise((np.reshape(small, (len(crops), 432)) - 127.0) @ turned)

    return standing
