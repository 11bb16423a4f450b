"""The disjoint sets of one rider: anchor, coverage, challenge. Pairs are in `pairs`.

Each builder takes what the sets before it took, so no face is in two sets, and keeps every two
images of a person apart by `near_duplicate_cos` in the vision space. Rows follow the schema
`image_set`; `image` is the file stem in the export.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl

from identity_pipeline.core.geometry import Box
from identity_pipeline.core.imagesets.novelty import (
    farthest_first,
    is_near_duplicate,
    novelty,
)
from identity_pipeline.core.imagesets.portrait import (
    anchor_eligible,
    is_portrait,
    portrait_share,
)
from identity_pipeline.core.imagesets.selection import (
    Face,
    Row,
    faces_of,
    is_covered,
    is_hard,
    likeness,
    person_views,
    preference,
    worth,
)
from identity_pipeline.settings import SelectionSettings
from identity_pipeline.tables import TABLES

CROP = ("crop_x1", "crop_y1", "crop_x2", "crop_y2")


def open_candidates(candidates: pl.DataFrame, selection: pl.DataFrame) -> pl.DataFrame:
    """Candidates that came before the stop, sorted by person and time.

    Args:
        candidates: table `candidates`.
        selection: table `selection` of the same video.
    """
    decided = selection.select("face_id", "decision", selection_reason="reason", kept="kept")
    return (
        candidates.filter(pl.col("standing") == "candidate")
        .with_columns(pl.col("bonus").fill_null(0.0))
        .join(decided, on="face_id", how="inner")
        .filter(pl.col("selection_reason") != "after_stop")
        .sort("person_id", "frame_idx", "face_id")
    )


def _people(faces: pl.DataFrame) -> Iterator[pl.DataFrame]:
    for _, rows in faces.group_by("person_id", maintain_order=True):
        yield rows


def _taken(table: Sequence[Face], sets: Sequence[pl.DataFrame]) -> list[int]:
    ids = {face for image_set in sets for face in image_set["face_id"].to_list()}
    return [row for row, face in enumerate(table) if face["face_id"] in ids]


def _image_row(
    face: Face, image: str, rank: int, new: float, kind: str | None = None, crop: Box | None = None
) -> Row:
    copied = ("face_id", "frame_idx", "person_id", "timestamp_ms", "quality_score", "stable_score")
    box = crop if crop is not None else Box(*(face[name] for name in CROP))
    return {
        **{name: face[name] for name in copied},
        "image": image,
        "rank": rank,
        "kind": kind,
        "novelty": new,
        **dict(zip(CROP, box, strict=True)),
    }


def _table(rows: Sequence[Row]) -> pl.DataFrame:
    schema = TABLES["image_set"]
    return pl.DataFrame(list(rows), schema=schema).sort("person_id", "rank", "face_id")


def frontal_quality() -> pl.Expr:
    """Worth, discounted linearly to nothing at 45 degrees of yaw and 60 of pitch."""
    return (
        (pl.col("quality_score") + pl.col("bonus"))
        * (1 - pl.col("yaw").abs() / 45).clip(0, 1)
        * (1 - pl.col("pitch").abs() / 60).clip(0, 1)
    )


def build_anchor_set(candidates: pl.DataFrame, settings: SelectionSettings) -> pl.DataFrame:
    """The best portraits among the strict faces, apart in time and unlike each other.

    Portraits come first. Where fewer than `anchor_min` are had, other eligible faces fill up to
    that number: a glance aside or an open mouth is better than no reference, closed eyes, a wink
    or a covered face is not.

    Args:
        candidates: result of `open_candidates`.
        settings: counts and thresholds.
    """
    rows: list[Row] = []
    for faces in _people(candidates):
        views = person_views(faces)
        table = faces_of(faces)
        ranked = (
            faces.with_row_index("row")
            .filter(anchor_eligible(settings))
            .with_columns(
                portrait=is_portrait(settings), rank_by=frontal_quality() * portrait_share()
            )
            .sort(["portrait", "rank_by", "row"], descending=[True, True, False])
        )
        chosen: list[int] = []
        for row, portrait in ranked.select("row", "portrait").iter_rows():
            if len(chosen) >= (settings.anchor_max if portrait else settings.anchor_min):
                break
            if _near_in_time(row, chosen, table, settings.anchor_gap_s):
                continue
            limit = likeness(settings)._replace(vision=settings.anchor_cos_max)
            if is_near_duplicate(views, row, chosen, limit):
                continue
            new = novelty(views, row, chosen)
            chosen.append(row)
            rank = len(chosen)
            rows.append(_image_row(table[row], f"anchor_{rank:03d}", rank, new))
    return _table(rows)


def _near_in_time(row: int, chosen: Sequence[int], table: Sequence[Face], gap_s: float) -> bool:
    now = table[row]["timestamp_ms"]
    return any(abs(table[r]["timestamp_ms"] - now) < gap_s * 1000 for r in chosen)


def build_coverage_set(
    candidates: pl.DataFrame, anchors: pl.DataFrame, settings: SelectionSettings
) -> pl.DataFrame:
    """What the selection kept of each bucket, without what the anchors took.

    Where a bucket's kept faces all went to the anchors or resemble an image that is in already,
    the best other plain face of the bucket takes their place.

    Args:
        candidates: result of `open_candidates`.
        anchors: table `anchor_set`.
        settings: counts and thresholds.
    """
    seated = candidates.filter(pl.col("person_id").is_not_null())
    rows = [row for faces in _people(seated) for row in _coverage_of(faces, anchors, settings)]
    return _ranked_by_person(rows)


def _coverage_of(
    faces: pl.DataFrame, anchors: pl.DataFrame, settings: SelectionSettings
) -> Iterator[Row]:
    """The images of one person."""
    views, table = person_views(faces), faces_of(faces)
    exported = _taken(table, [anchors])
    for bucket, members in _bucket_order(table):
        names = 0
        for row in members:
            if not _has_place(table[row], names, settings) or row in exported:
                continue
            if is_near_duplicate(views, row, exported, likeness(settings)):
                continue
            new = novelty(views, row, exported)
            exported.append(row)
            names += 1
            stem = f"cov_{bucket}" if names == 1 else f"cov_{bucket}_{names}"
            yield _image_row(table[row], stem, names, new)


def _has_place(face: Face, names: int, settings: SelectionSettings) -> bool:
    """Whether a bucket with so many images takes a face: one that was kept, or a plain spare."""
    if face["kept"]:
        return names < settings.bucket_max
    return names < 1 and not is_hard(face) and not is_covered(face, settings)


def _bucket_order(table: Sequence[Face]) -> list[tuple[str, list[int]]]:
    """Rows of each bucket, kept ones first, then as preferred; buckets in alphabetical order."""
    buckets: dict[str, list[int]] = {}
    for row, face in enumerate(table):
        if face["bucket_key"] is not None:
            buckets.setdefault(face["bucket_key"], []).append(row)

    def order(row: int) -> tuple[bool, float, int]:
        return not table[row]["kept"], -preference(table[row]), row

    return [(bucket, sorted(members, key=order)) for bucket, members in sorted(buckets.items())]


def _ranked_by_person(rows: list[Row]) -> pl.DataFrame:
    ranks: dict[object, int] = {}
    for row in rows:
        ranks[row["person_id"]] = ranks.get(row["person_id"], 0) + 1
        row["rank"] = ranks[row["person_id"]]
    return _table(rows)


def challenge_kind(settings: SelectionSettings) -> pl.Expr:
    """`dark`, `overexposed`, `occluded` or `pose`, in this order; null for an ordinary face.

    The pose of a covered face is not sure, so it makes no challenge by itself.
    """
    extreme = (pl.col("yaw").abs() >= settings.challenge_yaw_from) | (
        pl.col("pitch").abs() >= settings.challenge_pitch_from
    )
    return (
        pl.when(pl.col("lighting_bin").is_in(["dark", "overexposed"]))
        .then(pl.col("lighting_bin"))
        .when(pl.col("occlusion_bin") == "heavy")
        .then(pl.lit("occluded"))
        .when(extreme & (pl.col("occlusion").fill_null(0.0) < settings.covered_from))
        .then(pl.lit("pose"))
    )


def build_challenge_set(
    candidates: pl.DataFrame, taken: Sequence[pl.DataFrame], settings: SelectionSettings
) -> pl.DataFrame:
    """Extreme faces that are surely the same person, chosen greedily farthest-first.

    Args:
        candidates: result of `open_candidates`.
        taken: the sets built before.
        settings: counts and thresholds.
    """
    rows: list[Row] = []
    for faces in _people(candidates):
        views = person_views(faces)
        kinds = faces_of(faces.with_columns(kind=challenge_kind(settings)))
        exported = _taken(kinds, taken)
        pool = [
            row
            for row, face in enumerate(kinds)
            if face["kind"] is not None
            and row not in exported
            and face["stable_score"] >= settings.challenge_stable_min
        ]
        pool.sort(key=lambda r: (-worth(kinds[r]), r))
        picks = farthest_first(views, pool, exported, settings.challenge_max, likeness(settings))
        numbers: dict[str, int] = {}
        for rank, (row, new) in enumerate(picks, start=1):
            kind = str(kinds[row]["kind"])
            numbers[kind] = numbers.get(kind, 0) + 1
            stem = f"chal_{kind}_{numbers[kind]:03d}"
            rows.append(_image_row(kinds[row], stem, rank, new, kind=kind))
    return _table(rows)
