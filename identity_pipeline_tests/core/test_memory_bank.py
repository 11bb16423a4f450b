"""The memory bank: every face has an outcome, anchors stay, the bank fits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_pipeline.core.library.memory_bank import (
    Bank,
    BankImage,
    match,
    select_references,
    update,
)
from identity_pipeline.core.vectors import normalise
from identity_pipeline.settings import BankSettings
from identity_pipeline_tests.core.builders import MODEST, axis, plane

S = BankSettings()


def image(n: int, quality: float = 0.8, **bins: object) -> BankImage:
    return BankImage(f"{n:06d}-0", quality, **bins)  # type: ignore[arg-type]


def bank_of(*degrees: float, quality: float = 0.8) -> Bank:
    bank = Bank()
    for n, angle in enumerate(degrees):
        bank, _ = update(bank, np.array(plane(angle)), image(n, quality), S)
    return bank


@pytest.mark.parametrize(
    ("degrees", "quality", "outcome"),
    [
        (59.0, 0.3, "joined"),  # cos 0.515
        (61.0, 0.8, "opened"),  # cos 0.485: between the two cosines
        (71.0, 0.8, "opened"),
        (80.0, 0.5, "opened"),
        (61.0, 0.4, "taught_nearest"),
        (72.0, 0.4, "taught_nearest"),  # cos 0.309
        (73.0, 0.4, "poor_and_far"),  # cos 0.292
        (0.0, 0.29, "too_poor"),
    ],
)
def test_every_face_has_an_outcome(degrees: float, quality: float, outcome: str) -> None:
    before = bank_of(0.0)
    after, told = update(before, np.array(plane(degrees)), image(1, quality), S)
    assert told == outcome
    assert len(after.nodes) == 1 + (outcome == "opened")
    assert (after == before) == (outcome in {"too_poor", "poor_and_far"})


def test_a_joined_node_moves_by_the_rate() -> None:
    after, _ = update(bank_of(0.0), np.array(plane(40)), image(1), S)
    expected = normalise(0.9 * np.array([plane(0)]) + 0.1 * np.array([plane(40)]))[0]
    assert after.nodes[0].vector == pytest.approx(expected, abs=1e-6)
    assert after.nodes[0].count == 2


@given(st.integers(0, 2**31), st.integers(5, 60), st.integers(1, 6))
@MODEST
def test_the_bank_fits_and_keeps_its_anchors(seed: int, faces: int, most: int) -> None:
    rng = np.random.default_rng(seed)
    settings = BankSettings(nodes_max=most)
    bank = Bank()
    for n in range(faces):
        vector = normalise(rng.normal(size=(1, 8)))[0]
        anchors = {node.node_id for node in bank.nodes if node.anchor}
        bank, outcome = update(
            bank, vector, image(n, float(rng.random())), settings, anchor=bool(rng.random() < 0.1)
        )
        assert len(bank.nodes) <= most
        still = {node.node_id for node in bank.nodes if node.anchor}
        if most > len(anchors) + 1:
            assert anchors <= still, "an anchor is never evicted while anything else can go"
        assert not bank.nodes or still
        assert outcome in {"opened", "joined", "taught_nearest", "too_poor", "poor_and_far"}
        for node in bank.nodes:
            assert np.linalg.norm(node.vector) == pytest.approx(1, abs=1e-5)
            assert len(node.images) <= settings.images_max


def test_overflow_merges_what_is_close_and_evicts_what_is_rarely_seen() -> None:
    close = BankSettings(nodes_max=2, merge_cos=0.99, close_cos=0.8)
    bank = Bank()
    for n, angle in enumerate((0.0, 80.0, 50.0)):
        bank, _ = update(bank, np.array(plane(angle)), image(n), close)
    assert [node.count for node in bank.nodes] == [1, 2], "80 and 50 degrees are merged"
    assert bank.nodes[1].vector == pytest.approx(plane(65), abs=1e-5)
    far = BankSettings(nodes_max=2, merge_cos=0.99, close_cos=0.95)
    bank = Bank()
    for n, angle in enumerate((0.0, 80.0, 80.0, 40.0)):
        bank, _ = update(bank, np.array(plane(angle)), image(n), far)
    assert [node.node_id for node in bank.nodes] == [0, 1], "the newcomer was seen once"


def test_the_first_node_is_the_anchor_and_a_flag_makes_others() -> None:
    bank = bank_of(0.0, 90.0)
    assert [node.anchor for node in bank.nodes] == [True, False]
    bank, _ = update(bank, np.array(plane(91)), image(9), S, anchor=True)
    assert [node.anchor for node in bank.nodes] == [True, True]


def test_matching_scores_the_nearest_node_and_keeps_the_anchors_weight() -> None:
    bank = bank_of(0.0, 90.0)
    told = match(bank, np.array(plane(90)), S)
    assert told is not None
    assert told.score == pytest.approx(1.0)
    assert told.node_id == 1
    assert told.weights[0] == pytest.approx(0.15)
    assert sum(told.weights.values()) == pytest.approx(1)
    assert match(Bank(), np.array(plane(0)), S) is None


def test_the_anchor_counts_even_when_it_is_not_among_the_nearest() -> None:
    bank = Bank()
    for n in range(5):
        bank, _ = update(bank, np.array(axis(n, 8)), image(n), S)
    probe = normalise(np.array([[0, 1, 1, 1, 0.9, 0, 0, 0]]))[0]
    told = match(bank, probe, S)
    assert told is not None
    assert set(told.weights) == {0, 1, 2, 3}
    assert told.weights[0] == pytest.approx(0.15)


def test_references_fit_the_bucket_and_hold_an_anchor() -> None:
    bank = Bank()
    bins = [(0, 0, "neutral"), (30, 0, "neutral"), (30, 0, "smile"), (45, 10, "smile")]
    for n, (yaw, pitch, expression) in enumerate(bins):
        shown = image(n, yaw_key=yaw, pitch_key=pitch, expression=expression)
        bank, _ = update(bank, np.array(axis(n, 8)), shown, S)
    bank, _ = update(bank, np.array(axis(5, 8)), image(5, 0.99), S)
    chosen = [i.face_id for i in select_references(bank, 30, 0, "smile", 5)]
    assert chosen == ["000002-0", "000001-0", "000003-0", "000000-0", "000005-0"]
    two = [i.face_id for i in select_references(bank, 30, 0, "smile", 2)]
    assert two == ["000002-0", "000000-0"], "the anchor takes the last place"
