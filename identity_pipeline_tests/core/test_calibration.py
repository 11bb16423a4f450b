"""Calibration: thresholds keep their false-accept rate, and say how they were found."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from identity_pipeline.core.library.recompute import merge_floor
from identity_pipeline.core.matching.calibration import (
    CALIBRATION,
    calibrate,
    drift,
    uncalibrated,
)
from identity_pipeline.core.matching.calibration_pairs import (
    PAIRS,
    sample_faces,
    spread,
    video_pairs,
)
from identity_pipeline.core.matching.cross_pairs import pairs_across
from identity_pipeline.core.matching.templates import build_templates
from identity_pipeline.core.matching.thresholds import (
    ImpostorModel,
    Thresholds,
    single_rate,
    thresholds_of,
)
from identity_pipeline.core.vectors import SpaceMismatchError
from identity_pipeline.settings import MatchSettings, Settings
from identity_pipeline_tests.core.builders import FEW, axis
from identity_pipeline_tests.core.people import (
    SPACE,
    directions,
    looks,
    template,
    templates,
    video_tables,
)

S = MatchSettings(bootstrap_rounds=40)


def pairs(
    impostors: np.ndarray, genuine: np.ndarray | None = None, video: str | None = None
) -> pl.DataFrame:
    """Independent pairs of templates: each is its own unit."""
    rows = []
    for kind, scores in (("impostor", impostors), ("genuine", genuine)):
        for i, score in enumerate([] if scores is None else scores.tolist()):
            unit = f"{kind}{i}"
            videos = (video or unit, video or unit)
            rows.append((SPACE, "template", kind, "same_frame", unit, unit, *videos, score))
    return pl.DataFrame(rows, schema=PAIRS, orient="row")


def points(table: pl.DataFrame, level: str = "template") -> dict[str, dict[str, Any]]:
    assert dict(table.schema) == CALIBRATION
    own = table.filter(pl.col("level") == level, pl.col("camera").is_null())
    return {row["name"]: row for row in own.to_dicts()}


def template_thresholds(table: pl.DataFrame) -> Thresholds:
    return thresholds_of(table, SPACE, "template", S)


# --- thresholds ---------------------------------------------------------------------------------


def test_what_can_be_counted_is_counted_and_the_rest_is_said_to_be_fitted() -> None:
    scores = np.tanh(np.random.default_rng(0).normal(0, 0.1, 20_000))
    told = points(calibrate(pairs(scores), S))
    assert [told[n]["method"] for n in ("exclude", "suggest", "assign")] == [
        "counted", "counted", "tail_fit",
    ]  # fmt: skip
    for name, far in (("exclude", 1e-2), ("suggest", 1e-3)):
        assert (scores >= told[name]["threshold"]).sum() == int(far * 20_000)
    for name, far in (("exclude", 1e-2), ("suggest", 1e-3), ("assign", 1e-4)):
        row = told[name]
        truth = np.tanh(stats.norm.ppf(1 - far) * 0.1)
        assert row["low"] <= truth <= row["high"]
        assert row["low"] <= row["threshold"] <= row["high"]
        exact = name != "assign"
        assert (row["in_effect"] == row["threshold"]) == exact, "assign is read at the safe end"
        assert row["in_effect"] >= row["threshold"]


@given(st.integers(0, 2**31), st.sampled_from([40, 300, 3000]))
@FEW
def test_the_rate_holds_on_strangers_not_seen(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    table = points(calibrate(pairs(rng.normal(0.05, 0.1, count)), S))
    for name in ("exclude", "suggest", "assign"):
        threshold, far = table[name]["threshold"], table[name]["far"]
        real = stats.norm.sf(threshold, 0.05, 0.1)
        # One draw of 40 may be off by a factor; it is not off by an order of magnitude times ten.
        assert real <= far * (30 if count == 40 else 6)


def test_the_interval_holds_the_true_threshold() -> None:
    rng = np.random.default_rng(12)
    held = dict.fromkeys(("exclude", "suggest", "assign"), 0)
    for _ in range(25):
        table = points(calibrate(pairs(rng.normal(0, 0.1, 2000)), S))
        for name, row in table.items():
            truth = stats.norm.ppf(1 - row["far"]) * 0.1
            held[name] += row["low"] <= truth <= row["high"]
    assert min(held.values()) >= 19, held


def test_on_average_the_fitted_rate_is_the_named_one() -> None:
    """The Student quantile makes the expected rate exact for a normal sample of any size."""
    rng = np.random.default_rng(1)
    rates = []
    for _ in range(400):
        draw = rng.normal(0, 0.1, 30)
        model = ImpostorModel(30, 30, float(draw.mean()), float(draw.std(ddof=1)), 29, (), 10)
        rates.append(stats.norm.sf(model.threshold(1e-2)[0], 0, 0.1))
    assert np.mean(rates) == pytest.approx(1e-2, rel=0.15)


def test_a_heavy_tail_makes_the_fit_stricter() -> None:
    rng = np.random.default_rng(2)
    heavy = rng.standard_t(3, 4000) * 0.05
    threshold = points(calibrate(pairs(heavy), S))["assign"]["threshold"]
    assert threshold > heavy.std() * stats.norm.ppf(1 - 1e-4) * 1.2


def test_more_references_and_more_people_want_a_higher_score() -> None:
    scores = np.random.default_rng(3).normal(0, 0.1, 50_000)
    thresholds = template_thresholds(calibrate(pairs(scores), S))
    by_references = [thresholds.at("assign", n) for n in (1, 2, 5, 11, 50)]
    assert by_references == sorted(by_references)
    assert by_references[0] < by_references[-1]
    assert thresholds.at("assign", 3, 10) == thresholds.at("assign", 3, 1), "0.001 in all"
    assert thresholds.at("assign", 3, 1000) > thresholds.at("assign", 3, 1)
    assert thresholds.at("suggest", 3, 50) == thresholds.at("suggest", 3, 1), "0.05 in all"
    assert thresholds.at("suggest", 3, 1000) > thresholds.at("suggest", 3, 1)
    rng = np.random.default_rng(4)
    best_of_five = rng.normal(0, 0.1, (200_000, 5)).max(axis=1)
    rate = float((best_of_five >= thresholds.at("exclude", 5)).mean())
    assert rate == pytest.approx(1e-2, rel=0.25)


def test_rates_of_single_comparisons() -> None:
    assert single_rate(1e-2, 1) == pytest.approx(1e-2)
    assert 1 - (1 - single_rate(1e-2, 7)) ** 7 == pytest.approx(1e-2)
    with pytest.raises(ValueError, match="without references"):
        single_rate(1e-2, 0)


# --- too little, pinned, cameras ----------------------------------------------------------------


def test_too_little_is_said_and_the_defaults_are_named_as_such() -> None:
    table = calibrate(pairs(np.array([0.1, 0.0, -0.1]), np.array([0.9])), S)
    for name, row in points(table).items():
        assert (row["threshold"], row["low"], row["method"]) == (None, None, "default")
        assert row["in_effect"] == getattr(S, f"default_{name}")
        assert row["reason"].startswith("3 independent pairs of tracks are known")
    thresholds = template_thresholds(table)
    assert thresholds.at("assign") == pytest.approx(0.45)
    assert thresholds.at("assign", 11) > 0.5, "defaults know the number of references too"
    assert points(uncalibrated(SPACE, S))["assign"]["method"] == "default"


def test_a_tail_of_few_wide_pairs_is_strict_and_within_the_bound_of_cosines() -> None:
    wide = np.linspace(-0.9, 0.9, 9)
    row = points(calibrate(pairs(wide), S))["assign"]
    assert 0.99 < row["threshold"] <= 1
    assert row["method"] == "tail_fit"


def test_a_pin_says_so_and_holds_for_any_number_of_references() -> None:
    pinned = MatchSettings(pin_assign=0.7, bootstrap_rounds=40)
    table = calibrate(pairs(np.random.default_rng(0).normal(0, 0.1, 2000)), pinned)
    row = points(table)["assign"]
    assert (row["in_effect"], row["method"]) == (0.7, "pinned")
    assert row["threshold"] == pytest.approx(0.4, abs=0.05), "what was measured is still shown"
    assert template_thresholds(table).at("assign", 20) == 0.7
    low = MatchSettings(pin_assign=0.1, bootstrap_rounds=40)
    low_table = calibrate(pairs(np.random.default_rng(0).normal(0, 0.1, 2000)), low)
    assert template_thresholds(low_table).at("suggest") == 0.1, "never above assign"


def test_nobody_is_named_or_linked_below_what_lookalikes_reach_whatever_was_calibrated() -> None:
    """Pairs at random hardly meet look-alikes, so that what is fitted to them is too low."""
    scores = pairs(np.random.default_rng(0).normal(0, 0.1, 2000))
    careful = MatchSettings(bootstrap_rounds=40, lookalike_cos=0.68)
    table = calibrate(scores, careful)
    thresholds = thresholds_of(table, SPACE, "template", careful)
    assert points(table)["assign"]["in_effect"] == thresholds.at("assign") == 0.68
    assert thresholds.at("suggest") < 0.5, "questions may be asked of look-alikes"
    settings = Settings(match=careful)
    assert merge_floor(thresholds, 20, settings)[0] == 0.68
    pin = MatchSettings(bootstrap_rounds=40, lookalike_cos=0.68, pin_assign=0.6)
    pinned = thresholds_of(calibrate(scores, pin), SPACE, "template", pin)
    assert pinned.at("assign") == 0.6, "a person's word"
    of_head = scores.with_columns(space=pl.lit("head@0123456789ab/128"))
    projected = thresholds_of(calibrate(of_head, careful), of_head["space"][0], "template", careful)
    assert projected.at("assign") < 0.68, "the scale of a head is another one"
    assert merge_floor(projected, 20, settings)[0] < 0.68
    own = Settings(match=careful, cluster={"merge_cos": 0.5})  # type: ignore[arg-type]
    assert merge_floor(thresholds, 20, own)[0] == 0.5


def test_a_camera_has_its_own_thresholds_where_it_has_the_pairs() -> None:
    rng = np.random.default_rng(6)
    dark = pairs(rng.normal(0.2, 0.1, 3000), video="d").with_columns(pl.col("left") + "d")
    light = pairs(rng.normal(0.0, 0.1, 3000), video="l")
    few = pairs(rng.normal(0.0, 0.1, 3), video="f").with_columns(pl.col("left") + "f")
    cameras = {"d": "dark", "l": "light", "f": "few"}
    table = calibrate(pl.concat([dark, light, few]), S, cameras)
    own = {
        camera: thresholds_of(table, SPACE, "template", S, camera).at("exclude")
        for camera in ("dark", "light", "few", None)
    }
    assert own["dark"] > own["light"] + 0.1
    assert own["few"] == own[None], "a camera without enough pairs uses the common numbers"
    with pytest.raises(LookupError, match="calibrate that space first"):
        thresholds_of(table, "other", "template", S)


def test_pairs_that_share_tracks_are_no_more_evidence_than_the_tracks() -> None:
    rng = np.random.default_rng(13)
    people = directions(rng, 9)
    rows = [template(f"v{i}:0", people[i]) for i in range(9)]
    labels = {row["track_key"]: row["track_key"] for row in rows}
    labelled = pairs_across(templates(*rows), _no_samples(), labels, S)
    row = points(calibrate(labelled, S))["assign"]
    assert (row["impostor_pairs"], row["impostor_groups"], row["dof"]) == (36, 9, 8)


def test_the_cohort_takes_the_place_of_pairs_that_are_not_known() -> None:
    rng = np.random.default_rng(7)
    people = directions(rng, 40)
    # 44 rides of 40 people: four come back.
    rides = [*range(40), 0, 1, 2, 3]
    table = templates(
        *(template(f"v{i}:0", looks(rng, people[p], 1, 0.3)[0]) for i, p in enumerate(rides))
    )
    unlabelled = pairs_across(table, samples=_no_samples(), person_of={}, settings=S)
    row = points(calibrate(unlabelled, S))["assign"]
    assert (row["impostor_from"], row["method"]) == ("cohort", "tail_fit")
    assert row["scale"] == pytest.approx(1 / 8, rel=0.15), "64 dimensions; four pairs do not count"
    never = MatchSettings(cohort_below=0, bootstrap_rounds=40)
    assert points(calibrate(unlabelled, never))["assign"]["method"] == "default"


def _no_samples() -> pl.DataFrame:
    return sample_faces(video_tables("v", [], ()), S)


# --- pairs --------------------------------------------------------------------------------------


def duo(video: str, rng: np.random.Generator, a: np.ndarray, b: np.ndarray) -> Any:
    """Two riders for four seconds at ten frames a second, and a passer-by."""
    faces = []
    for frame in range(40):
        for track, person in enumerate((a, b)):
            faces.append(
                {"frame": frame, "track": track, "vector": looks(rng, person, 1, 0.7)[0].tolist()}
            )
    faces += [{"frame": f, "track": 2, "vector": axis(3)} for f in range(5)]
    return video_tables(video, faces, (0, 1))


def test_pairs_of_a_video_come_from_its_physics() -> None:
    rng = np.random.default_rng(8)
    a, b = directions(rng, 2)
    table = video_pairs(duo("v", rng, a, b), S)
    assert dict(table.schema) == PAIRS
    counts = {
        (level, kind): n for level, kind, n in table.group_by("level", "kind").len().iter_rows()
    }
    # 29 * 30 / 2 pairs of a track lie more than a second apart; 400 are taken of each.
    assert counts["face", "genuine"] == 2 * 400
    assert counts["face", "impostor"] == 400
    assert counts["template", "genuine"] == 2
    assert counts["template", "impostor"] == 1
    means = {
        (level, kind): mean
        for level, kind, mean in table.group_by("level", "kind")
        .agg(pl.col("score").mean())
        .iter_rows()
    }
    assert means["face", "genuine"] < means["probe", "genuine"] < means["template", "genuine"]
    assert means["template", "genuine"] > 0.9
    assert "passer" not in str(table["left"].unique().to_list())
    assert not [u for u in table["left"].unique().to_list() if ":2" in u], "no rider, no pair"


def test_faces_within_a_second_are_no_pair() -> None:
    faces = [{"frame": f, "track": 0, "vector": axis(f)} for f in range(11)]
    assert video_pairs(video_tables("v", faces, (0,)), S).height == 0


def test_tracks_that_share_no_frame_are_no_impostors() -> None:
    faces = [{"frame": f, "track": 0, "vector": axis(1)} for f in range(20)]
    faces += [{"frame": f, "track": 1, "vector": axis(2)} for f in range(20, 40)]
    kinds = video_pairs(video_tables("v", faces, (0, 1)), S)["kind"].unique().to_list()
    assert kinds == ["genuine"]


def test_labels_make_pairs_across_videos() -> None:
    rng = np.random.default_rng(9)
    a, b, c = directions(rng, 3)
    videos = [duo("v", rng, a, b), duo("w", rng, a, c)]
    table = pl.concat([build_templates(video, S).table for video in videos])
    samples = pl.concat([sample_faces(video, S) for video in videos])
    labels = {"track:v:0": "A", "track:w:0": "A", "track:w:1": "C"}
    made = pairs_across(table, samples, labels, S)
    assert dict(made.schema) == PAIRS
    found = {
        (row["kind"], row["left"], row["right"])
        for row in made.filter(pl.col("level") == "template").to_dicts()
    }
    assert found == {
        ("genuine", "track:v:0", "track:w:0"),
        ("impostor", "track:v:0", "track:w:1"),
        ("cohort", "track:v:1", "track:w:0"),
        ("cohort", "track:v:1", "track:w:1"),
    }, "v:0 with v:1 and w:0 with w:1 share a frame and are counted there"
    by_level = dict(made.group_by("level").len().iter_rows())
    assert by_level == {"template": 4, "face": 4 * 8, "probe": 4 * 16}
    genuine = made.filter(pl.col("kind") == "genuine")
    assert genuine.filter(pl.col("level") == "template")["score"].min() > 0.9
    mixed = samples.with_columns(space=pl.lit("other"))
    with pytest.raises(SpaceMismatchError):
        pairs_across(table, mixed, labels, S)


def test_spread_takes_the_same_rows_evenly() -> None:
    assert spread(np.arange(10), 5).tolist() == [0, 2, 4, 6, 8]
    assert spread(np.arange(3), 5).tolist() == [0, 1, 2]


# --- drift --------------------------------------------------------------------------------------


def test_drift_names_what_left_its_interval() -> None:
    rng = np.random.default_rng(10)
    before = calibrate(pairs(rng.normal(0, 0.1, 5000)), S)
    same = drift(calibrate(pairs(rng.normal(0, 0.1, 5000)), S), before)
    moved = drift(calibrate(pairs(rng.normal(0.1, 0.1, 5000)), S), before)
    assert same.height == moved.height == 3
    assert moved["moved"].all()
    assert not drift(before, before)["moved"].any()
    assert drift(uncalibrated(SPACE, S), before).height == 0


def test_equal_pairs_give_equal_tables_in_any_order() -> None:
    table = pairs(np.random.default_rng(11).normal(0, 0.1, 200), np.array([0.8, 0.9]))
    once = calibrate(table, S)
    assert once.equals(calibrate(table.sample(fraction=1, shuffle=True, seed=1), S))
