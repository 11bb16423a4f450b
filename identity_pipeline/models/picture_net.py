"""A network that is given pictures as they are, in batches of one size, in buffers that stay.

Its graph is rewritten in memory: colours are turned around and scaled inside it, so that a quarter
of the bytes goes to the device and none of that work is the processor's; where wanted it multiplies
in half precision. Every call is of a whole batch, the last one filled up: shapes and addresses stay
(what CUDA graphs ask for), and what a picture gives does not depend on the others beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import LifoQueue
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from identity_pipeline.media.crops import ImageBGR
from identity_pipeline.models.device import ON_GPU, Runner

if TYPE_CHECKING:
    import onnx

PICTURES: Final = "pictures"
"""The input of a rewritten graph: (N, height, width, 3) bytes, blue first."""


PLACES: Final = 2
"""Calls that may be under way: one computes, one is given its pictures."""


class Colours(NamedTuple):
    """What a network's input is of a picture's numbers from 0 to 255: (value - mean) / std, RGB."""

    mean: float
    std: float


def given_pictures(model: onnx.ModelProto, colours: Colours, batch: int) -> onnx.ModelProto:
    """The graph with pictures for its input, and a batch of so many.

    Args:
        model: takes (N, 3, height, width) float32; it is changed.
        colours: what it takes of a picture.
        batch: N of each call.
    """
    from onnx import TensorProto, helper, numpy_helper

    graph = model.graph
    given = graph.input[0]
    height, width = (dim.dim_value for dim in given.type.tensor_type.shape.dim[2:])
    constants = {
        "pictures_mean": np.float32(colours.mean),
        "pictures_factor": np.float32(1.0 / colours.std),
        "pictures_rgb": np.array([2, 1, 0], np.int64),
    }
    nodes = [
        helper.make_node("Transpose", [PICTURES], ["pictures_planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Gather", ["pictures_planes", "pictures_rgb"], ["pictures_red"], axis=1),
        helper.make_node("Cast", ["pictures_red"], ["pictures_float"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["pictures_float", "pictures_mean"], ["pictures_centred"]),
        helper.make_node("Mul", ["pictures_centred", "pictures_factor"], [given.name]),
    ]
    graph.initializer.extend(
        numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()
    )
    rest = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *rest])
    shape = [batch, height, width, 3]
    del graph.input[:], graph.value_info[:]
    graph.input.append(helper.make_tensor_value_info(PICTURES, TensorProto.UINT8, shape))
    for output in graph.output:  # published recognisers declare one, and give as many as they got
        output.type.tensor_type.shape.dim[0].ClearField("dim_value")
    return model


def halved(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph in half precision; what it takes and gives stays in full."""
    from onnxruntime.transformers.float16 import convert_float_to_float16

    half = convert_float_to_float16(model, keep_io_types=True)
    seen: set[str] = set()
    for node in list(half.graph.node):  # a value that two operators want in full is cast twice
        if node.op_type == "Cast" and node.output[0] in seen:
            half.graph.node.remove(node)
        seen.update(node.output)
    return half


class Place(NamedTuple):
    """Buffers of one call, which stay.

    Attributes:
        pictures: (batch, height, width, 3), here.
        given: the same on the device.
        binding: of the network's input to it, and of all outputs to theirs on the device.
    """

    pictures: NDArray[np.uint8]
    given: onnxruntime.OrtValue
    binding: onnxruntime.IOBinding


class PictureNet:
    """A rewritten network that is open.

    Several threads may call it; one fills its place with pictures while the network runs on
    another's. A thread of its own runs the network: ONNX Runtime keeps what CUDA needs, a recorded
    graph above all, for each thread that ever ran it, and records it anew for the next one.
    """

    def __init__(self, model: onnx.ModelProto, runner: Runner) -> None:
        """Opens it, and runs it once: only then all its buffers are known.

        Args:
            model: result of `given_pictures`.
            runner: what runs it.
        """
        self._session = runner.open(model.SerializeToString())
        self._running = ThreadPoolExecutor(1, "network")
        self.provider = str(self._session.get_providers()[0])
        shape = [int(side) for side in self._session.get_inputs()[0].shape]
        self.batch, self.height, self.width = shape[:3]
        on = "cuda" if self.provider in ON_GPU else "cpu"
        self._free: LifoQueue[Place] = LifoQueue()
        for _ in range(1 if runner.addresses_stay else PLACES):
            self._free.put(self._place(shape, on))

    def _place(self, shape: Sequence[int], on: str) -> Place:
        room = _room(shape, on)
        given = onnxruntime.OrtValue.ortvalue_from_numpy(room, on, 0)
        first, binding = self._session.io_binding(), self._session.io_binding()
        names = [output.name for output in self._session.get_outputs()]
        for name in names:
            first.bind_output(name, on)
        first.bind_ortvalue_input(PICTURES, given)
        self._run(first)
        binding.bind_ortvalue_input(PICTURES, given)
        for name, value in zip(names, first.get_outputs(), strict=True):
            binding.bind_ortvalue_output(name, value)
        return Place(room, given, binding)

    def run(self, pictures: Sequence[ImageBGR]) -> list[NDArray[Any]]:
        """The outputs (N, ...) for at most one batch of pictures, each in its upper left corner."""
        place = self._free.get()
        try:
            for room, picture in zip(place.pictures, pictures, strict=False):
                height, width = picture.shape[:2]
                room[:height, :width] = picture
                room[height:] = 0
                room[:height, width:] = 0
            return [np.array(output[: len(pictures)]) for output in self._computed(place)]
        finally:
            self._free.put(place)

    def _computed(self, place: Place) -> list[NDArray[Any]]:
        """The outputs for the pictures of a place."""
        place.given.update_inplace(place.pictures)
        self._run(place.binding)
        return place.binding.copy_outputs_to_cpu()

    def _run(self, binding: onnxruntime.IOBinding) -> None:
        """Runs the network, one call after the other."""
        self._running.submit(self._session.run_with_iobinding, binding).result()

    def over(self, pictures: Sequence[ImageBGR]) -> NDArray[Any]:
        """The first output for any number of pictures, batch by batch."""
        starts = range(0, len(pictures), self.batch)
        return np.concatenate([self.run(pictures[n : n + self.batch])[0] for n in starts])


def _room(shape: Sequence[int], on: str) -> NDArray[np.uint8]:
    """Memory for pictures: pages that stay in place where a GPU reads them, which is faster."""
    if on == "cuda":
        import torch

        if torch.cuda.is_available():
            return torch.zeros(tuple(shape), dtype=torch.uint8, pin_memory=True).numpy()
    return np.zeros(shape, np.uint8)
