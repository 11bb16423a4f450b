"""Weights of dlib and MediaPipe become ONNX that computes what their own programs would."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from onnx import ModelProto

from identity_pipeline.models.open_pack.dlib import read_resnet
from identity_pipeline.models.open_pack.graph import ConversionError, interpolation
from identity_pipeline.models.open_pack.tflite import to_onnx
from identity_pipeline_tests.models.tiny_weights import Tflite, dlib_layers, floats

SAME = (0, "int8", 0)
BY_TWO = {"columns": (1, "int32", 2), "rows": (2, "int32", 2)}
BY_ONE = {"columns": (1, "int32", 1), "rows": (2, "int32", 1)}


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def run(model: ModelProto, given: NDArray[np.float32]) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return np.asarray(session.run(None, {"input": given})[0])


def test_dlib_s_affine_layer_is_folded_into_the_convolution_before_it(
    rng: np.random.Generator,
) -> None:
    weights, last = floats(rng, 4, 3, 3, 2), floats(rng, 4, 5)
    bias, gain, shift = floats(rng, 4), floats(rng, 4), floats(rng, 4)
    read = read_resnet(dlib_layers(weights, bias, gain, shift, last))
    (one,) = read.convolutions
    assert (one.stride, one.padding) == ((2, 2), (0, 1))
    np.testing.assert_array_equal(read.last, last)
    picture = torch.from_numpy(floats(rng, 1, 3, 9, 8))
    plain = torch.conv2d(picture, torch.from_numpy(weights), torch.from_numpy(bias), stride=2)
    known = plain.numpy() * gain[:, None, None] + shift[:, None, None]
    folded = torch.conv2d(
        picture, torch.from_numpy(one.weights), torch.from_numpy(one.bias), stride=2
    )
    np.testing.assert_allclose(folded.numpy(), known, rtol=1e-4, atol=1e-5)


def test_another_file_is_not_taken_for_dlib_s_net(rng: np.random.Generator) -> None:
    parts = [floats(rng, *shape) for shape in ((4, 3, 3, 2), (4,), (4,), (4,), (4, 5))]
    with pytest.raises(ConversionError, match="tensor of version 3"):
        read_resnet(dlib_layers(*parts, version=3))
    with pytest.raises(ConversionError, match="does not hold the layers"):
        read_resnet(b"something else")


@pytest.mark.parametrize("sparse", [False, True])
def test_a_convolution_of_half_floats_with_and_without_its_zeros(
    rng: np.random.Generator, sparse: bool
) -> None:
    """Stride 2 on an even side: TFLite puts the odd padding at the end."""
    kernel = floats(rng, 5, 3, 3, 3).astype(np.float16)  # (filters, height, width, channels)
    kernel[np.abs(kernel) < 0.5] = 0
    bias = floats(rng, 5)
    net = Tflite()
    given, weights = net.value(1, 8, 6, 3), net.constant(kernel, kernel.shape if sparse else None)
    if sparse:
        weights = net.step(124, [weights], net.value(5, 3, 3, 3))
    weights = net.step(6, [weights], net.value(5, 3, 3, 3))
    made = net.value(1, 4, 3, 5)
    net.step(
        3, [given, weights, net.constant(bias)], made, same=SAME, **BY_TWO, relu=(3, "int8", 1)
    )
    told = net.step(22, [made], net.value(1, 12, 5))
    picture = floats(rng, 1, 3, 8, 6)
    padded = torch.nn.functional.pad(torch.from_numpy(picture), (0, 1, 0, 1))
    wanted = torch.from_numpy(kernel.astype(np.float32).transpose(0, 3, 1, 2))
    known = torch.relu(torch.conv2d(padded, wanted, torch.from_numpy(bias), stride=2))
    found = run(to_onnx(net.data(given, [told]), "tiny", free=True), picture)
    rows = known.numpy().transpose(0, 2, 3, 1).reshape(1, 12, 5)
    np.testing.assert_allclose(found, rows, rtol=1e-5, atol=1e-5)


def test_the_other_operators(rng: np.random.Generator) -> None:
    """A convolution by channel, padded channels added, doubled and deeper pictures."""
    kernel, slopes = floats(rng, 1, 3, 3, 3), floats(rng, 1, 1, 3)
    net = Tflite()
    given = net.value(1, 4, 4, 3)
    whole = {"same": SAME, **BY_ONE}
    by_channel = net.step(4, [given, net.constant(kernel)], net.value(1, 4, 4, 3), **whole)
    bent = net.step(54, [by_channel, net.constant(slopes)], net.value(1, 4, 4, 3))
    amounts = net.constant(np.array([[0, 0], [0, 0], [0, 0], [0, 5]], np.int32))
    wide = net.step(34, [bent, amounts], net.value(1, 4, 4, 8))
    both = net.step(0, [wide, wide], net.value(1, 4, 4, 8), relu=(0, "int8", 1))
    largest = net.step(
        17, [both], net.value(1, 2, 2, 8), same=SAME, **BY_TWO,
        width=(3, "int32", 2), height=(4, "int32", 2),
    )  # fmt: skip
    double = net.step(23, [largest], net.value(1, 4, 4, 8), centres=(3, "bool", 1))
    told = net.step(5, [double], net.value(1, 8, 8, 2), side=(0, "int32", 2))
    told = net.step(22, [told], net.value(1, 64, 2))
    picture = floats(rng, 1, 3, 4, 4)

    t = torch.nn.functional
    wanted = torch.from_numpy(kernel.transpose(3, 0, 1, 2))
    known = torch.conv2d(torch.from_numpy(picture), wanted, padding=1, groups=3)
    known = torch.prelu(known, torch.from_numpy(slopes.ravel()))
    known = torch.relu(2 * t.pad(known, (0, 0, 0, 0, 0, 5)))
    known = t.interpolate(t.max_pool2d(known, 2), scale_factor=2, mode="bilinear")
    deep = known.numpy().transpose(0, 2, 3, 1).reshape(1, 4, 4, 2, 2, 2)
    rows = deep.transpose(0, 1, 3, 2, 4, 5).reshape(1, 64, 2)
    found = run(to_onnx(net.data(given, [told]), "tiny"), picture)
    np.testing.assert_allclose(found, rows, rtol=1e-4, atol=1e-5)


def test_what_the_converter_does_not_know_is_refused(rng: np.random.Generator) -> None:
    net = Tflite()
    given = net.value(1, 4, 4, 4)
    told = net.step(14, [given], net.value(1, 4, 4, 4))
    with pytest.raises(ConversionError, match=r"unknown operator \(14\)"):
        to_onnx(net.data(given, [told]), "tiny")
    with pytest.raises(ConversionError, match=r"no \.tflite file"):
        to_onnx(b"0123456789abcdef", "tiny")


def test_the_same_file_gives_the_same_bytes(rng: np.random.Generator) -> None:
    net = Tflite()
    given = net.value(1, 4, 4, 4)
    told = net.step(22, [given], net.value(1, 64))
    data = net.data(given, [told])
    first, second = (to_onnx(data, "tiny").SerializeToString(deterministic=True) for _ in range(2))
    assert first == second


def test_lines_are_read_between_pixels_and_repeated_beyond_the_ends() -> None:
    matrix = interpolation(np.array([-1.0, 0.25, 2.0, 9.0]), 4)
    np.testing.assert_allclose(matrix @ np.array([0, 10, 20, 30], np.float32), [0, 2.5, 20, 30])
