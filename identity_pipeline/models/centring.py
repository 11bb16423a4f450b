"""A recogniser with a centre: its graph with a mean taken off its output, as a file of its own.

Vectors of some recognisers lie about a large common mean, which makes everybody alike. Taken off
inside the graph it is part of the file, hence of the space's digest: it cannot be forgotten, nor
change unnoticed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from identity_pipeline.errors import IdentityPipelineError

CENTRE, NODE = "centre_of_own_rides", "centring"


class CentringError(IdentityPipelineError, RuntimeError):
    """A recogniser's graph has another form than one output of vectors."""


def with_centre(recogniser: Path, centre: NDArray[np.floating]) -> bytes:
    """The recogniser's graph with a mean taken off its output.

    Args:
        recogniser: an ONNX file with one output (N, D).
        centre: (1, D), what is taken off.

    Raises:
        CentringError: the graph has another form, or a centre of its own rides already.
    """
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load(str(recogniser))
    graph = model.graph
    outputs = [output.name for output in graph.output]
    if len(outputs) != 1 or any(each.name == CENTRE for each in graph.initializer):
        raise CentringError(
            f"{recogniser} has {len(outputs)} outputs, or a centre of your rides already; name the "
            "pack as it was fetched."
        )
    name, inner = outputs[0], f"{outputs[0]}_before_centring"
    for node in graph.node:
        for names in (node.output, node.input):
            names[:] = [inner if each == name else each for each in names]
    value = np.asarray(centre, dtype=np.float32)
    graph.initializer.append(numpy_helper.from_array(value, CENTRE))
    # Its name begins neither with Sub nor with Mul: by those InsightFace guesses how to feed a net.
    graph.node.append(helper.make_node("Sub", [inner, CENTRE], [name], name=NODE))
    onnx.checker.check_model(model)
    return model.SerializeToString(deterministic=True)
