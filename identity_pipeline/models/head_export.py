"""A head as ONNX, for whatever runs without torch: `e_id` (n, D) in, `e_head` (n, K) out."""

from __future__ import annotations

import numpy as np

from identity_pipeline.core.heads.projection import Head
from identity_pipeline.errors import IdentityPipelineError

OPSET = 17
TOLERANCE = 1e-4
"""Largest difference to the head itself that an export may show (design)."""


class HeadExportError(IdentityPipelineError, RuntimeError):
    """The exported graph does not compute what the head does."""


def export_head(head: Head) -> bytes:
    """The head as a serialised ONNX graph, checked against it on seeded unit vectors.

    Raises:
        HeadExportError: the two differ by more than `TOLERANCE`.
    """
    graph = _graph(head)
    worst = largest_difference(head, graph)
    if not worst <= TOLERANCE:
        raise HeadExportError(
            f"the exported head differs from the trained one by {worst:.2g}, "
            f"more than {TOLERANCE:g}"
        )
    return graph


def largest_difference(head: Head, graph: bytes) -> float:
    """Of any output, over 64 seeded unit vectors, run by onnxruntime on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    drawn = np.random.default_rng(0).normal(size=(64, head.input_dimension))
    vectors = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)
    found = np.asarray(session.run(None, {"e_id": vectors})[0])
    return float(np.abs(found - head.apply(vectors)).max())


def _graph(head: Head) -> bytes:
    from onnx import TensorProto, checker, helper, numpy_helper

    arrays = {name.replace(".", "_"): array for name, array in sorted(head.tensors.items())}
    nodes = [
        helper.make_node("Gemm", ["e_id", "first_weight", "first_bias"], ["inner"], transB=1),
        helper.make_node("Relu", ["inner"], ["active"]),
        helper.make_node("Gemm", ["active", "second_weight", "second_bias"], ["outer"], transB=1),
        helper.make_node("LpNormalization", ["outer"], ["projected"], axis=1, p=2),
    ]
    if head.base_share:
        arrays["base_root"] = np.float32(np.sqrt(head.base_share)).reshape(1)
        arrays["head_root"] = np.float32(np.sqrt(1.0 - head.base_share)).reshape(1)
        nodes += [
            helper.make_node("Mul", ["e_id", "base_root"], ["base_part"]),
            helper.make_node("Mul", ["projected", "head_root"], ["head_part"]),
            helper.make_node("Concat", ["base_part", "head_part"], ["e_head"], axis=1),
        ]
    else:
        nodes.append(helper.make_node("Identity", ["projected"], ["e_head"]))
    graph = helper.make_graph(
        nodes,
        "projection_head",
        [helper.make_tensor_value_info("e_id", TensorProto.FLOAT, ["n", head.input_dimension])],
        [helper.make_tensor_value_info("e_head", TensorProto.FLOAT, ["n", head.dimension])],
        [numpy_helper.from_array(np.ascontiguousarray(a), name) for name, a in arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
    model.ir_version = 10  # of onnxruntime 1.18 and newer
    checker.check_model(model)
    return model.SerializeToString()
