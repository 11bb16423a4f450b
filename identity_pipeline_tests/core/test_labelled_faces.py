"""What labels of single faces allow, who sits where, and what is counted of whom."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl
import pytest

from identity_pipeline.core.evaluation.intervals import wilson
from identity_pipeline.core.evaluation.labelled import LabelledResult, labelled_result, with_labels
from identity_pipeline.core.evaluation.labels import LABELS, LabelledClip, allowed_bins, seats_of
from identity_pipeline.core.evaluation.report import Figure
from identity_pipeline.settings import BucketSettings
from identity_pipeline.tables import SET_ASSETS, TABLES

Row = dict[str, Any]
PLAIN = {
    "eyes": "open", "mouth": "closed", "smile": "none", "teeth": "no", "occlusion": "none",
    "light": "normal", "blur": "sharp", "head_turn": "frontal", "good_anchor": "yes",
}  # fmt: skip
CALLED = {"expression_bin": "neutral", "occlusion_bin": "none", "lighting_bin": "normal"}


def clip(
    name: str, faces: Sequence[tuple[Row, Row]], people: Sequence[str] = (), seat: str = "only",
    anchors: Sequence[int] = (),
) -> LabelledClip:  # fmt: skip
    """A clip of one rider: (label, what was called) for every frame; anchors are frames."""
    labels = [{"clip": name, "frame_idx": n, "seat": seat, **PLAIN, **label}
              for n, (label, _) in enumerate(faces)]  # fmt: skip
    rows = [
        {"face_id": f"{n:06d}-0", "frame_idx": n, "person_id": 0, "yaw": 0.0, "smooth_x1": 10.0,
         "smooth_x2": 20.0, "yaw_bin": "[-5,5)", **CALLED, **called}
        for n, (_, called) in enumerate(faces)
    ]  # fmt: skip
    tables = {asset: _table(asset, rows) for asset in ("face_landmarks", "face_buckets")}
    tables["candidates"] = _table("candidates", [])
    tables |= {asset: _table(asset, []) for asset in SET_ASSETS}
    tables["anchor_set"] = _table("anchor_set", [rows[n] for n in anchors])
    return LabelledClip(
        f"{name}-0", pl.DataFrame(labels, schema=LABELS), tables, tuple(people), "real"
    )


def _table(asset: str, rows: Sequence[Row]) -> pl.DataFrame:
    schema = TABLES[asset]
    return pl.DataFrame([{c: row.get(c) for c in schema} for row in rows], schema=schema)


def found(result: LabelledResult, key: str) -> tuple[float | None, int]:
    (figure,) = [figure for figure in result.figures if figure.key == key]
    return figure.value, figure.n


@pytest.mark.parametrize(
    ("label", "bins"),
    [
        ({}, ["neutral"]),
        ({"eyes": "closed", "mouth": "hidden"}, ["eyes_closed"]),
        ({"eyes": "half"}, ["neutral", "eyes_closed"]),
        ({"mouth": "wide", "smile": "broad", "eyes": "wink"},
         ["smile", "mouth_open", "eyes_closed"]),
        ({"smile": "slight", "teeth": "yes"}, ["smile", "neutral"]),
        ({"smile": "slight"}, ["neutral", "smile"]),
        ({"mouth": "open", "smile": "unsure"}, ["mouth_open", "smile"]),
        ({"eyes": "hidden"}, []),
        ({"eyes": "closed", "occlusion": "heavy"}, []),
        ({"mouth": "hidden"}, []),
        ({"smile": None}, []),
    ],
)  # fmt: skip
def test_a_label_allows_bins_and_names_the_first(label: Row, bins: list[str]) -> None:
    said = PLAIN | label
    names = ("eyes", "mouth", "smile", "teeth", "occlusion")
    assert allowed_bins(*(said[name] for name in names)) == bins


def test_seats_are_the_two_people_seen_most_from_left_to_right() -> None:
    at = {7: (900.0, 5), 2: (100.0, 5), 4: (500.0, 1)}
    rows = [{"person_id": p, "smooth_x1": x, "smooth_x2": x} for p, (x, n) in at.items()
            for _ in range(n)]  # fmt: skip
    landmarks = _table("face_landmarks", [*rows, {"person_id": None, "smooth_x1": 0.0}])
    assert seats_of(landmarks, only=False).rows() == [(2, "left"), (7, "right")]
    assert seats_of(landmarks.filter(pl.col("person_id") == 4), only=True).rows() == [(4, "only")]


def test_every_share_is_of_the_faces_whose_label_says_it() -> None:
    shut, covered = {"expression_bin": "eyes_closed"}, {"occlusion_bin": "partial"}
    faces = [
        ({"eyes": "closed"}, shut), ({"eyes": "closed"}, {}), ({}, shut), ({"eyes": None}, shut),
        ({"eyes": "half"}, shut), ({"smile": "broad", "mouth": "open"}, {"mouth_open": 0.5}),
        ({"mouth": "slight"}, {"mouth_open": 0.3}), ({"head_turn": "left"}, {"yaw": 20.0}),
        ({"head_turn": "profile-left"}, {"yaw": -70.0, "yaw_bin": "beyond"}),
        ({}, covered), ({}, {"occlusion_bin": "unknown"}),
        ({"occlusion": "partial", "occluder": "bar"}, {}),
    ]  # fmt: skip
    result = labelled_result("real", [clip("a", faces, anchors=[1, 3, 6])], BucketSettings())
    assert found(result, "eyes.closed_found") == (0.5, 2)
    assert found(result, "eyes.open_called_closed") == (1 / 8, 8)
    assert found(result, "mouth.open_found") == (1.0, 1)
    assert found(result, "mouth.shut_called_open") == (1 / 11, 11)
    assert found(result, "smile.found") == (0.0, 1)
    assert found(result, "cover.plain_called_covered") == (2 / 11, 11)
    assert found(result, "cover.bar_called_none") == (1.0, 1)
    assert found(result, "turn.side") == (0.5, 2)
    assert found(result, "turn.profile") == (1.0, 1)
    assert found(result, "sets.anchor_eyes_closed") == (0.5, 2), "a label may be empty"
    assert found(result, "sets.pair_eyes_closed") == (None, 0)
    # Half-shut and called closed: allowed, but not where they count as not closed.
    assert found(result, "expression.right") == (8 / 11, 11)
    assert found(result, "expression.half_not_closed") == (7 / 11, 11)
    assert found(result, "expression.without_half") == (7 / 10, 10)


def test_people_are_told_apart_and_the_worst_is_named() -> None:
    plain = [({}, {})] * 10
    badly = [({}, {"occlusion_bin": "heavy"})] * 4 + plain[4:]
    few = [({}, {"occlusion_bin": "heavy"})] * 2
    smiles = [({"smile": "broad"}, {"expression_bin": "smile"})] * 9 + [({"smile": "broad"}, {})]
    clips = [clip("a", plain, ["ann"]), clip("b", badly, ["ben"]), clip("c", few),
             clip("d", smiles, ["ann"]), clip("e", smiles, ["eve"])]  # fmt: skip
    result = labelled_result("real", clips, BucketSettings())
    assert [(row.person, row.faces) for row in result.people] == [
        ("ann", 20), ("ben", 10), ("c only", 2), ("eve", 10)
    ]  # fmt: skip
    assert found(result, "cover.plain_called_covered_worst") == (0.4, 10)
    worst = next(f for f in result.figures if f.key == "cover.plain_called_covered_worst")
    assert "ben" in worst.label and (worst.low, worst.high) == pytest.approx(wilson(4, 10))
    # ann smiles in half of her faces only.
    assert found(result, "smile.found_always") == (0.9, 10)
    pooled = next(f for f in result.figures if f.key == "cover.plain_called_covered")
    exact = wilson(6, 42)
    assert exact and pooled.low is not None and pooled.high is not None
    assert pooled.low <= exact[0] and pooled.high > exact[1], "people differ more than faces"


def test_a_face_that_was_not_measured_counts_only_as_not_met() -> None:
    seen = clip("a", [({"eyes": "closed"}, {}), ({"eyes": "closed"}, {})])
    tables = dict(seen.tables) | {"face_buckets": seen.tables["face_buckets"].head(1)}
    result = labelled_result(
        "real", [LabelledClip(seen.video, seen.labels, tables, (), "real")], BucketSettings()
    )
    assert found(result, "labels.met") == (0.5, 2)
    assert found(result, "eyes.closed_found") == (0.0, 1)


def test_labels_answer_where_the_truth_is_silent_and_nowhere_else() -> None:
    result = labelled_result("real", [clip("a", [({}, {})])], BucketSettings())
    silent = Figure("bins.expression", "Right", None, 0, "", "share", "x", reason="not said")
    exact = Figure("bins.occlusion", "Right", 0.25, 8, "faces", "share", "x")
    told = {figure.key: figure for figure in with_labels([silent, exact], result)}
    assert told["bins.expression"].value == 1.0 and told["bins.expression"].n == 1
    assert told["bins.occlusion"].value == 0.25


def test_wilson_has_its_known_values() -> None:
    # Newcombe 1998, table I, method 3.
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson(0, 0) is None
