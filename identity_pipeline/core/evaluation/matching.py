"""Which detection is which true face.

Boxes match one to one where they overlap by at least half (IoU >= 0.5, as PASCAL VOC and WIDER
FACE count), so that the sum of the overlaps is largest. Faces below 40 px or more than half hidden
do not count: first the others are matched, then what is left may match them and is then neither
right nor wrong. In a truth of seats the largest face whose centre lies in a seat is its rider's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from identity_pipeline.core.evaluation.truth import FACES, TRUE_BOX, Truth
from identity_pipeline.tables import BOX

IOU_MIN = 0.5
FACE_PX_MIN = 40.0
OCCLUSION_MAX = 0.5

HIT: Final = "hit"
"""A face that counts and was found."""
MISSED: Final = "missed"
"""A face that counts and was not found."""
FALSE: Final = "false"
"""A detection where no face is."""
IGNORED: Final = "ignored"
"""A detection of a face that does not count."""
UNSEEN: Final = "unseen"
"""A face that does not count and was not found."""
OUTSIDE: Final = "outside"
"""A detection in no seat: the truth does not say what is there."""

Array = NDArray[np.float64]
Row = dict[str, Any]


def ious(a: Array, b: Array) -> Array:
    """(N, M) intersection over union of boxes (N, 4) and (M, 4)."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    common = np.prod(np.clip(high - low, 0, None), axis=2)
    areas = [np.prod(np.clip(boxes[:, 2:] - boxes[:, :2], 0, None), axis=1) for boxes in (a, b)]
    union = areas[0][:, None] + areas[1][None, :] - common
    return np.divide(common, union, out=np.zeros_like(common), where=union > 0)


def assign(overlap: Array, minimum: float = IOU_MIN) -> list[tuple[int, int]]:
    """Pairs (row, column) of the largest total overlap, each of at least the minimum."""
    allowed = np.where(overlap >= minimum, overlap, 0.0)
    rows, columns = linear_sum_assignment(allowed, maximize=True)
    return [(int(r), int(c)) for r, c in zip(rows, columns, strict=True) if allowed[r, c] > 0]


def countable() -> pl.Expr:
    """Whether a true face is large and free enough to be expected of a detector."""
    side = pl.max_horizontal(
        pl.col("true_x2") - pl.col("true_x1"), pl.col("true_y2") - pl.col("true_y1")
    )
    return (side >= FACE_PX_MIN) & (pl.col("true_occlusion").fill_null(0.0) < OCCLUSION_MAX)


def match_video(truth: Truth, sampled: pl.Series, detections: pl.DataFrame) -> pl.DataFrame:
    """Every true face and every detection of the sampled frames, each once.

    Args:
        truth: of the video.
        sampled: `frame_idx` of the frames that were looked at.
        detections: `frame_idx`, `face_id` and the box.

    Returns:
        `frame_idx, person, face_id, outcome`; person is null for what matches no true face,
        face_id for what was not found.
    """
    faces = truth.faces.filter(pl.col("frame_idx").is_in(sampled.implode())).with_columns(
        countable=countable() if truth.kind == FACES else pl.lit(True)
    )
    match = _match_faces if truth.kind == FACES else _match_seats
    by_frame = _by_frame(faces.sort("frame_idx", "person"))
    found = _by_frame(detections.sort("frame_idx", "face_id"))
    rows = [
        {"frame_idx": frame, **row}
        for frame in sorted(by_frame.keys() | found.keys())
        if frame in by_frame or truth.kind == FACES
        for row in match(by_frame.get(frame, faces.clear()), found.get(frame, detections.clear()))
    ]
    schema = {"frame_idx": pl.Int64, **dict.fromkeys(("person", "face_id", "outcome"), pl.String)}
    return pl.DataFrame(rows, schema=schema)


def _by_frame(table: pl.DataFrame) -> dict[int, pl.DataFrame]:
    parts = table.partition_by("frame_idx", as_dict=True, maintain_order=True)
    return {int(key[0]): part for key, part in parts.items()}


def _boxes(table: pl.DataFrame, columns: tuple[str, ...]) -> Array:
    return table.select(columns).to_numpy().astype(np.float64).reshape(-1, 4)


def _match_faces(faces: pl.DataFrame, detections: pl.DataFrame) -> Iterator[Row]:
    overlap = ious(_boxes(faces, TRUE_BOX), _boxes(detections, tuple(BOX)))
    people, ids = faces["person"].to_list(), detections["face_id"].to_list()
    counts = faces["countable"].to_numpy().astype(bool)
    left = np.ones(len(ids), dtype=bool)
    done = np.zeros(len(people), dtype=bool)
    for wanted, outcome in ((counts, HIT), (~counts, IGNORED)):
        allowed = np.where(wanted[:, None] & left[None, :], overlap, 0.0)
        for face, detection in assign(allowed):
            left[detection], done[face] = False, True
            yield _row(people[face], ids[detection], outcome)
    for face in np.flatnonzero(~done):
        yield _row(people[face], None, MISSED if counts[face] else UNSEEN)
    for detection in np.flatnonzero(left):
        yield _row(None, ids[detection], FALSE)


def _match_seats(seats: pl.DataFrame, detections: pl.DataFrame) -> Iterator[Row]:
    boxes = _boxes(detections, tuple(BOX))
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=0.0)
    ids = detections["face_id"].to_list()
    left = np.ones(len(ids), dtype=bool)
    for person, seat in zip(seats["person"], _boxes(seats, TRUE_BOX), strict=True):
        inside = ((centres >= seat[:2]) & (centres <= seat[2:])).all(axis=1) & left
        if not inside.any():
            yield _row(person, None, MISSED)
            continue
        best = int(np.argmax(np.where(inside, sides, -1.0)))
        left[best] = False
        yield _row(person, ids[best], HIT)
    for detection in np.flatnonzero(left):
        yield _row(None, ids[detection], OUTSIDE)


def _row(person: str | None, face_id: str | None, outcome: str) -> Row:
    return {"person": person, "face_id": face_id, "outcome": outcome}
