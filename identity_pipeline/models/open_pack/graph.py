"""An ONNX graph in the making: nodes and constants, named in the order in which they are added.

The same calls give the same bytes, whatever else was built before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import ArrayLike, NDArray
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from identity_pipeline.errors import IdentityPipelineError

OPSET: Final = 17
IR_VERSION: Final = 8
PRODUCER: Final = "identity_pipeline"
Dimension = int | str


class ConversionError(IdentityPipelineError, ValueError):
    """Weights are not those of the net that this converter knows."""


def value(name: str, shape: Sequence[Dimension]) -> ValueInfoProto:
    """A float32 input or output of a graph; a dimension that is a name is free."""
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))


class Graph:
    """Collects what a graph is made of.

    Nodes are called n0, n1, …: InsightFace takes names that begin with Sub or Mul as a sign that a
    net normalises its pictures itself.
    """

    def __init__(self) -> None:
        self._nodes: list[NodeProto] = []
        self._constants: list[TensorProto] = []

    def constant(self, array: ArrayLike, dtype: type[np.generic] = np.float32) -> str:
        """Adds a constant and returns its name."""
        name = f"c{len(self._constants)}"
        whole = np.ascontiguousarray(np.asarray(array, dtype=dtype))
        self._constants.append(numpy_helper.from_array(whole.reshape(np.shape(array)), name))
        return name

    def integers(self, *values: int) -> str:
        """Adds a vector of int64 and returns its name."""
        return self.constant(np.array(values), np.int64)

    def add(self, kind: str, *inputs: str, out: str | None = None, **attributes: Any) -> str:
        """Adds a node with one output.

        Args:
            kind: the ONNX operator.
            inputs: names of values; an empty one is left out.
            out: name of its output; None gives it one.
            attributes: of the operator.

        Returns:
            The name of the output.
        """
        return self.add_many(kind, *inputs, outs=[out or f"v{len(self._nodes)}"], **attributes)[0]

    def add_many(
        self, kind: str, *inputs: str, outs: Sequence[str], **attributes: Any
    ) -> Sequence[str]:
        """Adds a node with several outputs, whose names are given."""
        name = f"n{len(self._nodes)}"
        self._nodes.append(
            helper.make_node(kind, list(inputs), list(outs), name=name, **attributes)
        )
        return outs

    def slice(self, whole: str, start: str, end: str, axis: int) -> str:
        """Adds a cut along one axis; start and end are names of vectors of one int64."""
        return self.add("Slice", whole, start, end, self.integers(axis))

    def share(self, net: ModelProto) -> dict[str, str]:
        """Adds the constants of another net, to be used by any number of `embed`.

        Returns:
            The name here of each constant there.
        """
        arrays = {one.name: numpy_helper.to_array(one) for one in net.graph.initializer}
        return {name: self.constant(array, array.dtype.type) for name, array in arrays.items()}

    def embed(self, net: ModelProto, constants: dict[str, str], given: str) -> list[str]:
        """Adds the nodes of another net of one input.

        Args:
            net: the other net.
            constants: what `share` returned for it.
            given: the name of its input here.

        Returns:
            The names of its outputs here.
        """
        known = {net.graph.input[0].name: given, "": "", **constants}
        for node in net.graph.node:
            copied = NodeProto()
            copied.CopyFrom(node)
            copied.name = f"n{len(self._nodes)}"
            known |= {name: f"v{len(self._nodes)}_{i}" for i, name in enumerate(node.output)}
            copied.input[:] = [known[name] for name in node.input]
            copied.output[:] = [known[name] for name in node.output]
            self._nodes.append(copied)
        return [known[output.name] for output in net.graph.output]

    def model(
        self, name: str, inputs: Sequence[ValueInfoProto], outputs: Sequence[ValueInfoProto]
    ) -> ModelProto:
        """The whole net, checked."""
        graph = helper.make_graph(self._nodes, name, inputs, outputs, self._constants)
        made = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name=PRODUCER
        )
        made.ir_version = IR_VERSION
        onnx.checker.check_model(made)
        return made


def interpolation(positions: NDArray[np.floating], size: int) -> NDArray[np.float32]:
    """The matrix (P, size) that reads a line of pixels at P positions by linear interpolation.

    Positions beyond the ends read the end pixels.
    """
    inside = np.clip(np.asarray(positions, np.float64), 0, size - 1)
    below = np.minimum(np.floor(inside), size - 2).astype(int)
    matrix = np.zeros((len(inside), size), np.float32)
    rows = np.arange(len(inside))
    matrix[rows, below] = 1 - (inside - below)
    matrix[rows, below + 1] = inside - below
    return matrix
