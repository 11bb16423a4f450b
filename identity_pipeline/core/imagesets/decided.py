"""What humans decided on the pictures of one video, as the steps from bins to sets heed it.

What belongs here: the decisions on faces of the present tables, and what they mean for columns.
What does not: where they come from (`stages.curation.picture_uses`), and any choice among faces.

A rejected face, and its rider's faces so near in time that they are the same picture, stand for
nothing. An accepted face stands for its moment, is looked at more closely and is in a set; what
forbids it is only who is shown: the face is not surely the rider's, another face would be in the
picture, or the frame cuts it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import polars as pl

REJECTED, NEAR_REJECTED = "rejected_by_a_human", "near_a_rejected_picture"
"""Standings of what a human rejected, and of what would show the same."""
ACCEPTED: Final = "accepted_by_a_human"
"""The reason by which the selection keeps what a human accepted."""


@dataclass(frozen=True)
class DecidedPictures:
    """Decisions on the faces of one video, by `face_id`.

    Attributes:
        rejected: bad pictures.
        accepted: good pictures, chosen anchors among them.
        anchors: chosen anchors, the first first.
        passed_over: faces that are no anchors while a chosen one takes their place.
        bins: the right bin of some axes (`yaw`, `pitch`, `expression`, `occlusion`, `lighting`).
        order: faces in the order in which they come in their sets, before all others.
    """

    rejected: frozenset[str] = frozenset()
    accepted: frozenset[str] = frozenset()
    anchors: tuple[str, ...] = ()
    passed_over: frozenset[str] = frozenset()
    bins: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    order: tuple[str, ...] = ()


NOTHING: Final = DecidedPictures()


def is_barred(decided: DecidedPictures, within_s: float) -> pl.Expr:
    """Whether a face may stand for nothing: rejected, or its rider's so near in time to one.

    Of rows with face_id, person_id and timestamp_ms; all faces of the riders, or those that are
    usable.

    Args:
        decided: of the video.
        within_s: how far in time a picture is the same.
    """
    return _rejected(decided) | _near(decided, within_s)


def _rejected(decided: DecidedPictures) -> pl.Expr:
    return pl.col("face_id").is_in(sorted(decided.rejected))


def _near(decided: DecidedPictures, within_s: float) -> pl.Expr:
    """Near a rejected face of its rider and itself not accepted."""
    if not decided.rejected:
        return pl.lit(False)
    at = pl.when(_rejected(decided)).then(pl.col("timestamp_ms"))
    near = pl.lit(False)
    # Rows of a rider in time order: the nearest rejected face before and after says it.
    for side in (at.forward_fill(), at.backward_fill()):
        nearest = side.over("person_id", order_by="timestamp_ms")
        near |= ((pl.col("timestamp_ms") - nearest).abs() <= within_s * 1000).fill_null(False)
    return near & ~is_accepted(decided)


def is_accepted(decided: DecidedPictures) -> pl.Expr:
    """Whether a human said that a face is a good picture."""
    return pl.col("face_id").is_in(sorted(decided.accepted))


def verdict(decided: DecidedPictures, within_s: float) -> pl.Expr:
    """`REJECTED`, `NEAR_REJECTED`, `ACCEPTED` or null, of rows as `is_barred` takes them."""
    return (
        pl.when(_rejected(decided))
        .then(pl.lit(REJECTED))
        .when(_near(decided, within_s))
        .then(pl.lit(NEAR_REJECTED))
        .when(is_accepted(decided))
        .then(pl.lit(ACCEPTED))
    )


def places(faces: Sequence[str]) -> pl.Expr:
    """The place of a face in a sequence, from 1; null of others."""
    if not faces:
        return pl.lit(None, dtype=pl.Int64)
    numbers = {face: place for place, face in enumerate(faces, start=1)}
    return pl.col("face_id").replace_strict(numbers, default=None, return_dtype=pl.Int64)


def with_decisions(faces: pl.DataFrame, decided: DecidedPictures, within_s: float) -> pl.DataFrame:
    """Faces with `decided`, `anchor_place` and `human_place`.

    Args:
        faces: face_id, person_id and timestamp_ms; all of the riders.
        decided: of the video.
        within_s: how far in time a picture is the same.

    Returns:
        The faces in the same order; `anchor_place` counts a rider's chosen anchors from 1, and is 0
        of a face that is none while another takes its place; `human_place` is the place in the
        order that a human gave.
    """
    passed = pl.col("face_id").is_in(sorted(decided.passed_over))
    return faces.with_columns(
        decided=verdict(decided, within_s),
        anchor_place=pl.when(passed).then(0).otherwise(places(decided.anchors)),
        human_place=places(decided.order),
    )


def place_in_set() -> pl.Expr:
    """What a human order (`human_place`) says of the rows of a set, by `person_id`.

    The order of one set says nothing of another one into which a single face of it came: it takes
    two to be in order.
    """
    return pl.when(pl.col("human_place").count().over("person_id") > 1).then("human_place")


def in_human_order(images: pl.DataFrame, faces: pl.DataFrame) -> pl.DataFrame:
    """A set in the order that a human gave, then by rank, with ranks and names to match.

    Images of one kind of name (`anchor_001`, `anchor_002`) change names among each other, so that a
    list of files has the order too.

    Args:
        images: a set of single faces, as `image_sets.image_table` gives it.
        faces: the candidates, with `human_place`.
    """
    placed = images.join(faces.select("face_id", "human_place"), on="face_id", how="left")
    placed = placed.with_columns(human_place=place_in_set())
    if placed["human_place"].is_null().all():
        return images
    ordered = placed.sort("person_id", "human_place", "rank", "face_id", nulls_last=True)
    parts = []
    for _, own in ordered.group_by("person_id", maintain_order=True):
        names: dict[str, list[str]] = {}
        for stem in own.sort("rank")["image"]:
            names.setdefault(_family(stem), []).append(stem)
        stems = [names[_family(stem)].pop(0) for stem in own["image"]]
        ranks = sorted(own["rank"])
        parts.append(
            own.with_columns(image=pl.Series(stems), rank=pl.Series(ranks, dtype=pl.Int64))
        )
    return pl.concat(parts).select(images.columns)


def _family(stem: str) -> str:
    """A file's name without its number."""
    return re.sub(r"_\d+$", "", stem)
