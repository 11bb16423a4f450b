"""Which faces' images are left out of an export, pairs among them."""

from __future__ import annotations

import polars as pl

from identity_pipeline.stages.specs.exported import TYPES, not_shown, shown_rows
from identity_pipeline.tables import empty


def rows(name: str, *given: dict[str, object]) -> pl.DataFrame:
    """A table with the given rows; what they do not say is null."""
    return pl.concat([empty(name), pl.DataFrame(given)], how="diagonal_relaxed")


def test_both_faces_of_a_pair_that_is_left_out_say_so() -> None:
    sets = {name: empty(name) for name in TYPES}
    assert not_shown(sets, empty("identity_dataset")) == {}
    pair: list[dict[str, object]] = [
        {"face_id": face, "image": "p1", "person_id": n} for n, face in enumerate("ab")
    ]
    sets["pair_set"] = rows("pair_set", *pair)
    sets["anchor_set"] = rows("anchor_set", {"face_id": "c", "image": "x", "person_id": 0})
    why = "other_picture: It: is not."
    lacking: dict[str, object] = {"file": "pair/p1.jpg", "type": "left_out", "left_out": why}
    told = not_shown(sets, rows("identity_dataset", lacking))
    assert told == dict.fromkeys("ab", ("other_picture", "It: is not.", None))


def test_a_stand_in_is_told_by_its_own_scores() -> None:
    table = rows(
        "anchor_set",
        {"face_id": "chosen", "image": "x", "person_id": 0, "portrait_score": 0.9},
    )
    place = {"face_id": "other", "stands_for": "chosen", "stable_score": 0.7}
    files = rows("identity_dataset", {"file": "person_0/anchors/x.jpg", "type": "anchor", **place})
    observed = rows("candidates", {"face_id": "other", "portrait_score": 0.5})
    (row,) = shown_rows("anchor_set", table, files, observed).to_dicts()
    assert (row["face_id"], row["portrait_score"]) == ("other", 0.5)
    assert (row["picture_score"], row["novelty"]) == (None, None)
