"""One order of a person's pictures over all rides: what every prefix of it keeps to."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_pipeline.core.datasets.looks import looks_of
from identity_pipeline.core.datasets.selection import SCHEMA, STARVED, ordered, validation_sources
from identity_pipeline.settings import DatasetSettings, SelectionSettings
from identity_pipeline_tests.core.builders import FEW, candidate, candidates, plane, unit

SELECTION, DATASETS = SelectionSettings(), DatasetSettings()


def pool(
    rides: dict[str, list[dict[str, Any]]], recency: dict[str, float] | None = None
) -> pl.DataFrame:
    """The candidates of several rides, as `stages.datasets.sources` hands them over."""
    return pl.concat(
        candidates(*rows).with_columns(
            source_id=pl.lit(name), recency=pl.lit((recency or {}).get(name), dtype=pl.Float64)
        )
        for name, rows in rides.items()
    )


@st.composite
def rides(draw: st.DrawFn) -> pl.DataFrame:
    """Two or three rides of a person: poses, expressions, light and looks of all kinds."""
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    parts = {}
    for n in range(draw(st.integers(2, 3))):
        rows = []
        for frame in rng.choice(400, draw(st.integers(4, 20)), replace=False).tolist():
            look = np.eye(40)[n] * 5 + 0.9 * rng.normal(size=40)
            score = float(rng.uniform(0.2, 1.0)) * (0.5 if n else 1.0)
            rows.append(
                candidate(
                    frame,
                    yaw=float(rng.uniform(-50, 50)),
                    pitch=float(rng.uniform(-15, 15)),
                    luma_mean=float(rng.choice([120.0, 20.0], p=[0.85, 0.15])),
                    expression=str(rng.choice(["neutral", "smile", "mouth_open", "eyes_closed"])),
                    vis=unit(look),
                    picture_score=score,
                    portrait_score=score,
                    stable_score=float(rng.uniform(0.4, 0.9)),
                )
            )
        parts[f"ride-{n}"] = rows
    return pool(parts)


@given(rides(), st.integers(0, 99))
@FEW
def test_the_order_is_the_same_whatever_comes_first_and_every_face_has_a_reason(
    faces: pl.DataFrame, seed: int
) -> None:
    order = ordered(faces, SELECTION, DATASETS, 20)
    shuffled = faces.sample(fraction=1.0, shuffle=True, seed=seed)
    assert ordered(shuffled, SELECTION, DATASETS, 20).equals(order)
    assert order.schema == pl.Schema(SCHEMA)
    assert set(order.select("source_id", "face_id").iter_rows()) == set(
        faces.select("source_id", "face_id").iter_rows()
    )
    assert order["reason"].null_count() == 0
    ranks = order["rank"].drop_nulls().to_list()
    assert ranks == list(range(1, len(ranks) + 1))


@given(rides())
@FEW
def test_every_prefix_keeps_to_the_rules(faces: pl.DataFrame) -> None:
    order = ordered(faces, SELECTION, DATASETS, 20).filter(pl.col("rank").is_not_null())
    told = order.join(
        faces.select(
            "source_id", "face_id", "timestamp_ms", "look", "e_vis_face", "expression_bin"
        ),
        on=["source_id", "face_id"],
        maintain_order="left",
    ).to_dicts()
    for n in range(1, len(told) + 1):
        roles, later = Counter(row["role"] for row in told[:n]), told[n:]
        most = math.floor(DATASETS.challenge_share * n + 1e-9)
        assert roles["challenge"] <= most or roles["challenge"] == n
        portraits = math.ceil(DATASETS.anchor_share * n - 1e-9)
        assert roles["anchor"] >= portraits or all(row["role"] != "anchor" for row in later)
        shown, looks = Counter(row["variant"] for row in told[:n]), {r["variant"] for r in told}
        for look in looks:
            plain = any(r["variant"] == look and r["role"] != "challenge" for r in later)
            assert shown[look] >= math.floor(STARVED * n / len(looks)) or not plain
    for a in range(len(told)):
        for b in range(a):
            one, other = told[a], told[b]
            gap = abs(one["timestamp_ms"] - other["timestamp_ms"])
            assert one["source_id"] != other["source_id"] or gap >= SELECTION.min_gap_s * 1000
            cosine = float(np.dot(one["e_vis_face"], other["e_vis_face"]))
            assert cosine <= SELECTION.near_duplicate_cos + 1e-6
    ordinary = [row for row in told if row["role"] != "challenge"]
    assert all(row["expression_bin"] != "eyes_closed" for row in ordinary)


def test_the_first_is_the_best_portrait_and_a_shorter_order_is_the_beginning_of_a_longer() -> None:
    rows = [
        candidate(n * 20, picture_score=0.9, portrait_score=0.5, yaw=(n - 3) * 12.0)
        for n in range(6)
    ]
    rows.append(candidate(300, picture_score=0.8, portrait_score=0.95))
    faces = pool({"ride-a": rows, "ride-b": [candidate(7, portrait_score=0.9, picture_score=0.9)]})
    order = ordered(faces, SELECTION, DATASETS, 8)
    assert order.row(0, named=True)["face_id"] == "000300-0"
    assert order.row(0, named=True)["role"] == "anchor"
    three = ordered(faces, SELECTION, DATASETS, 3).head(3)
    assert three["face_id"].to_list() == order.head(3)["face_id"].to_list()


def test_of_whom_there_are_difficulties_alone_those_are_shown() -> None:
    glaring = [
        candidate(n * 60, luma_mean=187.0, clipped_share=0.2, yaw=n * 12.0, vis=plane(n * 40.0))
        for n in range(3)
    ]
    order = ordered(pool({"photos-ada": glaring}), SELECTION, DATASETS, 8)
    assert order["rank"].to_list() == [1, 2, 3] and set(order["role"]) == {"challenge"}
    plain = candidate(400, yaw=-20.0, vis=plane(160.0))
    order = ordered(pool({"photos-ada": [*glaring, plain]}), SELECTION, DATASETS, 8)
    assert (
        order["face_id"][0] == "000400-0"
        and order["reason"].to_list().count("enough_difficulties") == 3
    )


def test_no_ride_and_no_look_is_starved() -> None:
    def ride(look: int, score: float) -> list[dict[str, Any]]:
        rng = np.random.default_rng(look)
        return [
            candidate(
                n * 20,
                vis=unit(np.eye(40)[look] * 5 + 0.9 * rng.normal(size=40)),
                picture_score=score,
                portrait_score=score,
                yaw=(n % 5 - 2) * 12.0,
            )
            for n in range(12)
        ]

    faces = pool({"ride-a": ride(0, 0.95), "ride-b": ride(0, 0.9), "ride-c": ride(1, 0.4)})
    order = ordered(faces, SELECTION, DATASETS, 12)
    looks = dict(order.select("source_id", "variant").unique().iter_rows())
    assert looks["ride-a"] == looks["ride-b"] != looks["ride-c"]
    for n in range(4, 13):
        first = order.filter(pl.col("rank") <= n)
        of_rare = first.filter(pl.col("source_id") == "ride-c").height
        assert of_rare >= math.floor(n * 0.5 / 2)
    counts = Counter(order.filter(pl.col("rank").is_not_null())["source_id"].to_list())
    assert counts["ride-b"] >= 3


def test_one_picture_in_two_rides_is_shown_once_and_the_newest_ride_leads() -> None:
    def ride() -> list[dict[str, Any]]:
        return [
            candidate(n * 20, vis=plane(n * 30, 64), picture_score=0.8, portrait_score=0.8)
            for n in range(3)
        ]

    faces = pool({"ride-a": ride(), "ride-b": ride()}, {"ride-a": 0.0, "ride-b": 1.0})
    order = ordered(faces, SELECTION, DATASETS, 10)
    shown = order.filter(pl.col("rank").is_not_null())
    assert shown["source_id"][0] == "ride-b"
    assert sorted(shown["face_id"]) == ["000000-0", "000020-0", "000040-0"]
    lost = order.filter(pl.col("rank").is_null())
    assert lost["reason"].unique().to_list() == ["near_duplicate"]
    assert (lost["rival_face_id"] == lost["face_id"]).all()
    assert (lost["rival_source_id"] != lost["source_id"]).all()


def test_looks_are_told_apart_by_what_is_alike_within_a_ride() -> None:
    def ride(centre: float) -> list[dict[str, Any]]:
        return [candidate(n * 40, vis=plane(centre + n * 4, 8)) for n in range(6)]

    same = pool({"a": ride(0), "b": ride(2), "c": ride(60)})
    assert looks_of(same, 0.08) == {"a": "look_1", "b": "look_1", "c": "look_2"}
    assert looks_of(pool({"a": ride(0)}), 0.08) == {}
    with_few = pool({"a": ride(0), "b": ride(60), "c": ride(62)[:1]})
    assert looks_of(with_few, 0.08)["c"] == looks_of(with_few, 0.08)["b"]


@pytest.mark.parametrize(
    ("pictures", "held_out"),
    [
        ({"Ada": {"a": 10, "b": 10}}, set()),
        ({"Ada": {"a": 10, "b": 10, "c": 4}}, {"c"}),
        ({"Ada": {"a": 30, "b": 30, "c": 2, "d": 3}}, {"c", "d"}),
        ({"Ada": {"a": 5, "b": 5, "c": 5}}, {"a"}),
        ({"Ada": {"a": 9, "b": 5, "c": 9}, "Ben": {"b": 4, "d": 4}}, {"a"}),
    ],
)
def test_whole_rides_are_held_out_of_everybody_and_never_most(
    pictures: dict[str, dict[str, int]], held_out: set[str]
) -> None:
    assert validation_sources(pictures, 0.15) == held_out
    assert validation_sources(pictures, 0.0) == frozenset()


def test_a_face_that_is_nearly_black_has_no_place() -> None:
    faces = pool({"ride": [candidate(0), candidate(100, strict_fails=["too_dark"])]})
    order = ordered(faces, SELECTION, DATASETS, 8)
    assert order["reason"].to_list()[1] == "no_light"
    assert order["rank"].to_list() == [1, None]
