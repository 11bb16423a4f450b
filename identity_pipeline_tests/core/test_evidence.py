"""The evidence compares faces by the scores that chose them, and names what set them apart."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from identity_pipeline.core.imagesets.evidence import (
    Evidence,
    Peers,
    compared,
    peers_in_bucket,
    peers_in_moment,
)

PARTS = {"score_eyes": 1.0, "score_mouth": 1.0, "score_view": 1.0, "score_light": 1.0}
PARTS |= {"score_sharp": 1.0, "score_pose": 1.0, "score_alone": 1.0}


def face(**changes: Any) -> Evidence:
    return Evidence.of({**PARTS, "portrait_score": 1.0, "picture_score": 1.0, **changes})


def test_what_an_older_table_lacks_was_not_measured() -> None:
    known = Evidence.of({"eyes": "open", "luma_mean": float("nan")})
    assert known.eyes == "open" and known.luma_mean is None and known.picture_score is None
    assert known.parts == () and compared(known, face()) is None


@pytest.mark.parametrize("part", ["light", "sharp", "view", "alone"])
def test_the_part_that_sets_two_pictures_apart_is_named(part: str) -> None:
    worse = face(picture_score=0.4, **{f"score_{part}": 0.4})
    lost, won = compared(worse, face()), compared(face(), worse)
    assert lost is not None and (lost.part, lost.own_part, lost.other_part) == (part, 0.4, 1.0)
    assert won is not None and (won.part, won.own_part, won.other_part) == (part, 1.0, 0.4)


def test_what_a_score_does_not_count_is_not_named() -> None:
    """A wide mouth spoils a portrait, and no picture of a wide mouth; lids spoil both."""
    wide = face(score_mouth=0.1, portrait_score=0.1, picture_score=1.0)
    assert compared(wide, face()) == (1.0, 1.0, None, None, None)
    spoilt = compared(wide, face(), portrait=True)
    assert spoilt is not None and spoilt.part == "mouth"
    lids = compared(face(score_eyes=0.2, picture_score=0.2), face(score_mouth=0.9))
    assert lids is not None and lids.part == "eyes and mouth" and lids.own_part is None


def test_a_part_that_was_not_measured_is_no_zero() -> None:
    untold = face(score_light=None, picture_score=0.3, score_view=0.3)
    told = compared(untold, face())
    assert told is not None and told.part == "view"


def test_a_face_among_the_others_of_its_moment() -> None:
    moments = pl.DataFrame(
        {
            "face_id": ["a", "b", "c", "d"],
            "moment_id": [0, 0, 0, 1],
            "rank": pl.Series([2, 1, None, 1], dtype=pl.Int64),
        }
    )
    assert peers_in_moment("a", moments) == Peers(3, 2, "b")
    assert peers_in_moment("b", moments) == Peers(3, 1, "a")
    assert peers_in_moment("c", moments) == Peers(3, None, "b")
    assert peers_in_moment("d", moments) == Peers(1, 1, None)
    assert peers_in_moment("x", moments) is None


def test_a_candidate_among_those_of_its_rider_and_bucket() -> None:
    rows: list[tuple[str, int, str | None, str, float | None, float | None]] = [
        ("a", 0, "k", "candidate", 0.5, None),
        ("b", 0, "k", "candidate", 0.4, 0.2),
        ("c", 0, "k", "candidate", None, None),
        ("d", 0, "k", "outranked", 0.9, None),
        ("e", 1, "k", "candidate", 0.9, None),
        ("f", 0, None, "candidate", 0.9, None),
    ]
    names = ["face_id", "person_id", "bucket_key", "standing", "picture_score", "bonus"]
    table = pl.DataFrame(rows, schema=names, orient="row")
    assert peers_in_bucket("a", table) == Peers(3, 2, "b")  # a highlight counts
    assert peers_in_bucket("b", table) == Peers(3, 1, "a")
    assert [peers_in_bucket(name, table) for name in "cdf"] == [None] * 3
