"""Intervals, attributes, recognition, the vision encoder, and how reports differ."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_pipeline.core.evaluation.attributes import (
    adjacent,
    bin_figures,
    landmark_figure,
    measure_figures,
    pose_errors_by_yaw,
    pose_figures,
    rider_faces,
)
from identity_pipeline.core.evaluation.evidence import Evidence
from identity_pipeline.core.evaluation.intervals import (
    bootstrap_ratio,
    clopper_pearson,
    upper_bound,
)
from identity_pipeline.core.evaluation.recognition import (
    pairs_of,
    recognition_figures,
    tar_at,
    usable_faces,
)
from identity_pipeline.core.evaluation.report import Figure, Report, Section, differences
from identity_pipeline.core.evaluation.vision import vision_figures
from identity_pipeline.settings import BucketSettings, Settings
from identity_pipeline.stages.evaluation.evaluate import Material, evaluate
from identity_pipeline_tests.core.builders import MODEST, unit
from identity_pipeline_tests.core.evaluation_builders import (
    LEFT,
    RIGHT,
    evidence_of,
    face_id,
    found,
    true_face,
    video_of,
)

BUCKETS = BucketSettings()


def by_key(figures: Sequence[Figure]) -> dict[str, Figure]:
    return {figure.key: figure for figure in figures}


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    # Known values: R's binom.test.
    [
        (0, 10, 0.0, 0.30850),
        (5, 10, 0.18709, 0.81291),
        (10, 10, 0.69150, 1.0),
        (1, 100, 0.000253, 0.054459),
    ],
)
def test_clopper_pearson_has_its_known_values(k: int, n: int, low: float, high: float) -> None:
    assert clopper_pearson(k, n) == pytest.approx((low, high), abs=5e-5)


def test_the_upper_bound_of_nothing_wrong_is_the_rule_of_three() -> None:
    assert upper_bound(0, 100) == pytest.approx(1 - 0.05 ** (1 / 100))
    assert upper_bound(0, 1000) == pytest.approx(3 / 1000, rel=0.01)
    assert upper_bound(0, 0) is None and clopper_pearson(0, 0) is None
    assert upper_bound(3, 3) == 1.0


@pytest.mark.parametrize("bounds", [clopper_pearson, upper_bound])
def test_impossible_counts_are_refused(bounds: Any) -> None:
    with pytest.raises(ValueError, match="cannot be"):
        bounds(3, 2)


@MODEST
@given(st.integers(0, 40), st.integers(1, 40))
def test_the_exact_interval_holds_the_share(k: int, n: int) -> None:
    k = min(k, n)
    low, high = clopper_pearson(k, n) or (1.0, 0.0)
    assert low <= k / n <= high <= (upper_bound(k, n) or 0) + 0.25
    assert low >= 0 and high <= 1


def test_a_bootstrap_draws_whole_units_and_needs_enough_of_them() -> None:
    units = ["a"] * 50 + ["b"] * 50 + ["c"] * 50 + ["d"] * 50
    right = [1] * 100 + [0] * 100
    low, high = bootstrap_ratio(units, right) or (1.0, 0.0)
    assert low == 0.0 and high == 1.0, "tracks that are all right or all wrong say little"
    assert bootstrap_ratio(["a", "b", "c"] * 9, [1, 0, 1] * 9) is None
    order = np.random.default_rng(0).permutation(200)
    shuffled = bootstrap_ratio([units[i] for i in order], [right[i] for i in order])
    assert shuffled == (low, high)


def faces_with(rows: Sequence[tuple[dict[str, Any], dict[str, Any]]]) -> pl.DataFrame:
    """Matched faces of one rider: (true values, measured values) of each frame."""
    faces = [true_face(f, "ann", LEFT, **true) for f, (true, _) in enumerate(rows)]
    usable = {"yaw_bin": "unknown"}
    seen = [found(f, LEFT, 1, 0, **{**usable, **mine}) for f, (_, mine) in enumerate(rows)]
    return rider_faces(evidence_of(video_of("ride", faces, seen, ["ann"])), BUCKETS)


def test_pose_errors_are_absolute_and_need_both_sides() -> None:
    pose = [(10.0, 12.0), (-40.0, -37.0), (0.0, None)]
    faces = faces_with(
        [
            ({"yaw": t, "pitch": 0.0, "roll": None}, {"yaw": m, "pitch": 1.0, "roll": 2.0})
            for t, m in pose
        ]
    )
    figures = by_key(pose_figures(faces, "here"))
    assert (figures["pose.yaw_mae"].value, figures["pose.yaw_mae"].n) == (2.5, 2)
    assert figures["pose.roll_mae"].value is None
    assert "does not say the pose" in str(figures["pose.roll_mae"].reason)
    bands = {(b.axis, b.low): (b.n, b.median) for b in pose_errors_by_yaw(faces)}
    assert bands["yaw", 5.0] == (1, 2.0) and bands["yaw", -45.0] == (1, 3.0)


def test_truth_is_held_against_the_bins_before_the_lens() -> None:
    truth = {"yaw": 14.0, "pitch": 0.0}
    measured = {"yaw": 13.0, "pitch": 1.0, "yaw_bin": "[-5,5)", "pitch_bin": "neutral"}
    video = video_of(
        "ride",
        [true_face(frame, "ann", LEFT, **truth) for frame in range(3)],
        [found(frame, LEFT, 0, 0, **measured) for frame in range(3)],
        ["ann"],
        [("anchor", "anchor_001", 0, face_id(0, LEFT))],
    )

    def right(ahead: pl.Expr) -> tuple[float | None, float | None]:
        """Of the yaw bins, and of those that are filled, where the camera is at `ahead`."""
        buckets = video.tables["face_buckets"].with_columns(yaw=ahead, pitch=ahead)
        tables = {**video.tables, "face_buckets": buckets}
        material = Material((dataclasses.replace(video, tables=tables),), ({},), {}, 0)
        told = by_key(evaluate(material, Settings()).sections[0].figures)
        assert told["pose.yaw_mae"].value == 1.0
        return told["bins.yaw"].value, told["coverage.yaw"].value

    assert right(pl.lit(0.0)) == (1.0, 1.0)  # straight ahead of a rider whom the camera sees aside
    assert right(pl.lit(None, dtype=pl.Float32)) == (0.0, 0.0)  # not known: bins stay as they are


def test_bins_use_the_pipelines_rules_and_unknown_is_not_wrong() -> None:
    true = {"pitch": 0.0, "mouth_open": 0.0, "smile": 0.0}
    rows = [
        ({**true, "yaw": 0.0, "eye_open": 1.0}, ("[-5,5)", "neutral")),
        ({**true, "yaw": 4.9, "eye_open": 0.1}, ("[5,15)", "neutral")),
        ({**true, "yaw": 20.0, "eye_open": 0.1}, ("[-5,5)", "eyes_closed")),
        ({**true, "yaw": 50.0, "eye_open": 1.0}, ("[30,45]", "unknown")),
    ]
    faces = faces_with(
        [
            (t, {"yaw_bin": y, "pitch_bin": "neutral", "expression_bin": e, "occlusion_bin": "none",
                 "lighting_bin": "normal"})
            for t, (y, e) in rows
        ]
    )  # fmt: skip
    figures, matrices = bin_figures(faces, "here", BUCKETS)
    found_figures = by_key(figures)
    assert found_figures["bins.yaw"].value == 0.25
    assert found_figures["bins.yaw_adjacent"].value == 0.75
    assert found_figures["bins.expression"].value == pytest.approx(2 / 3)
    assert found_figures["bins.expression_balanced"].value == pytest.approx((1 + 0.5) / 2)
    assert found_figures["bins.expression_named"].value == 0.75
    assert found_figures["bins.occlusion"].value is None
    by_name = {m.name: m for m in matrices}
    assert sum(map(sum, by_name["yaw"].counts)) == 4
    assert by_name["expression"].columns[-1] == "unknown"
    closed = by_name["expression"].counts[by_name["expression"].rows.index("eyes_closed")]
    assert dict(zip(by_name["expression"].columns, closed, strict=True)) == {
        "neutral": 1, "smile": 0, "mouth_open": 0, "eyes_closed": 1, "unknown": 0,
    }  # fmt: skip


def test_beyond_is_next_to_both_ends_only() -> None:
    bins = ("low", "middle", "high")
    true = ["beyond", "beyond", "beyond", "low", "low"]
    called = ["low", "middle", "high", "high", "middle"]
    assert adjacent(true, called, bins).tolist() == [True, False, True, False, True]


def test_measures_and_landmarks_are_compared_with_the_truth() -> None:
    grid = [float(v) for i in range(68) for v in (i, 2 * i)]
    moved = [v for i in range(68) for v in (i + 3.0, 2 * i + 4.0, 9.0)]
    rows = [
        ({"smile": s, "landmarks": grid}, {"smile": s / 2, "landmarks": moved, "yaw": 0.0,
                                           "landmark_source": "landmark_3d_68"})
        for s in (0.0, 0.5, 1.0)
    ]  # fmt: skip
    faces = faces_with(rows)
    figures = by_key(measure_figures(faces, "here"))
    assert figures["measures.smile_r"].value == pytest.approx(1.0)
    assert figures["measures.smile_mae"].value == pytest.approx(0.25)
    assert figures["measures.eye_open_r"].value is None
    assert landmark_figure(faces, "here").value == pytest.approx(5 / 100)
    five = faces.with_columns(landmark_source=pl.lit("key_points_5"))
    assert "no model of 68" in str(landmark_figure(five, "here").reason)


def people(
    vectors: dict[str, Sequence[Sequence[float]]],
    name: str = "ride",
    space: str = "s",
    step: int = 20,
) -> Evidence:
    places = dict(zip(vectors, (LEFT, RIGHT, (300.0, 0.0)), strict=False))
    faces, seen = [], []
    for t, (person, list_of) in enumerate(vectors.items()):
        for i, vector in enumerate(list_of):
            faces.append(true_face(i * step, person, places[person]))
            embedded = {"e_id": list(vector), "space": space, "because": "usable"}
            seen.append(found(i * step, places[person], t, t, **embedded))
    return evidence_of(video_of(name, faces, seen, list(vectors)))


def test_people_who_are_orthogonal_are_told_apart_perfectly() -> None:
    evidence = people({"ann": [[1, 0, 0]] * 40, "ben": [[0, 1, 0]] * 40})
    figures, curves = recognition_figures(evidence)
    found_figures = by_key(figures)
    assert found_figures["recognition.all_auc"].value == 1.0
    assert found_figures["recognition.all_tar_0.01"].value == 1.0
    tight = found_figures["recognition.all_tar_0.001"]
    assert tight.value is None and "1600 impostor pairs are too few" in str(tight.reason)
    across = found_figures["recognition.across_auc"]
    assert across.value is None and "only one" in str(across.reason)
    assert {c.name for c in curves} == {"all pairs", "pairs within one video"}
    assert curves[0].tar[-1] == 1.0 and curves[0].impostor == 1600


def test_random_embeddings_are_as_good_as_chance() -> None:
    rng = np.random.default_rng(3)
    vectors = {p: [unit(rng.normal(size=16)) for _ in range(60)] for p in ("ann", "ben")}
    auc = by_key(recognition_figures(people(vectors))[0])["recognition.all_auc"]
    assert auc.value == pytest.approx(0.5, abs=0.03)


def test_neighbouring_frames_are_no_genuine_pair() -> None:
    evidence = people({"ann": [[1, 0]] * 12, "ben": [[0, 1]] * 12}, step=1)
    pairs = pairs_of(usable_faces(evidence))
    # 12 frames, 0.1 s apart: two pairs at 1.0 s and one at 1.1 s for each person.
    assert int(pairs.genuine.sum()) == 2 * 3
    assert int((~pairs.genuine).sum()) == 144


def test_a_sample_of_pairs_is_seeded_and_bounded() -> None:
    rng = np.random.default_rng(5)
    vectors = {p: [unit(rng.normal(size=8)) for _ in range(50)] for p in ("ann", "ben")}
    faces = usable_faces(people(vectors))
    first, second = pairs_of(faces, 30), pairs_of(faces, 30)
    assert len(first.cosine) == 60 and int(first.genuine.sum()) == 30
    assert np.array_equal(first.cosine, second.cosine)


def test_two_spaces_are_never_compared() -> None:
    one = people({"ann": [[1, 0]] * 3}, "a", "s")
    other = people({"ann": [[1, 0]] * 3}, "b", "t")
    both = Evidence(
        one.origin, {**one.truths, **other.truths}, pl.concat([one.outcomes, other.outcomes]),
        one.seats, one.images, {},
    )  # fmt: skip
    figures, curves = recognition_figures(both)
    assert not curves and all(f.value is None for f in figures)
    assert "different spaces (s, t)" in str(figures[0].reason)


def test_tar_is_read_at_the_last_threshold_that_keeps_the_rate() -> None:
    far, tar = np.array([0.0, 0.01, 0.02, 1.0]), np.array([0.2, 0.5, 0.9, 1.0])
    assert tar_at(far, tar, 0.01) == 0.5
    assert tar_at(far, tar, 0.005) == 0.2


def test_an_encoder_that_sees_pose_beats_chance_and_a_blind_recogniser() -> None:
    rng = np.random.default_rng(2)
    yaws = np.linspace(-40, 40, 41)
    rows = []
    for yaw in rng.permutation(yaws):
        angle = np.radians(2 * yaw)
        rows.append(
            (
                {"yaw": yaw, "pitch": 0.0},
                {"e_vis_face": [np.cos(angle), np.sin(angle)], "vision_space": "v", "space": "s",
                 "e_id": unit(rng.normal(size=8))},
            )
        )  # fmt: skip
    figures = by_key(vision_figures(faces_with(rows), "here"))
    encoder, chance = figures["vision.encoder_pose"].value, figures["vision.chance_pose"].value
    assert encoder is not None and chance is not None and encoder < chance / 2
    assert figures["vision.recogniser_pose"].value == pytest.approx(chance, rel=0.35)
    assert figures["vision.encoder_expression"].value is None


def report_of(*figures: Figure) -> Report:
    return Report("1", ("v1",), (), (), (), (), (Section("rendered", "here", figures),))


def figure(key: str, value: float | None, better: Any = "higher", **more: Any) -> Figure:
    return Figure(key, key, value, 10, "things", "share", "here", better=better, **more)


def test_differences_say_which_way_is_better_and_what_may_be_chance() -> None:
    before = report_of(
        figure("a.up", 0.5), figure("a.down", 0.5), figure("a.new", None), figure("a.near", 0.6),
        figure("a.gone", 0.1), figure("a.same", 0.3),
    )  # fmt: skip
    after = report_of(
        figure("a.up", 0.7, low=0.6, high=0.8),
        figure("a.down", 0.7, "lower"),
        figure("a.new", 0.1),
        figure("a.near", 0.7, low=0.55, high=0.8),
        figure("a.same", 0.3),
    )
    found_differences = differences(after, json.loads(json.dumps(before.as_json())))
    assert [(d.key, d.verdict, d.within) for d in found_differences] == [
        ("a.up", "better", False),
        ("a.down", "worse", None),
        ("a.new", "new", None),
        ("a.near", "better", True),
        ("a.same", "same", None),
        ("a.gone", "gone", None),
    ]


def test_figures_of_other_clips_are_marked() -> None:
    before = report_of(figure("a.b", 0.5), figure("a.c", None))
    moved = [dataclasses.replace(figure(k, 0.7), measured_on="there") for k in ("a.b", "a.c")]
    found_differences = differences(report_of(*moved), before.as_json())
    assert [d.other_clips for d in found_differences] == [True, False]
    same = differences(report_of(figure("a.b", 0.7)), before.as_json())
    assert not same[0].other_clips


@pytest.mark.parametrize(
    "previous", [{}, {"schema_version": 1}, {"schema_version": 99, "sections": []}]
)
def test_what_is_no_report_cannot_be_compared(previous: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="previous"):
        differences(report_of(figure("a.b", 1.0)), previous)
