"""Nobody is named on thin evidence: the budget holds, is reported, and each level has its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats

from identity_pipeline.core.library.prototypes import person_references
from identity_pipeline.core.matching.assignment import Decisions, assign
from identity_pipeline.core.matching.budget import budget_of, one_in
from identity_pipeline.core.matching.calibration import calibrate, uncalibrated
from identity_pipeline.core.matching.calibration_pairs import PAIRS
from identity_pipeline.core.matching.flip import what_would_flip
from identity_pipeline.core.matching.gallery import gallery_of, identify
from identity_pipeline.core.matching.thresholds import Thresholds, thresholds_of
from identity_pipeline.core.matching.upper_tail import best_of, may_exceed, upper_tail
from identity_pipeline.core.vectors import normalise
from identity_pipeline.settings import MatchSettings
from identity_pipeline.tables import LATER, conform, with_later_columns
from identity_pipeline_tests.core.people import SPACE, directions, looks, template, templates

S = MatchSettings(bootstrap_rounds=20)
LIBRARIES = 200


def pairs(
    impostors: np.ndarray, genuine: np.ndarray | None = None, level: str = "template"
) -> pl.DataFrame:
    """Independent pairs: each is its own unit."""
    rows = []
    for kind, scores in (("impostor", impostors), ("genuine", genuine)):
        for i, score in enumerate([] if scores is None else scores.tolist()):
            unit = f"{kind}{i}"
            rows.append((SPACE, level, kind, "same_frame", unit, unit, unit, unit, score))
    return pl.DataFrame(rows, schema=PAIRS, orient="row")


def template_level(table: pl.DataFrame, settings: MatchSettings = S) -> Thresholds:
    return thresholds_of(table, SPACE, "template", settings)


def row_of(table: pl.DataFrame, name: str, level: str = "template") -> dict[str, Any]:
    return table.row(by_predicate=(pl.col("name") == name) & (pl.col("level") == level), named=True)


# --- the budget ---------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [12, 167])
def test_the_budget_is_exceeded_in_no_more_libraries_than_it_says(count: int) -> None:
    """Strangers before five people with two references each, in 200 small libraries."""
    people, references, broken, by_estimate = 5, 2, 0, 0
    for seed in range(LIBRARIES):
        draw = np.tanh(np.random.default_rng(seed).normal(0.05, 0.12, count))
        thresholds = template_level(calibrate(pairs(draw), S))
        for estimate in (False, True):
            cosine = thresholds.at("assign", references, people)
            if estimate:
                model = thresholds.points["assign"].model
                assert model is not None
                cosine = model.threshold(1e-4, 1e-4 / references)[0]
            single = float(stats.norm.sf(np.arctanh(min(cosine, 1 - 1e-12)), 0.05, 0.12))
            over = best_of(single, people * references) > S.fpir_assign
            broken += over and not estimate
            by_estimate += over and estimate
    assert broken <= 0.05 * LIBRARIES
    assert by_estimate > broken


@pytest.mark.parametrize("robust", [False, True])
def test_the_safe_end_covers_also_what_resembles_itself(robust: bool) -> None:
    """Tracks that are in many pairs, of which some resemble everybody: no independent draws."""
    broken = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        own = rng.normal(0, 0.05, 20)
        i, j = np.triu_indices(20, k=1)
        scores = np.tanh(0.05 + own[i] + own[j] + rng.normal(0, 0.1, len(i)))
        kind = "cohort" if robust else "impostor"
        table = pl.DataFrame(
            {
                "space": SPACE,
                "level": "template",
                "kind": kind,
                "source": kind,
                "left": [f"t{n:02d}" for n in i],
                "right": [f"t{n:02d}" for n in j],
                "left_video": [f"v{n:02d}" for n in i],
                "right_video": [f"v{n:02d}" for n in j],
                "score": scores,
            },
            schema=PAIRS,
        )
        cosine = template_level(calibrate(table, S)).at("assign")
        true = stats.norm.sf(np.arctanh(cosine), 0.05, np.sqrt(0.01 + 2 * 0.05**2))
        broken += true > S.far_assign
    assert broken <= 2


def test_a_rate_at_the_safe_end_is_the_inverse_of_its_threshold() -> None:
    tail = upper_tail(0.05, 0.1, 30, robust=False, confidence=0.975)
    for rate in (1e-2, 1e-4, 1e-7):
        assert tail.rate(tail.threshold(rate)) == pytest.approx(rate, rel=1e-6)
    wide = tail.at_least(0.9, 1e-3)
    assert wide.threshold(1e-3) == pytest.approx(0.9)
    assert tail.at_least(0.1, 1e-3) == tail
    more = upper_tail(0.05, 0.1, 3000, robust=False, confidence=0.975)
    assert more.threshold(1e-4) < tail.threshold(1e-4)
    robust = upper_tail(0.05, 0.1, 30, robust=True, confidence=0.975)
    assert robust.threshold(1e-4) > tail.threshold(1e-4), "median and MAD tell less"


def test_no_threshold_lies_below_what_two_people_were_seen_to_reach() -> None:
    scores = np.append(np.random.default_rng(1).normal(0, 0.05, 60), 0.8)
    assert template_level(calibrate(pairs(scores), S)).at("assign") > 0.8
    assert may_exceed(60, 1e-4, 0.05) == 0
    assert may_exceed(200_000, 1e-4, 0.05) > 20


def test_the_bound_that_is_reached_is_in_the_table_and_in_words() -> None:
    table = calibrate(pairs(np.random.default_rng(2).normal(0, 0.1, 60)), S)
    row = row_of(table, "assign")
    assert row["far_bound"] == pytest.approx(S.far_assign, rel=1e-6)
    assert row["far_counted"] == pytest.approx(1 - 0.05 ** (1 / 60))
    assert row["in_effect"] > row["high"] * 0.99
    told = budget_of(table, SPACE, [1, 3, 2], S)
    assert told.unproven is None and told.bound is not None
    assert told.bound <= told.allowed
    assert told.sentence.startswith("At most 1 in 3,")
    assert "60 independent pairs known to be two people" in told.sentence
    assert "the budget is 1 in 1,000" in told.sentence
    many = budget_of(table, SPACE, [2] * 300, S)
    assert many.bound is not None and many.bound <= S.fpir_assign * (1 + 1e-6)
    assert one_in(0.0003) == "1 in 3,333"


def test_a_pin_is_the_operators_word_and_what_it_lets_in_is_said() -> None:
    pinned = MatchSettings(bootstrap_rounds=20, pin_assign=0.2)
    table = calibrate(pairs(np.random.default_rng(3).normal(0, 0.1, 60)), pinned)
    told = budget_of(table, SPACE, [1], pinned)
    assert template_level(table, pinned).unproven is None
    assert told.bound is not None and told.bound > told.allowed
    assert told.sentence.endswith("unset it.")
    nothing = budget_of(uncalibrated(SPACE, pinned), SPACE, [1], pinned)
    assert "nothing measured here says" in nothing.sentence


# --- nothing is known ---------------------------------------------------------------------------


def test_without_evidence_nobody_is_named_and_a_human_is_not_overruled() -> None:
    rng = np.random.default_rng(4)
    anna = directions(rng, 1)[0]
    own = looks(rng, anna, 3, 0.1)
    table = templates(*(template(f"v{i}:0", own[i]) for i in range(3)))
    decisions = Decisions(assigned={"track:v0:0": "anna"})
    gallery = gallery_of(person_references(table, decisions.assigned, S, frozenset()))
    thresholds = template_level(uncalibrated(SPACE, S))
    rows = {r["track_key"]: r for r in assign(table, gallery, thresholds, decisions, S).to_dicts()}
    assert rows["track:v0:0"]["origin"] == "human"
    for key in ("track:v1:0", "track:v2:0"):
        assert (rows[key]["state"], rows[key]["rule"]) == ("suggested", "assign_not_proven")
        assert rows[key]["score"] > 0.9
        flip = what_would_flip(rows[key], thresholds, 1, S)
        assert flip.score_needed is None
        assert "until the threshold can be measured" in flip.sentence
        track = key.removeprefix("track:")
        assert f"`identity-pipeline confirm {track}`" in flip.sentence
        unasked = what_would_flip(rows[key] | {"rule": "below_suggest"}, thresholds, 1, S)
        assert f"`identity-pipeline label {track} --name NAME`" in unasked.sentence
    assert "independent pairs of tracks are known" in str(thresholds.unproven)


def test_a_table_of_an_older_version_names_nobody_and_says_so() -> None:
    table = calibrate(pairs(np.random.default_rng(5).normal(0, 0.1, 60)), S)
    old = table.with_columns(safe_mean=None, safe_scale=None)
    assert "older version" in str(template_level(old).unproven)
    defaults = pl.when(pl.col("level") == "probe").then(0.45).otherwise("default")
    old = old.with_columns(default=defaults, in_effect=defaults)
    assert not thresholds_of(old, SPACE, "probe", S).measured, "0.45 was of templates"


def test_a_generation_of_an_older_version_is_read_with_nulls() -> None:
    table = calibrate(pairs(np.random.default_rng(5).normal(0, 0.1, 60)), S)
    older = with_later_columns("calibration", table.drop(sorted(LATER["calibration"])))
    assert "older version" in str(template_level(conform("calibration", older)).unproven)


# --- levels -------------------------------------------------------------------------------------


def test_pins_and_defaults_are_of_templates_and_judge_no_single_face() -> None:
    pinned = MatchSettings(pin_assign=0.9, pin_exclude=0.7, bootstrap_rounds=20)
    for table in (
        uncalibrated(SPACE, pinned),
        calibrate(pairs(np.random.default_rng(6).normal(0, 0.1, 60)), pinned),
    ):
        row = row_of(table, "assign", "probe")
        assert (row["in_effect"], row["default"], row["method"]) == (None, None, "not_measured")
        probe = thresholds_of(table, SPACE, "probe", pinned)
        assert not probe.measured
        own = MatchSettings(pin_probe_assign=0.5, pin_probe_suggest=0.4, pin_probe_exclude=0.3)
        by_hand = thresholds_of(uncalibrated(SPACE, own), SPACE, "probe", own)
        assert by_hand.measured and by_hand.at("assign") == 0.5
        with pytest.raises(LookupError, match="level probe"):
            probe.at("assign")
        assert template_level(table, pinned).at("assign", 5) == 0.9


def test_a_face_without_thresholds_of_its_level_is_probably_who_it_resembles() -> None:
    people = normalise(np.eye(2, 64, dtype=np.float32))
    table = templates(template("v0:0", people[0]), template("v1:0", people[1]))
    known = {"track:v0:0": "anna", "track:v1:0": "ben"}
    gallery = gallery_of(person_references(table, known, S, frozenset()))
    genuine = np.linspace(0.6, 0.9, 40)
    calibration = calibrate(pairs(np.zeros(0), genuine, "probe"), S)
    probe = thresholds_of(calibration, SPACE, "probe", S)

    def told(*parts: float) -> tuple[str, str | None, str]:
        vector = np.zeros((1, 64), dtype=np.float32)
        vector[0, : len(parts)] = parts
        found = identify(normalise(vector)[0], SPACE, gallery, probe, S)
        assert found.person_id is None and found.people[0].assign is None
        return found.answer, found.probable_id, found.reason

    assert told(0.9, 0.0, 0.4) == ("probably", "anna", "not_calibrated")
    assert told(0.2, 0.3, 0.9) == ("not_calibrated", None, "not_calibrated")
    assert told(0.7, 0.69) == ("ambiguous", None, "margin_too_small")


def test_one_near_person_is_probable_and_two_are_ambiguous() -> None:
    people = normalise(np.eye(2, 64, dtype=np.float32))
    table = templates(template("v0:0", people[0]), template("v1:0", people[1]))
    known = {"track:v0:0": "anna", "track:v1:0": "ben"}
    gallery = gallery_of(person_references(table, known, S, frozenset()))
    thresholds = template_level(uncalibrated(SPACE, MatchSettings(pin_suggest=0.6, pin_assign=0.9)))

    def told(*parts: float) -> tuple[str, str | None]:
        vector = np.zeros((1, 64), dtype=np.float32)
        vector[0, : len(parts)] = parts
        found = identify(normalise(vector)[0], SPACE, gallery, thresholds, S)
        return found.answer, found.probable_id or found.person_id

    assert told(0.87, -0.07, 0.48) == ("probably", "anna")
    assert told(0.70, 0.69) == ("ambiguous", None)
    assert told(0.99, 0.0, 0.1) == ("known", "anna")
    assert told(0.3, 0.2, 0.9) == ("unknown", None)
