"""What humans decided on pictures holds in every set, whatever else there is."""

from __future__ import annotations

from typing import Literal

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_pipeline.core.datasets.selection import ordered
from identity_pipeline.core.imagesets.challenge import challenge_kind
from identity_pipeline.core.imagesets.decided import (
    NEAR_REJECTED,
    REJECTED,
    DecidedPictures,
    with_decisions,
)
from identity_pipeline.core.imagesets.faces import faces_of, no_coverage
from identity_pipeline.core.imagesets.moments import find_moments
from identity_pipeline.settings import DatasetSettings, Settings
from identity_pipeline_tests.core import test_moments_of_rides as rides
from identity_pipeline_tests.core.builders import FEW, build_sets, random_candidates

Stop = Literal["grow", "cut"]


def settings_of(stop: Stop) -> Settings:
    settings = Settings()
    return settings.model_copy(
        update={"selection": settings.selection.model_copy(update={"stop": stop})}
    )


def drawn(rng: np.random.Generator, faces: pl.DataFrame) -> DecidedPictures:
    """Random decisions; anchors are of the first rider and are accepted, as in the ledger."""
    ids = rng.permutation(faces["face_id"].to_numpy()).tolist()
    first = [face for face in ids if face.endswith("-0")]
    anchors, passed = tuple(first[:2]), first[2:4]
    rejected, accepted, order = ids[:6], {*ids[6:12], *anchors}, ids[12:20]
    return DecidedPictures(
        rejected=frozenset(rejected) - accepted,
        accepted=frozenset(accepted),
        anchors=anchors,
        passed_over=frozenset(passed) - {*anchors},
        order=tuple(order),
    )


def decided_faces(faces: pl.DataFrame, decided: DecidedPictures) -> pl.DataFrame:
    """The candidates as `gather` leaves them."""
    told = with_decisions(faces, decided, 0.5)
    out = pl.col("decided").is_in([REJECTED, NEAR_REJECTED]).fill_null(False)
    return told.with_columns(standing=pl.when(out).then("decided").otherwise("standing"))


@pytest.mark.parametrize("stop", ["grow", "cut"])
@given(seed=st.integers(0, 2**16))
@FEW
def test_decisions_hold_in_every_set(stop: Stop, seed: int) -> None:
    rng = np.random.default_rng(seed)
    settings = settings_of(stop)
    faces = random_candidates(rng, 40, 2)
    decided = drawn(rng, faces)
    told = decided_faces(faces, decided)
    sets = build_sets(told, settings=settings)
    shown = {face for name in ("anchor", "coverage", "challenge") for face in sets.faces(name)}
    pairs = sets.faces("pair")
    out = told.filter(pl.col("standing").is_in([REJECTED, NEAR_REJECTED]))
    assert not {*shown, *pairs} & set(out["face_id"])
    assert set(decided.rejected) <= set(out["face_id"])

    free = told.filter(pl.col("standing") == "candidate").with_columns(
        kind=challenge_kind(settings.selection)
    )
    for face in faces_of(free.drop("kind").with_columns(picture=0.0)):
        kind = free.row(by_predicate=pl.col("face_id") == face["face_id"], named=True)["kind"]
        fits = no_coverage(face, settings.selection) is None or kind is not None
        if face["face_id"] in decided.accepted and fits:
            assert face["face_id"] in {*shown, *pairs}

    anchors = sets["anchor"].filter(pl.col("person_id") == 0).sort("rank")["face_id"].to_list()
    may = [face for face in decided.anchors if face in set(free["face_id"])]
    placed = of_several([face for face in decided.order if face in anchors])
    assert [*placed, *(f for f in may if f not in placed)] == anchors[: len({*placed, *may})]
    assert not decided.passed_over & {*anchors}
    for name in ("anchor", "coverage", "challenge"):
        for _, own in sets[name].sort("rank").group_by("person_id", maintain_order=True):
            there = set(own["face_id"])
            listed = of_several([face for face in decided.order if face in there])
            assert own["face_id"].to_list()[: len(listed)] == listed
            assert own["rank"].to_list() == list(range(1, own.height + 1))
            assert own["image"].n_unique() == own.height


def of_several(listed: list[str]) -> list[str]:
    """What an order says of a set: of a single face that came into it, nothing."""
    return listed if len(listed) > 1 else []


def test_a_rejected_face_stands_for_no_moment_and_an_accepted_one_for_its_own() -> None:
    rows = [rides.face(n, quality_score=0.9 if n == 2 else 0.5) for n in range(20)]
    plain = rides.moments(*rows)
    assert "000002-0" in plain.filter("shortlisted")["face_id"]
    decided = DecidedPictures(
        rejected=frozenset({"000002-0"}), accepted=frozenset({"000012-0", "000013-0"})
    )
    faces = rides.faces_of(*rows)
    table = find_moments(faces, rides.M, rides.B, rides.S, decided, 0.3)
    best = set(table.filter("representative")["face_id"])
    listed = set(table.filter(pl.col("shortlisted").fill_null(False))["face_id"])
    near = {f"{n:06d}-0" for n in range(6)}
    assert not listed & near and {"000012-0", "000013-0"} <= listed & best
    assert table.filter("representative").height == table["moment_id"].n_unique()


@given(seed=st.integers(0, 2**16))
@FEW
def test_a_person_is_shown_first_as_humans_say(seed: int) -> None:
    rng = np.random.default_rng(seed)
    settings = Settings()
    faces = random_candidates(rng, 24, 1).filter(pl.col("standing") == "candidate")
    decided = drawn(rng, faces)
    told = decided_faces(faces, decided).filter(pl.col("standing") == "candidate")
    pool = told.with_columns(source_id=pl.lit("ride"), recency=pl.lit(None, dtype=pl.Float64))
    order = ordered(pool, settings.selection, DatasetSettings(), pool.height)
    ranked = order.drop_nulls("rank").sort("rank")["face_id"].to_list()
    there = set(pool["face_id"])
    assert decided.accepted & there <= set(ranked)
    listed = [face for face in decided.order if face in ranked]
    assert not listed or ranked[0] == listed[0] or ranked[0] in decided.order
    anchors = [face for face in decided.anchors if face in there and face not in decided.order]
    assert [face for face in ranked if face in anchors] == anchors
    roles = dict(order.select("face_id", "role").iter_rows())
    assert all(roles[face] == "anchor" for face in anchors)
    assert all(roles[face] != "anchor" for face in decided.passed_over & set(ranked))
