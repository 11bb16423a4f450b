"""What makes a net fast on a processor and changes no byte of what it gives.

ONNX Runtime's kernel of PRelu takes longer than the convolutions between which it stands: half of
the time of the face mesh, of the iris net and of MobileFaceNet. And large batches spill what a net
makes between two layers out of the processor's caches. `python -m
identity_pipeline_tests.benchmarks.bench_nets` measures both, and compares the bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from identity_pipeline.models.device import CUDA

AT_ONCE: Final = 4
"""Faces of a batch on a processor."""
BROADCASTS_SINCE: Final = 7
"""The version of ONNX's operators from which a product takes a slope as PRelu does."""


def at_once(providers: Sequence[str], most: int) -> int:
    """How many faces are run at once.

    Args:
        providers: execution providers that are asked for, best first.
        most: what the settings allow.
    """
    return most if CUDA in providers else min(AT_ONCE, most)


def net_to_open(net: Path, providers: Sequence[str]) -> str | bytes:
    """What ONNX Runtime is to open for a net: its file, or on a processor the net without PRelu.

    Args:
        net: an ONNX file.
        providers: execution providers that are asked for, best first.

    Raises:
        google.protobuf.message.DecodeError: the file is no net.
    """
    rewritten = None if CUDA in providers else without_prelu(net)
    return str(net) if rewritten is None else rewritten


def without_prelu(net: Path) -> bytes | None:
    """A net with each PRelu written as `max(x, 0) + slope (x - max(x, 0))`; None: there is none.

    One of the two terms is zero wherever x is finite, so nothing is rounded that was not.

    Args:
        net: an ONNX file. One that keeps its weights in other files, or is of operators that are
            older than `BROADCASTS_SINCE`, is not rewritten either.

    Raises:
        google.protobuf.message.DecodeError: the file is no net.
    """
    import onnx
    from onnx.external_data_helper import uses_external_data

    model = onnx.load(str(net), load_external_data=False)
    graph = model.graph
    versions = [each.version for each in model.opset_import if each.domain in ("", "ai.onnx")]
    if (
        not any(node.op_type == "PRelu" for node in graph.node)
        or max(versions, default=0) < BROADCASTS_SINCE
        or any(map(uses_external_data, graph.initializer))
    ):
        return None
    nodes = [one for node in graph.node for one in _rewritten(node)]
    del graph.node[:]
    graph.node.extend(nodes)
    return model.SerializeToString()


def _rewritten(node: Any) -> list[Any]:
    from onnx import helper

    if node.op_type != "PRelu":
        return [node]
    (x, slope), y = node.input, node.output[0]
    above, below, scaled = f"{y}/above", f"{y}/below", f"{y}/scaled"
    return [
        helper.make_node("Relu", [x], [above]),
        helper.make_node("Sub", [x, above], [below]),
        helper.make_node("Mul", [below, slope], [scaled]),
        helper.make_node("Add", [above, scaled], [y]),
    ]
