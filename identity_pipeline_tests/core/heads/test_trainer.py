"""The training: exact to resume, the same on every run, and of measurable effect."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from identity_pipeline.core.heads.baselines import baselines
from identity_pipeline.core.heads.network import (
    AngularProxies,
    ProjectionNetwork,
    head_of,
    semi_hard_triplets,
)
from identity_pipeline.core.heads.projection import Head, HeadShapeError
from identity_pipeline.core.heads.trainer import BatchSampler, HeadTrainer
from identity_pipeline.core.heads.training_set import TeachingArrays, teachers, teaching_arrays
from identity_pipeline.core.vectors import NotUnitNormError, normalise
from identity_pipeline.settings import TrainSettings
from identity_pipeline_tests.teaching_library import DIMENSION, rides, training_table

PLAIN = TrainSettings(base_share=0.0, objective="triplet")


def data() -> TeachingArrays:
    return teaching_arrays(teachers(training_table(rides(), PLAIN), PLAIN))


def weights(trainer: HeadTrainer) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in trainer.head().tensors.items()}


@pytest.mark.parametrize("objective", ["triplet", "arcface"])
def test_a_resumed_training_gives_the_weights_of_an_uninterrupted_one(objective: str) -> None:
    settings = PLAIN.model_copy(update={"objective": objective})
    whole = HeadTrainer(data(), settings)
    for _ in range(10):
        whole.run_epoch()
    first = HeadTrainer(data(), settings)
    for _ in range(3):
        first.run_epoch()
    second = HeadTrainer(data(), settings)
    second.restore(first.state())
    for _ in range(7):
        second.run_epoch()
    assert weights(second) == weights(whole)
    assert second.epochs == whole.epochs
    assert second.state().tensors.keys() == whole.state().tensors.keys()


def test_a_state_does_not_change_when_the_training_goes_on() -> None:
    trainer = HeadTrainer(data(), PLAIN)
    trainer.run_epoch()
    state = trainer.state()
    before = {name: array.copy() for name, array in state.tensors.items()}
    trainer.run_epoch()
    assert all(np.array_equal(before[name], state.tensors[name]) for name in before)


def test_training_lowers_the_loss_and_the_number_of_threads_does_not_matter() -> None:
    one, other = HeadTrainer(data(), PLAIN), HeadTrainer(data(), PLAIN)
    for _ in range(5):
        one.run_epoch()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for _ in range(5):
            other.run_epoch()
    finally:
        torch.set_num_threads(threads)
    assert weights(one) == weights(other)
    assert one.epochs[-1].loss < 0.5 * one.epochs[0].loss


def test_another_seed_is_another_head_and_a_foreign_state_is_refused() -> None:
    other = HeadTrainer(data(), PLAIN.model_copy(update={"seed": 1}))
    assert weights(HeadTrainer(data(), PLAIN)) != weights(other)
    proxies = HeadTrainer(data(), PLAIN.model_copy(update={"objective": "arcface"}))
    with pytest.raises(ValueError, match="another kind of head"):
        HeadTrainer(data(), PLAIN).restore(proxies.state())


def test_the_triplet_loss_takes_the_nearest_negative_that_is_farther_than_the_positive() -> None:
    # Cosines to the anchor (row 0): positive 0.8, negatives 0.9 (harder), 0.7 (semi-hard), 0.
    cosines = [1.0, 0.8, 0.9, 0.7, 0.0]
    vectors = torch.tensor([[c, (1 - c * c) ** 0.5] for c in cosines])
    person = torch.tensor([0, 0, 1, 2, 3])
    loss, active = semi_hard_triplets(vectors, person, margin=0.2)
    # Anchor 0: 0.2 - 0.3 + 0.2 = 0.1. Anchor 1 (angle 36.9): row 2 lies at 11.0 degrees and row 3
    # at 8.7, both nearer than the positive; the first that is farther is row 4, out of the margin.
    far = float(vectors[1] @ vectors[4])
    expected = (0.1 + max(0.0, 0.2 - (1 - far) + 0.2)) / 2
    assert float(loss) == pytest.approx(expected, abs=1e-6)
    assert active == pytest.approx(0.5 if 0.4 - (1 - far) <= 0 else 1.0)


def test_where_every_negative_is_nearer_the_farthest_is_taken() -> None:
    vectors = torch.nn.functional.normalize(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.5]]))
    loss, _ = semi_hard_triplets(vectors, torch.tensor([0, 0, 1]), margin=0.2)
    near, far = float(vectors[0] @ vectors[2]), float(vectors[1] @ vectors[2])
    expected = np.mean([1 - (1 - cosine) + 0.2 for cosine in (near, far)])
    assert float(loss) == pytest.approx(expected, abs=1e-6)


def test_the_angular_loss_is_smaller_near_the_own_proxy() -> None:
    loss = AngularProxies(2, 2, margin=0.3, scale=16.0)
    with torch.no_grad():
        loss.proxies.copy_(torch.eye(2))
    right, wrong = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    near, none = loss(right, torch.tensor([0]))
    far, all_wrong = loss(wrong, torch.tensor([0]))
    assert float(near.detach()) < 0.01 < float(far.detach())
    assert (none, all_wrong) == (0.0, 1.0)


@given(
    people=st.integers(2, 12),
    tracks=st.integers(1, 4),
    faces=st.integers(1, 7),
    per_batch=st.integers(2, 16),
    per_person=st.integers(2, 6),
    seed=st.integers(0, 1000),
)
def test_each_batch_has_p_people_with_k_faces_and_an_epoch_is_fair(
    people: int, tracks: int, faces: int, per_batch: int, per_person: int, seed: int
) -> None:
    person = np.repeat(np.arange(people), tracks * faces)
    track = np.repeat(np.arange(people * tracks), faces)
    sampler = BatchSampler(person, track, per_batch, per_person)
    seen = np.zeros(people, dtype=int)
    for rows in sampler.epoch(np.random.default_rng(seed)):
        chosen, counts = np.unique(person[rows], return_counts=True)
        assert len(chosen) == min(per_batch, people)
        assert set(counts.tolist()) == {per_person}
        for one in chosen.tolist():
            own = track[rows[person[rows] == one]]
            assert len(set(own.tolist())) == min(tracks, per_person)
        seen[chosen] += 1
    assert seen.max() - seen.min() <= 1


def test_a_single_person_gives_no_triplets() -> None:
    with pytest.raises(ValueError, match="two people"):
        BatchSampler(np.zeros(5, np.int64), np.zeros(5, np.int64), 4, 2)


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_a_head_gives_unit_vectors_whose_cosine_is_the_stated_mean(share: float) -> None:
    torch.manual_seed(0)
    network = ProjectionNetwork(DIMENSION)
    head, plain = head_of(network, share), head_of(network, 0.0)
    vectors = normalise(np.random.default_rng(0).normal(size=(20, DIMENSION)))
    out, projected = head.apply(vectors), plain.apply(vectors)
    assert out.shape == (20, head.dimension)
    assert np.allclose(np.linalg.norm(out, axis=1), 1, atol=1e-5)
    mean = share * (vectors @ vectors.T) + (1 - share) * (projected @ projected.T)
    assert np.allclose(out @ out.T, mean, atol=1e-5)
    with torch.no_grad():
        assert np.allclose(projected, network(torch.from_numpy(vectors)).numpy(), atol=1e-5)


def test_a_head_refuses_what_it_cannot_take() -> None:
    head = head_of(ProjectionNetwork(DIMENSION), 0.0)
    with pytest.raises(HeadShapeError, match="64 numbers, got 32"):
        head.apply(normalise(np.ones((1, 32))))
    with pytest.raises(NotUnitNormError):
        head.apply(np.ones((1, DIMENSION), dtype=np.float32))
    with pytest.raises(HeadShapeError, match="no projection head"):
        Head({"first.weight": np.zeros((2, 2), np.float32)})
    broken = dict(head.tensors) | {"first.bias": np.full(256, np.nan, np.float32)}
    with pytest.raises(HeadShapeError, match="not finite"):
        Head(broken)
    assert head.apply(np.zeros((0, DIMENSION), np.float32)).shape == (0, 128)


def test_the_baselines_are_unit_maps_and_whitening_equals_its_formula() -> None:
    arrays = data()
    found = baselines(arrays)
    assert list(found) == ["whitening", "lda", "class_means"]
    for linear in found.values():
        mapped = linear.apply(arrays.vectors)
        assert np.allclose(np.linalg.norm(mapped, axis=1), 1, atol=1e-5)
    white = found["whitening"]
    means = np.stack(
        [arrays.vectors[arrays.person == p].mean(0) for p in range(len(arrays.people))]
    )
    within = (arrays.vectors - means[arrays.person]) @ white.matrix
    scatter = within.T @ within / len(within)
    assert np.abs(scatter - np.eye(DIMENSION)).max() < 0.6  # one, but for the shrinkage
