"""Matching, detection, tracking, riders and exports against hand-made cases."""

from __future__ import annotations

import dataclasses

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_pipeline.core.evaluation.detection import detection_figures
from identity_pipeline.core.evaluation.evidence import VideoTables, gather
from identity_pipeline.core.evaluation.exports import (
    coverage_figures,
    coverage_rows,
    export_figures,
    judged_images,
)
from identity_pipeline.core.evaluation.matching import assign, ious, match_video
from identity_pipeline.core.evaluation.report import Figure
from identity_pipeline.core.evaluation.riders import rider_figures, rider_map
from identity_pipeline.core.evaluation.sections import section_of
from identity_pipeline.core.evaluation.tracking import tracking_figures
from identity_pipeline.core.evaluation.truth import RENDERED, SEATS
from identity_pipeline.settings import BucketSettings
from identity_pipeline.tables import empty
from identity_pipeline_tests.core.builders import MODEST
from identity_pipeline_tests.core.evaluation_builders import (
    BACK,
    LEFT,
    RIGHT,
    duo,
    evidence_of,
    face_id,
    found,
    true_face,
    truth_of,
    video_of,
)

BUCKETS = BucketSettings()


def by_key(figures: list[Figure]) -> dict[str, Figure]:
    return {figure.key: figure for figure in figures}


def test_iou_of_shifted_boxes_is_exact() -> None:
    boxes = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30], [3, 3, 3, 9]], float)
    assert ious(boxes[:1], boxes)[0] == pytest.approx([1, 1 / 3, 0, 0])


def test_assignment_takes_the_largest_total_and_leaves_what_overlaps_too_little() -> None:
    overlap = np.array([[0.9, 0.8], [0.85, 0.4]])
    assert assign(overlap) == [(0, 1), (1, 0)]
    assert assign(np.array([[0.49]])) == []
    assert assign(np.array([[0.5]])) == [(0, 0)]


def test_small_and_hidden_faces_neither_help_nor_hurt() -> None:
    faces = [
        true_face(0, "ann", LEFT, occlusion=0.49),
        true_face(0, "ben", RIGHT, occlusion=0.5),
        true_face(0, "far", BACK, side=39.0),
        true_face(0, "near", (700.0, 0.0), side=40.0),
    ]
    seen = [found(0, RIGHT, 1), found(0, BACK, 2, side=39.0), found(0, (900.0, 0.0), 3)]
    video = video_of("ride", faces, seen, ["ann", "ben"])
    outcome = dict(evidence_of(video).outcomes.select("person", "outcome").rows())
    assert outcome == {
        "ann": "missed",
        "ben": "ignored",
        "far": "ignored",
        "near": "missed",
        None: "false",
    }
    figures = by_key(detection_figures(evidence_of(video)))
    assert (figures["detection.recall"].value, figures["detection.recall"].n) == (0.0, 2)
    assert (figures["detection.precision"].value, figures["detection.precision"].n) == (0.0, 1)


def test_a_frame_that_was_not_sampled_does_not_count() -> None:
    truth = truth_of([true_face(0, "ann", LEFT), true_face(1, "ann", LEFT)], ["ann"])
    none = empty("face_detections")
    assert match_video(truth, pl.Series([1]), none)["frame_idx"].to_list() == [1]


@MODEST
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 8)), unique=True),
       st.lists(st.tuples(st.integers(0, 2), st.integers(0, 8)), unique=True))  # fmt: skip
def test_every_true_face_and_every_detection_appears_once(
    true: list[tuple[int, int]], seen: list[tuple[int, int]]
) -> None:
    faces = [true_face(f, f"p{x}", (40.0 * x, 0.0)) for f, x in true]
    detections = [found(f, (40.0 * x + 13.0, 0.0), 1) for f, x in seen]
    outcomes = evidence_of(video_of("ride", faces, detections, ["p0"])).outcomes
    people = outcomes.filter(pl.col("person").is_not_null()).select("frame_idx", "person")
    assert people.height == len(true) and people.is_unique().all()
    ids = outcomes["face_id"].drop_nulls()
    assert ids.len() == len(seen) and ids.is_unique().all()


