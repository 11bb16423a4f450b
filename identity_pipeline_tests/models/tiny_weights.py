"""Weight files of the open pack's two formats, made up and tiny."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np
from numpy.typing import NDArray

TYPES = {np.dtype(np.float32): 0, np.dtype(np.float16): 1, np.dtype(np.int32): 2}


def integer(value: int) -> bytes:
    """As dlib writes it: how many bytes and the sign, then the bytes."""
    size = max(1, (abs(value).bit_length() + 7) // 8)
    return bytes([size | (0x80 if value < 0 else 0)]) + abs(value).to_bytes(size, "little")


def integers(*values: int) -> bytes:
    return b"".join(map(integer, values))


def name(text: str) -> bytes:
    return integer(len(text)) + text.encode()


def tensor(values: NDArray[np.float32], version: int = 2) -> bytes:
    return integers(version, values.size, 1, 1, 1) + values.astype("<f4").tobytes()


def dlib_layers(
    weights: NDArray[np.float32], bias: NDArray[np.float32], gain: NDArray[np.float32],
    shift: NDArray[np.float32], last: NDArray[np.float32], *, version: int = 2,
) -> bytes:  # fmt: skip
    """A convolution of stride 2, an affine layer, and a fully connected one."""
    shape = weights.shape
    flat = np.concatenate([weights.ravel(), bias])
    return (
        b"before" + name("con_4") + tensor(flat, version)
        + integers(shape[0], shape[2], shape[3], 2, 2, 0, 1)
        + integers(1, *shape) + integers(1, 1, len(bias), 1, 1)
        + b"between" + name("affine_") + tensor(np.concatenate([gain, shift]))
        + integers(1, 1, len(gain), 1, 1) * 2
        + name("fc_2") + integers(last.shape[1], last.shape[0]) + tensor(last)
    )  # fmt: skip


@dataclass
class Tflite:
    """A .tflite file in the making."""

    tensors: list[tuple[list[int], int, bytes, Any]] = field(default_factory=list)
    steps: list[tuple[int, list[int], list[int], dict[int, tuple[str, int]]]] = field(
        default_factory=list
    )

    def value(self, *shape: int) -> int:
        self.tensors.append((list(shape), 0, b"", None))
        return len(self.tensors) - 1

    def constant(self, array: NDArray[Any], sparse_of: Sequence[int] | None = None) -> int:
        """A constant; one of zeros and some values may be stored without its zeros."""
        if sparse_of is None:
            self.tensors.append((list(array.shape), TYPES[array.dtype], array.tobytes(), None))
        else:
            rows = array.reshape(-1, array.shape[-1])
            starts = np.concatenate([[0], np.cumsum((rows != 0).sum(axis=1))])
            columns = np.nonzero(rows)[1]
            values = rows[rows != 0]
            how = (list(array.shape), starts.astype(np.uint16), columns.astype(np.uint8))
            self.tensors.append((list(array.shape), TYPES[array.dtype], values.tobytes(), how))
        return len(self.tensors) - 1

    def step(
        self, code: int, inputs: list[int], output: int, **options: tuple[int, str, int]
    ) -> int:
        """An operator; each option is its field, its kind and its value."""
        self.steps.append((code, inputs, [output], {n: (k, v) for n, k, v in options.values()}))
        return output

    def data(self, given: int, told: list[int]) -> bytes:
        """The file."""
        b = flatbuffers.Builder(0)
        buffers = [
            self._table(b, {0: ("vector", self._bytes(b, d))} if d else {})
            for _, _, d, _ in self.tensors
        ]
        tensors = [self._tensor(b, i, *t) for i, t in enumerate(self.tensors)]
        codes = sorted({code for code, *_ in self.steps})
        steps = []
        for code, inputs, outputs, options in self.steps:
            parts = {1: ("vector", self._ints(b, inputs)), 2: ("vector", self._ints(b, outputs))}
            if options:
                parts[4] = ("vector", self._table(b, dict(options)))
            steps.append(self._table(b, {0: ("uint32", codes.index(code)), **parts}))
        graph = self._table(b, {
            0: ("vector", self._tables(b, tensors)), 1: ("vector", self._ints(b, [given])),
            2: ("vector", self._ints(b, told)), 3: ("vector", self._tables(b, steps)),
        })  # fmt: skip
        operators = [self._table(b, {0: ("int8", min(c, 127)), 3: ("int32", c)}) for c in codes]
        model = self._table(b, {
            0: ("uint32", 3), 1: ("vector", self._tables(b, operators)),
            2: ("vector", self._tables(b, [graph])), 4: ("vector", self._tables(b, buffers)),
        })  # fmt: skip
        b.Finish(model, file_identifier=b"TFL3")
        return bytes(b.Output())

    def _tensor(self, b: Any, number: int, shape: list[int], kind: int, _: bytes, how: Any) -> int:
        text = b.CreateString(f"value_{number}")
        parts = {
            0: ("vector", self._ints(b, shape)),
            1: ("int8", kind),
            2: ("uint32", number),
            3: ("vector", text),
        }
        if how is not None:
            parts[6] = ("vector", self._sparsity(b, *how))
        return self._table(b, parts)

    def _sparsity(self, b: Any, shape: list[int], starts: Any, columns: Any) -> int:
        dense = [self._table(b, {0: ("int8", 0), 1: ("int32", n)}) for n in shape[:-1]]
        ends = self._table(b, {0: ("vector", b.CreateNumpyVector(starts))})
        places = self._table(b, {0: ("vector", b.CreateNumpyVector(columns))})
        last = self._table(b, {
            0: ("int8", 1), 2: ("uint8", 2), 3: ("vector", ends),
            4: ("uint8", 3), 5: ("vector", places),
        })  # fmt: skip
        order = self._ints(b, list(range(len(shape))))
        return self._table(
            b, {0: ("vector", order), 2: ("vector", self._tables(b, [*dense, last]))}
        )

    @staticmethod
    def _bytes(b: Any, data: bytes) -> int:
        return b.CreateNumpyVector(np.frombuffer(data, np.uint8))

    @staticmethod
    def _ints(b: Any, values: list[int]) -> int:
        return b.CreateNumpyVector(np.array(values, np.int32))

    @staticmethod
    def _tables(b: Any, tables: list[int]) -> int:
        b.StartVector(4, len(tables), 4)
        for one in reversed(tables):
            b.PrependUOffsetTRelative(one)
        return b.EndVector()

    @staticmethod
    def _table(b: Any, parts: dict[int, tuple[str, int]]) -> int:
        b.StartObject(8)
        put = {
            "vector": b.PrependUOffsetTRelativeSlot, "bool": b.PrependBoolSlot,
            "int8": b.PrependInt8Slot, "uint8": b.PrependUint8Slot,
            "int32": b.PrependInt32Slot, "uint32": b.PrependUint32Slot,
        }  # fmt: skip
        for number, (kind, value) in parts.items():
            put[kind](number, value, 0)
        return b.EndObject()


def floats(rng: np.random.Generator, *shape: int) -> NDArray[np.float32]:
    return rng.standard_normal(shape, dtype=np.float32)
