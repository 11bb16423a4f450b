"""Which faces' images are left out of an export, pairs among them."""

from __future__ import annotations

import polars as pl

from identity_pipeline.stages.specs.exported import TYPES, not_shown
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
