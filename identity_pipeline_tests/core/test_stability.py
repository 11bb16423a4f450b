"""Prototype and stability: which faces surely are the rider."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_pipeline.core.tracks.stability import measure_stability, medoid, prototype_face
from identity_pipeline.core.vectors import (
    NotUnitNormError,
    check_unit,
    mean_direction,
    normalise,
    to_matrix,
    to_series,
)
from identity_pipeline.settings import StabilitySettings
from identity_pipeline.tables import VECTOR, conform
from identity_pipeline_tests.core.builders import FEW, MODEST, plane

S = StabilitySettings()


def face(frame: int, person: int = 0, **changes: Any) -> dict[str, Any]:
    base = {"face_id": f"{frame:06d}-{person}", "frame_idx": frame, "person_id": person}
    return {**base, "strict": True, "yaw": 0.0, "e_id": plane(90.0 * person), **changes}


def table(*rows: dict[str, Any]) -> pl.DataFrame:
    schema = {
        "face_id": pl.String, "frame_idx": pl.Int64, "person_id": pl.Int64,
        "strict": pl.Boolean, "yaw": pl.Float32, "e_id": VECTOR,
    }  # fmt: skip
    return pl.DataFrame(list(rows), schema=schema)


def stability(*rows: dict[str, Any]) -> dict[str, dict[str, Any]]:
    result = conform("identity_stability", measure_stability(table(*rows), S))
    return {row["face_id"]: row for row in result.to_dicts()}


@given(st.integers(1, 30), st.integers(2, 40), st.integers(0, 2**31))
@MODEST
def test_the_medoid_has_the_smallest_summed_distance(n: int, dimension: int, seed: int) -> None:
    vectors = normalise(np.random.default_rng(seed).normal(size=(n, dimension)))
    distances = (1 - vectors.astype(float) @ vectors.astype(float).T).sum(axis=1)
    assert distances[medoid(vectors)] == pytest.approx(distances.min(), abs=1e-6)


def test_ties_go_to_the_first() -> None:
    assert medoid(np.array([plane(0), plane(0), plane(0)])) == 0
    assert medoid(np.array([plane(0), plane(60)])) == 0
    assert medoid(np.array([plane(90), plane(0), plane(45), plane(45)])) == 2


def test_no_vector_has_no_medoid() -> None:
    with pytest.raises(ValueError, match="no vectors"):
        medoid(np.zeros((0, 4)))


def test_the_prototype_is_the_medoid_of_the_strict_frontal_faces() -> None:
    rows = [face(i, e_id=plane(a)) for i, a in enumerate((0, 10, 20))]
    turned = [face(3 + i, yaw=15.1, e_id=plane(80)) for i in range(9)]
    blurred = [face(20 + i, strict=False, e_id=plane(80)) for i in range(9)]
    unknown = [face(40 + i, yaw=None, e_id=plane(80)) for i in range(9)]
    assert prototype_face(table(*rows, *turned, *blurred, *unknown), S) == "000001-0"


def test_fifteen_degrees_are_frontal() -> None:
    rows = [face(i, yaw=y, e_id=plane(i)) for i, y in enumerate((-15.0, 0.0, 15.0))]
    turned = [face(9 + i, yaw=40.0, e_id=plane(80)) for i in range(9)]
    assert prototype_face(table(*rows, *turned), S) == "000001-0"


def test_with_fewer_than_three_frontal_faces_all_strict_ones_count() -> None:
    frontal = [face(i, e_id=plane(0)) for i in range(2)]
    turned = [face(2 + i, yaw=40.0, e_id=plane(a)) for i, a in enumerate((50, 55, 60))]
    assert prototype_face(table(*frontal, *turned), S) == "000002-0"


def test_with_fewer_than_three_strict_faces_there_is_none() -> None:
    rows = [face(0), face(1), face(2, strict=False)]
    assert prototype_face(table(*rows), S) is None
    told = stability(*rows)
    assert {row["reason"] for row in told.values()} == {"no_prototype"}
    assert not any(row["stable"] or row["is_prototype"] for row in told.values())
    assert {row["stable_score"] for row in told.values()} == {None}


def riders(*more: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Two riders at 90 degrees of each other, and some faces more."""
    return stability(*(face(i, p) for i in range(3) for p in (0, 1)), *more)


