"""Nets as they are opened on a processor: another form, the same bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from identity_pipeline.models.processor import AT_ONCE, at_once, net_to_open, without_prelu

CPU, CUDA = ["CPUExecutionProvider"], ["CUDAExecutionProvider", "CPUExecutionProvider"]


def net_with_prelu(path: Path, slopes: list[float], opset: int = 17) -> Path:
    """Convolution, PRelu and convolution, as the nets of faces are made of many times."""
    rng, channels = np.random.default_rng(0), len(slopes)
    inside = rng.normal(size=(channels, 3, 3, 3)), rng.normal(size=(2, channels, 1, 1))
    weights = [
        numpy_helper.from_array(np.asarray(value, np.float32), name)
        for name, value in zip(
            ("first", "second", "slope"),
            (*inside, np.array(slopes).reshape(-1, 1, 1)),
            strict=True,
        )
    ]
    nodes = [
        helper.make_node("Conv", ["x", "first"], ["a"]),
        helper.make_node("PRelu", ["a", "slope"], ["b"]),
        helper.make_node("Conv", ["b", "second"], ["y"]),
    ]
    shown = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", depth, None, None])
        for name, depth in (("x", 3), ("y", 2))
    ]
    graph = helper.make_graph(nodes, "net", shown[:1], shown[1:], weights)
    opsets = [helper.make_opsetid("", opset)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), str(path))
    return path


def ran(net: str | bytes, pictures: np.ndarray) -> bytes:
    session = onnxruntime.InferenceSession(net, providers=CPU)
    return np.asarray(session.run(None, {"x": pictures})[0]).tobytes()


@given(
    slopes=st.lists(st.floats(-3, 3, width=32), min_size=1, max_size=20),
    pictures=st.integers(1, 5),
    seed=st.integers(0, 2**16),
)
def test_a_net_without_prelu_gives_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, slopes: list[float], pictures: int, seed: int
) -> None:
    path = net_with_prelu(tmp_path_factory.mktemp("net") / "net.onnx", slopes)
    shown = np.random.default_rng(seed).normal(size=(pictures, 3, 9, 9)).astype(np.float32)
    rewritten = without_prelu(path)
    assert rewritten is not None
    assert b"PRelu" not in rewritten
    assert ran(rewritten, shown) == ran(str(path), shown)


def test_what_cannot_be_rewritten_is_opened_as_it_is(tmp_path: Path) -> None:
    older = net_with_prelu(tmp_path / "older.onnx", [0.25], opset=6)
    assert net_to_open(older, CPU) == str(older)
    usual = net_with_prelu(tmp_path / "usual.onnx", [0.25])
    assert isinstance(net_to_open(usual, CPU), bytes)
    assert net_to_open(usual, CUDA) == str(usual)


def test_a_processor_runs_few_faces_at_once() -> None:
    assert at_once(CPU, 32) == AT_ONCE
    assert at_once(CPU, 1) == 1
    assert at_once(CUDA, 32) == 32
