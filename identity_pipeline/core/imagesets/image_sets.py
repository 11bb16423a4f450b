"""The rows of the image sets of one rider, and the coverage set.

The sets are built in the order anchors, pairs, coverage, challenge. Each builder takes what the
sets before it took: no face is in two sets, and every two images of a rider are apart in time and
in look. Rows follow the schema `image_set`; `image` is the file stem in the export. Anchors, pairs
and challenges have modules of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl

from identity_pipeline.core.geometry import Box
from identity_pipeline.core.imagesets.decided import in_human_order
from identity_pipeline.core.imagesets.faces import (
    Face,
    Row,
    faces_of,
    is_accepted,
    likeness,
    near_in_time,
    no_coverage,
    people,
    person_views,
    rows_of,
    times_of,
    worth,
)
from identity_pipeline.core.imagesets.novelty import Views, is_near_duplicate, novelty
from identity_pipeline.settings import SelectionSettings
from identity_pipeline.tables import TABLES

CROP = ("crop_x1", "crop_y1", "crop_x2", "crop_y2")
_COPIED = (
    *("face_id", "frame_idx", "person_id", "timestamp_ms"),
    *("quality_score", "stable_score", "portrait_score", "picture_score"),
)


def image_row(
    face: Face, image: str, rank: int, new: float, kind: str | None = None, crop: Box | None = None
) -> Row:
    """A row of a set: an image of one face.

    Args:
        face: whose.
        image: file stem in the export.
        rank: from 1.
        new: novelty to the images chosen before it.
        kind: of challenge.
        crop: what it shows, px of the source; the face's own crop where None.
    """
    box = crop if crop is not None else Box(*(face[name] for name in CROP))
    return {
        **{name: face[name] for name in _COPIED},
        "image": image,
        "rank": rank,
        "kind": kind,
        "novelty": new,
        **dict(zip(CROP, box, strict=True)),
    }


def image_table(rows: Sequence[Row]) -> pl.DataFrame:
    """The table of a set."""
    schema = TABLES["image_set"]
    return pl.DataFrame(list(rows), schema=schema).sort("person_id", "rank", "face_id")


def build_coverage_set(
    candidates: pl.DataFrame,
    selection: pl.DataFrame,
    anchors: pl.DataFrame,
    pairs: pl.DataFrame,
    settings: SelectionSettings,
) -> pl.DataFrame:
    """What the selection kept of each bucket, under the name of the bucket.

    With `selection.stop = "cut"` the replay knew no other set. There a kept face gives way to what
    was taken before, and where a bucket has lost all of its own, the best other plain face of it
    that came before the stop takes their place. What a human accepted stays.

    Args:
        candidates: result of `open_candidates`.
        selection: table `selection`.
        anchors: table `anchor_set`.
        pairs: table `pair_set`.
        settings: counts and thresholds.
    """
    decisions = selection.select("face_id", "kept", "gain")
    decided = candidates.join(decisions, on="face_id", maintain_order="left")
    rows: list[Row] = []
    for faces in people(decided):
        table, views = faces_of(faces), person_views(faces)
        kept, gain = faces["kept"].to_list(), faces["gain"].to_list()
        before = rows_of(table, anchors["face_id"])
        if settings.stop == "cut":
            members = _still_apart(table, views, kept, anchors, pairs, settings)
        else:
            members = [row for row in range(len(table)) if kept[row]]
            members.sort(key=lambda row: (-gain[row], row))
        rows += _by_bucket(table, views, members, before)
    return in_human_order(image_table(rows), candidates)


def keeps_apart(
    row: int,
    table: Sequence[Face],
    views: Views,
    times: Sequence[float],
    before: Sequence[int],
    settings: SelectionSettings,
) -> bool:
    """Whether a face is apart in time and in look from images before.

    Args:
        row: the face.
        table: the rider's candidates.
        views: their embeddings.
        times: of images, in ms.
        before: rows that are images.
        settings: the distances.
    """
    if near_in_time(table[row], times, settings):
        return False
    return not is_near_duplicate(views, row, before, likeness(settings))


def _by_bucket(
    table: Sequence[Face], views: Views, members: Sequence[int], before: Sequence[int]
) -> Iterator[Row]:
    """The images of one person, buckets in the order of their names."""
    exported, numbers = list(before), dict[str, int]()
    for rank, row in enumerate(sorted(members, key=lambda r: str(table[r]["bucket_key"])), 1):
        bucket = str(table[row]["bucket_key"])
        number = numbers[bucket] = numbers.get(bucket, 0) + 1
        stem = f"cov_{bucket}" if number == 1 else f"cov_{bucket}_{number}"
        yield image_row(table[row], stem, rank, novelty(views, row, exported))
        exported.append(row)


def _still_apart(
    table: Sequence[Face],
    views: Views,
    kept: Sequence[bool],
    anchors: pl.DataFrame,
    pairs: pl.DataFrame,
    settings: SelectionSettings,
) -> list[int]:
    """Kept rows and their stand-ins that keep apart from what is chosen, in order of buckets."""
    exported, used = rows_of(table, anchors["face_id"]), rows_of(table, pairs["face_id"])
    members, held = list[int](), dict[str, int]()
    times = times_of([anchors, pairs], table[0]["person_id"])
    plain = [row for row, face in enumerate(table) if no_coverage(face, settings) is None]
    plain.sort(key=lambda r: (str(table[r]["bucket_key"]), not kept[r], -worth(table[r]), r))
    free = [row for row in plain if row not in {*exported, *used}]
    for row in sorted(free, key=lambda r: (not is_accepted(table[r]), plain.index(r))):
        bucket = str(table[row]["bucket_key"])
        full = held.get(bucket, 0) >= (settings.bucket_max if kept[row] else 1)
        if not is_accepted(table[row]) and (
            full or not keeps_apart(row, table, views, times, exported, settings)
        ):
            continue
        held[bucket] = held.get(bucket, 0) + 1
        exported.append(row)
        members.append(row)
        times.append(table[row]["timestamp_ms"])
    return sorted(members, key=plain.index)
