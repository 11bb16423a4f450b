"""The challenge set: faces that are hard to recognise and surely the rider's, of every kind.

What belongs here: which kinds there are, how many of each, and the choice. A ride may have eight
dark pictures and one turned head: eight times the dark teach less than every kind a few times.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import chain
from typing import Final

import polars as pl

from identity_pipeline.core.imagesets.decided import in_human_order
from identity_pipeline.core.imagesets.faces import (
    Face,
    Row,
    faces_of,
    is_accepted,
    likeness,
    near_in_time,
    people,
    person_views,
    rows_of,
    times_of,
)
from identity_pipeline.core.imagesets.image_sets import image_row, image_table, keeps_apart
from identity_pipeline.core.imagesets.novelty import (
    Views,
    farthest_of,
    is_near_duplicate,
    novelty,
)
from identity_pipeline.settings import SelectionSettings

KINDS: Final = ("pose", "dark", "overexposed", "occluded", "motion")
"""Every kind there is."""


def challenge_kind(settings: SelectionSettings) -> pl.Expr:
    """`dark`, `overexposed`, `occluded`, `pose` or `motion`, in this order; null: an ordinary face.

    The pose of a covered face is not sure, so it makes no challenge by itself; that it is covered
    does, from where it represents no pose. `motion` is a face that is too blurred for the strict
    gate and sharp enough for the loose one.
    """
    extreme = (pl.col("yaw").abs() >= settings.challenge_yaw_from) | (
        pl.col("pitch").abs() >= settings.challenge_pitch_from
    )
    covered = pl.col("occlusion").fill_null(0.0) >= settings.covered_from
    blurred = pl.col("strict_fails").list.set_intersection(["blurred", "blurred_for_person"])
    return (
        pl.when(pl.col("lighting_bin").is_in(["dark", "overexposed"]))
        .then(pl.col("lighting_bin"))
        .when(covered)
        .then(pl.lit("occluded"))
        .when(extreme)
        .then(pl.lit("pose"))
        .when(pl.col("loose") & (blurred.list.len() > 0))
        .then(pl.lit("motion"))
    )


def kinds_absent(observed: pl.DataFrame, settings: SelectionSettings) -> tuple[str, ...]:
    """The kinds of which a ride shows no face of a rider at all, in the order of `KINDS`.

    Args:
        observed: the rider's rows of `candidates`.
        settings: what makes a kind.
    """
    seen = set(observed.select(challenge_kind(settings).alias("kind"))["kind"])
    return tuple(kind for kind in KINDS if kind not in seen)


def build_challenge_set(
    candidates: pl.DataFrame,
    taken: Sequence[pl.DataFrame],
    pairs: pl.DataFrame,
    settings: SelectionSettings,
) -> pl.DataFrame:
    """Hard faces that are surely the same person, of each kind in turn the farthest first.

    No more than `challenge_kind_max` are of one kind, unless the set would have fewer than
    `challenge_min` images; then kinds go on in turn up to that number. In each round the rarest
    kind comes first, and each image is the farthest in the vision space from all before it. What
    a human accepted comes before, and is one of them however many there are.

    Args:
        candidates: result of `open_candidates`.
        taken: the sets of a rider alone that were built before.
        pairs: table `pair_set`, from which images keep their distance in time alone.
        settings: counts and thresholds.
    """
    rows: list[Row] = []
    for faces in people(candidates):
        told = faces.with_columns(kind=challenge_kind(settings))
        rows += _challenges_of(told, taken, pairs, settings)
    return in_human_order(image_table(rows), candidates)


def _challenges_of(
    faces: pl.DataFrame,
    taken: Sequence[pl.DataFrame],
    pairs: pl.DataFrame,
    settings: SelectionSettings,
) -> list[Row]:
    table, kinds = faces_of(faces), faces["kind"].to_list()
    views, times = person_views(faces), times_of([*taken, pairs], table[0]["person_id"])
    before = rows_of(table, (face for images in taken for face in images["face_id"]))
    used = {*before, *rows_of(table, pairs["face_id"])}
    first = _accepted(table, kinds, views, used, before)
    before = [*before, *(row for _, row, _ in first)]
    times += [table[row]["timestamp_ms"] for _, row, _ in first]
    pools: dict[str, list[int]] = {}
    for row in sorted(range(len(table)), key=lambda r: (-table[r]["picture"], r)):
        kind, sure = kinds[row], table[row]["stable_score"] >= settings.challenge_stable_min
        if row in {*used, *before} or kind is None or not sure:
            continue
        if keeps_apart(row, table, views, times, before, settings):
            pools.setdefault(kind, []).append(row)
    return _rows(table, _in_turn(pools, table, views, before, first, settings))


def _rows(table: Sequence[Face], picks: Sequence[tuple[str, int, float]]) -> list[Row]:
    numbers: dict[str, int] = {}
    rows = []
    for rank, (kind, row, new) in enumerate(picks, start=1):
        numbers[kind] = numbers.get(kind, 0) + 1
        stem = f"chal_{kind}_{numbers[kind]:03d}"
        rows.append(image_row(table[row], stem, rank, new, kind=kind))
    return rows


def _accepted(
    table: Sequence[Face],
    kinds: Sequence[str | None],
    views: Views,
    used: Collection[int],
    before: Sequence[int],
) -> list[tuple[str, int, float]]:
    """Kind, row and novelty of what a human accepted, is hard, and is in no set yet."""
    picks: list[tuple[str, int, float]] = []
    for row, face in enumerate(table):
        kind = kinds[row]
        if is_accepted(face) and kind is not None and row not in used:
            shown = [*before, *(other for _, other, _ in picks)]
            picks.append((kind, row, novelty(views, row, shown)))
    return picks


def _in_turn(
    pools: dict[str, list[int]],
    table: Sequence[Face],
    views: Views,
    before: Sequence[int],
    first: Sequence[tuple[str, int, float]],
    settings: SelectionSettings,
) -> list[tuple[str, int, float]]:
    """Kind, row and novelty of each pick; `pools` is emptied of what is picked or ruled out.

    Args:
        pools: rows by kind.
        table: the rider's candidates.
        views: their embeddings.
        before: rows that are images already, those of `first` among them.
        first: picks that come before.
        settings: counts and thresholds.
    """
    rarest_first = sorted(pools, key=lambda kind: (len(pools[kind]), KINDS.index(kind)))
    picks, chosen = list(first), list(before)
    within = range(settings.challenge_kind_max)
    beyond = range(settings.challenge_kind_max, settings.challenge_min)
    for turn in chain(within, beyond):
        wanted = settings.challenge_max if turn in within else settings.challenge_min
        most = min(wanted, settings.challenge_max)
        for kind in rarest_first:
            found = farthest_of(views, pools[kind], chosen)
            if found is None or len(picks) >= most:
                continue
            row, new = found
            picks.append((kind, row, new))
            chosen.append(row)
            for pool in pools.values():
                pool[:] = [r for r in pool if _stays(r, row, table, views, settings)]
    return picks


def _stays(
    row: int, pick: int, table: Sequence[Face], views: Views, settings: SelectionSettings
) -> bool:
    """Whether a face may still be picked beside one that was."""
    if row == pick or near_in_time(table[row], [table[pick]["timestamp_ms"]], settings):
        return False
    return not is_near_duplicate(views, row, [pick], likeness(settings))