def test_in_a_seat_the_largest_face_is_the_riders_and_others_are_not_judged() -> None:
    seats = [true_face(0, "ann", LEFT, side=300.0), true_face(0, "ben", RIGHT, side=300.0)]
    seen = [
        found(0, (10.0, 10.0), 1, side=30.0),
        found(0, (100.0, 100.0), 2, 0, side=90.0),
        found(0, (400.0, 10.0), 3, side=20.0),
    ]
    video = video_of("ride", seats, seen, ["ann", "ben"], kind=SEATS)
    evidence = evidence_of(video)
    hits = evidence.faces.select("person", "face_id").rows()
    assert hits == [("ann", face_id(0, (100.0, 100.0)))]
    figures = by_key(detection_figures(evidence))
    assert figures["detection.seats"].value == 0.5
    recall = figures["detection.recall"]
    assert recall.value is None and "seats, not faces" in str(recall.reason)


def test_a_perfect_tracker_is_perfect() -> None:
    figures = by_key(tracking_figures(evidence_of(duo())))
    assert figures["tracking.idf1"].value == 1.0
    assert figures["tracking.mota"].value == 1.0
    assert figures["tracking.switches"].value == 0
    assert figures["tracking.purity"].value == figures["tracking.completeness"].value == 1.0


def test_exchanged_ids_cost_identity_but_no_detection() -> None:
    half = by_key(tracking_figures(evidence_of(duo(swap_at=5))))
    assert half["tracking.idf1"].value == pytest.approx(0.5)
    assert half["tracking.switches"].value == 2
    assert half["tracking.mota"].value == pytest.approx(1 - 2 / 20)
    assert half["tracking.purity"].value == pytest.approx(0.5)
    late = by_key(tracking_figures(evidence_of(duo(swap_at=9))))
    assert late["tracking.idf1"].value == pytest.approx(0.9)
    assert late["tracking.purity"].value == pytest.approx(0.9)
    assert by_key(detection_figures(evidence_of(duo(swap_at=5))))["detection.recall"].value == 1.0


def test_seats_judge_identity_alone() -> None:
    video = duo(swap_at=5)
    seats = dataclasses.replace(video, truth=dataclasses.replace(video.truth, kind=SEATS))
    figures = by_key(tracking_figures(evidence_of(seats)))
    assert figures["tracking.idf1"].value == pytest.approx(0.5)
    assert figures["tracking.mota"].value is None


def riders_and_a_bystander() -> VideoTables:
    faces = [true_face(f, p, at) for f in range(4) for p, at in
             (("ann", LEFT), ("ben", RIGHT), ("cat", BACK))]  # fmt: skip
    seen = [found(f, at, t, p) for f in range(4) for at, t, p in ((LEFT, 1, 0), (BACK, 2, 1))]
    return video_of("ride", faces, seen, ["ann", "ben"])


def test_a_bystander_who_became_a_rider_costs_precision_and_the_lost_one_recall() -> None:
    evidence = evidence_of(riders_and_a_bystander())
    assert rider_map(evidence).rows() == [("ride", 0, "ann", True), ("ride", 1, "cat", False)]
    figures = by_key(rider_figures(evidence))
    assert figures["riders.recall"].value == figures["riders.precision"].value == 0.5
    assert figures["riders.videos"].value == 0.0
    assert by_key(rider_figures(evidence_of(duo())))["riders.videos"].value == 1.0


