"""A head's thresholds never let more strangers in than the recogniser's do."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from identity_pipeline.core.matching.calibration import calibrate
from identity_pipeline.core.matching.no_laxer import no_laxer, stranger_pairs
from identity_pipeline.core.matching.thresholds import thresholds_of
from identity_pipeline.core.vectors import normalise, to_series
from identity_pipeline.settings import MatchSettings
from identity_pipeline.tables import TABLES

MATCH = MatchSettings(bootstrap_rounds=20)
NAMES = ("exclude", "suggest", "assign")


def calibration(space: str, scores: np.ndarray, match: MatchSettings = MATCH) -> pl.DataFrame:
    """Of impostor pairs with these cosines, at the level of templates."""
    pairs = pl.DataFrame(
        {
            "space": space,
            "level": "template",
            "kind": "cohort",
            "source": "cohort",
            "left": [f"track:a:{n}" for n in range(len(scores))],
            "right": [f"track:b:{n}" for n in range(len(scores))],
            "left_video": "a",
            "right_video": "b",
            "score": scores,
        },
        schema=TABLES["calibration_pairs"],
    )
    return calibrate(pairs, match)


def of_template(table: pl.DataFrame) -> dict[str, float]:
    own = table.filter(pl.col("level") == "template")
    return dict(own.select("name", "in_effect").iter_rows())


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), heavy=st.floats(3.0, 30.0))
def test_as_few_strangers_reach_each_threshold_as_before(seed: int, heavy: float) -> None:
    rng = np.random.default_rng(seed)
    before = np.tanh(rng.normal(0, 0.25, 800))
    after = np.tanh(0.2 * rng.standard_t(heavy, 800))  # narrower, with a heavier tail
    base, own = calibration("r@0/8", before), calibration("h@0/8", after)
    widened = no_laxer(own, base, after, before)
    limits, old = of_template(widened), of_template(base)
    for name in NAMES:
        allowed = max(1, int((before >= old[name]).sum()))
        assert (after >= limits[name]).sum() <= allowed
        assert limits[name] >= of_template(own)[name] - 1e-9
    at_rest = thresholds_of(widened, "h@0/8", "template", MATCH)
    assert at_rest.at("assign", 3, 50) >= at_rest.at("assign")
    for name in NAMES:  # what is computed from the table is what the table says
        assert at_rest.points[name].at()[0] == pytest.approx(limits[name], abs=1e-6)


def test_a_tail_as_light_as_before_changes_nothing_but_the_method() -> None:
    scores = np.tanh(np.random.default_rng(0).normal(0, 0.25, 500))
    base = calibration("r@0/8", scores)
    same = no_laxer(base, base, scores * 0.5, scores)
    assert of_template(same) == pytest.approx(of_template(base))


def test_pinned_and_unmeasured_thresholds_stay() -> None:
    rng = np.random.default_rng(1)
    scores = np.tanh(rng.normal(0, 0.25, 500))
    pinned = MATCH.model_copy(update={"pin_assign": 0.4})
    own = calibration("h@0/8", scores, pinned)
    widened = no_laxer(own, calibration("r@0/8", scores * 0.5), np.tanh(scores * 3), scores)
    assert of_template(widened)["assign"] == 0.4
    unknown = calibration("h@0/8", scores[:3])
    assert no_laxer(unknown, unknown, scores, scores).equals(unknown)


def test_only_unlabelled_against_confirmed_tracks_of_other_videos_are_compared() -> None:
    vectors = normalise(np.random.default_rng(2).normal(size=(4, 8)))
    keys = ["track:a:1", "track:a:2", "track:b:1", "track:c:1"]
    templates = pl.DataFrame(
        {"track_key": keys, "video_id": ["a", "a", "b", "c"], "space": "s@0/8"}
    ).with_columns(to_series("template", vectors))
    found = stranger_pairs(templates, {"track:a:1", "track:b:1"})
    expected = [vectors[1] @ vectors[2], vectors[3] @ vectors[0], vectors[3] @ vectors[2]]
    assert sorted(found) == pytest.approx(sorted(map(float, expected)), abs=1e-6)
    assert len(stranger_pairs(templates.clear(), set())) == 0
