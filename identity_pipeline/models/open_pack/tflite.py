"""MediaPipe's float nets: from .tflite files to ONNX.

What belongs here: the parts of the TFLite format (flatbuffer tables by the field numbers of its
public schema) and the eleven operators that the three nets of the pack are made of. Anything else
is refused: the files are pinned by their digests.

TFLite computes on (batch, height, width, channel), ONNX on (batch, channel, height, width).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, NamedTuple

import numpy as np
from flatbuffers import number_types as kinds
from flatbuffers.table import Table
from numpy.typing import NDArray
from onnx import ModelProto

from identity_pipeline.models.open_pack.graph import ConversionError, Graph, value

MAGIC: Final = b"TFL3"
DTYPES: Final[Mapping[int, type[np.generic]]] = {0: np.float32, 1: np.float16, 2: np.int32}
"""Of `TensorType` in the schema."""
SPARSE_INDEX: Final[Mapping[int, type]] = {
    1: kinds.Int32Flags, 2: kinds.Uint16Flags, 3: kinds.Uint8Flags,
}  # fmt: skip
"""Of the union `SparseIndexVector`."""
SAME: Final = 0
"""Of `Padding`."""
RELU: Final = 1
"""Of `ActivationFunctionType`; 0 is none."""


class Fields:
    """A flatbuffer table, read by the numbers of its fields."""

    def __init__(self, data: bytes, position: int) -> None:
        self._table = Table(data, position)

    @classmethod
    def root(cls, data: bytes) -> Fields:
        """The outermost table of a buffer."""
        return cls(data, Table(data, 0).Get(kinds.UOffsetTFlags, 0))

    def _offset(self, field: int) -> int:
        return self._table.Offset(4 + 2 * field)

    def number(self, field: int, kind: Any = kinds.Int32Flags, default: int = 0) -> int:
        """A number; its default where the field is left out."""
        offset = self._offset(field)
        return self._table.Get(kind, self._table.Pos + offset) if offset else default

    def table(self, field: int) -> Fields | None:
        """A table within; None where it is left out."""
        offset = self._offset(field)
        data, place = self._table.Bytes, self._table.Pos + offset
        return Fields(data, self._table.Indirect(place)) if offset else None

    def needed(self, field: int) -> Fields:
        """A table within.

        Raises:
            ConversionError: it is left out.
        """
        found = self.table(field)
        if found is None:
            raise ConversionError(f"a part of the .tflite file lacks its field {field}.")
        return found

    def tables(self, field: int) -> list[Fields]:
        """A vector of tables; empty where it is left out."""
        offset = self._offset(field)
        if not offset:
            return []
        data, start = self._table.Bytes, self._table.Vector(offset)
        places = (start + 4 * i for i in range(self._table.VectorLen(offset)))
        return [Fields(data, self._table.Indirect(place)) for place in places]

    def array(self, field: int, kind: Any = kinds.Int32Flags) -> NDArray[Any]:
        """A vector of numbers; empty where it is left out."""
        offset = self._offset(field)
        return self._table.GetVectorAsNumpy(kind, offset) if offset else np.zeros(0, np.int32)

    def text(self, field: int) -> str:
        """A string."""
        return self.array(field, kinds.Uint8Flags).tobytes().decode()


class Step(NamedTuple):
    """One operator of the net: its code, the numbers of its tensors, and its options."""

    code: int
    inputs: list[int]
    outputs: list[int]
    options: Fields | None

    @property
    def chosen(self) -> Fields:
        """The options.

        Raises:
            ConversionError: there are none.
        """
        if self.options is None:
            raise ConversionError(f"operator {self.code} of the .tflite file has no options.")
        return self.options


@dataclass(frozen=True)
class TfliteNet:
    """A .tflite file with one graph."""

    model: Fields

    @classmethod
    def parse(cls, data: bytes) -> TfliteNet:
        """Reads the tables of a file.

        Raises:
            ConversionError: it is no .tflite file.
        """
        if data[4:8] != MAGIC:
            raise ConversionError("these bytes are no .tflite file.")
        return cls(Fields.root(data))

    @cached_property
    def graph(self) -> Fields:
        """The one graph."""
        return self.model.tables(2)[0]

    @cached_property
    def tensors(self) -> list[Fields]:
        """Shapes, types and buffers of all values."""
        return self.graph.tables(0)

    def shape(self, tensor: int) -> list[int]:
        """(batch, height, width, channel), or fewer."""
        return self.tensors[tensor].array(0).tolist()

    def name(self, tensor: int) -> str:
        """What the file calls a value."""
        return self.tensors[tensor].text(3)

    @cached_property
    def steps(self) -> list[Step]:
        """The operators in the order in which they run."""
        codes = [max(c.number(0, kinds.Int8Flags), c.number(3)) for c in self.model.tables(1)]
        return [
            Step(
                codes[one.number(0, kinds.Uint32Flags)],
                one.array(1).tolist(),
                one.array(2).tolist(),
                one.table(4),
            )
            for one in self.graph.tables(3)
        ]

    def stored(self) -> dict[int, NDArray[Any]]:
        """The constants by tensor; sparse ones are only the values that are not zero."""
        buffers = self.model.tables(4)
        found: dict[int, NDArray[Any]] = {}
        for number, tensor in enumerate(self.tensors):
            raw = buffers[tensor.number(2, kinds.Uint32Flags)].array(0, kinds.Uint8Flags)
            if raw.size:
                kind = tensor.number(1, kinds.Int8Flags)
                if kind not in DTYPES:
                    raise ConversionError(f"the .tflite file has constants of type {kind}.")
                values = np.frombuffer(raw.tobytes(), DTYPES[kind])
                whole = tensor.table(6) is None
                found[number] = values.reshape(self.shape(number)) if whole else values
        return found

    def dense(self, tensor: int, values: NDArray[Any]) -> NDArray[Any]:
        """A sparse constant with its zeros: rows along the last axis name their columns.

        Raises:
            ConversionError: another axis than the last one is sparse.
        """
        dimensions = self.tensors[tensor].needed(6).tables(2)
        formats = [one.number(0, kinds.Int8Flags) for one in dimensions]
        if len(formats) != len(self.shape(tensor)) or formats != [0] * (len(formats) - 1) + [1]:
            raise ConversionError("the .tflite file has sparse constants of another kind.")
        starts, columns = (self._indices(dimensions[-1], field) for field in (2, 4))
        full = np.zeros((len(starts) - 1, self.shape(tensor)[-1]), values.dtype)
        full[np.repeat(np.arange(len(starts) - 1), np.diff(starts)), columns] = values
        return full.reshape(self.shape(tensor))

    @staticmethod
    def _indices(dimension: Fields, field: int) -> NDArray[np.int64]:
        kind = SPARSE_INDEX[dimension.number(field, kinds.Uint8Flags)]
        return dimension.needed(field + 1).array(0, kind).astype(np.int64)


def to_onnx(data: bytes, name: str, *, free: bool = False) -> ModelProto:
    """A net as ONNX: input (N, 3, H, W), outputs by the names that the file gives them.

    Args:
        data: the .tflite file.
        name: of the new graph.
        free: height and width are free; else those of the file.

    Raises:
        ConversionError: the file holds what this converter does not know.
    """
    return _Converter(TfliteNet.parse(data)).model(name, free=free)


class _Converter:
    """The state of one conversion: which constants are known, and what each value is called."""

    def __init__(self, net: TfliteNet) -> None:
        self._net = net
        self._graph = Graph()
        self._constants = net.stored()
        self._names: dict[int, str] = {}
        self._operators: Mapping[int, Callable[[Step], str | None]] = {
            0: self._sum,
            3: lambda step: self._convolution(step, activation=3, dilations=(5, 4)),
            4: lambda step: self._convolution(
                step, activation=4, dilations=(6, 5), by_channel=True
            ),
            5: self._depth_to_space,
            6: self._as_floats,
            17: self._largest,
            22: self._reshaped,
            23: self._resized,
            34: self._padded,
            54: self._prelu,
            124: self._densified,
        }

    def model(self, name: str, *, free: bool) -> ModelProto:
        net = self._net
        (given,) = net.graph.array(1).tolist()
        self._names[given] = "input"
        for step in net.steps:
            if step.code not in self._operators:
                raise ConversionError(f"the .tflite file has an unknown operator ({step.code}).")
            made = self._operators[step.code](step)
            if made is not None:
                self._names[step.outputs[0]] = made
        height, width = ("H", "W") if free else net.shape(given)[1:3]
        outputs = [self._output(number, free) for number in net.graph.array(2).tolist()]
        return self._graph.model(name, [value("input", ["N", 3, height, width])], outputs)

    def _output(self, tensor: int, free: bool) -> Any:
        """An output of the graph: rows of numbers, or one row where the file has 1x1 pictures."""
        shape, name = self._net.shape(tensor), self._net.name(tensor)
        if len(shape) == 4:
            self._graph.add("Flatten", self._names[tensor], out=name, axis=1)
            return value(name, ["N", int(np.prod(shape[1:]))])
        self._graph.add("Identity", self._names[tensor], out=name)
        return value(name, ["N", *(["R"] if free and len(shape) == 3 else shape[1:2]), *shape[2:]])

    def _value(self, tensor: int) -> str:
        """The name of a value; a constant is laid out (batch, channel, height, width)."""
        if tensor not in self._constants:
            return self._names[tensor]
        constant = self._constants[tensor].astype(np.float32)
        axes = {4: (0, 3, 1, 2), 3: (2, 0, 1)}.get(constant.ndim)
        return self._graph.constant(constant if axes is None else constant.transpose(axes))

    def _activated(self, made: str, kind: int) -> str:
        if kind not in (0, RELU):
            raise ConversionError(f"the .tflite file has an unknown activation ({kind}).")
        return self._graph.add("Relu", made) if kind == RELU else made

    def _as_floats(self, step: Step) -> None:
        self._constants[step.outputs[0]] = self._constants[step.inputs[0]].astype(np.float32)

    def _densified(self, step: Step) -> None:
        (given,) = step.inputs
        self._constants[step.outputs[0]] = self._net.dense(given, self._constants[given])

    def _convolution(
        self, step: Step, *, activation: int, dilations: tuple[int, int], by_channel: bool = False
    ) -> str:
        given, weights, *bias = step.inputs
        kernel = self._constants[weights].astype(np.float32)
        kernel = kernel.transpose(3, 0, 1, 2) if by_channel else kernel.transpose(0, 3, 1, 2)
        names = [self._graph.constant(kernel)]
        names += [self._graph.constant(self._constants[one].astype(np.float32)) for one in bias]
        options = step.chosen
        made = self._graph.add(
            "Conv",
            self._value(given),
            *names,
            kernel_shape=list(kernel.shape[2:]),
            strides=[options.number(2), options.number(1)],
            dilations=[options.number(field, default=1) for field in dilations],
            group=self._net.shape(given)[-1] if by_channel else 1,
            auto_pad=_padding(options),
        )
        return self._activated(made, options.number(activation, kinds.Int8Flags))

    def _largest(self, step: Step) -> str:
        options = step.chosen
        return self._graph.add(
            "MaxPool",
            self._value(step.inputs[0]),
            kernel_shape=[options.number(4), options.number(3)],
            strides=[options.number(2), options.number(1)],
            auto_pad=_padding(options),
        )

    def _sum(self, step: Step) -> str:
        made = self._graph.add("Add", *map(self._value, step.inputs))
        kind = step.options.number(0, kinds.Int8Flags) if step.options else 0
        return self._activated(made, kind)

    def _prelu(self, step: Step) -> str:
        return self._graph.add("PRelu", *map(self._value, step.inputs))

    def _depth_to_space(self, step: Step) -> str:
        side = step.chosen.number(0)
        given = self._value(step.inputs[0])
        return self._graph.add("DepthToSpace", given, blocksize=side, mode="DCR")

    def _padded(self, step: Step) -> str:
        given, amounts = step.inputs
        pads = self._constants[amounts][[0, 3, 1, 2]]
        ends = self._graph.integers(*pads[:, 0].tolist(), *pads[:, 1].tolist())
        return self._graph.add("Pad", self._value(given), ends)

    def _resized(self, step: Step) -> str:
        """Bilinear, pixels at their centres.

        Raises:
            ConversionError: the file means other positions.
        """
        flags = [step.chosen.number(field, kinds.BoolFlags) for field in (2, 3)]
        if flags != [False, True]:
            raise ConversionError("the .tflite file resizes pictures in another way.")
        before, after = (self._net.shape(one) for one in (step.inputs[0], step.outputs[0]))
        scales = [1.0, 1.0, after[1] / before[1], after[2] / before[2]]
        return self._graph.add(
            "Resize",
            self._value(step.inputs[0]),
            "",
            self._graph.constant(scales),
            mode="linear",
            coordinate_transformation_mode="half_pixel",
        )

    def _reshaped(self, step: Step) -> str:
        """Rows of numbers from a picture, in the order of TFLite.

        Raises:
            ConversionError: it becomes a picture, or is none.
        """
        before, after = (self._net.shape(one) for one in (step.inputs[0], step.outputs[0]))
        if len(before) != 4 or len(after) not in (2, 3):
            raise ConversionError("the .tflite file reshapes values in another way.")
        last = self._graph.add("Transpose", self._value(step.inputs[0]), perm=[0, 2, 3, 1])
        to = [0, after[1]] if len(after) == 2 else [0, -1, after[2]]
        return self._graph.add("Reshape", last, self._graph.integers(*to))


def _padding(options: Fields) -> str:
    """ONNX's word: where the padding is odd, TFLite too puts the greater half at the end."""
    return "SAME_UPPER" if options.number(0, kinds.Int8Flags) == SAME else "VALID"
