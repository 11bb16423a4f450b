"""MediaPipe's full-range face detector as an SCRFD of InsightFace, at three sizes in one graph.

The net finds faces of 18 to 110 of its own pixels. Here it looks at the picture, at its half and at
its quarter, so that a face may also fill the frame. Its boxes and points are written as InsightFace
reads those of an SCRFD with three strides: all in the outputs of stride 32, zeros elsewhere.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper

from identity_pipeline.models.open_pack.graph import Graph, value

LEVELS: Final = 3
STRIDE: Final = 4
"""The net has one anchor in each cell of so many pixels."""
STEP: Final = 32 * 2 ** (LEVELS - 1)
"""What the picture's sides are padded to a multiple of: at each level the net needs 32."""
BLACK: Final = -127.5 / 128
"""A black pixel, as InsightFace feeds it: (pixel - 127.5) / 128."""
LIT: Final = -0.99
"""Brighter is no padding."""
SCORE: Final = 0.6
"""MediaPipe's own threshold for this net. Scores are shifted so that .5 means this."""
BOX: Final = ((-0.395, 0), (-0.645, 1), (0.395, 0), (0.506, 1))
"""SCRFD's box about the centre of MediaPipe's, in widths of the latter; fitted to both detectors'
boxes of faces in rides (median overlap .885; .70 before)."""
MOUTH_CORNER: Final = 0.40
"""MediaPipe gives the mouth's middle: its corners lie so many vectors between the eyes aside of it
(.04 to .11 eye distances from SCRFD's)."""
EMPTY_STRIDES: Final = (8, 16)
CANDIDATE_STRIDE: Final = 32
ANCHORS: Final = 2
"""SCRFD has two anchors in each cell."""
CHANNELS: Final = {"score": 1, "bbox": 4, "kps": 10}


def detector(net: ModelProto) -> ModelProto:
    """The detector, (1, 3, H, W) as InsightFace feeds an SCRFD; H and W multiples of 32.

    Args:
        net: MediaPipe's `face_detection_full_range_sparse`, as ONNX, with free sides.
    """
    graph = Graph()
    height, width = (graph.add("Shape", "input.1", start=axis, end=axis + 1) for axis in (2, 3))
    picture = graph.add("Mul", _without_padding(graph, height, width), graph.constant(128 / 127.5))
    constants = graph.share(net)
    logits, found = [], []
    for level in range(LEVELS):
        if level:
            picture = graph.add("AveragePool", picture, kernel_shape=[2, 2], strides=[2, 2])
        rows, scores = graph.embed(net, constants, picture)
        rows = graph.add("Squeeze", rows, graph.integers(0))
        placed = graph.add("Add", rows, _anchors(graph, picture, rows))
        found.append(graph.add("Mul", placed, graph.constant(2.0**level)))
        logits.append(graph.add("Reshape", scores, graph.integers(-1)))
    cells = _cells(graph, height, width, CANDIDATE_STRIDE)
    best, where = graph.add_many(
        "TopK", graph.add("Concat", *logits, axis=0), cells, outs=["best", "where"], axis=0
    )
    found_best = graph.add("Gather", graph.add("Concat", *found, axis=0), where, axis=0)
    shapes = graph.add("MatMul", found_best, graph.constant(_to_scrfd()))
    made = {"score": _scores(graph, best)} | _relative(graph, shapes, cells, width)
    return _as_scrfd(graph, made, height, width)


def _without_padding(graph: Graph, height: str, width: str) -> str:
    """The picture without most of the black that fills it up to a square, which costs time.

    Rows end behind the last one that is not black. So do columns, of which half are kept at least:
    a black frame, too, has room for all candidates.
    """
    step, step_less = graph.integers(STEP), graph.integers(STEP - 1)

    def rounded(size: str) -> str:
        cells = graph.add("Div", graph.add("Add", size, step_less), step)
        return graph.add("Mul", cells, step)

    black = graph.constant(BLACK)
    ends = [rounded(size) for size in (height, width)]
    none = graph.integers(0)
    more = [graph.add("Sub", end, size) for end, size in zip(ends, (height, width), strict=True)]
    zeros = graph.integers(0, 0, 0, 0, 0, 0)
    pads = graph.add("Concat", zeros, *more, axis=0)
    picture = graph.add("Pad", "input.1", pads, black)
    half = graph.add("Div", ends[1], graph.integers(2))
    for axis, end, least in ((2, ends[0], step), (3, ends[1], half)):
        others = [one for one in range(4) if one != axis]
        brightest = graph.add("ReduceMax", picture, axes=others, keepdims=0)
        lit = graph.add(
            "Cast", graph.add("Greater", brightest, graph.constant(LIT)), to=TensorProto.INT64
        )
        numbers = graph.add(
            "Range",
            _scalar(graph, 1),
            _squeezed(graph, graph.add("Add", end, graph.integers(1))),
            _scalar(graph, 1),
        )
        last = graph.add("ReduceMax", graph.add("Mul", lit, numbers), axes=[0], keepdims=1)
        kept = rounded(graph.add("Max", last, least))
        picture = graph.slice(picture, none, kept, axis)
    return picture


def _scalar(graph: Graph, number: int) -> str:
    return graph.constant(number, np.int64)


