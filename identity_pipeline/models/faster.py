"""Networks that run faster and must say the same: rewritten, compared with the plain ones, or left.

Detector and recogniser of a pack are opened by InsightFace as they are. On a GPU, for a batch of
frames or in half precision a rewritten copy (`picture_net`) takes over, once it has said the same
of the faces on the bundled photographs; where none does, the plain network goes on and a sentence
says why.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from identity_pipeline.core.geometry import Box
from identity_pipeline.core.vectors import normalise
from identity_pipeline.errors import first_line
from identity_pipeline.media.crops import ImageBGR, align
from identity_pipeline.models import scrfd
from identity_pipeline.models.device import CUDA, TENSORRT, Runner
from identity_pipeline.models.picture_net import Colours, PictureNet, given_pictures, halved
from identity_pipeline.models.self_check import LEAST_COSINE, least_cosine, photographs
from identity_pipeline.settings import ModelSettings

if TYPE_CHECKING:
    import onnx

LEAST_OVERLAP: Final = 0.95
"""IoU of two boxes of one face."""
MOST_SCORE: Final = 0.02
"""Difference of their scores."""
BATCH_ON_GPU: Final = 8
log = logging.getLogger(__name__)


class NotTheSameError(ValueError):
    """A rewritten network says something else, or runs elsewhere; the message says what."""


def faces_on_photographs(detector: Any, score_min: float) -> list[ImageBGR]:
    """Aligned faces of the bundled photographs, as a plain detector finds them."""
    size = scrfd.input_size(detector, None)
    return [
        align(photo, points)
        for photo in photographs()
        for points in scrfd.find(detector, photo, size, score_min).key_points
    ]


@dataclass(frozen=True)
class Faster:
    """A network that took over, if one did, and what there is to say of it.

    Attributes:
        net: it; None where the plain one goes on.
        half: whether it computes in half precision.
        note: how it computes, or why it is not as asked for; empty for a plain one that nobody
            wanted otherwise.
    """

    net: PictureNet | None = None
    half: bool = False
    note: str = ""

    @property
    def changes(self) -> list[str]:
        """What of it changes numbers by more than the order of sums; see `arithmetic_of`."""
        compiled = self.net is not None and self.net.provider == TENSORRT
        return [*(["half"] if self.half else []), *(["tensorrt"] if compiled else [])]

    def told(self, provider: str) -> str:
        """What runs it, in words.

        Args:
            provider: of the plain network.
        """
        by = self.net.provider if self.net else provider
        return f"{by} ({self.note})" if self.note else by


def arithmetic_of(settings: ModelSettings) -> list[str]:
    """How networks are to compute where that changes more than the order of sums."""
    half = ["half"] if settings.precision == "half" else []
    return [*half, *(["tensorrt"] if settings.cuda_runtime == "tensorrt" else [])]


def faster_detector(model: Any, runners: Sequence[Runner], settings: ModelSettings) -> Faster:
    """A detector for several frames a call, or in half precision.

    Args:
        model: InsightFace's, open.
        runners: what may run it, best first.
        settings: batch, precision, score.
    """
    on_gpu = model.session.get_providers()[0] == CUDA
    batch = settings.detection_batch or (BATCH_ON_GPU if on_gpu else 1)
    if batch == 1 and not on_gpu and settings.precision == "full":
        return Faster()
    path, size = Path(model.model_file), scrfd.input_size(model, None)
    try:
        scrfd.with_batch_axis(path, batch, size)
    except scrfd.FixedBatchError as error:
        asked = settings.detection_batch > 1 or settings.precision == "half"
        level = logging.WARNING if asked else logging.INFO
        log.log(level, "%s looks at one frame a call, in full precision: %s", path.name, error)
        return Faster(note=f"one frame a call, full precision: {error}")

    def opened(runner: Runner, half: bool) -> PictureNet:
        graph = scrfd.with_batch_axis(path, batch, size)
        net = _rewritten(graph, model, batch, runner, half=half)
        _same_faces(model, net, settings.det_score_min)
        return net

    return _first_that_holds("the detector", opened, runners, settings)


def faster_recogniser(
    model: Any,
    runners: Sequence[Runner],
    settings: ModelSettings,
    faces: Callable[[], list[ImageBGR]],
) -> Faster:
    """A recogniser on a GPU, or in half precision.

    Args:
        model: InsightFace's, open.
        runners: what may run it, best first.
        settings: batch and precision.
        faces: gives aligned faces to compare vectors of.
    """
    if model.session.get_providers()[0] != CUDA and settings.precision == "full":
        return Faster()

    def opened(runner: Runner, half: bool) -> PictureNet:
        import onnx

        graph = onnx.load(model.model_file)
        net = _rewritten(graph, model, settings.recognition_batch, runner, half=half)
        _same_vectors(model, net, faces())
        return net

    return _first_that_holds("the recogniser", opened, runners, settings)


def _first_that_holds(
    name: str,
    opened: Callable[[Runner, bool], PictureNet],
    runners: Sequence[Runner],
    settings: ModelSettings,
) -> Faster:
    """The first network that opens and says the same: half precision, if wanted, before full."""
    said = []
    halves = (True, False) if settings.precision == "half" else (False,)
    for half, runner in product(halves, runners):
        way = "half precision" if half else "full precision"
        try:
            net = opened(runner, half)
        except Exception as error:  # noqa: BLE001 - of ONNX and ONNX Runtime, by net and device
            said.append(f"{way}: {first_line(error)}")
            log.warning("%s does not run faster in %s; it goes on without", name, said[-1])
            continue
        return Faster(net, half, "; ".join([way, *said]))
    return Faster(note="; ".join(["plain", *said]))


def _rewritten(
    graph: onnx.ModelProto, model: Any, batch: int, runner: Runner, *, half: bool
) -> PictureNet:
    """The network, open.

    Raises:
        NotTheSameError: something else runs it.
    """
    colours = Colours(model.input_mean, model.input_std)
    net = PictureNet(given_pictures(halved(graph) if half else graph, colours, batch), runner)
    if net.provider != runner.providers[0]:
        raise NotTheSameError(f"{runner.providers[0]} does not run it here")
    return net


def _same_faces(model: Any, net: PictureNet, score_min: float) -> None:
    """Compares the faces of the photographs.

    Raises:
        NotTheSameError: one network finds a face, surely enough, that the other does not.
    """
    size = (net.width, net.height)
    plain = [scrfd.find(model, photo, size, score_min).boxes for photo in photographs()]
    other = [found.boxes for found in scrfd.find_many(model, net, photographs(), score_min)]
    if not any(map(len, plain)):
        raise NotTheSameError("no face is found on the bundled photographs to compare with")
    for ours, theirs in zip(plain, other, strict=True):
        for wanted, there in ((ours, theirs), (theirs, ours)):
            sure = wanted[wanted[:, 4] >= score_min + MOST_SCORE]
            if not all(_is_among(face, there) for face in sure):
                raise NotTheSameError("it finds other faces on the bundled photographs")


def _is_among(face: NDArray[np.float32], faces: NDArray[np.float32]) -> bool:
    box = Box(*face[:4].tolist())
    return any(
        box.iou(Box(*other[:4].tolist())) >= LEAST_OVERLAP
        and abs(float(face[4] - other[4])) <= MOST_SCORE
        for other in faces
    )


def _same_vectors(model: Any, net: PictureNet, faces: list[ImageBGR]) -> None:
    """Compares the vectors of aligned faces.

    Raises:
        NotTheSameError: those of one face have a cosine below `LEAST_COSINE`, or there is no face.
    """
    if not faces:
        raise NotTheSameError("no face is found on the bundled photographs to compare with")
    plain = np.concatenate([model.get_feat([face]) for face in faces])
    cosine = least_cosine(normalise(plain), normalise(net.over(faces)))
    if not cosine >= LEAST_COSINE:  # also where a number is none
        raise NotTheSameError(
            f"the vectors of a face have a cosine of {cosine:.4f}, and must have {LEAST_COSINE}"
        )
