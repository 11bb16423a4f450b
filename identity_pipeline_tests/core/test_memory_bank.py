"""The memory bank: every face has an outcome, the first look stays, the bank fits; it may judge."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_pipeline.core.tracks.memory_bank import Bank, Confirmed, bank_of, update
from identity_pipeline.core.tracks.stability import measure_stability
from identity_pipeline.core.vectors import normalise
from identity_pipeline.settings import BankSettings, StabilitySettings
from identity_pipeline_tests.core.builders import FEW, plane
from identity_pipeline_tests.core.test_stability import face, table

S = BankSettings()


def bank_at(*degrees: float, settings: BankSettings = S) -> Bank:
    bank = Bank()
    for angle in degrees:
        bank, _ = update(bank, np.array(plane(angle)), 0.8, settings)
    return bank


@pytest.mark.parametrize(
    ("degrees", "quality", "outcome"),
    [
        (59.0, 0.3, "joined"),  # cos 0.515
        (61.0, 0.8, "opened"),  # cos 0.485: between the two cosines
        (80.0, 0.5, "opened"),
        (61.0, 0.4, "taught_nearest"),
        (72.0, 0.4, "taught_nearest"),  # cos 0.309
        (73.0, 0.4, "poor_and_far"),  # cos 0.292
        (0.0, 0.29, "too_poor"),
    ],
)
def test_every_face_has_an_outcome(degrees: float, quality: float, outcome: str) -> None:
    before = bank_at(0.0)
    after, told = update(before, np.array(plane(degrees)), quality, S)
    assert told == outcome
    assert len(after.nodes) == 1 + (outcome == "opened")
    assert (after == before) == (outcome in {"too_poor", "poor_and_far"})


def test_a_joined_node_moves_by_the_rate() -> None:
    after = bank_at(0.0, 40.0)
    expected = normalise(0.9 * np.array([plane(0)]) + 0.1 * np.array([plane(40)]))[0]
    assert after.nodes[0].vector == pytest.approx(expected, abs=1e-6)
    assert after.nodes[0].count == 2


@given(st.integers(0, 2**31), st.integers(5, 40), st.integers(1, 6))
@FEW
def test_the_bank_fits_and_its_first_look_stays(seed: int, faces: int, most: int) -> None:
    rng = np.random.default_rng(seed)
    bank = Bank()
    for _ in range(faces):
        vector = normalise(rng.normal(size=(1, 8)))[0]
        bank, _ = update(bank, vector, float(rng.random()), BankSettings(nodes_max=most))
        assert len(bank.nodes) <= most
        assert [node.anchor for node in bank.nodes].count(True) == (1 if bank.nodes else 0)
        for node in bank.nodes:
            assert np.linalg.norm(node.vector) == pytest.approx(1, abs=1e-5)


def test_overflow_merges_what_is_close_and_evicts_what_is_rarely_seen() -> None:
    close = BankSettings(nodes_max=2, merge_cos=0.99, close_cos=0.8)
    bank = bank_at(0.0, 80.0, 50.0, settings=close)
    assert [node.count for node in bank.nodes] == [1, 2], "80 and 50 degrees are merged"
    assert bank.nodes[1].vector == pytest.approx(plane(65), abs=1e-5)
    far = close.model_copy(update={"close_cos": 0.95})
    bank = bank_at(0.0, 80.0, 80.0, 40.0, settings=far)
    assert [node.count for node in bank.nodes] == [1, 2], "the newcomer was seen once"


def test_a_face_that_its_own_track_does_not_know_teaches_nothing() -> None:
    vectors = np.array([plane(a) for a in (0, 5, 10, 100)])
    track = Confirmed(vectors, np.full(4, 0.9))
    bank = bank_of([track], S, 0.4)
    assert bank.nearest(np.array([plane(100)]))[0] < 0.1
    assert bank.nearest(np.array([plane(5)]))[0] > 0.99
    assert not bank_of([], S, 0.4).nodes


def test_a_bank_judges_its_rider_alone_and_says_so() -> None:
    settings = StabilitySettings()
    rows = [face(n, e_id=plane(0)) for n in range(4)]
    rows.append(face(4, e_id=plane(80)))  # far from the ride's medoid, known from elsewhere
    rows += [face(n, person=1) for n in range(4)]
    faces = table(*rows)
    alone = measure_stability(faces, settings)
    known = measure_stability(faces, settings, {0: bank_at(0.0, 76.0)})
    reasons = [dict(t.select("face_id", "reason").iter_rows())["000004-0"] for t in (alone, known)]
    assert reasons == ["below_floor", "closer_to_rival"], "it is not the other rider's either"
    assert alone["judged_by"].null_count() == 9
    assert known.group_by("person_id", "judged_by").len().sort("person_id").rows() == [
        (0, "bank", 5), (1, None, 4)
    ]  # fmt: skip
    apart = table(*rows[:5])
    assert measure_stability(apart, settings, {0: bank_at(0.0, 76.0)})["stable"].all()


def test_of_a_known_rider_too_there_is_no_set_without_enough_strict_faces() -> None:
    faces = table(*(face(n, strict=n == 0, e_id=plane(0)) for n in range(4)))
    known = measure_stability(faces, StabilitySettings(), {0: bank_at(0.0)})
    assert set(known["reason"]) == {"no_prototype"} and known["judged_by"].null_count() == 4
