"""Networks that hold a GPU as long as it would compute, and say what was recorded of them.

Everything around them is the pipeline's own: scaling, buffers, batches, outputs read, threads. A
call waits for its turn at the one GPU and then sleeps, which lets other threads go on, as a call
of CUDA does. What a network says of a picture is computed once, by the real small network, and
remembered; where it was not yet, the call computes it and says so (`Gpu.learnt`).
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
from identity_pipeline.models.picture_net import PictureNet, Place
from identity_pipeline.models.vision_encoder import VisionEncoder

RECOGNISED_PX: Final = 112
CALL_MS: Final = 0.1
"""What a call costs beside its pictures: kernels are launched one by one."""


@dataclass(frozen=True)
class Card:
    """Milliseconds a picture of a GPU, in batches.

    Attributes:
        name: of the card, and how it computes.
        source: of the figures.
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
    mesh: float = 0.35
    iris: float = 0.15
    cover: float = 0.1

    def milliseconds(self, height: int, width: int) -> float:
        """Of one picture, by the size of the input that it is given to."""
        of_side = {112: self.recogniser, 192: self.mesh, 64: self.iris, 96: self.cover}
        if height == width and height in of_side:
            return of_side[height]
        return self.detector * height * width / 640**2


CARDS: Final = {
    "new": Card(
        "RTX-5090 class, half precision",
        "published for SCRFD-10G at 320 px (.18 ms in batches of 16, here times four) and R50 "
        "(.33 ms) with TensorRT; DINOv2-small .72 ms and the small nets as measured on an H100 in "
        "full precision (docs/models.md)",
        0.72,
        0.33,
        0.72,
    ),
    "old": Card(
        "RTX-2080Ti class, full precision",
        "the SCRFD paper's 4.9 ms of SCRFD-10G at 640 x 480, here by area; the others scaled alike",
        6.5,
        3.0,
        4.0,
        1.0,
        0.4,
        0.3,
    ),
}


@dataclass
class Gpu:
    """One GPU: whoever computes on it holds it alone.

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
        low, high = window
        return sum(max(0.0, min(b, high) - max(a, low)) for a, b in self.held)

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
def standing_in(gpu: Gpu) -> Iterator[None]:
    """All networks of this process hold a GPU instead of computing."""
    with ExitStack() as stack:
        _instead(stack, onnxruntime.InferenceSession, "run", partial(_session, gpu))
        _instead(stack, PictureNet, "_computed", partial(_picture_net, gpu))
        _instead(stack, VisionEncoder, "_vectors", partial(_vision, gpu))
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


def _picture_net(gpu: Gpu, computed: Any) -> Any:
    def standing(self: PictureNet, place: Place) -> list[NDArray[Any]]:
        if gpu.card is not None:
            held = gpu.hold(self.batch * gpu.card.milliseconds(self.height, self.width))
            gpu.detected += [held] if self.height > RECOGNISED_PX else []
        keys = [(id(self), _name(picture)) for picture in place.pictures]

        def compute() -> list[list[Any]]:
            outputs = computed(self, place)
            return [[np.array(output[n]) for output in outputs] for n in range(self.batch)]

        return [np.stack(parts) for parts in zip(*gpu.said(keys, compute), strict=True)]

    return standing


def _vision(gpu: Gpu, _: Any) -> Any:
    def standing(self: VisionEncoder, _network: object, crops: Sequence[ImageBGR]) -> Matrix:
        self.preprocess(crops)
        if gpu.card is not None:
            gpu.hold(len(crops) * gpu.card.vision)
        small = [cv2.resize(crop, (12, 12), interpolation=cv2.INTER_AREA) for crop in crops]
        turned = np.random.default_rng(0).normal(size=(432, self.space.dimension))
        return normalise((np.reshape(small, (len(crops), 432)) - 127.0) @ turned)

    return standing