@pytest.mark.parametrize(
    ("degrees", "reason"),
    [(44.0, "closer_to_rival"), (42.0, "stable"), (-69.4, "stable"), (-69.7, "below_floor")],
)
def test_a_stable_face_is_near_its_own_prototype_and_leads_the_rival(
    degrees: float, reason: str
) -> None:
    """cos 69.5 = 0.35; at 43 degrees the lead is 0.049."""
    row = riders(face(9, e_id=plane(degrees)))["000009-0"]
    assert row["reason"] == reason
    assert row["stable"] == (reason == "stable")
    own, rival = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    assert row["stable_score"] == pytest.approx(own, abs=1e-5)
    assert row["rival_score"] == pytest.approx(rival, abs=1e-5)
    assert row["margin"] == pytest.approx(own - rival, abs=1e-5)


def test_the_prototype_is_marked_once_a_person() -> None:
    told = riders()
    assert [f for f, row in told.items() if row["is_prototype"]] == ["000000-0", "000000-1"]


def test_a_face_that_was_not_embedded_says_so() -> None:
    row = riders(face(9, e_id=None))["000009-0"]
    assert (row["reason"], row["stable_score"], row["stable"]) == ("not_embedded", None, False)


def test_a_sole_rider_has_no_rival() -> None:
    told = stability(*(face(i) for i in range(3)), face(3, e_id=plane(60)))
    assert {row["reason"] for row in told.values()} == {"stable"}
    assert {row["rival_score"] for row in told.values()} == {None}


def test_a_rider_without_prototype_is_no_rival() -> None:
    told = stability(*(face(i) for i in range(3)), face(0, 1), face(1, 1))
    assert told["000000-0"]["rival_score"] is None
    assert told["000000-1"]["reason"] == "no_prototype"
    assert told["000000-1"]["rival_score"] == pytest.approx(0, abs=1e-6)


@given(st.integers(0, 2**31))
@FEW
def test_any_order_of_rows_gives_the_same_table(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = [
        face(
            i,
            int(rng.integers(2)),
            e_id=normalise(rng.normal(size=(1, 4)))[0].tolist(),
            yaw=float(rng.uniform(-40, 40)),
            strict=bool(rng.random() < 0.6),
        )
        for i in range(20)
    ]
    faces = table(*rows)
    again = faces[rng.permutation(20).tolist()]
    assert measure_stability(faces, S).equals(measure_stability(again, S))


# --- unit vectors ------------------------------------------------------------------------------


@pytest.mark.parametrize(("norm", "passes"), [(1.0009, True), (1.0011, False), (0.9989, False)])
def test_vectors_at_the_boundary_are_of_unit_length(norm: float, passes: bool) -> None:
    vectors = np.array([plane(0), plane(30)]) * [[1], [norm]]
    if passes:
        assert check_unit(vectors, "e_id").dtype == np.float32
    else:
        with pytest.raises(NotUnitNormError, match="vector 1"):
            check_unit(vectors, "e_id")


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf])
def test_what_has_no_direction_is_refused(bad: float) -> None:
    with pytest.raises(NotUnitNormError):
        check_unit(np.full((1, 3), bad), "e_id")
    with pytest.raises(NotUnitNormError):
        normalise(np.full((1, 3), bad))


def test_an_embedding_that_is_no_unit_vector_is_refused() -> None:
    with pytest.raises(NotUnitNormError):
        stability(*(face(i, e_id=[2.0, 0, 0, 0]) for i in range(3)))


def test_columns_and_matrices_are_the_same_numbers() -> None:
    matrix = normalise(np.random.default_rng(0).normal(size=(5, 8)))
    assert np.array_equal(to_matrix(to_series("v", matrix)), matrix)
    assert to_matrix(to_series("v", matrix[:0])).shape == (0, 0)
    assert mean_direction(np.array([plane(0), plane(90)])) == pytest.approx(plane(45))
