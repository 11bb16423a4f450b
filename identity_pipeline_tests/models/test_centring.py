"""A mean taken off inside a recogniser's graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper, save

from identity_pipeline.models.centring import CentringError, with_centre


def tiny_recogniser(path: Path, outputs: int = 1) -> Path:
    """A graph that gives the mean colour of a picture as (N, 3)."""
    names = [f"out{n}" for n in range(outputs)]
    nodes = [
        helper.make_node("ReduceMean", ["data"], [name], axes=[2, 3], keepdims=0) for name in names
    ]
    shape = ["n", 3, 112, 112]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("data", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3]) for name in names],
        [numpy_helper.from_array(np.zeros(1, np.float32), "unused")],
    )
    opset = [helper.make_opsetid("", 13)]
    save(helper.make_model(graph, opset_imports=opset, ir_version=8), str(path))
    return path


def test_the_mean_is_taken_off_inside_the_graph(tmp_path: Path) -> None:
    path = tiny_recogniser(tmp_path / "net.onnx")
    centre = np.array([[1.0, 2.0, -3.0]])
    pictures = np.random.default_rng(0).normal(size=(2, 3, 112, 112)).astype(np.float32)
    moved = tmp_path / "moved.onnx"
    moved.write_bytes(with_centre(path, centre))
    before, after = (
        onnxruntime.InferenceSession(str(each)).run(None, {"data": pictures})[0]
        for each in (path, moved)
    )
    assert np.allclose(after, before - centre, atol=1e-6)
    assert moved.read_bytes() == with_centre(path, centre)
    with pytest.raises(CentringError, match="a centre of your rides already"):
        with_centre(moved, centre)


def test_a_graph_of_another_form_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CentringError, match="2 outputs"):
        with_centre(tiny_recogniser(tmp_path / "net.onnx", outputs=2), np.zeros((1, 3)))
