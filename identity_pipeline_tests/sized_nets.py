"""Networks with random weights and the layers of well-known ones: what they cost is true, not what
they say.

An SCRFD as its authors publish it (three heads flattened together, one frame a call) and the
ResNet-50 of ArcFace, with as many channels as are asked for: alone, or inside a smaller network
that is trained, which then says what it says and costs what both cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SCRFD_10G: Final = (28, (56, 88, 88, 224), (3, 4, 2, 3), 56, 80)
"""Stem, planes and blocks of the backbone, neck, heads (SCRFD, Guo et al. 2021, `scrfd_10g`)."""
SCRFD_TINY: Final = (4, (8, 8, 8, 16), (1, 1, 1, 1), 8, 8)
ARCFACE_R50: Final = ((64, 128, 256, 512), (3, 4, 14, 3))
"""Channels and blocks of `iresnet50` (ArcFace, Deng et al. 2019)."""
ARCFACE_TINY: Final = ((4, 8, 8, 8), (1, 1, 1, 1))


@dataclass
class _Layers:
    """A graph that grows by layers."""

    rng: np.random.Generator
    prefix: str = ""
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: list[onnx.TensorProto] = field(default_factory=list)

    def add(self, kind: str, given: Sequence[str], **attributes: Any) -> str:
        """A layer; returns the name of what it gives."""
        name = f"{self.prefix}v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(given), [name], **attributes))
        return name

    def weight(self, values: np.ndarray) -> str:
        """A constant; returns its name."""
        name = f"{self.prefix}w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def conv(self, given: str, size: tuple[int, int, int], stride: int = 1, bias: float = 0) -> str:
        """A convolution of (inputs, outputs, side)."""
        inputs, outputs, side = size
        spread = np.sqrt(2 / (inputs * side * side))
        spread *= 0.05 if bias else 1  # an output: boxes have sides
        values = self.rng.normal(0, spread, (outputs, inputs, side, side)).astype(np.float32)
        shift = np.full(outputs, bias, np.float32)
        pads = [side // 2] * 4
        names = [given, self.weight(values), self.weight(shift)]
        return self.add("Conv", names, strides=[stride] * 2, pads=pads, kernel_shape=[side] * 2)

    def relu(self, given: str) -> str:
        """Its positive part."""
        return self.add("Relu", [given])

    def save(self, path: Path, given: tuple[str, list[int | str]], told: dict[str, list]) -> Path:
        """Writes it."""
        inputs = [helper.make_tensor_value_info(given[0], TensorProto.FLOAT, given[1])]
        outputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in told.items()]
        graph = helper.make_graph(self.nodes, path.stem, inputs, outputs, self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        onnx.save(model, str(path))
        return path


def scrfd(path: Path, shape: tuple = SCRFD_10G) -> Path:
    """A detector in a file."""
    net = _Layers(np.random.default_rng(0))
    told: dict[str, list] = {}
    for width, stride, x in _scrfd_heads(net, "input.1", shape):
        flat = net.add("Transpose", [x], perm=[2, 3, 0, 1])
        flat = net.add("Reshape", [flat, net.weight(np.array([-1, width], np.int64))])
        name = net.add("Sigmoid", [flat]) if width == 1 else flat
        told[name] = [f"rows_{stride}", width]
    return net.save(path, ("input.1", [1, 3, "?", "?"]), told)


def with_scrfd(trained: Path, path: Path, shape: tuple = SCRFD_10G) -> Path:
    """A trained detector that computes a random one too, of which it adds nothing to its input.

    Args:
        trained: its file; it takes (N, 3, height, width).
        path: of the file that is written.
        shape: of the random one.
    """
    model = onnx.load(str(trained))
    given, net = model.graph.input[0].name, _Layers(np.random.default_rng(0), "random_")
    nothing = []
    for width, _, x in _scrfd_heads(net, given, shape):
        mean = net.add("GlobalAveragePool", [x])
        none = net.weight(np.zeros((3, 2 * width, 1, 1), np.float32))
        nothing.append(net.add("Conv", [mean, none], kernel_shape=[1, 1]))
    while len(nothing) > 1:
        nothing.append(net.add("Add", [nothing.pop(), nothing.pop()]))
    same = net.add("Add", [given, nothing[0]])
    trained_nodes = list(model.graph.node)
    for node in trained_nodes:
        node.input[:] = [same if name == given else name for name in node.input]
    del model.graph.node[:]
    model.graph.node.extend([*net.nodes, *trained_nodes])
    model.graph.initializer.extend(net.weights)
    onnx.save(model, str(path))
    return path


def _scrfd_heads(net: _Layers, given: str, shape: tuple) -> list[tuple[int, int, str]]:
    """The layers of an SCRFD: numbers of an anchor, stride and name of each output."""
    stem, planes, blocks, neck, head = shape
    x = net.relu(net.conv(given, (3, stem, 3), 2))
    x = net.relu(net.conv(x, (stem, stem, 3)))
    x = net.relu(net.conv(x, (stem, planes[0], 3)))
    x = net.add("MaxPool", [x], kernel_shape=[2, 2], strides=[2, 2])
    levels, channels = [], planes[0]
    for n, (width, count) in enumerate(zip(planes, blocks, strict=True)):
        for block in range(count):
            stride = 2 if n and not block else 1
            y = net.relu(net.conv(x, (channels, width, 3), stride))
            y = net.conv(y, (width, width, 3))
            same = stride == 1 and channels == width
            x = net.relu(
                net.add("Add", [y, x if same else net.conv(x, (channels, width, 1), stride)])
            )
            channels = width
        levels.append(x)
    sides = [net.conv(x, (w, neck, 1)) for x, w in zip(levels[1:], planes[1:], strict=True)]
    for n in (1, 0):
        sides[n] = net.add("Add", [sides[n], _doubled(net, sides[n + 1])])
    outs = [net.conv(x, (neck, neck, 3)) for x in sides]
    for n in (1, 2):
        down = net.conv(outs[n - 1], (neck, neck, 3), 2)
        outs[n] = net.conv(net.add("Add", [outs[n], down]), (neck, neck, 3))
    return _heads(net, outs, neck, head)


def _doubled(net: _Layers, given: str) -> str:
    sizes = net.weight(np.array([1, 1, 2, 2], np.float32))
    part = net.weight(np.zeros(0, np.float32))  # before opset 13 it must be there
    return net.add("Resize", [given, part, sizes], mode="nearest", nearest_mode="floor",
                   coordinate_transformation_mode="asymmetric")  # fmt: skip


def _heads(net: _Layers, outs: Sequence[str], neck: int, head: int) -> list[tuple[int, int, str]]:
    """Scores, boxes and key points of the three strides, two anchors a place."""
    towers = []
    for out in outs:
        x = net.relu(net.conv(out, (neck, head, 3)))
        for _ in range(2):
            x = net.relu(net.conv(x, (head, head, 3)))
        towers.append(x)
    return [
        (width, stride, net.conv(x, (head, 2 * width, 3), bias=bias))
        for width, bias in ((1, -1.0), (4, 3.0), (10, 1.0))
        for stride, x in zip((8, 16, 32), towers, strict=True)
    ]


def arcface(
    path: Path, shape: tuple = ARCFACE_R50, dimension: int = 512, largest: float = 0.3
) -> Path:
    """A recogniser in a file.

    Args:
        path: of the file.
        shape: channels and blocks of its four stages.
        dimension: of its vectors.
        largest: by how much a channel's new part counts, at most.
    """
    net = _Layers(np.random.default_rng(0))
    told = _arcface_vector(net, "input.1", shape, dimension, largest)
    return net.save(path, ("input.1", ["N", 3, 112, 112]), {told: ["N", dimension]})


def with_arcface(trained: Path, path: Path, shape: tuple = ARCFACE_R50) -> Path:
    """A trained recogniser that computes a random one too, of which it adds nothing to its vector.

    Args:
        trained: its file; it takes (N, 3, 112, 112) and gives (N, D).
        path: of the file that is written.
        shape: of the random one.
    """
    model = onnx.load(str(trained))
    graph, net, dimension = model.graph, _Layers(np.random.default_rng(0), "random_"), 512
    told = graph.output[0]
    x = _arcface_vector(net, graph.input[0].name, shape, dimension, 0.3)
    size = (dimension, told.type.tensor_type.shape.dim[-1].dim_value)
    nothing = net.add("MatMul", [x, net.weight(np.zeros(size, np.float32))])
    (last,) = (node for node in graph.node if told.name in node.output)
    last.output[:] = ["trained_vector" if name == told.name else name for name in last.output]
    graph.node.extend(net.nodes)
    graph.node.append(helper.make_node("Add", ["trained_vector", nothing], [told.name]))
    graph.initializer.extend(net.weights)
    onnx.save(model, str(path))
    return path


def _arcface_vector(net: _Layers, given: str, shape: tuple, dimension: int, largest: float) -> str:
    """The layers of a recogniser; returns the name of its vector."""
    planes, blocks = shape
    x, channels = net.relu(net.conv(given, (3, planes[0], 3))), planes[0]
    for width, count in zip(planes, blocks, strict=True):
        for block in range(count):
            stride = 1 if block else 2
            y = net.relu(net.conv(x, (channels, width, 3)))
            y = net.conv(y, (width, width, 3), stride)
            side = x if block else net.conv(x, (channels, width, 1), stride)
            share = np.linspace(0.1 * largest, largest, width, dtype=np.float32)
            small = net.add("Mul", [y, net.weight(share[:, None, None])])
            x, channels = net.add("Add", [small, side]), width
    x = net.add("Flatten", [x])
    size = (channels * 49, dimension)
    weight = np.random.default_rng(1).normal(0, size[0] ** -0.5, size).astype(np.float32)
    return net.add("MatMul", [x, net.weight(weight)])
