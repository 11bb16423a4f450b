"""What the page of an export counts as lacking, from the rows of `candidates`."""

from __future__ import annotations

import polars as pl

from identity_pipeline.core.imagesets.challenge import KINDS
from identity_pipeline.stages.imagesets.page import _kinds_lacking


def test_a_kind_that_was_seen_within_moments_alone_is_not_told_as_unseen() -> None:
    faces = pl.DataFrame(
        {
            "face_id": ["a", "b", "c", "d"],
            "moment_id": [1, 1, 2, 3],
            "kind": ["motion", "motion", "motion", "dark"],
            "standing": ["not_the_best_of_its_moment"] * 3 + ["candidate"],
            "stands": [False, False, False, True],
            "picture_score": [0.5, 0.4, 0.3, 0.2],
            "ended": ["not_the_best_of_its_moment"] * 3 + ["near_duplicate"],
        }
    )
    told = {one.name: one for one in _kinds_lacking(faces, [])}
    assert set(told) == set(KINDS)
    assert (told["motion"].moments, told["motion"].reason) == (2, "not_the_best_of_its_moment")
    assert (told["dark"].moments, told["dark"].reason) == (1, "near_duplicate")
    assert told["pose"].moments == 0
