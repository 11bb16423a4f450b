"""What pictures are worth as references: who may refer to whom, the curve, and what each adds."""

from __future__ import annotations

import numpy as np
import pytest

from identity_pipeline.core.datasets.worth import (
    Curve,
    Shown,
    _Tried,  # the greedy step against its definition
    _with_each,
    may_refer,
    worth_of,
)
from identity_pipeline.core.vectors import normalise
from identity_pipeline_tests.core.builders import plane


def shown(degrees: list[float], sources: str, yaw: list[float] | None = None) -> Shown:
    """Pictures whose vectors lie in a plane; by default each in a pose of its own."""
    poses = np.array(yaw if yaw is not None else [20.0 * n for n in range(len(degrees))])
    vectors = np.array([plane(a) for a in degrees])
    return Shown(vectors, list(sources), poses, np.zeros(len(degrees)))


def curves(found: Shown) -> dict[str, Curve]:
    return {curve.mode: curve for curve in worth_of(found, "other_rides_and_poses").curves}


def made_up(sources: int = 3, pictures: int = 18) -> Shown:
    rng = np.random.default_rng(3)
    noise = rng.normal(size=(pictures, 32)) * np.linspace(0.02, 0.25, pictures)[:, None]
    vectors = normalise(np.eye(1, 32) + noise)  # the best first
    where = [f"ride-{n % sources}" for n in range(pictures)]
    return Shown(vectors, where, rng.uniform(-45, 45, pictures), rng.uniform(-20, 20, pictures))


def test_a_reference_is_of_another_ride_and_another_pose() -> None:
    pictures = shown([0, 0, 0, 0], "aabb", [0.0, 30.0, 10.0, float("nan")])
    assert may_refer(pictures, "other_rides").sum() == 8, "whatever the pose"
    fit = may_refer(pictures, "other_rides_and_poses")
    assert fit.tolist() == [
        [False, False, False, False],  # the only one elsewhere that has a pose has the same one
        [False, False, True, False],
        [False, True, False, False],
        [False, False, False, False],
    ]


def test_values_are_those_of_the_definition() -> None:
    # Targets of a: 0 degrees; of b: 60, 90. References are each other's.
    found = curves(shown([0, 60, 90], "abb"))
    cos = {a: np.cos(np.radians(a)) for a in (60, 75, 90)}
    best, mean = found["best_of"], found["averaged"]
    assert [point.count for point in best.points] == [1, 2]
    of_b = (cos[60] + cos[90]) / 2
    assert best.all.best_first.mean == pytest.approx((cos[60] + of_b) / 2)
    assert mean.all.best_first.mean == pytest.approx((cos[75] + of_b) / 2)
    assert mean.points[0].best_first.mean == pytest.approx((cos[60] + of_b) / 2), "60 comes first"
    assert (best.all.best_first.low, best.all.best_first.high) == pytest.approx((of_b, cos[60]))
    assert best.loss == pytest.approx([of_b / 2, (cos[60] - cos[90]) / 2, 0.0], abs=1e-9)
    assert mean.loss[2] < 0, "the far one is in the way of the mean"


def test_the_best_first_are_worth_more_than_as_many_at_random() -> None:
    for curve in curves(made_up()).values():
        first, three = curve.points[:2]
        assert first.best_first.mean > first.random.high
        assert three.best_first.mean > three.random.mean
        assert curve.all.best_first.mean == pytest.approx(curve.all.random.mean)


def test_few_pictures_do_for_nearly_all_of_the_value() -> None:
    for curve in curves(made_up()).values():
        shares = [kept.share for kept in curve.greedy]
        assert shares == sorted(shares) and shares[curve.enough - 1] >= 0.97 > shares[0]
        assert curve.enough <= 6 and curve.held_out is not None and 0.8 < curve.held_out <= 1.05
    assert all(c.held_out is None for c in curves(made_up(sources=2)).values())


@pytest.mark.parametrize("mode", ["averaged", "best_of"])
def test_a_greedy_step_weighs_each_picture_as_the_value_does(mode: str) -> None:
    found = made_up(pictures=9)
    cosines = (found.vectors @ found.vectors.T).astype(np.float64)
    tried = _Tried(
        cosines,
        cosines,
        may_refer(found, "other_rides_and_poses"),
        np.array(found.sources, dtype=object),
    )
    taken = np.zeros(9, bool)
    taken[[1, 4]] = True
    each = _with_each(tried, taken, mode)  # type: ignore[arg-type]
    for n in range(9):
        beside = taken.copy()
        beside[n] = True
        if not taken[n]:
            assert each[n] == pytest.approx(tried.value(beside, mode), abs=1e-6)  # type: ignore[arg-type]


def test_of_one_ride_nothing_can_be_said() -> None:
    alone = worth_of(shown([0, 10, 20], "aaa"), "other_rides")
    assert (alone.pictures, alone.targets, alone.curves) == (3, 0, ())
