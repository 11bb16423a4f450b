"""Suggestions: they survive, expire, and do not nag."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_pipeline.core.clustering.shared_frames import shared_frame_pairs
from identity_pipeline.core.library.prototypes import person_references
from identity_pipeline.core.library.suggestions import (
    SUGGESTIONS,
    build_suggestions,
    days_after,
    find_more,
    suggestion_id,
)
from identity_pipeline.core.matching.assignment import PERSON_ASSIGNMENTS, Decisions
from identity_pipeline.core.matching.gallery import gallery_of
from identity_pipeline.settings import MatchSettings
from identity_pipeline_tests.core.builders import MODEST, plane
from identity_pipeline_tests.core.people import fixed_thresholds, template, templates

S = MatchSettings()
NONE = pl.DataFrame(schema=SUGGESTIONS)
DAY = "2026-01-10"
Pairs = dict[tuple[str, str], float | None]


def assignments(*rows: tuple[str, str, str | None, float]) -> pl.DataFrame:
    blank = dict.fromkeys(PERSON_ASSIGNMENTS)
    return pl.DataFrame(
        [
            {**blank, "track_key": key, "state": state, "person_id": person, "score": score}
            for key, state, person, score in rows
        ],
        schema=PERSON_ASSIGNMENTS,
    )


def build(
    now: pl.DataFrame,
    before: pl.DataFrame = NONE,
    *,
    assigned: dict[str, str] | None = None,
    rejected: Pairs | None = None,
    today: str = DAY,
) -> pl.DataFrame:
    return build_suggestions(now, before, assigned or {}, rejected or {}, today, S)


def row(table: pl.DataFrame, key: str = "t", person: str = "p") -> dict[str, Any]:
    return table.filter(suggestion_id=suggestion_id(key, person)).row(0, named=True)


ASKED = assignments(("t", "suggested", "p", 0.5))
QUIET = assignments(("t", "unknown", None, 0.3))


def test_a_new_one_is_pending_with_its_expiry() -> None:
    told = row(build(ASKED))
    assert told["state"] == "pending"
    assert told["score"] == pytest.approx(0.5)
    assert (told["first_seen"], told["expires"]) == ("2026-01-10", "2026-02-09")
    assert len(told["suggestion_id"]) == 16
    assert suggestion_id("ab", "c") != suggestion_id("a", "bc")


@pytest.mark.parametrize("again", [ASKED, QUIET, assignments(("t", "suggested", "q", 0.6))])
def test_a_pending_one_survives_a_recompute(again: pl.DataFrame) -> None:
    told = row(build(again, build(ASKED), today="2026-02-09"))
    assert (told["state"], told["first_seen"]) == ("pending", DAY)


def test_it_expires_and_stays_away_until_the_evidence_rises() -> None:
    old = build(ASKED, build(ASKED), today="2026-02-10")
    assert row(old)["state"] == "expired"
    assert row(old)["evidence"] == pytest.approx(0.5)
    assert row(build(ASKED, old, today="2026-02-11"))["state"] == "expired"
    risen = row(build(assignments(("t", "suggested", "p", 0.56)), old, today="2026-02-11"))
    assert (risen["state"], risen["first_seen"]) == ("pending", "2026-02-11")


def test_accepting_one_expires_its_rivals_and_undoing_brings_them_back() -> None:
    both = build(ASKED, build(assignments(("t", "suggested", "q", 0.55))))
    accepted = build(assignments(("t", "known", "p", 0.5)), both, assigned={"t": "p"})
    assert row(accepted)["state"] == "accepted"
    assert row(accepted, person="q")["state"] == "expired"
    undone = build(ASKED, accepted, today="2026-01-12")
    assert undone.equals(both), "undone, all is as before"


def test_a_track_that_the_machine_knows_or_that_is_gone_is_not_asked_about() -> None:
    before = build(ASKED)
    assert row(build(assignments(("t", "known", "p", 0.9)), before))["state"] == "expired"
    assert row(build(assignments(), before))["state"] == "expired"
    assert row(build(assignments(("t", "ignored", None, 0.9)), before))["state"] == "expired"


def test_a_rejected_one_for_ever() -> None:
    told = build(QUIET, build(ASKED), rejected={("t", "p"): None})
    assert (row(told)["state"], row(told)["evidence"]) == ("rejected", pytest.approx(0.5))
    undone = build(ASKED, told)
    assert (row(undone)["state"], row(undone)["evidence"]) == ("pending", None)


def test_reopened_it_stays_open_and_can_be_turned_down_again() -> None:
    rejected: Pairs = {("t", "p"): 0.5}
    before = build(QUIET, build(ASKED), rejected=rejected)
    higher = assignments(("t", "suggested", "p", 0.6))
    once = build(higher, before, rejected=rejected, today="2026-01-20")
    assert (row(once)["state"], row(once)["first_seen"]) == ("pending", "2026-01-20")
    twice = build(higher, once, rejected=rejected, today="2026-01-21")
    assert (row(twice)["state"], row(twice)["first_seen"]) == ("pending", "2026-01-20")
    again = build(higher, twice, rejected={("t", "p"): 0.6}, today="2026-01-22")
    assert row(again)["state"] == "rejected"


@given(st.lists(st.floats(0.3, 0.9), min_size=1, max_size=8))
@MODEST
def test_a_rejected_one_is_away_until_the_evidence_has_risen(scores: list[float]) -> None:
    rejected: Pairs = {("t", "p"): 0.5}
    table = build(QUIET, build(ASKED), rejected=rejected)
    for score in scores:
        table = build(assignments(("t", "suggested", "p", score)), table, rejected=rejected)
        rose = float(np.float32(score)) > 0.5 + S.suggestion_regrow
        assert row(table)["state"] == ("pending" if rose else "rejected")


@given(st.integers(0, 2**31))
@MODEST
def test_the_order_of_rows_is_of_no_matter_and_a_recompute_changes_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    states = ["suggested", "unknown", "known"]

    def some() -> pl.DataFrame:
        rows = [
            (f"t{i}", str(rng.choice(states)), str(rng.choice(["p", "q"])), float(rng.random()))
            for i in range(6)
        ]
        return assignments(*rows)

    before = build(some())
    now = some()
    once = build(now, before)
    shuffled = build(now[rng.permutation(6).tolist()], before[::-1])
    assert once.equals(shuffled)
    assert build(now, once).equals(once)
    assert once["suggestion_id"].is_unique().all()


def test_dates() -> None:
    assert days_after("2024-02-28", 2) == "2024-03-01"
    with pytest.raises(ValueError, match="soon"):
        days_after("soon", 1)


def test_find_more_ranks_the_tracks_of_nobody() -> None:
    degrees = {"l:0": 0, "v:0": 30, "v:1": 10, "w:0": 60, "w:1": 5, "x:0": 85, "l:1": 0, "y:0": 1}
    table = templates(*(template(key, plane(a)) for key, a in degrees.items()))
    gallery = gallery_of(person_references(table, {"track:l:0": "p"}, S))
    decisions = Decisions(
        assigned={"track:l:0": "p", "track:y:0": "q"}, rejected={("track:w:1", "p"): None}
    )
    beside = shared_frame_pairs(table)
    found = find_more("p", table, gallery, fixed_thresholds(), decisions, beside, S)
    assert found["track_key"].to_list() == ["track:v:1", "track:v:0", "track:w:0"]
    assert found["rank"].to_list() == [1, 2, 3]
    assert found["suggestible"].to_list() == [True, True, True]
    with pytest.raises(LookupError, match="label one"):
        find_more("nobody", table, gallery, fixed_thresholds(), decisions, beside, S)
