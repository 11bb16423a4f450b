"""SCRFD, the detector of face packs: several frames in one call, and its outputs read.

InsightFace opens the network and knows its geometry, and looks at one frame at a time. Here frames
are scaled, run and read in batches, with the arithmetic of `insightface.model_zoo.scrfd` in its
order, so that a frame alone gives the same bits; only places above the threshold are computed.
Published files are made for one frame: `with_batch_axis` gives their graph one, in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.media.crops import ImageBGR

if TYPE_CHECKING:
    import onnx

    from identity_pipeline.models.picture_net import PictureNet

Size = tuple[int, int]
"""Width and height of the network's input."""
Blob = NDArray[Any]
"""(N, 3, height, width) as the network takes it."""
INTERLEAVED: Final = [2, 3, 0, 1]
"""How published files lay a head out before it is flattened: frames inside the places."""
BY_FRAME: Final = [0, 2, 3, 1]


class FixedBatchError(IdentityPipelineError, ValueError):
    """A detector looks at one frame at a time; the message says why."""


class Found(NamedTuple):
    """Faces of one frame before they are put in order, the surest first.

    Attributes:
        boxes: (N, 5) pixels of the frame, and the score.
        key_points: (N, 5, 2) pixels.
    """

    boxes: NDArray[np.float32]
    key_points: NDArray[np.float32]


def input_size(model: Any, wanted: Size | None) -> Size:
    """Width and height of the network's input: its own where it has one, else what is wanted."""
    width, height = model.static_input_size or wanted or model.input_size
    return width, height


def scaled(frame: ImageBGR, size: Size) -> tuple[ImageBGR, float]:
    """The frame as large as fits the input, and how much smaller it is there."""
    width, height = size
    ratio = frame.shape[0] / frame.shape[1]
    if ratio > height / width:
        new_width, new_height = int(height / ratio), height
    else:
        new_width, new_height = width, int(width * ratio)
    small = cv2.resize(frame, (new_width, new_height))
    return np.asarray(small, np.uint8), new_height / frame.shape[0]


def blob_of(model: Any, small: ImageBGR, size: Size) -> Blob:
    """A scaled frame in the upper left corner of the input (1, 3, height, width), black elsewhere.

    As `cv2.dnn.blobFromImage` makes it, in a third of its time: of each byte the number is looked
    up.
    """
    kind = getattr(model, "input_dtype", np.float32)
    value = (np.arange(256, dtype=np.float32) - model.input_mean) * np.float32(1 / model.input_std)
    of_byte = value.astype(kind)
    blob = np.empty((1, 3, size[1], size[0]), kind)
    height, width = small.shape[:2]
    blob[..., height:, :] = of_byte[0]
    blob[..., :height, width:] = of_byte[0]
    for n, plane in enumerate(cv2.split(small)):
        cv2.LUT(plane, of_byte, dst=blob[0, 2 - n, :height, :width])
    return blob


def find(model: Any, frame: ImageBGR, size: Size, score_min: float) -> Found:
    """The faces of one frame.

    Args:
        model: InsightFace's.
        frame: (H, W, 3).
        size: of the input.
        score_min: detections below it are none.
    """
    small, scale = scaled(frame, size)
    session = model._session_for_input_size(size)
    outputs = session.run(model.output_names, {model.input_name: blob_of(model, small, size)})
    return read(model, [o[0] if model.batched else o for o in outputs], size, scale, score_min)


