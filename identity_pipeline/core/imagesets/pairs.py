"""The pair set: pictures of both riders, and why a ride has none.

What belongs here: which frames show both riders well enough, how such a picture is cut, which of
them are chosen, and what kept each other frame from being one. What does not: the sets of one
rider (`image_sets`).

A frame is a pair where both riders' faces pass the loose gate and surely are theirs, hardly
overlap, and are the two largest faces of the picture by far. Other people further behind do not
forbid it. A face that was not embedded is surely a rider's where the representative of its moment
is, or the embedded faces next before and after it in its track are. Causes, the first that applies:

=====================  ===========================================================================
one_rider              the ride has one rider
never_together         one rider alone is seen in the frame
no_prototype           a rider has no prototype, so none of their faces is surely theirs
rejected_by_a_human    a human rejected the picture of a face of the two, or one so near in time
not_usable             a face of the two does not pass the loose gate
not_stable             a face of the two is not surely the rider's
overlap                the two faces overlap (`selection.pair_iou_max`)
other_face_over        somebody else's face covers a part of a rider's, or lies behind it
other_face_large       somebody else's face is too large to be left in (`selection.pair_other_max`)
too_close_to_export    another image of one of the two is too close in time
too_close_to_pair      a better pair is too close in time
too_alike              both riders look as they do in a better pair
not_plain              closed eyes, bad light, something before a face or somebody else in it, and
                       there are pairs enough
enough                 there are as many pairs as there may be
not_exported           it was chosen and left out of the export, or `phases.pair_sets` is off
=====================  ===========================================================================
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import polars as pl

from identity_pipeline.core.geometry import Box, head_box, pair_crop_box
from identity_pipeline.core.imagesets.candidates import box_of
from identity_pipeline.core.imagesets.decided import NEAR_REJECTED, REJECTED
from identity_pipeline.core.imagesets.novelty import Likeness, Views, is_near_duplicate, novelty
from identity_pipeline.core.vectors import check_unit, to_matrix
from identity_pipeline.settings import SelectionSettings
from identity_pipeline.tables import TABLES

Row = Mapping[str, Any]
VECTORS: Final = ("e_vis_face", "e_vis_body", "look")
VOUCHED_S: Final = 1.5
"""How far apart two faces may be that vouch for those between them. Witnesses are a second apart at
ten frames a second; where two of them disagreed, every face between them was embedded."""
REFUTED: Final = ("below_floor", "closer_to_rival")
"""Reasons of `identity_stability` by which a face's own embedding says that it is not the rider."""


class Together(NamedTuple):
    """A frame in which a rider is seen, and what keeps it from being a pair.

    Attributes:
        frame_idx, timestamp_ms: which frame.
        faces: of both riders by `person_id`; empty where one alone is seen.
        cause: code; None where nothing keeps it.
        crop: what the picture would show, whole px of the source; empty without two faces.
        rank: pairs are taken in descending order of it; the last is the worth of the worse face.
        plain: whether the two are alone, and light, view and eyes as a photographer wants them.
    """

    frame_idx: int
    timestamp_ms: float
    faces: tuple[Row, ...]
    cause: str | None
    crop: Box = Box(0.0, 0.0, 0.0, 0.0)
    rank: tuple[bool, bool, bool, float] = (False, False, False, 0.0)
    plain: bool = False


def frames_together(
    candidates: pl.DataFrame,
    detections: pl.DataFrame,
    frame_size: tuple[int, int],
    settings: SelectionSettings,
) -> list[Together]:
    """Every frame in which a rider is seen, in time order.

    Args:
        candidates: table `candidates`: all faces of the riders.
        detections: table `face_detections`: other faces limit the pictures.
        frame_size: (width, height).
        settings: thresholds.
    """
    judged = _judged(candidates, settings)
    of_frame: dict[int, list[Row]] = {}
    for face in judged.iter_rows(named=True):
        of_frame.setdefault(face["frame_idx"], []).append(face)
    others = _others(detections, {f["face_id"] for faces in of_frame.values() for f in faces})
    return [
        _together(faces, others.get(frame, ()), frame_size, settings)
        for frame, faces in sorted(of_frame.items())
    ]


