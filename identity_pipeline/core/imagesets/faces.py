"""A candidate as the selection and the sets read it, and what several of them ask of one.

What belongs here: the row, its vectors, its worth, and whether it is dark, covered or near another
in time. What does not: any choice among faces (`replay`, `coverage`, `anchors`, `challenge`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypedDict, cast

import polars as pl

from identity_pipeline.core.faces.buckets import BEYOND, EXPRESSIONS
from identity_pipeline.core.imagesets.decided import ACCEPTED
from identity_pipeline.core.imagesets.novelty import Likeness, Views
from identity_pipeline.core.imagesets.score_parts import MARRED
from identity_pipeline.core.vectors import check_unit, to_matrix
from identity_pipeline.settings import SelectionSettings

Row = dict[str, Any]
"""A row of a table in the making."""
VECTORS = ("e_vis_face", "e_vis_body", "look")
"""Columns that become matrices, never Python lists: those take many times the memory."""


class Face(TypedDict):
    """What the selection and the sets read of a row of `candidates`.

    Attributes:
        picture: its `picture_score` and the bonus of its highlight; what faces of a bucket are
            ranked by.
        bonus: that its highlight adds to its quality; 0 outside of all.
        weight: of that highlight; None where the video has none.
    """

    face_id: str
    frame_idx: int
    person_id: int
    timestamp_ms: float
    quality_score: float
    portrait_score: float | None
    picture_score: float | None
    score_view: float | None
    picture: float
    stable_score: float
    x1: float
    y1: float
    x2: float
    y2: float
    crop_x1: float
    crop_y1: float
    crop_x2: float
    crop_y2: float
    yaw_bin: str | None
    pitch_bin: str | None
    yaw_key: int | None
    pitch_key: int | None
    expression_bin: str
    bucket_key: str | None
    lighting_bin: str
    occlusion: float | None
    bonus: float
    weight: float | None
    decided: str | None
    anchor_place: int | None


def weighed(candidates: pl.DataFrame) -> pl.DataFrame:
    """The candidates that may be chosen, sorted by person and time, with `bonus` and `picture`.

    Args:
        candidates: table `candidates`.
    """
    return (
        candidates.filter(pl.col("standing") == "candidate")
        .with_columns(bonus=pl.col("bonus").fill_null(0.0))
        .with_columns(picture=pl.coalesce("picture_score", "quality_score") + pl.col("bonus"))
        .sort("person_id", "frame_idx", "face_id")
    )


def faces_of(table: pl.DataFrame) -> list[Face]:
    """The rows of `weighed` candidates, without their vectors."""
    return cast("list[Face]", table.drop(VECTORS).to_dicts())


def people(faces: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """The rows of each rider."""
    for _, rows in faces.group_by("person_id", maintain_order=True):
        yield rows


def person_views(faces: pl.DataFrame) -> Views:
    """Vision embeddings of candidates, checked for unit length."""
    return Views(
        face=check_unit(to_matrix(faces["e_vis_face"]), "e_vis_face"),
        body=check_unit(to_matrix(faces["e_vis_body"]), "e_vis_body"),
        look=check_unit(to_matrix(faces["look"]), "look"),
    )


def likeness(settings: SelectionSettings) -> Likeness:
    """The limits of what counts as the same picture."""
    return Likeness(settings.near_duplicate_cos, settings.near_duplicate_look)


def is_hard(face: Face) -> bool:
    """Dark or overexposed: fit for the challenge set, and no picture of a pose or an expression."""
    return face["lighting_bin"] in ("dark", "overexposed")


def is_covered(face: Face, settings: SelectionSettings) -> bool:
    """Something hides a part of the face, or passes: what landmarks say of it is not sure."""
    occlusion, view = face["occlusion"], face["score_view"]
    hidden = occlusion is not None and occlusion >= settings.covered_from
    return hidden or (view is not None and view < MARRED)


def is_accepted(face: Face) -> bool:
    """A human said that it is a good picture."""
    return face["decided"] == ACCEPTED


def no_coverage(face: Face, settings: SelectionSettings) -> str | None:
    """Why a face can stand for no bucket, or None: coverage is shown in plain light and view."""
    if face["bucket_key"] is None:
        beyond = BEYOND in (face["yaw_bin"], face["pitch_bin"])
        return "beyond_bins" if beyond else "pose_unknown"
    if is_covered(face, settings):
        return "covered"
    return "hard_condition" if is_hard(face) else None


def worth(face: Face) -> float:
    """The quality, and what the face's highlight adds to it."""
    return face["quality_score"] + face["bonus"]


def rows_of(table: Sequence[Face], face_ids: Iterable[str]) -> list[int]:
    """Positions of some faces among the rows of a table, in its order."""
    wanted = set(face_ids)
    return [row for row, face in enumerate(table) if face["face_id"] in wanted]


def times_of(sets: Sequence[pl.DataFrame], person_id: int) -> list[float]:
    """When the images of a rider in some sets were seen, in ms."""
    mine = (images.filter(pl.col("person_id") == person_id) for images in sets)
    return [time for images in mine for time in images["timestamp_ms"]]


def near_in_time(face: Face, times: Sequence[float], settings: SelectionSettings) -> bool:
    """Whether a face is closer in time to an image of its rider than exports may be."""
    return any(abs(face["timestamp_ms"] - time) < settings.min_gap_s * 1000 for time in times)


def coverage_counts(saved: Iterable[Mapping[str, object]]) -> tuple[int, int, int]:
    """How many yaw, pitch and expression bins a set of faces fills; `unknown` fills none."""
    saved = list(saved)
    return (
        len({face["yaw_key"] for face in saved} - {None}),
        len({face["pitch_key"] for face in saved} - {None}),
        len({face["expression_bin"] for face in saved} & set(EXPRESSIONS)),
    )
