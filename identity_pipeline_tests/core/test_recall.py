"""Recall: what became of every moment, who is asked, and how sure the figure is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from identity_pipeline.core.imagesets.frame_ledger import STATES
from identity_pipeline.core.recall.audit import ANSWERS, UNCLEAR, allocate, choose
from identity_pipeline.core.recall.estimate import KINDS, Recall, recall_of
from identity_pipeline.core.recall.recapture import in_common, recapture
from identity_pipeline.core.recall.strata import (
    BEATEN,
    DECIDED,
    EXPORTED,
    GATED,
    LEFT_OUT,
    MOMENTS,
    NOT_DETECTED,
    UNASSIGNED,
    moments_of,
)
from identity_pipeline.settings import RecallSettings
from identity_pipeline.tables import TABLES

S = RecallSettings()
VIDEO = "5f" * 32


def ledger_of(*faces: tuple[int, int | None, str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """A ride of three seconds at 10 frames a second; faces as frame, rider and state."""
    frames = pl.DataFrame(
        [{"frame_idx": n, "timestamp_ms": 1000.0 + 100 * n} for n in range(30)],
        schema_overrides={"frame_idx": pl.Int64},
    )
    rows = [
        {
            "face_id": f"{frame:06d}-{k}",
            "frame_idx": frame,
            "timestamp_ms": 1000.0 + 100 * frame,
            "person_id": rider,
            "state": state,
            "reason": state,
        }
        for k, (frame, rider, state) in enumerate(faces)
    ]
    return frames, pl.DataFrame(rows, schema=TABLES["frame_ledger"])


def strata_of(*faces: tuple[int, int | None, str], rider: int = 0) -> list[str]:
    found = moments_of(*ledger_of(*faces), S)
    return found.filter(pl.col("person_id") == rider)["stratum"].to_list()


def test_every_moment_of_every_rider_is_in_one_stratum_the_best_that_it_has() -> None:
    assert strata_of(
        (0, 0, "failed_gate"), (1, 0, "saved"), (2, 0, "beaten"),
        (5, 0, "failed_gate"), (6, 0, "too_similar"),
        (11, 0, "beyond_bins"),
        (15, None, "not_a_rider"),
        (21, 0, "rejected"), (22, 0, "failed_gate"),
    ) == [EXPORTED, BEATEN, GATED, UNASSIGNED, DECIDED, NOT_DETECTED]  # fmt: skip


def test_a_stranger_may_be_either_rider_and_no_face_is_nobodys() -> None:
    faces = [(0, 0, "saved"), (0, 1, "saved"), (5, 1, "beaten"), (6, None, "not_a_rider")]
    assert strata_of(*faces, rider=0)[1] == UNASSIGNED
    assert strata_of(*faces, rider=1)[1] == BEATEN
    assert strata_of(*faces, rider=0)[2] == strata_of(*faces, rider=1)[2] == NOT_DETECTED


def test_all_states_of_the_ledger_have_a_stratum_and_others_are_refused() -> None:
    for state in STATES:
        assert strata_of((0, 0, state))[0] in (EXPORTED, DECIDED, *LEFT_OUT)
    with pytest.raises(ValueError, match="unheard_of"):
        strata_of((0, 0, "unheard_of"))


def test_a_moment_shows_the_face_it_is_asked_about_or_its_middle() -> None:
    found = moments_of(*ledger_of((1, 0, "failed_gate"), (3, 0, "beaten")), S)
    assert found["face_id"].to_list()[:2] == ["000003-1", None]
    assert found["frame_idx"].to_list()[:2] == [3, 7]


def population(*strata: tuple[int, str, int], exported: int = 0) -> pl.DataFrame:
    """Moments of strata, given as rider, stratum and how many."""
    rows = [
        (rider, stratum)
        for rider, stratum, n in [*strata, (0, EXPORTED, exported)]
        for _ in range(n)
    ]
    return pl.DataFrame(
        [(rider, n, stratum, n, None, None) for n, (rider, stratum) in enumerate(rows)],
        schema=MOMENTS,
        orient="row",
    )


def answers_of(*told: tuple[int, int, str]) -> pl.DataFrame:
    schema = {"person_id": pl.Int64, "moment": pl.Int64, "answer": pl.String}
    return pl.DataFrame(told, schema=schema, orient="row")


SIZES = st.dictionaries(
    st.tuples(st.integers(0, 1), st.sampled_from(LEFT_OUT)), st.integers(1, 300), min_size=1
)


@given(sizes=SIZES, clicks=st.integers(4, 40), least=st.integers(1, 3))
def test_clicks_are_all_used_none_too_many_and_no_stratum_goes_unseen(
    sizes: dict[tuple[int, str], int], clicks: int, least: int
) -> None:
    chosen = RecallSettings(clicks=clicks, clicks_min=least)
    wanted = allocate(sizes, chosen)
    assert sum(wanted.values()) == min(clicks, sum(sizes.values()))
    assert all(0 <= wanted[s] <= sizes[s] for s in sizes)
    if least * len(sizes) <= clicks:
        assert all(wanted[s] >= min(least, sizes[s]) for s in sizes)


@given(sizes=SIZES, more=st.integers(1, 10))
def test_the_draw_is_of_the_video_and_a_longer_one_goes_on_from_it(
    sizes: dict[tuple[int, str], int], more: int
) -> None:
    moments = population(*((*stratum, n) for stratum, n in sizes.items()))
    few = allocate(sizes, RecallSettings(clicks=10))
    many = {stratum: min(sizes[stratum], n + more) for stratum, n in few.items()}
    asked = choose(moments.sample(fraction=1, shuffle=True, seed=more), VIDEO, few)
    assert asked.equals(choose(moments, VIDEO, few))
    assert asked.height == sum(few.values())
    assert set(asked["moment"]) <= set(choose(moments, VIDEO, many)["moment"])


def test_another_video_draws_others() -> None:
    moments = population((0, GATED, 200))
    draws = [choose(moments, seed * 32, {(0, GATED): 20})["moment"] for seed in ("5f", "60")]
    assert set(draws[0]) != set(draws[1])


def test_without_an_audit_nothing_is_measured() -> None:
    for moments in (population((0, GATED, 5), exported=50), population(exported=50)):
        found = recall_of(moments, answers_of())
        assert (found.share, found.low, found.high, found.n) == (None, None, None, 0)
        assert "100" not in found.sentence
    unclear = recall_of(population((0, GATED, 5)), answers_of((0, 1, UNCLEAR)))
    assert "not measured" in unclear.sentence and unclear.n == 0


def test_what_was_looked_at_as_a_whole_is_certain() -> None:
    told = [(0, n, "missed" if n < 2 else "shown" if n < 6 else "unusable") for n in range(10)]
    found = recall_of(population((0, GATED, 10), exported=12), answers_of(*told))
    assert found.share == found.low == found.high == pytest.approx(16 / 18)
    assert found.sentence == (
        "We export pictures of 89 % (89-89 %) of the usable moments; 10 of the 10 moments that "
        "were left out were looked at."
    )


def test_where_none_was_missed_the_sentence_says_at_least() -> None:
    moments = population((0, GATED, 100), exported=50)
    found = recall_of(moments, answers_of(*((0, n, "unusable") for n in range(30))))
    assert found.share == found.high == 1 and 0.8 < (found.low or 0) < 1
    assert found.sentence.startswith("At least 8")


def test_what_nobody_looked_at_may_be_missed_or_not() -> None:
    moments = population((0, GATED, 10), (0, NOT_DETECTED, 30), exported=30)
    found = recall_of(moments, answers_of(*((0, n, "unusable") for n in range(10))))
    assert found.share is None and found.unseen == {NOT_DETECTED: 30}
    assert (found.low, found.high) == (0.5, 1.0)
    assert "none of the 30 in which no face was found" in found.sentence


def test_nothing_usable_is_no_recall() -> None:
    told = answers_of(*((0, n, "unusable") for n in range(10)))
    found = recall_of(population((0, GATED, 10)), told)
    assert found.share is None and found.sentence.startswith("No usable moment was found")


MOMENTS_OF_A_RIDE = population(
    (0, BEATEN, 40), (0, GATED, 20), (1, UNASSIGNED, 6), (1, NOT_DETECTED, 50), exported=60
)
ONE = st.tuples(st.integers(0, 1), st.integers(0, 175), st.sampled_from(ANSWERS))


@given(told=st.lists(ONE, max_size=60), more=ONE.filter(lambda one: one[2] != UNCLEAR))
@settings(max_examples=50, deadline=None)
def test_a_click_more_never_makes_n_smaller_and_nothing_is_above_the_whole(
    told: list[tuple[int, int, str]], more: tuple[int, int, str]
) -> None:
    before = recall_of(MOMENTS_OF_A_RIDE, answers_of(*told))
    after = recall_of(MOMENTS_OF_A_RIDE, answers_of(*told, more))
    assert after.n >= before.n
    for found in (before, after):
        if found.low is not None and found.high is not None:
            middle = found.low if found.share is None else found.share
            assert 0 <= found.low <= middle <= found.high <= 1
    again = answers_of(*reversed([(p, m, a) for p, m, a in {x[:2]: x for x in told}.values()]))
    assert recall_of(MOMENTS_OF_A_RIDE, again) == before


MISSED = ((0, 0, 0, 0), (0.02, 0.05, 0.1, 0.02), (0, 0, 0, 0.2), (0, 0.4, 0, 0), (0.3,) * 4)


def audited(
    sizes: Sequence[int], missed: Sequence[float], exported: int, seed: int, wrong: float = 0.0
) -> tuple[float, Recall]:
    """The true recall of a made-up ride, and what an audit of twelve to forty clicks says of it.

    Of the answers a share is wrong.
    """
    rng = np.random.default_rng(seed)
    strata = dict(zip(LEFT_OUT, sizes, strict=True))
    moments = population(*((0, s, n) for s, n in strata.items()), exported=exported)
    truth: list[str] = []
    for n, share in zip(sizes, missed, strict=True):
        lacking, shown = round(n * share), round(n * 0.2)
        truth += rng.permutation(np.repeat(KINDS, [lacking, shown, n - lacking - shown])).tolist()
    clicks = RecallSettings(clicks=int(rng.choice([12, 20, 40])))
    wanted = allocate({(0, s): n for s, n in strata.items()}, clicks)
    asked = choose(moments, f"{seed}", wanted)
    answers = [
        str(rng.choice([kind for kind in KINDS if kind != truth[n]]))
        if rng.random() < wrong
        else truth[n]
        for n in asked["moment"]
    ]
    told = zip(asked["moment"], answers, strict=True)
    found = recall_of(moments, answers_of(*((0, n, answer) for n, answer in told)))
    usable = exported + truth.count("missed") + truth.count("shown")
    return (usable - truth.count("missed")) / usable, found


@pytest.mark.parametrize("sizes", [(60, 40, 20, 100), (10, 5, 3, 20)])
def test_the_interval_covers_the_truth_in_nine_of_ten_audits(sizes: tuple[int, ...]) -> None:
    for missed in MISSED:
        covered = 0
        for seed in range(30):
            truth, found = audited(sizes, missed, 40, seed)
            assert found.low is not None and found.high is not None
            covered += found.low - 1e-9 <= truth <= found.high + 1e-9
        assert covered >= 27, missed


def test_a_wrong_answer_in_twenty_harms_where_nothing_is_missed_and_little_where_much_is() -> None:
    covered = {}
    for share in (0.0, 0.3):
        told = [audited((60, 40, 20, 100), (share,) * 4, 40, seed, 0.05) for seed in range(30)]
        covered[share] = sum((r.low or 0) <= truth <= (r.high or 0) + 1e-9 for truth, r in told)
    assert covered[0.3] >= 27 > covered[0.0]


COUNTS = st.tuples(st.integers(0, 500), st.integers(0, 500), st.integers(0, 500))


@given(counts=COUNTS)
def test_there_are_never_fewer_faces_than_were_found(counts: tuple[int, int, int]) -> None:
    both, alone, other = counts
    found = recapture(both, both + alone, both + other)
    assert both + alone + other == found.found <= found.low <= found.total <= found.high
    assert found.share is None or 0 <= found.share <= 1


def test_the_number_is_chapmans() -> None:
    assert recapture(18, 60, 45).total == pytest.approx(61 * 46 / 19 - 1)
    assert "at most" in recapture(18, 60, 45).sentence
    assert "not measured" in recapture(0, 0, 0).sentence
    assert "found none of the faces" in recapture(18, 60, 18).sentence


@pytest.mark.parametrize("counts", [(5, 4, 9), (-1, 3, 3)])
def test_counts_that_cannot_be_are_refused(counts: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="cannot be"):
        recapture(*counts)


@pytest.mark.parametrize("total", [20, 60, 240])
@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.9, 0.6), (0.97, 0.9)])
def test_independent_detectors_tell_how_many_there_are(
    total: int, shares: tuple[float, float]
) -> None:
    rng = np.random.default_rng(total)
    covered = 0
    for _ in range(200):
        one, other = (rng.random(total) < share for share in shares)
        found = recapture(int((one & other).sum()), int(one.sum()), int(other.sum()))
        covered += found.low <= total <= found.high
    assert covered >= 0.9 * 200


def test_dependent_detectors_tell_too_few_which_is_why_the_sentence_says_at_most() -> None:
    rng = np.random.default_rng(4)
    hard = rng.random(5000) < 0.3
    one, other = (rng.random(5000) > np.where(hard, 0.6, 0.05) for _ in range(2))
    assert recapture(int((one & other).sum()), int(one.sum()), int(other.sum())).high < 5000


def test_boxes_of_a_frame_that_overlap_enough_are_one_face_and_each_once() -> None:
    one = np.array([[0, 0, 10, 10], [50, 0, 60, 10]], dtype=float)
    other = np.array([[0, 3, 10, 13], [1, 4, 9, 12], [90, 0, 99, 9]], dtype=float)
    nothing = np.zeros((0, 4))
    assert in_common([one, nothing, one], [other, other, nothing]) == (1, 4, 6)
    assert in_common([], []) == (0, 0, 0)
