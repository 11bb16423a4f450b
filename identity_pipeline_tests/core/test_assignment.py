"""Matching of known people: thresholds, margins, rejections, one person once in a frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_pipeline.core.clustering.shared_frames import shared_frame_pairs
from identity_pipeline.core.library.prototypes import PERSON_REFERENCES, person_references
from identity_pipeline.core.matching.assignment import PERSON_ASSIGNMENTS, Decisions, assign
from identity_pipeline.core.matching.flip import what_would_flip
from identity_pipeline.core.matching.gallery import Gallery, gallery_of, identify
from identity_pipeline.core.vectors import SpaceMismatchError
from identity_pipeline.settings import MatchSettings
from identity_pipeline_tests.core.builders import MODEST, axis, plane
from identity_pipeline_tests.core.people import (
    SPACE,
    directions,
    fixed_thresholds,
    looks,
    template,
    templates,
)

S = MatchSettings()
T = fixed_thresholds()
ANNA, BEN = "person-anna", "person-ben"
LABELS = {"track:l:0": ANNA, "track:m:0": BEN}


def known(*vectors: tuple[str, Any]) -> pl.DataFrame:
    return templates(*(template(key, vector) for key, vector in vectors))


PEOPLE = known(("l:0", plane(0)), ("m:0", plane(90)))
GALLERY = gallery_of(person_references(PEOPLE, LABELS, S))


def told(
    *rows: dict[str, Any], decisions: Decisions | None = None, gallery: Gallery = GALLERY
) -> dict[str, dict[str, Any]]:
    result = assign(templates(*rows), gallery, T, decisions or Decisions(), S)
    assert dict(result.schema) == PERSON_ASSIGNMENTS
    return {row["track_key"]: row for row in result.to_dicts()}


@pytest.mark.parametrize(
    ("degrees", "state", "rule", "limit"),
    [
        (30.0, "known", "best_reference_above_assign", 0.6),  # cos .87, rival .5
        (43.5, "suggested", "margin_too_small", 0.6),  # .725, rival .688
        (-54.0, "suggested", "below_assign_above_suggest", 0.6),  # .588
        (-67.0, "unknown", "below_suggest", 0.4),  # .391
    ],
)
def test_the_rule_says_why(degrees: float, state: str, rule: str, limit: float) -> None:
    row = told(template("v:0", plane(degrees)))["track:v:0"]
    assert (row["state"], row["rule"]) == (state, rule)
    assert row["threshold"] == pytest.approx(limit)
    assert row["score"] == pytest.approx(np.cos(np.radians(degrees)), abs=1e-5)
    assert row["runner_up"] == BEN
    assert row["margin"] == pytest.approx(
        np.cos(np.radians(degrees)) - np.sin(np.radians(degrees)), abs=1e-5
    )
    assert row["nearest"] == ["track:l:0"]
    assert row["person_id"] == (None if state == "unknown" else ANNA)
    assert row["origin"] == ("auto" if state == "known" else None)
    assert row["display"] == (f"person_{ANNA}" if state == "known" else None)


def test_without_people_nobody_is_known() -> None:
    nobody = gallery_of(pl.DataFrame(schema=PERSON_REFERENCES))
    row = told(template("v:0", plane(0)), gallery=nobody)["track:v:0"]
    assert (row["state"], row["rule"], row["score"]) == ("unknown", "no_people", None)


def test_a_sole_person_needs_no_margin() -> None:
    sole = gallery_of(person_references(PEOPLE[:1], {"track:l:0": ANNA}, S))
    row = told(template("v:0", plane(50)), gallery=sole)["track:v:0"]
    assert (row["state"], row["margin"], row["runner_up"]) == ("known", None, None)


def test_human_decisions_are_inputs() -> None:
    decisions = Decisions(
        assigned={"track:v:0": BEN, "track:v:1": "person-without-reference"},
        accepted={"track:v:0"},
        ignored={"track:v:2"},
        not_faces={"track:v:3"},
    )
    rows = told(*(template(f"v:{i}", plane(0)) for i in range(4)), decisions=decisions)
    assert [rows[f"track:v:{i}"]["rule"] for i in range(4)] == [
        "human_confirmed", "human_confirmed", "ignored", "not_a_face",
    ]  # fmt: skip
    assert rows["track:v:0"]["person_id"] == BEN
    assert rows["track:v:0"]["origin"] == "suggestion_accepted"
    assert rows["track:v:1"]["origin"] == "human"
    assert rows["track:v:1"]["score"] is None


def test_a_reference_does_not_speak_for_itself() -> None:
    row = told(template("l:0", plane(0)), decisions=Decisions(assigned=LABELS))["track:l:0"]
    assert (row["rule"], row["score"]) == ("human_confirmed", None)


def test_a_rejected_pair_is_neither_assigned_nor_suggested() -> None:
    decisions = Decisions(rejected={("track:v:0", ANNA): None})
    row = told(template("v:0", plane(20)), decisions=decisions)["track:v:0"]
    assert (row["state"], row["rule"], row["person_id"]) == ("unknown", "rejected_before", None)
    second = told(template("v:0", plane(40)), decisions=decisions)["track:v:0"]
    assert (second["state"], second["person_id"]) == ("known", BEN), "the next best has its turn"
    assert (second["runner_up"], second["margin"]) == (None, None)


@pytest.mark.parametrize(("evidence", "state"), [(0.88, "unknown"), (0.87, "suggested")])
def test_a_turned_down_pair_is_asked_again_when_the_evidence_rises(
    evidence: float, state: str
) -> None:
    """cos 22 degrees = .927; it must rise by more than .05, and is never assigned."""
    decisions = Decisions(rejected={("track:v:0", ANNA): evidence})
    row = told(template("v:0", plane(22)), decisions=decisions)["track:v:0"]
    assert row["state"] == state
    assert row["rule"] == ("evidence_rose" if state == "suggested" else "rejected_before")


def test_one_person_is_in_a_frame_once() -> None:
    rows = told(
        template("v:0", plane(-30)), template("v:1", plane(-10)), template("w:0", plane(-30))
    )
    assert rows["track:v:1"]["person_id"] == ANNA
    assert (rows["track:v:0"]["state"], rows["track:v:0"]["rule"]) == (
        "unknown",
        "lost_to_better_in_frame",
    )
    assert rows["track:w:0"]["person_id"] == ANNA, "another video is another frame"


def test_tracks_at_other_times_may_be_one_person() -> None:
    rows = told(
        template("v:0", plane(-30), frames=range(5)),
        template("v:1", plane(-10), frames=range(6, 9)),
    )
    assert {row["person_id"] for row in rows.values()} == {ANNA}


def test_who_loses_a_person_has_its_next_best() -> None:
    rows = told(template("v:0", plane(0)), template("v:1", plane(40)))
    assert rows["track:v:1"]["person_id"] == BEN


def test_a_human_decision_takes_the_frame() -> None:
    decisions = Decisions(assigned={"track:v:0": ANNA})
    rows = told(template("v:0", plane(-80)), template("v:1", plane(0)), decisions=decisions)
    assert rows["track:v:0"]["person_id"] == ANNA
    assert rows["track:v:1"]["rule"] == "lost_to_better_in_frame"


def test_spaces_are_never_mixed() -> None:
    with pytest.raises(SpaceMismatchError):
        told(template("v:0", plane(0), space="other@000000000000/4"))


@given(st.integers(0, 2**31))
@MODEST
def test_no_decision_is_violated_and_every_refusal_has_its_reason(seed: int) -> None:
    rng = np.random.default_rng(seed)
    people = directions(rng, 4, 8)
    rows = []
    for video in "abcd":
        for track in range(4):
            vector = looks(rng, people[rng.integers(4)], 1, 0.9, 8)[0]
            start = int(rng.integers(12))
            rows.append(template(f"{video}:{track}", vector, frames=range(start, start + 6)))
    table = templates(*rows)
    keys = table["track_key"].to_list()
    names = [f"p{i}" for i in range(4)]
    labels = {str(k): names[i % 4] for i, k in enumerate(rng.permutation(keys)[:6])}
    rejected = {
        (str(rng.choice(keys)), str(rng.choice(names))): rng.choice([None, 0.1, 0.9])
        for _ in range(12)
    }
    gallery = gallery_of(person_references(table, labels, S))
    decisions = Decisions(assigned=labels, rejected=rejected)
    result = assign(table, gallery, T, decisions, S)
    who = {row["track_key"]: row for row in result.to_dicts()}
    assert all(who[key]["person_id"] == person for key, person in labels.items())
    _check_frames(who, table)
    for (key, person), evidence in rejected.items():
        if key in labels or who[key]["person_id"] != person:
            continue
        assert who[key]["state"] == "suggested"
        assert evidence is not None
        assert who[key]["score"] > evidence + S.suggestion_regrow
    _check_stability(who, table, gallery, decisions)
    shuffled = table[rng.permutation(table.height).tolist()]
    assert assign(shuffled, gallery, T, decisions, S).equals(result)


def _check_frames(who: Mapping[str, dict[str, Any]], table: pl.DataFrame) -> None:
    for a, b in shared_frame_pairs(table):
        human = [who[key]["origin"] == "human" for key in (a, b)]
        if who[a]["person_id"] is not None and not all(human):
            assert who[a]["person_id"] != who[b]["person_id"]


def _check_stability(
    who: Mapping[str, dict[str, Any]], table: pl.DataFrame, gallery: Gallery, d: Decisions
) -> None:
    """A track that prefers a person that it did not get lost it to a better or human one."""
    keys = table["track_key"].to_list()
    vectors = np.array(table["template"].to_list(), dtype=np.float32)
    scores = gallery.person_scores(gallery.reference_scores(vectors, keys))
    rivals: dict[str, set[str]] = {key: set() for key in keys}
    for a, b in shared_frame_pairs(table):
        rivals[a].add(b)
        rivals[b].add(a)
    for row, key in enumerate(keys):
        if key in d.assigned:
            continue
        got = who[key]["person_id"]
        own = -1.0 if got is None else scores[row, gallery.people.index(got)]
        for column, person in enumerate(gallery.people):
            score = float(scores[row, column])
            if score <= own or score < 0.4 or (key, person) in d.rejected:
                continue
            winners = [r for r in rivals[key] if who[r]["person_id"] == person]
            assert winners, "nobody has the person, yet the track did not get it"
            assert any(r in d.assigned or scores[keys.index(r), column] >= score for r in winners)


# --- explaining ---------------------------------------------------------------------------------


def test_what_would_flip_names_the_numbers() -> None:
    rows = told(
        template("v:0", plane(-54)), template("w:0", plane(43.5)), template("x:0", plane(0))
    )
    below = what_would_flip(rows["track:v:0"], T, 2, S)
    assert below.score_needed == pytest.approx(0.6)
    assert below.score_missing == pytest.approx(0.6 - np.cos(np.radians(54)), abs=1e-5)
    assert "0.600 instead of 0.588" in below.sentence
    close = what_would_flip(rows["track:w:0"], T, 2, S)
    assert close.margin_needed == pytest.approx(0.05)
    assert close.margin_missing == pytest.approx(0.05 - 0.037, abs=1e-3)
    assert "lead" in close.sentence
    assert (
        "would be lost below a score of 0.600"
        in what_would_flip(rows["track:x:0"], T, 2, S).sentence
    )
    human = told(template("v:0", plane(0)), decisions=Decisions(assigned={"track:v:0": BEN}))
    assert "human" in what_would_flip(human["track:v:0"], T, 2, S).sentence


# --- open set -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("degrees", "answer", "who"),
    [
        (10.0, "known", ANNA), (43.5, "ambiguous", None), (-54.0, "probably", None),
        (-80.0, "unknown", None),
    ],
)  # fmt: skip
def test_a_face_is_known_unknown_or_ambiguous(degrees: float, answer: str, who: str | None) -> None:
    told_ = identify(np.array(plane(degrees)), SPACE, GALLERY, fixed_thresholds(level="probe"), S)
    assert (told_.answer, told_.person_id) == (answer, who)
    assert [standing.person_id for standing in told_.people] == [ANNA, BEN]


def test_identifying_among_nobody_and_in_another_space() -> None:
    nobody = gallery_of(pl.DataFrame(schema=PERSON_REFERENCES))
    assert identify(np.array(axis(0)), SPACE, nobody, T, S).reason == "no_people"
    with pytest.raises(SpaceMismatchError):
        identify(np.array(plane(0)), "other", GALLERY, T, S)
