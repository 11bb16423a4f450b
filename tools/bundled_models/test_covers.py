"""What is painted before a face, and the nets that learn from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray

from tools.bundled_models import covers
from tools.bundled_models.cover_samples import hidden_share
from tools.bundled_models.degrade import Backgrounds
from tools.bundled_models.train_cover import EyeThere, WhatIsCovered, average, export

SIZE = 160


@pytest.fixture(scope="module")
def behind() -> Backgrounds:
    return Backgrounds(2, SIZE, 0)


@pytest.fixture(scope="module")
def marks() -> NDArray[np.float64]:
    """68 landmarks of which only eyes and chin are where they belong."""
    marks = np.tile([80.0, 90.0, 0.0], (68, 1))
    for first, x in ((36, 55.0), (42, 105.0)):
        corners = [(-12, 0), (-5, -5), (5, -5), (12, 0), (5, 5), (-5, 5)]
        marks[first : first + 6, :2] = np.array(corners) + [x, 70]
    marks[8, :2] = [80, 150]
    return marks


@pytest.mark.parametrize("name", list(covers.COVERS))
def test_a_cover_tells_what_it_hides(
    name: str, marks: NDArray[np.float64], behind: Backgrounds
) -> None:
    face, hides = np.full((SIZE, SIZE, 3), 120, np.uint8), []
    for seed in range(8):
        picture, mask = covers.COVERS[name](face, marks, np.random.default_rng(seed), behind)
        assert picture.shape == face.shape
        assert picture.dtype == np.uint8
        assert 0 <= mask.min() <= mask.max() <= 1
        hides.append([hidden_share(mask, marks, eye) for eye in (0, 1)])
        assert (picture != 120).any()
    shares = np.array(hides)
    if name in ("goggles", "visor"):
        assert shares.min() > 0.9
    elif name == "shadow":
        assert shares.max() == 0
    elif name != "scarf":
        assert shares.max() > 0.5


def test_the_mean_of_two_nets_is_one_net(tmp_path: Path) -> None:
    for make, side in ((EyeThere, 64), (WhatIsCovered, 96)):
        parts = []
        for seed in (1, 2):
            torch.manual_seed(seed)
            path = tmp_path / f"{make.__name__}{seed}.onnx"
            export(make(), side, path, "told")
            parts.append(path)
        average(parts, tmp_path / "mean.onnx")
        seen = np.random.default_rng(0).random((3, 3, side, side)).astype(np.float32)
        told = [
            onnxruntime.InferenceSession(str(p), providers=["CPUExecutionProvider"]).run(
                None, {"data": seen}
            )[0]
            for p in (*parts, tmp_path / "mean.onnx")
        ]
        assert np.allclose((told[0] + told[1]) / 2, told[2], atol=1e-6)
        assert not np.allclose(told[0], told[1], atol=1e-4)