def _judged(candidates: pl.DataFrame, settings: SelectionSettings) -> pl.DataFrame:
    """What a pair asks of each face, sorted by frame and rider; without vectors."""
    told = candidates.drop(VECTORS)
    stands = told.select(representative_face_id="face_id", stands="stable")
    open_eyes = pl.col("eyes").eq("open") & ~pl.col("wink").fill_null(False)
    untold = pl.col("expression_bin").ne("eyes_closed").fill_null(False)
    in_view = pl.col("occlusion").fill_null(0.0) < settings.covered_from
    return (
        told.join(stands, on="representative_face_id", how="left")
        .sort("person_id", "frame_idx", "face_id")
        .with_columns(
            surely=~pl.col("stability_reason").is_in(REFUTED)
            & (pl.col("stable") | pl.col("stands").fill_null(False) | _vouched()),
            known=pl.col("stability_reason") != "no_prototype",
            free=~pl.col("decided").is_in([REJECTED, NEAR_REJECTED]).fill_null(False),
            in_view=in_view & pl.col("lighting_bin").eq("normal").fill_null(False),
            awake=pl.when(pl.col("eyes").is_null()).then(untold).otherwise(open_eyes),
            worth=pl.coalesce("picture_score", "quality_score") + pl.col("bonus").fill_null(0.0),
        )
        .sort("frame_idx", "person_id", "face_id")
    )


def _vouched() -> pl.Expr:
    """Whether the embedded faces next before and after one are stable, and close: witnesses.

    Of rows sorted by person and time.
    """
    embedded = pl.col("stability_reason").is_in(["stable", *REFUTED])
    sides = []
    for name in ("stable", "timestamp_ms"):
        known = pl.when(embedded).then(pl.col(name))
        sides.append(
            [side.over("person_id") for side in (known.forward_fill(), known.backward_fill())]
        )
    (before, after), (begins, ends) = sides
    return (before & after & (ends - begins <= VOUCHED_S * 1000)).fill_null(False)


def _others(detections: pl.DataFrame, riders: set[str]) -> dict[int, list[Box]]:
    """Boxes of all other faces by frame, in an order of their own."""
    boxes: dict[int, list[Box]] = {}
    for row in detections.iter_rows(named=True):
        if row["face_id"] not in riders:
            boxes.setdefault(row["frame_idx"], []).append(box_of(row))
    return {frame: sorted(found) for frame, found in boxes.items()}


def _together(
    faces: Sequence[Row],
    others: Sequence[Box],
    frame_size: tuple[int, int],
    settings: SelectionSettings,
) -> Together:
    first = faces[0]
    if len(faces) != 2:
        return Together(first["frame_idx"], first["timestamp_ms"], (), "never_together")
    boxes = (box_of(faces[0]), box_of(faces[1]))
    crop = crop_without(boxes, others, frame_size, settings)
    left_in = [other for other in others if crop.intersection(other).area > 0]
    in_view, awake = (all(face[name] for face in faces) for name in ("in_view", "awake"))
    worse = min(face["worth"] for face in faces)
    return Together(
        first["frame_idx"],
        first["timestamp_ms"],
        tuple(faces),
        _of_faces(faces) or _of_boxes(boxes, left_in, settings),
        crop,
        (not left_in, in_view, awake, worse),
        in_view and awake and not left_in,
    )


def _of_faces(faces: Sequence[Row]) -> str | None:
    for code, column in (
        ("no_prototype", "known"),
        (REJECTED, "free"),
        ("not_usable", "loose"),
        ("not_stable", "surely"),
    ):
        if not all(face[column] for face in faces):
            return code
    return None


def _of_boxes(
    boxes: tuple[Box, Box], left_in: Sequence[Box], settings: SelectionSettings
) -> str | None:
    if boxes[0].iou(boxes[1]) > settings.pair_iou_max:
        return "overlap"
    if any(box.intersection(other).area > 0 for box in boxes for other in left_in):
        return "other_face_over"
    largest = settings.pair_other_max * min(box.longer_side for box in boxes)
    return "other_face_large" if any(o.longer_side > largest for o in left_in) else None


