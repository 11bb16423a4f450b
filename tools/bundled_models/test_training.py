"""Data, losses and formats, without the face model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from transformers import AutoModel

from tools.bundled_models import datasets, degrade, losses, train, vision


def test_damage_is_a_function_of_the_seed() -> None:
    first, second = (degrade.background(np.random.default_rng(3), 96, 96) for _ in range(2))
    assert (first == second).all()
    damaged = [degrade.camera(first.copy(), np.random.default_rng(4)) for _ in range(2)]
    assert (damaged[0] == damaged[1]).all()
    assert damaged[0].shape == first.shape


def test_an_occluder_hides_what_its_mask_says() -> None:
    grey = np.full((128, 128, 3), 77, np.uint8)
    out, mask = degrade.occlude(grey, np.random.default_rng(1), np.array([20, 20, 100, 110]), 1.0)
    assert mask is not None
    assert (out[mask == 0] == 77).all()


def test_cosines_that_follow_the_targets_cost_nothing() -> None:
    targets = torch.tensor([[0.0], [0.0], [9.0], [9.0]])
    together = torch.eye(4)[[0, 0, 1, 1]]
    assert losses.sameness(together, targets)["spread"] < 1e-6
    assert losses.sameness(together[[0, 2, 1, 3]], targets)["spread"] > 1


def test_every_moment_is_drawn_twice() -> None:
    for batch in datasets.TwiceDraws(10, 3, 24, 1):
        crops = [crop for crop, _ in batch]
        assert len(batch) == 6 and crops[::2] == crops[1::2]
        assert len({draw for _, draw in batch}) == 6


def test_draws_are_seeded_and_counted() -> None:
    first, second = (list(datasets.Draws(10, 25, 1)) for _ in range(2))
    assert first == second and len(first) == 25
    assert sorted(crop for crop, _ in first[:10]) == list(range(10))


def test_the_learning_rate_rises_then_falls() -> None:
    rates = [train.learning_rate(progress, 1.0) for progress in (0.0, 0.03, 0.5, 1.0)]
    assert rates[0] < rates[1] > rates[2] > rates[3]


def test_the_exported_encoder_opens_by_its_folder(tmp_path: Path) -> None:
    trained = vision.VisionTrainer(7).eval()
    vision.export(trained.state_dict(), tmp_path)
    opened = AutoModel.from_pretrained(tmp_path).float().eval()
    picture = torch.rand(1, 3, vision.SIDE, vision.SIDE)
    found = opened(pixel_values=picture).pooler_output.flatten(1)
    torch.testing.assert_close(found, trained(picture)[0], rtol=0.02, atol=0.02)
