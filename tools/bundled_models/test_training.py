"""Data, losses and formats, without the face model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tools.bundled_models import canvases, datasets, degrade, losses, networks, train, vision
from tools.bundled_models.scores import Tally, match, pose_of


def test_anchor_targets_point_back_at_their_face() -> None:
    box = np.array([[40, 50, 100, 122]], np.float32)
    points = np.tile(np.array([[70, 86]], np.float32), (1, 5))
    labels, targets = canvases.assign(box, points, 256)
    places, strides = losses.anchor_points(256)
    assert len(labels) == len(places) == len(strides) == 2 * (32**2 + 16**2 + 8**2)
    chosen = labels == 1
    assert chosen.any() and (labels == -1).any()
    assert (targets[chosen][:, :4] == box).all()
    centre = places[torch.from_numpy(chosen)].numpy()
    assert (np.abs(centre - [70, 86]) < 0.3 * 66).all()


def test_an_empty_canvas_has_no_targets() -> None:
    labels, _ = canvases.assign(np.zeros((0, 4), np.float32), np.zeros((0, 10), np.float32), 256)
    assert not labels.any()


def test_hardly_seen_faces_are_neither_asked_for_nor_forbidden() -> None:
    box, points = np.array([[40, 50, 100, 122]], np.float32), np.zeros((1, 10), np.float32)
    asked, _ = canvases.assign(box, points, 256)
    labels, targets = canvases.assign(box, points, 256, np.array([False]))
    assert not (labels == 1).any() and not targets.any()
    assert (labels[asked == 1] == -1).all()


def test_detection_loss_is_small_for_a_perfect_answer() -> None:
    labels, targets = canvases.assign(
        np.array([[32, 32, 96, 96]], np.float32), np.full((1, 10), 64, np.float32), 128
    )
    places, strides = losses.anchor_points(128)
    wanted, stride = torch.from_numpy(targets), strides[:, None]
    boxes = torch.cat([places - wanted[:, :2], wanted[:, 2:4] - places], 1) / stride
    points = (wanted[:, 4:] - places.repeat(1, 5)) / stride
    scores = torch.where(torch.from_numpy(labels) == 1, 12.0, -12.0)[:, None]
    answer = ([scores[None]], [boxes[None]], [points[None]])
    parts = losses.detection(answer, torch.from_numpy(labels)[None], wanted[None], 128)
    assert sum(float(part) for part in parts.values()) < 1e-3


def test_similarity_recovers_a_known_map() -> None:
    turn = np.array([[0.8, -0.6], [0.6, 0.8]]) * 1.7
    points = np.random.default_rng(0).normal(size=(5, 2))
    found = datasets.similarity(points, points @ turn.T + [3, -4])
    np.testing.assert_allclose(found, np.concatenate([turn, [[3], [-4]]], 1), atol=1e-9)


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


def test_the_pack_loads_as_insightface_expects(tmp_path: Path) -> None:
    pytest.importorskip("insightface")
    from tools.bundled_models.export import export_all
    from tools.bundled_models.measure import analysis

    written = export_all(tmp_path / "none", tmp_path, untrained=True)
    assert all(path.stat().st_size < 5_000_000 for path in written)
    app = analysis(tmp_path / "pack", 128)
    assert set(app.models) == {"detection", "recognition", "landmark_3d_68"}
    assert app.models["recognition"].output_shape[1] == 256
    assert app.det_model.detect(np.zeros((90, 120, 3), np.uint8))[0].shape[1] == 5


def test_frontal_landmarks_have_no_pose() -> None:
    pytest.importorskip("insightface")
    from insightface.data import get_object

    mean = np.asarray(get_object("meanshape_68.pkl"))
    marks = mean / np.abs(mean).max() / 2
    assert np.abs(pose_of(marks)).max() < 1.0


def test_contrastive_loss_falls_when_groups_gather() -> None:
    group = torch.arange(8) // 2
    apart = torch.randn(8, 16, generator=torch.Generator().manual_seed(0))
    assert losses.contrastive(torch.eye(16)[group], group, 0.1) < losses.contrastive(
        apart, group, 0.1
    )


def test_faces_by_their_own_person_s_direction_cost_less() -> None:
    directions, row = torch.eye(4), torch.arange(4)
    at_home = losses.classification(directions, directions, row, 0.2)
    away = losses.classification(directions.roll(1, 0), directions, row, 0.2)
    assert at_home < away
    assert at_home > losses.classification(directions, directions, row, 0.0)


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


def test_the_vision_encoder_begins_with_the_readers_trunk() -> None:
    weights = networks.FaceReader().state_dict()
    model = vision.VisionTrainer(7)
    train.begin_with_trunk(model, weights)
    block = model.encoder.encoder.stages[1].layers[1].layer[1].convolution
    assert torch.equal(block.weight, weights["trunk.fine.3.second.0.weight"])


def test_context_begins_as_nothing() -> None:
    features = torch.rand(2, 112, 8, 8)
    assert torch.equal(networks.Context(112)(features), features)


def test_the_reader_starts_near_the_middle() -> None:
    marks, attributes, pose = networks.FaceReader().eval()(torch.zeros(1, 3, 192, 192))
    assert marks.shape == (1, 68, 3) and attributes.shape == (1, 4) and pose.shape == (1, 3)
    assert marks.abs().max() < 0.5


def test_detector_and_recogniser_can_begin_with_the_readers_trunk() -> None:
    weights = networks.FaceReader().state_dict()
    for model in (networks.Detector(), networks.Recogniser()):
        train.begin_with_trunk(model, weights)
        own = model.state_dict()
        assert torch.equal(own["trunk.fine.0.0.weight"], weights["trunk.fine.0.0.weight"])
    with pytest.raises(ValueError, match="trunk"):
        train.begin_with_trunk(networks.Detector(), {})


def test_draws_are_seeded_and_counted() -> None:
    first, second = (list(datasets.Draws(10, 25, 1)) for _ in range(2))
    assert first == second and len(first) == 25
    assert sorted(crop for crop, _ in first[:10]) == list(range(10))


def test_the_learning_rate_rises_then_falls() -> None:
    rates = [train.learning_rate(progress, 1.0) for progress in (0.0, 0.03, 0.5, 1.0)]
    assert rates[0] < rates[1] > rates[2] > rates[3]


def test_hidden_faces_neither_count_nor_harm() -> None:
    tally = Tally()
    true = np.array([[0, 0, 50, 50], [100, 0, 150, 50]], float)
    tally.add(true.copy(), true, np.array([True, False]))
    assert tally.figures() == {"recall": 1.0, "precision": 1.0, "n": 1}
    assert match(true, true) == [(0, 0), (1, 1)]
