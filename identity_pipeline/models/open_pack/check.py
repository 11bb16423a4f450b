"""Whether the nets of the pack compute on this machine what they computed when they were recorded.

What belongs here: a face that is drawn by arithmetic, what each net is asked of it, and the
comparison with `recorded.json`. That files are whole is told by their digests (`fetch`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from identity_pipeline.models.open_pack import build

TOLERANCE: Final = 1e-3
"""Largest difference over the largest recorded value. Kernels of two processors differ by 1e-5; a
wrong net by more than .1."""
SAMPLE: Final = 128
"""So many numbers of an output are compared at most, evenly chosen."""
RECORDED: Final = "recorded.json"
Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class NetCheck:
    """What a net gave.

    Attributes:
        net: its path in the folder.
        difference: largest difference from what was recorded, over the largest recorded value.
    """

    net: str
    difference: float

    @property
    def passed(self) -> bool:
        """Whether it computes what was recorded."""
        return self.difference <= TOLERANCE


def self_check(folder: Path) -> list[NetCheck]:
    """Runs every net of a pack once, on the processor, and compares.

    Args:
        folder: of a whole pack.
    """
    return [
        NetCheck(net, _difference(answer(folder, net), np.array(recorded()["outputs"][net])))
        for net in build.NETS
    ]


@cache
def recorded() -> dict[str, Any]:
    """`sha256` of the nets by path, and the `outputs` of each on the drawn face."""
    return json.loads(build.data_file(RECORDED))


def answer(folder: Path, net: str) -> NDArray[np.float32]:
    """What one net says of the drawn face: a sample of its numbers.

    Args:
        folder: of a pack.
        net: its path there.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        str(folder / net), sess_options=options, providers=["CPUExecutionProvider"]
    )
    side, shift, scale = _FED[net]
    picture = (drawn_face(side).astype(np.float32) - shift) / scale
    given = {session.get_inputs()[0].name: picture.transpose(2, 0, 1)[None]}
    names = [output.name for output in session.get_outputs()]
    outputs = [np.asarray(each, np.float32) for each in session.run(names, given)]
    if net == build.DETECTOR:
        by_name = dict(zip(names, outputs, strict=True))
        best = int(by_name["score_32"].argmax())
        outputs = [by_name[f"{kind}_32"][best] for kind in ("score", "bbox", "kps")]
    row = np.concatenate([each.ravel() for each in outputs])
    row = row[-204:] if net == build.LANDMARKS else row  # zeros stand before the points
    return row[:: -(-len(row) // SAMPLE)]


_FED: Final = {
    build.DETECTOR: (320, 127.5, 128.0),
    build.LANDMARKS: (192, 127.5, 128.0),
    build.RECOGNISER: (112, 127.5, 127.5),
    build.MESH: (192, 0.0, 255.0),
    build.IRIS: (64, 0.0, 255.0),
}
"""Side of each net's picture in pixels, and what is taken off its values and divides them."""


def drawn_face(side: int) -> Picture:
    """A face of flat discs on a slope of colours, (side, side, 3) RGB; whole numbers only."""
    y, x = np.mgrid[:side, :side]
    picture = np.stack([90 + 60 * x // side, 110 + 40 * y // side, np.full_like(x, 150)], axis=2)
    for across, down, wide, high, colour in _DISCS:
        # In tenths of a percent of the side; squared, so that nothing is rounded.
        beside = (1000 * x - across * side) * high
        below = (1000 * y - down * side) * wide
        picture[beside**2 + below**2 < (wide * high * side) ** 2] = colour
    return picture.astype(np.uint8)


_DISCS: Final = (
    (500, 460, 290, 380, (60, 42, 32)),  # hair
    (500, 900, 100, 140, (196, 150, 128)),  # neck
    (500, 520, 240, 320, (214, 170, 146)),  # face
    *(
        (across + aside, down, wide, high, colour)
        for across in (400, 600)
        for aside, down, wide, high, colour in (
            (0, 470, 50, 25, (240, 240, 240)),
            (0, 470, 22, 24, (50, 34, 26)),
            (0, 410, 60, 12, (70, 48, 36)),
        )
    ),
    (500, 570, 32, 50, (196, 150, 126)),  # nose
    (480, 605, 10, 7, (120, 80, 70)),
    (520, 605, 10, 7, (120, 80, 70)),
    (500, 690, 80, 26, (168, 84, 84)),  # mouth
    (500, 690, 65, 5, (110, 50, 52)),
)


def _difference(found: NDArray[np.float32], known: NDArray[np.float64]) -> float:
    if found.shape != known.shape or not np.isfinite(found).all():
        return float("inf")
    return float(np.abs(found - known).max() / np.abs(known).max())
