"""MediaPipe's mesh of 468 points as InsightFace's `1k3d68`: the 68 points of Multi-PIE."""

from __future__ import annotations

from typing import Final

import numpy as np
from onnx import ModelProto

from identity_pipeline.models.open_pack.graph import Graph, value

SIDE: Final = 192
"""Of the net's square input, in pixels."""
VERTICES: Final = 468
JAW: Final = (
    127, 234, 93, 132, 58, 136, 150, 176, 152, 400, 379, 365, 288, 361, 323, 454, 356,
)  # fmt: skip
UPPER_BROW: Final = (70, 63, 105, 66, 107, 336, 296, 334, 293, 300)
LOWER_BROW: Final = (46, 53, 52, 65, 55, 285, 295, 282, 283, 276)
"""The convention of 68 points marks the middle of a brow: the mean of both edges."""
NOSE: Final = (168, 197, 5, 4, 98, 97, 2, 326, 327)
EYES: Final = (33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380)
MOUTH: Final = (
    61, 40, 37, 0, 267, 270, 291, 321, 314, 17, 84, 91, 78, 81, 13, 311, 308, 402, 14, 178,
)  # fmt: skip
POINTS: Final = tuple(
    (vertex,) for vertex in JAW
) + tuple(zip(UPPER_BROW, LOWER_BROW, strict=True)) + tuple(
    (vertex,) for vertex in (*NOSE, *EYES, *MOUTH)
)  # fmt: skip
"""Of which vertices of the mesh each of the 68 points is the mean; chosen by their places on the
canonical face."""
INSIGHTFACE_VALUES: Final = 3309
"""By this number of outputs InsightFace knows the model; the last 204 are the points."""


def landmarks(mesh: ModelProto) -> ModelProto:
    """The net, (N, 3, 192, 192) as InsightFace feeds a landmark model to (N, 3309).

    Points are in halves of the input's side about its middle, z towards the viewer.

    Args:
        mesh: MediaPipe's `face_landmark`, as ONNX.
    """
    graph = Graph()
    # InsightFace feeds (pixel - 127.5) / 128, the mesh wants pixel / 255.
    picture = graph.add("Mul", "data", graph.constant(128 / 255))
    picture = graph.add("Add", picture, graph.constant(0.5))
    points, _ = graph.embed(mesh, graph.share(mesh), picture)
    pick, shift = _selection()
    chosen = graph.add("MatMul", points, graph.constant(pick))
    chosen = graph.add("Add", chosen, graph.constant(shift))
    empty = INSIGHTFACE_VALUES - 3 * len(POINTS)
    graph.add("Pad", chosen, graph.integers(0, empty, 0, 0), out="fc1")
    given = [value("data", ["N", 3, SIDE, SIDE])]
    return graph.model("mediapipe_mesh_as_1k3d68", given, [value("fc1", ["N", INSIGHTFACE_VALUES])])


def _selection() -> tuple[np.ndarray, np.ndarray]:
    """Matrix (1404, 204) and shift (204,) from all vertices in pixels to the points."""
    half = SIDE / 2
    pick = np.zeros((VERTICES, 3, len(POINTS), 3), np.float32)
    for point, vertices in enumerate(POINTS):
        for vertex in vertices:
            # MediaPipe's z grows away from the viewer.
            pick[vertex, range(3), point, range(3)] = np.array([1, 1, -1]) / half / len(vertices)
    shift = np.tile(np.array([-1, -1, 0], np.float32), len(POINTS))
    return pick.reshape(3 * VERTICES, 3 * len(POINTS)), shift