def test_one_rider_as_two_persons_is_right_once() -> None:
    faces = [true_face(f, "ann", LEFT) for f in range(6)]
    seen = [found(f, LEFT, 1 + f // 4, f // 4) for f in range(6)]
    figures = by_key(rider_figures(evidence_of(video_of("ride", faces, seen, ["ann"]))))
    assert figures["riders.recall"].value == 1.0
    assert figures["riders.precision"].value == 0.5
    assert figures["riders.videos"].value == 0.0


def exported_duo(images: list[tuple[str, str, int, str]], swap_at: int = 8) -> VideoTables:
    video = duo(swap_at=swap_at)
    tables = dict(video.tables)
    for name in ("anchor", "pair"):
        rows = [{"image": i, "person_id": p, "face_id": f} for s, i, p, f in images if s == name]
        schema = tables[f"{name}_set"].schema
        tables[f"{name}_set"] = pl.DataFrame(rows, schema=schema)
    return dataclasses.replace(video, tables=tables)


def test_an_exported_face_of_the_other_rider_is_a_wrong_identity() -> None:
    images = [
        ("anchor", "anchor_001", 0, face_id(0, LEFT)),
        ("anchor", "anchor_001", 1, face_id(0, RIGHT)),
        ("anchor", "anchor_002", 0, face_id(9, RIGHT)),
        ("pair", "pair_001", 0, face_id(1, LEFT)),
        ("pair", "pair_001", 1, face_id(1, RIGHT)),
        ("pair", "pair_002", 0, face_id(9, RIGHT)),
        ("pair", "pair_002", 1, face_id(9, LEFT)),
    ]
    evidence = evidence_of(exported_duo(images))
    wrong = judged_images(evidence).filter("wrong")
    assert wrong.select("set_name", "image").rows() == [
        ("anchor", "anchor_002"),
        ("pair", "pair_002"),
    ]
    figures = by_key(export_figures(evidence))
    assert (figures["exports.wrong"].value, figures["exports.wrong"].n) == (2 / 5, 5)
    assert (figures["exports.wrong_anchor"].value, figures["exports.wrong_anchor"].n) == (1 / 3, 3)
    assert figures["exports.wrong_riders"].value == 0.5
    challenge = figures["exports.wrong_challenge"]
    assert challenge.value is None and challenge.reason == "no challenge image was exported"


def test_an_exported_face_of_nobody_counts_as_wrong() -> None:
    video = exported_duo([("anchor", "anchor_001", 0, "000003-999")])
    assert by_key(export_figures(evidence_of(video)))["exports.wrong"].value == 1.0


def test_no_wrong_image_still_has_an_upper_bound() -> None:
    images = [("anchor", f"anchor_{f}", 0, face_id(f, LEFT)) for f in range(8)]
    figure = by_key(export_figures(evidence_of(exported_duo(images))))["exports.wrong"]
    assert figure.value == 0.0 and figure.low is None
    assert figure.high == pytest.approx(1 - 0.05 ** (1 / 8))


def test_coverage_is_counted_against_what_the_rider_truly_showed() -> None:
    yaws = (-20.0, 0.0, 20.0, 60.0)
    faces = [true_face(f, "ann", LEFT, yaw=y, pitch=0.0) for f, y in enumerate(yaws)]
    faces.append(true_face(4, "ann", LEFT, side=20.0, yaw=40.0, pitch=0.0))
    labels = ("[-30,-15)", "[-5,5)", "[30,45]")
    seen = [
        found(f, LEFT, 1, 0, yaw_bin=label, pitch_bin="neutral", expression_bin="unknown")
        for f, label in enumerate(labels)
    ]
    images = [("coverage", f"cov_{f}", 0, face_id(f, LEFT)) for f in range(3)]
    rows = coverage_rows(evidence_of(video_of("ride", faces, seen, ["ann"], images)), BUCKETS)
    yaw = next(row for row in rows if row.axis == "yaw")
    # 40 degrees were shown only by a tiny face, 60 are beyond; 20 was filed under [30,45].
    assert (yaw.reachable, yaw.filled, yaw.truly) == (3, 2, 3)
    assert [row.axis for row in rows] == ["yaw", "pitch"]
    figures = by_key(coverage_figures(rows, "here"))
    assert figures["coverage.yaw"].value == pytest.approx(2 / 3)
    assert figures["coverage.expression"].value is None


def test_the_order_of_rows_and_videos_changes_nothing() -> None:
    videos = [duo(6, 4, name) for name in ("a", "b", "c", "d")]
    shuffled = [
        dataclasses.replace(
            video,
            tables={n: t.reverse() for n, t in video.tables.items()},
            truth=dataclasses.replace(video.truth, faces=video.truth.faces.reverse()),
        )
        for video in reversed(videos)
    ]
    a, b = (section_of(gather(RENDERED, v), BUCKETS) for v in (videos, shuffled))
    assert a == b
    assert a.figure("tracking.idf1").interval == "bootstrap over videos"
    assert "4 rendered clips (a, b, c, d), 2 riders" in a.scope