def read(
    model: Any, outputs: Sequence[NDArray[Any]], size: Size, scale: float, score_min: float
) -> Found:
    """The faces in the outputs of one frame.

    Args:
        model: InsightFace's, for the geometry of its outputs.
        outputs: (rows, 1 | 4 | 10) scores, boxes and key points of each stride, in units of it.
        size: of the input.
        scale: result of `scaled`.
        score_min: detections below it are none.
    """
    levels = len(model._feat_stride_fpn)
    parts = [
        _level(model, outputs[n::levels], stride, size[0] // stride, score_min)
        for n, stride in enumerate(model._feat_stride_fpn)
    ]
    scores, boxes, points = (np.concatenate(values) for values in zip(*parts, strict=True))
    order = np.argsort(-scores, kind="stable")
    found = np.hstack([boxes / scale, scores[:, None]]).astype(np.float32, copy=False)[order]
    kept = model.nms(found)
    return Found(found[kept], (points / scale).astype(np.float32, copy=False)[order][kept])


def _level(
    model: Any, outputs: Sequence[NDArray[Any]], stride: int, columns: int, score_min: float
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Scores (N,), boxes (N, 4) and key points (N, 5, 2) of one stride, in pixels of the input."""
    scores, distances, offsets = outputs
    rows = np.flatnonzero(scores[:, 0] >= score_min)
    y, x = np.divmod(rows // model._num_anchors, columns)
    centre = np.stack([x, y], axis=-1).astype(np.float32) * stride
    sides = distances[rows] * stride
    away = (offsets[rows] * stride).reshape(len(rows), offsets.shape[1] // 2, 2)
    boxes = np.concatenate([centre - sides[:, :2], centre + sides[:, 2:]], axis=1)
    return (
        scores[rows, 0],
        boxes,
        centre[:, None] + away,
    )


def find_many(
    model: Any, net: PictureNet, frames: Sequence[ImageBGR], score_min: float
) -> list[Found]:
    """The faces of each of several frames.

    Args:
        model: InsightFace's.
        net: the same network for several frames.
        frames: (H, W, 3) each.
        score_min: detections below it are none.
    """
    size, found = (net.width, net.height), []
    for start in range(0, len(frames), net.batch):
        small = [scaled(frame, size) for frame in frames[start : start + net.batch]]
        outputs = net.run([picture for picture, _ in small])
        found += [
            read(model, [output[n] for output in outputs], size, scale, score_min)
            for n, (_, scale) in enumerate(small)
        ]
    return found


def with_batch_axis(path: Path, frames: int, size: Size) -> onnx.ModelProto:
    """The graph of a detector for so many frames of one size; its outputs are (frames, rows, C).

    Args:
        path: ONNX file of a detector for one frame, whose heads are flattened together.
        frames: of each call.
        size: of the input.

    Raises:
        FixedBatchError: the graph does something else with the axis of frames.
    """
    import onnx

    model = onnx.load(str(path))
    graph = model.graph
    made_by = {name: node for node in graph.node for name in node.output}
    for output in graph.output:
        _unflatten(graph, made_by, output)
    _no_other_of_one(graph)
    dims = graph.input[0].type.tensor_type.shape.dim
    for dim, value in zip(dims, (frames, 3, size[1], size[0]), strict=True):
        dim.dim_value = value
    del graph.value_info[:]
    return model


def _unflatten(graph: onnx.GraphProto, made_by: dict[str, onnx.NodeProto], output: Any) -> None:
    """Makes a head of (places x frames, C) one of (frames, places, C)."""
    from onnx import TensorProto, helper

    node = made_by[output.name]
    while node.op_type in ("Sigmoid", "Identity"):
        node = made_by[node.input[0]]
    turn = made_by.get(node.input[0]) if node.op_type == "Reshape" else None
    if turn is None or turn.op_type != "Transpose" or turn.attribute[0].ints != INTERLEAVED:
        raise FixedBatchError(f"its output {output.name} is not the flattened head of an SCRFD")
    turn.attribute[0].ints[:] = BY_FRAME
    shape, width = f"{output.name}_by_frame", output.type.tensor_type.shape.dim[-1].dim_value
    graph.initializer.append(helper.make_tensor(shape, TensorProto.INT64, [3], [0, -1, width]))
    node.input[1] = shape
    dims = output.type.tensor_type.shape.dim
    del dims[:]
    for _ in range(2):
        dims.add()
    dims.add().dim_value = width


def _no_other_of_one(graph: onnx.GraphProto) -> None:
    """Refuses operators that drop or mix the axis of frames behind the convolutions."""
    known = {"Conv", "Relu", "PRelu", "LeakyRelu", "Clip", "Add", "Mul", "Sigmoid", "HardSigmoid",
             "BatchNormalization", "MaxPool", "AveragePool", "GlobalAveragePool", "Resize",
             "Upsample", "Pad", "Transpose", "Reshape", "Shape", "Gather", "Unsqueeze", "Slice",
             "Concat", "Cast", "Constant", "Identity", "Floor", "Div"}  # fmt: skip
    strange = sorted({node.op_type for node in graph.node} - known)
    if strange:
        raise FixedBatchError(f"its graph has {', '.join(strange)}")