def _squeezed(graph: Graph, one: str) -> str:
    """The number in a vector of one."""
    return graph.add("Squeeze", one, graph.integers(0))


def _grid(graph: Graph, count: str, columns: str) -> str:
    """Column and row (count, 2) of the cells of a grid, row by row, as floats.

    Args:
        graph: to add to.
        count: name of the number of cells, a scalar.
        columns: name of the number of columns, a scalar.
    """
    numbers = graph.add("Range", _scalar(graph, 0), count, _scalar(graph, 1))
    parts = (graph.add(kind, numbers, columns) for kind in ("Mod", "Div"))
    beside = [graph.add("Unsqueeze", part, graph.integers(1)) for part in parts]
    return graph.add("Cast", graph.add("Concat", *beside, axis=1), to=TensorProto.FLOAT)


def _anchors(graph: Graph, picture: str, rows: str) -> str:
    """What is added to the net's rows: the anchor's place to the centre and to each point."""
    columns = _squeezed(graph, graph.add("Shape", picture, start=3, end=4))
    columns = graph.add("Div", columns, _scalar(graph, STRIDE))
    count = _squeezed(graph, graph.add("Shape", rows, start=0, end=1))
    centres = graph.add("Add", _grid(graph, count, columns), graph.constant(0.5))
    centres = graph.add("Mul", centres, graph.constant(float(STRIDE)))
    spread = np.tile(np.eye(2, dtype=np.float32), 8)
    spread[:, 2:4] = 0  # width and height
    return graph.add("MatMul", centres, graph.constant(spread))


def _cells(graph: Graph, height: str, width: str, stride: int) -> str:
    """How many anchors SCRFD has at a stride, as a vector of one."""
    sides = [graph.add("Div", size, graph.integers(stride)) for size in (height, width)]
    return graph.add("Mul", graph.add("Mul", *sides), graph.integers(ANCHORS))


def _to_scrfd() -> NDArray[np.float32]:
    """Matrix (16, 14) from centre, size and six points to SCRFD's box and five points."""
    matrix = np.zeros((16, 14), np.float32)
    for column, (widths, axis) in enumerate(BOX):
        matrix[axis, column] = 1
        matrix[2, column] = widths
    one, other, nose, mouth = range(4)  # MediaPipe's points; the ears follow
    corner = {one: MOUTH_CORNER, other: -MOUTH_CORNER}
    points = (
        {one: 1.0},
        {other: 1.0},
        {nose: 1.0},
        {mouth: 1.0, **corner},
        {mouth: 1.0, **{point: -share for point, share in corner.items()}},
    )
    for number, parts in enumerate(points):
        for point, share in parts.items():
            for axis in range(2):
                matrix[4 + 2 * point + axis, 4 + 2 * number + axis] = share
    return matrix


def _scores(graph: Graph, logits: str) -> str:
    """(candidates, 1) in [0, 1]."""
    shifted = graph.add("Sub", logits, graph.constant(np.log(SCORE / (1 - SCORE))))
    return graph.add("Unsqueeze", graph.add("Sigmoid", shifted), graph.integers(1))


def _relative(graph: Graph, shapes: str, cells: str, width: str) -> dict[str, str]:
    """Boxes and points as SCRFD gives them: from the centre of an anchor, in strides."""
    columns = graph.add("Div", _squeezed(graph, width), _scalar(graph, CANDIDATE_STRIDE))
    columns = graph.add("Mul", columns, _scalar(graph, ANCHORS))
    numbers = _grid(graph, _squeezed(graph, cells), columns)
    # Two anchors share a cell: the column of the grid counts both.
    pair = graph.constant([1 / ANCHORS, 1.0])
    centres = graph.add("Floor", graph.add("Mul", numbers, pair))
    spread = np.tile(np.eye(2, dtype=np.float32) * CANDIDATE_STRIDE, 7)
    centres = graph.add("MatMul", centres, graph.constant(spread))
    signs = np.array([-1, -1, *[1] * 12], np.float32) / CANDIDATE_STRIDE
    told = graph.add("Mul", graph.add("Sub", shapes, centres), graph.constant(signs))
    start, middle, end = (graph.integers(number) for number in (0, 4, 14))
    return {"bbox": graph.slice(told, start, middle, 1), "kps": graph.slice(told, middle, end, 1)}


def _as_scrfd(graph: Graph, made: dict[str, str], height: str, width: str) -> ModelProto:
    """The graph with SCRFD's nine outputs."""
    zero = helper.make_tensor("zero", TensorProto.FLOAT, [1], [0.0])
    cells = {stride: _cells(graph, height, width, stride) for stride in EMPTY_STRIDES}
    outputs = []
    for kind, channels in CHANNELS.items():
        for stride in EMPTY_STRIDES:
            shape = graph.add("Concat", cells[stride], graph.integers(channels), axis=0)
            graph.add("ConstantOfShape", shape, out=f"{kind}_{stride}", value=zero)
            outputs.append(value(f"{kind}_{stride}", [f"cells_{stride}", channels]))
        name = f"{kind}_{CANDIDATE_STRIDE}"
        graph.add("Identity", made[kind], out=name)
        outputs.append(value(name, [f"cells_{CANDIDATE_STRIDE}", channels]))
    given = [value("input.1", [1, 3, "height", "width"])]
    return graph.model("mediapipe_full_range_as_scrfd", given, outputs)
