"""dlib's face recognition net as an ArcFace recogniser: aligned 112 px faces to 128 numbers."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from identity_pipeline.models.open_pack.dlib import Convolution, ResnetWeights
from identity_pipeline.models.open_pack.graph import ConversionError, Graph, interpolation, value

MEAN_RGB: Final = (122.782, 117.001, 104.298)
"""dlib's `input_rgb_image`: taken off the pixels, which are then divided by 256."""
CHIP: Final = 150
"""Side of the pictures that dlib's net sees, in pixels."""
CHIP_PER_PX: Final = 1.4915
"""Pixels of dlib's chip in one of the 112 px face, and where the chip begins in the latter: from
dlib's five points at its padding of .25 laid onto the ArcFace template. The chip ends 8.6 px below
the 112 px face; its last row is repeated."""
CHIP_FROM: Final = (6.29, 20.0)
WIDTHS: Final = (32, 32, 32, 64, 64, 64, 64, 128, 128, 128, 256, 256, 256, 256)
"""Channels of the residual blocks. One that widens, and the last, also halves the picture."""
HALVING: Final = frozenset({3, 7, 10, 13})


def recogniser(
    weights: ResnetWeights, mean: NDArray[np.floating], spread: NDArray[np.floating]
) -> ModelProto:
    """The net, (N, 3, 112, 112) as InsightFace feeds a recogniser to (N, 128) about the mean.

    Vectors of dlib's net lie about a large common mean (norm 1.36 of 1.5), so that their cosines
    hardly differ, and what is left is mostly of what group somebody is. Both are mended inside the
    graph, so that it is part of the file, and so of the space's digest.

    Args:
        weights: of dlib's file.
        mean: (128,) the mean vector of faces of many people.
        spread: (128, 128) by which what is left is multiplied: it damps the directions in which
            they differ most.

    Raises:
        ConversionError: they are those of another net, or mean or spread have another length.
    """
    size = weights.last.shape[1]
    whole = len(weights.convolutions) == 1 + 2 * len(WIDTHS)
    if not whole or np.shape(mean) != (size,) or np.shape(spread) != (size, size):
        raise ConversionError("dlib's file, or the space, is that of another recognition net.")
    graph = Graph()
    # InsightFace feeds (pixel - 127.5) / 127.5 in RGB.
    half = graph.constant(127.5)
    pixels = graph.add("Add", graph.add("Mul", "data", half), half)
    rows, columns = (
        interpolation(np.arange(CHIP) / CHIP_PER_PX + start, 112) for start in CHIP_FROM[::-1]
    )
    chip = graph.add("MatMul", graph.constant(rows), pixels)
    chip = graph.add("MatMul", chip, graph.constant(columns.T))
    centred = graph.add("Sub", chip, graph.constant(np.reshape(MEAN_RGB, (1, 3, 1, 1))))
    features = graph.add("Mul", centred, graph.constant(1 / 256))
    features = _Trunk(graph, weights.convolutions).run(features)
    pooled = graph.add("Flatten", graph.add("GlobalAveragePool", features), axis=1)
    raw = graph.add("MatMul", pooled, graph.constant(weights.last))
    about = graph.add("Sub", raw, graph.constant(mean))
    graph.add("MatMul", about, graph.constant(spread), out="embedding")
    given = [value("data", ["N", 3, 112, 112])]
    return graph.model("dlib_resnet_v1", given, [value("embedding", ["N", len(mean)])])


class _Trunk:
    """The convolutions; it keeps count of the picture's side and channels, which dlib pads."""

    def __init__(self, graph: Graph, convolutions: list[Convolution]) -> None:
        self._graph = graph
        self._left = iter(convolutions)

    def run(self, picture: str) -> str:
        picture, side, channels = self._convolution(picture, CHIP)
        picture = self._graph.add("Relu", picture)
        picture = self._graph.add("MaxPool", picture, kernel_shape=[3, 3], strides=[2, 2])
        side = (side - 3) // 2 + 1
        for number, width in enumerate(WIDTHS):
            picture, side, channels = self._block(picture, side, channels, number in HALVING)
            if channels != width:
                raise ConversionError("dlib's file is that of another recognition net.")
        return picture

    def _convolution(self, picture: str, side: int) -> tuple[str, int, int]:
        one = next(self._left)
        kernel = one.weights.shape[2:]
        made = self._graph.add(
            "Conv",
            picture,
            self._graph.constant(one.weights),
            self._graph.constant(one.bias),
            kernel_shape=list(kernel),
            strides=list(one.stride),
            pads=[*one.padding, *one.padding],
        )
        return made, (side + 2 * one.padding[0] - kernel[0]) // one.stride[0] + 1, len(one.weights)

    def _block(self, picture: str, side: int, channels: int, halving: bool) -> tuple[str, int, int]:
        """Two convolutions, added to what came in; the smaller of the two is padded by zeros."""
        made, inner, _ = self._convolution(picture, side)
        made, inner, width = self._convolution(self._graph.add("Relu", made), inner)
        if halving:
            picture = self._graph.add("AveragePool", picture, kernel_shape=[2, 2], strides=[2, 2])
            side //= 2
        largest, widest = max(side, inner), max(channels, width)
        made = self._grown(made, largest - inner, widest - width)
        picture = self._grown(picture, largest - side, widest - channels)
        return self._graph.add("Relu", self._graph.add("Add", made, picture)), largest, widest

    def _grown(self, picture: str, pixels: int, channels: int) -> str:
        """With zeros behind the last row, column and channel, as dlib adds unequal pictures."""
        if not pixels and not channels:
            return picture
        ends = self._graph.integers(0, 0, 0, 0, 0, channels, pixels, pixels)
        return self._graph.add("Pad", picture, ends)
