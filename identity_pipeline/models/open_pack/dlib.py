"""dlib's file of its face recognition net: the weights of its layers, in forward order.

The format (dlib's `serialize.h`, `tensor.h`, `layers.h`): an integer is one byte, whose low four
bits count the bytes that follow, least significant first, and whose highest bit says negative; a
string is its length and its bytes; a tensor is its version (2), four dimensions and float32. Only
layers that hold weights are read; they are found by the names that are written before them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from identity_pipeline.models.open_pack.graph import ConversionError

LAYER: Final = re.compile(rb"\x01[\x04-\x07](con_4|affine_|fc_2)")
"""A length-prefixed name. Weights are read past, so that nothing in them is taken for one."""
TENSOR_VERSION: Final = 2
ALIAS_VERSION: Final = 1


@dataclass(frozen=True)
class Convolution:
    """A convolution, with the affine layer (from batch normalisation) behind it folded in.

    Attributes:
        weights: (filters, channels, height, width).
        bias: (filters,).
        stride: of rows and columns.
        padding: of rows and columns, on both sides.
    """

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    stride: tuple[int, int]
    padding: tuple[int, int]


@dataclass(frozen=True)
class ResnetWeights:
    """All weights of the net.

    Attributes:
        convolutions: in forward order.
        last: (256, 128) of the fully connected layer, which has no bias.
    """

    convolutions: list[Convolution]
    last: NDArray[np.float32]


class _Reader:
    def __init__(self, data: bytes, at: int) -> None:
        self._data, self.at = data, at

    def integer(self) -> int:
        head = self._data[self.at]
        end = self.at + 1 + (head & 0x0F)
        size = int.from_bytes(self._data[self.at + 1 : end], "little")
        self.at = end
        return -size if head & 0x80 else size

    def integers(self, count: int) -> list[int]:
        return [self.integer() for _ in range(count)]

    def tensor(self) -> NDArray[np.float32]:
        self._expect(TENSOR_VERSION)
        count = int(np.prod(self.integers(4)))
        values = np.frombuffer(self._data, "<f4", count, self.at)
        self.at += values.nbytes
        return values

    def aliases(self) -> list[int]:
        """The dimensions of the first of the two parts of the tensor before."""
        shapes = []
        for _ in range(2):
            self._expect(ALIAS_VERSION)
            shapes.append(self.integers(4))
        return shapes[0]

    def _expect(self, version: int) -> None:
        found = self.integer()
        if found != version:
            raise ConversionError(f"dlib's file has a tensor of version {found}, not {version}.")


def read_resnet(data: bytes) -> ResnetWeights:
    """The weights of `dlib_face_recognition_resnet_model_v1.dat`.

    Raises:
        ConversionError: the bytes are no such file.
    """
    convolutions: list[Convolution] = []
    last: NDArray[np.float32] | None = None
    bare: Convolution | None = None
    at = 0
    while found := LAYER.search(data, at):
        name = found[1]
        at = found.end()
        if data[found.start() + 1] != len(name):
            continue
        reader = _Reader(data, at)
        if name == b"con_4":
            bare = _convolution(reader)
        elif name == b"affine_" and bare is not None:
            convolutions.append(_folded(bare, reader))
            bare = None
        elif name == b"fc_2":
            outputs, inputs = reader.integers(2)
            last = reader.tensor().reshape(inputs, outputs)
        at = reader.at
    if last is None or bare is not None:
        raise ConversionError("dlib's file does not hold the layers of its face recognition net.")
    return ResnetWeights(convolutions, last)


def _convolution(reader: _Reader) -> Convolution:
    values = reader.tensor()
    _, _, _, row_stride, column_stride, row_padding, column_padding = reader.integers(7)
    shape = reader.aliases()
    count = int(np.prod(shape))
    stride, padding = (row_stride, column_stride), (row_padding, column_padding)
    return Convolution(values[:count].reshape(shape), values[count:], stride, padding)


def _folded(bare: Convolution, reader: _Reader) -> Convolution:
    """A convolution that does what it and the affine layer (gain, shift) behind it do."""
    gain, shift = np.split(reader.tensor(), 2)
    reader.aliases()
    bias = bare.bias if bare.bias.size else np.zeros(len(gain), np.float32)
    weights = bare.weights * gain[:, None, None, None]
    return Convolution(weights, bias * gain + shift, bare.stride, bare.padding)