def crop_without(
    boxes: tuple[Box, Box],
    others: Iterable[Box],
    frame_size: tuple[int, int],
    settings: SelectionSettings,
) -> Box:
    """What a picture of two faces shows: one face side of air, less where others would come in.

    The edge that costs the least of the picture is moved before each other head, or at least before
    its face, but never nearer to a rider's face than `pair_air_min` of its side. Who cannot be kept
    out so stays in.

    Args:
        boxes: of the two riders' faces.
        others: all other faces of the frame.
        frame_size: (width, height).
        settings: the least air.

    Returns:
        Whole px, inside the frame.
    """
    width, height = frame_size
    crop = pair_crop_box(*boxes, width, height)
    air = [settings.pair_air_min * box.longer_side for box in boxes]
    needed = Box(
        max(0.0, min(box.x1 - a for box, a in zip(boxes, air, strict=True))),
        max(0.0, min(box.y1 - a for box, a in zip(boxes, air, strict=True))),
        min(float(width), max(box.x2 + a for box, a in zip(boxes, air, strict=True))),
        min(float(height), max(box.y2 + a for box, a in zip(boxes, air, strict=True))),
    )
    for other in sorted(others):
        for part in (head_box(other), other):  # at least the face, where hair has to stay
            if crop.intersection(part).area > 0:
                crop = _moved_before(part, crop, needed)
    return crop


def _moved_before(other: Box, crop: Box, needed: Box) -> Box:
    """The largest part of a crop, cut along one edge, that a box of somebody else is not in."""
    parts = (
        crop._replace(x1=float(np.ceil(other.x2))),
        crop._replace(x2=float(np.floor(other.x1))),
        crop._replace(y1=float(np.ceil(other.y2))),
        crop._replace(y2=float(np.floor(other.y1))),
    )
    whole = [
        part
        for part in parts
        if part.x1 <= needed.x1
        and part.y1 <= needed.y1
        and part.x2 >= needed.x2
        and part.y2 >= needed.y2
    ]
    return max(whole, key=lambda part: part.area, default=crop)


class Looks:
    """The vision vectors that stand for faces: those of their moments' representatives.

    A moment that was not shortlisted has none; then nothing is known of how it looks, and only the
    time between two pictures keeps them apart.
    """

    def __init__(self, candidates: pl.DataFrame) -> None:
        """Takes the table `candidates`."""
        seen = candidates.filter(pl.col("e_vis_face").is_not_null())
        ids = seen["face_id"].to_list()
        self._row_of = {face_id: row for row, face_id in enumerate(ids)}
        self._views = (
            Views(*(check_unit(to_matrix(seen[name]), name) for name in VECTORS)) if ids else None
        )

    def novelty(self, face: Row, before: Sequence[Row]) -> float | None:
        """See `novelty.novelty`; None where the face, or one before it, was not seen."""
        row, others = self._row(face), [self._row(other) for other in before]
        if self._views is None or row is None:
            return None
        known = [other for other in others if other is not None]
        return novelty(self._views, row, known) if len(known) == len(others) else None

    def same(self, a: Row, b: Row, limits: Likeness) -> bool:
        """Whether two faces are known to look the same."""
        first, second = self._row(a), self._row(b)
        if self._views is None or first is None or second is None:
            return False
        return is_near_duplicate(self._views, first, [second], limits)

    def _row(self, face: Row) -> int | None:
        own = self._row_of.get(face["face_id"])
        return own if own is not None else self._row_of.get(face["representative_face_id"])


def build_pair_set(
    candidates: pl.DataFrame,
    taken: Sequence[pl.DataFrame],
    detections: pl.DataFrame,
    frame_size: tuple[int, int],
    settings: SelectionSettings,
) -> pl.DataFrame:
    """The pairs of a ride: two rows a picture, one for each rider.

    A frame counts as good as its worse face. First come frames of the two alone, for the export
    leaves a picture out in which a detector finds a third face; of those the ones in plain light
    and view, of those the ones with open eyes. Others only fill up to `pair_min`.

    Args:
        candidates: table `candidates`: all faces of the riders.
        taken: the sets built before; no pair comes within `min_gap_s` of an image of either rider.
        detections: table `face_detections`.
        frame_size: (width, height).
        settings: counts and thresholds.
    """
    looks = Looks(candidates)
    frames = frames_together(candidates, detections, frame_size, settings)
    chosen = _chosen(frames, _times(taken), _weighed(candidates), looks, settings)
    rows: list[dict[str, Any]] = []
    copied = (
        *("face_id", "frame_idx", "person_id", "timestamp_ms"),
        *("quality_score", "stable_score", "portrait_score", "picture_score"),
    )
    for rank, pair in enumerate(chosen, start=1):
        crop = dict(zip(("crop_x1", "crop_y1", "crop_x2", "crop_y2"), pair.crop, strict=True))
        for seat, face in enumerate(pair.faces):
            before = [other.faces[seat] for other in chosen[: rank - 1]]
            own = {"rank": rank, "novelty": looks.novelty(face, before), "kind": None}
            rows.append(
                {**{n: face[n] for n in copied}, "image": f"pair_{rank:03d}", **own, **crop}
            )
    return pl.DataFrame(rows, schema=TABLES["image_set"]).sort("person_id", "rank", "face_id")


