"""Witnesses: which faces of a tracklet are embedded so that none of it goes unwatched.

A recogniser is dear and a tracklet is nearly always one person, so a few faces of it vouch for the
rest: one every so many, never farther apart, and one after each place where the picture of the face
changes at once. Where two successive witnesses do not look like one person, everything between them
is embedded too, and `tracking.split_tracklet` sees an exchange of people as if every face had been
embedded. `because` is `usable` for a face that passes the loose gate, `witness` for one that does
not and stands where nothing better was near.

What belongs here: the choice alone. What does not: embedding, and cutting.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from identity_pipeline.core.vectors import check_unit, to_matrix

LAST_PART: Final = 0.3
"""Share of the way to the next witness in which the best face is taken. Chosen: some choice, yet
people who change places for `witness_every` faces are always seen."""
SCHEMA: Final = {"face_id": pl.String, "frame_idx": pl.Int64, "because": pl.String}


def sudden_changes(
    faces: pl.DataFrame, looks: Iterable[tuple[str, NDArray[np.float32]]], look_min: float
) -> set[str]:
    """Faces whose pixels are unlike those of the usable face before them in their tracklet.

    Args:
        faces: face_id, tracklet_id and loose.
        looks: (face_id, `novelty.look_of` its aligned crop), in the order of the video.
        look_min: smallest correlation of the same person in two successive sampled frames.
    """
    wanted = faces.filter("loose").drop_nulls("tracklet_id")
    tracklet_of = dict(wanted.select("face_id", "tracklet_id").iter_rows())
    before: dict[int, NDArray[np.float32]] = {}
    found: set[str] = set()
    for face_id, look in looks:
        tracklet = tracklet_of.get(face_id)
        if tracklet is None:
            continue
        if tracklet in before and float(before[tracklet] @ look) < look_min:
            found.add(face_id)
        before[tracklet] = look
    return found


def first_witnesses(faces: pl.DataFrame, every: int, changes: Iterable[str] = ()) -> pl.DataFrame:
    """The faces that are embedded first: `face_id, frame_idx, because`, in time order.

    Every tracklet has one at least, and so has each stretch of it between two sudden changes; a
    face without a tracklet is its own.

    Args:
        faces: face_id, frame_idx, tracklet_id, loose and quality_score of all faces of a video.
        every: two successive witnesses of a stretch are at most so many faces apart.
        changes: result of `sudden_changes`.
    """
    ordered = faces.sort("frame_idx", "face_id")
    starts = set(changes)
    ids = ordered["face_id"].to_list()
    loose = ordered["loose"].fill_null(False).to_list()
    score = ordered["quality_score"].fill_null(-1.0).to_list()
    chosen = [
        row
        for rows in _stretches(ordered["tracklet_id"].to_list(), ids, starts)
        for row in _spaced(rows, loose, score, every)
    ]
    return _table(ordered, sorted(chosen))


def doubtful_faces(faces: pl.DataFrame, embedded: pl.DataFrame, agree_cos: float) -> pl.DataFrame:
    """The usable faces between two successive witnesses of a tracklet that do not agree.

    Args:
        faces: as for `first_witnesses`.
        embedded: face_id and e_id of what is embedded already.
        agree_cos: smallest cosine of two faces that are taken for one person.

    Returns:
        As `first_witnesses`; empty where all agree.
    """
    ordered = faces.sort("frame_idx", "face_id")
    known = embedded.filter(pl.col("e_id").is_not_null())
    if not known.height:
        return pl.DataFrame(schema=SCHEMA)
    vectors = check_unit(to_matrix(known["e_id"]), "e_id")
    vector_of = dict(zip(known["face_id"].to_list(), vectors, strict=True))
    ids, loose = ordered["face_id"].to_list(), ordered["loose"].fill_null(False).to_list()
    chosen = [
        row
        for rows in _stretches(ordered["tracklet_id"].to_list(), ids, ())
        for row in _between(rows, ids, vector_of, agree_cos)
        if loose[row]
    ]
    return _table(ordered, sorted(chosen))


def _stretches(
    tracklets: Sequence[int | None], ids: Sequence[str], starts: Iterable[str]
) -> list[list[int]]:
    """Rows of each tracklet in time order, cut before the faces where the picture changes."""
    first = set(starts)
    current: dict[int, list[int]] = {}
    stretches: list[list[int]] = []
    for row, tracklet in enumerate(tracklets):
        if tracklet is None:
            stretches.append([row])
        elif tracklet in current and ids[row] not in first:
            current[tracklet].append(row)
        else:
            current[tracklet] = [row]
            stretches.append(current[tracklet])
    return stretches


def _spaced(
    rows: Sequence[int], loose: Sequence[bool], score: Sequence[float], every: int
) -> Iterator[int]:
    """Rows of a stretch that are at most `every` faces apart."""
    start = 0
    while start == 0 or start + every <= len(rows):
        pick = _best(rows[start : start + every], loose, score, every)
        yield pick
        start = rows.index(pick, start) + 1


def _best(ahead: Sequence[int], loose: Sequence[bool], score: Sequence[float], every: int) -> int:
    """The witness among the next `every` rows, or all that are left."""
    late = ahead if len(ahead) < every else ahead[-max(1, round(every * LAST_PART)) :]
    # Where none of them is usable, the last before them is: the way to it is no longer.
    usable = [row for row in late if loose[row]] or [row for row in ahead if loose[row]][-1:]
    return max(usable or late, key=lambda row: (score[row], -row))


def _between(
    rows: Sequence[int],
    ids: Sequence[str],
    vector_of: dict[str, NDArray[np.float32]],
    agree_cos: float,
) -> Iterator[int]:
    seen = [n for n, row in enumerate(rows) if ids[row] in vector_of]
    for a, b in pairwise(seen):
        first, second = vector_of[ids[rows[a]]], vector_of[ids[rows[b]]]
        if float(first @ second) < agree_cos:
            yield from rows[a + 1 : b]


def _table(ordered: pl.DataFrame, rows: list[int]) -> pl.DataFrame:
    because = pl.when("loose").then(pl.lit("usable")).otherwise(pl.lit("witness"))
    return ordered[rows].select("face_id", "frame_idx", because=because)