def pair_causes(
    candidates: pl.DataFrame,
    pairs: pl.DataFrame,
    taken: Sequence[pl.DataFrame],
    detections: pl.DataFrame,
    frame_size: tuple[int, int],
    settings: SelectionSettings,
) -> list[tuple[str, int]]:
    """What kept the frames with a rider from being pairs: code and frames, most frequent first.

    Args:
        candidates: table `candidates`: all faces of the riders.
        pairs: table `pair_set`, as far as it was exported.
        taken: as `build_pair_set` was given.
        detections: table `face_detections`.
        frame_size: (width, height).
        settings: counts and thresholds.
    """
    if candidates["person_id"].n_unique() < 2:
        frames = candidates["frame_idx"].n_unique()
        return [("one_rider", frames)] if frames else []
    looks, times = Looks(candidates), _times(taken)
    frames = frames_together(candidates, detections, frame_size, settings)
    shown = set(pairs["frame_idx"].to_list())
    chosen = [frame for frame in frames if frame.frame_idx in shown]
    causes = Counter(
        frame.cause or _beaten(frame, chosen, times, looks, settings) or "not_exported"
        for frame in frames
        if frame.frame_idx not in shown
    )
    return sorted(causes.items(), key=lambda item: (-item[1], item[0]))


def pairs_wanted(candidates: pl.DataFrame, settings: SelectionSettings) -> int:
    """How many pairs a ride should have: `pair_min`, and none of a sole rider."""
    return (
        min(settings.pair_min, settings.pair_max) if candidates["person_id"].n_unique() > 1 else 0
    )


def _weighed(candidates: pl.DataFrame) -> list[float]:
    """Times of the faces that may become images of one rider."""
    return candidates.filter(pl.col("standing") == "candidate")["timestamp_ms"].to_list()


def _chosen(
    frames: Sequence[Together],
    taken_ms: Sequence[float],
    weighed_ms: Sequence[float],
    looks: Looks,
    settings: SelectionSettings,
) -> list[Together]:
    """The pairs, best first.

    Of frames that are alike in worth to a tenth, those that take the fewest faces from the sets of
    one rider come first: what a pair shows, and what is too close to it, is lost to them.
    """

    def order(frame: Together) -> tuple[float, ...]:
        *plain, worth = frame.rank
        lost = sum(_near(frame, [time], settings.min_gap_s) for time in weighed_ms)
        return (*(-v for v in plain), -round(worth, 1), lost, -worth, frame.frame_idx)

    chosen: list[Together] = []
    possible = [frame for frame in frames if frame.cause is None]
    for frame in sorted(possible, key=order):
        if _beaten(frame, chosen, taken_ms, looks, settings) is None:
            chosen.append(frame)
    return chosen


def _times(taken: Sequence[pl.DataFrame]) -> list[float]:
    return [time for table in taken for time in table["timestamp_ms"].to_list()]


def _beaten(
    frame: Together,
    chosen: Sequence[Together],
    taken_ms: Sequence[float],
    looks: Looks,
    settings: SelectionSettings,
) -> str | None:
    """What keeps a possible pair out beside what is chosen before it."""
    if len(chosen) >= settings.pair_max:
        return "enough"
    if _near(frame, taken_ms, settings.min_gap_s):
        return "too_close_to_export"
    if not frame.plain and len(chosen) >= settings.pair_min:
        return "not_plain"
    apart_s = max(settings.anchor_gap_s, settings.min_gap_s)
    if _near(frame, [other.timestamp_ms for other in chosen], apart_s):
        return "too_close_to_pair"
    limits = Likeness(settings.near_duplicate_cos, settings.near_duplicate_look)
    alike = any(
        all(looks.same(a, b, limits) for a, b in zip(frame.faces, other.faces, strict=True))
        for other in chosen
    )
    return "too_alike" if alike else None


def _near(frame: Together, times_ms: Iterable[float], gap_s: float) -> bool:
    return any(abs(frame.timestamp_ms - time) < gap_s * 1000 for time in times_ms)
