"""The seats of a camera: where people are seen again and again, in which row, and how far away.

Every track is a point: where in the picture, and how large. Points of many videos heap up at the
places where people are, a heap being one place as a tall and a small rider fill it. Two heaps that
are never filled at once, though by chance they would have been, and that stand in one column, are
one place as adults and as children fill it: a seat holds one.

A **seat** is a place whose people stay. At a **boarding** place they are seen while the phase is
boarding and never else; where phases are not known, a place whose people are seen for a short
while only is **passing**: staff, the queue, a second camera's car.

What belongs here: the places. What does not: the mixture (`core.camera.mixture`), and who of a
video sits where (`core.camera.seating`).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from identity_pipeline.core.camera.mixture import ELSEWHERE_POINTS, Mixture, fit, shares
from identity_pipeline.core.evaluation.intervals import wilson
from identity_pipeline.settings import CameraSettings
from identity_pipeline.tables import TABLES

Floats = NDArray[np.float64]

SEAT, BOARDING_PLACE, PASSING, ELSEWHERE = "seat", "boarding", "passing", "elsewhere"
EXPECTED_SPREAD: Final = (0.35, 0.5, 0.12)
"""Standard deviation that people of one seat are expected to have: across and down in face sizes, and
of the logarithm of the size. Of geometry: a body sways by a third of a head, sitting heights of people
differ by 3.5 to 10 cm (children), which is half a face, faces by 6 % in size (children: 15 %) and what
one leans forward by as much."""
SIZES: Final = (0.02, 1.0)
"""Of faces that are found, in picture heights: from 16 px of 720 to all of it."""
ROW_RATIO: Final = 1.23
"""Rows differ in size at least by this factor. Of geometry: a camera is at most 2.5 m before the first
row and rows are at least 0.8 m apart, which makes 1.32; within a row a camera that looks from 25
degrees aside sees the farther of two seats 1.15 times as far. Between these, the geometric mean."""
ONE_COLUMN: Final = 1.0
"""Face sizes by which the middles of an adult and of a child in one seat may differ across."""
BY_CHANCE: Final = 0.001
"""As rare as it must be that two places were never filled at once, had each been filled by itself."""
HALF: Final = 0.5
"""Of the time in which anybody is seen: whose place is empty for more of it does not ride."""


BRIEF_TENTHS: Final = 2
"""A stretch of a tenth of a video, the least that a rider is seen for (`riders.min_presence`), touches at
most so many of its tenths: who is seen in no more may have been there for as little."""


@dataclass(frozen=True)
class Points:
    """Tracks of many videos as points.

    Attributes:
        places: the rows of `camera_places`, with `video_id` and the columns of `with_stay`.
        at: (N, 3) x, y, log size.
    """

    places: pl.DataFrame
    at: Floats


def features(places: pl.DataFrame) -> Floats:
    """(N, 3): x, y and log size of the rows of `camera_places`."""
    table = places.select("x", "y", pl.col("size").log()).cast(pl.Float64)
    return table.to_numpy().reshape(-1, 3)


def with_stay(places: pl.DataFrame) -> pl.DataFrame:
    """When the tracks of each video are seen.

    Args:
        places: `camera_places` with `video_id`.

    Returns:
        Those that have a size, with `seen` (in each tenth, whether the track is), `lively` (tenths of
        its video in which anybody is), `only_boarding` (null where no phase is known) and `brief`.
    """
    known = places.filter(pl.col("size") > 0).sort("video_id", "track_id")
    seen = pl.col("tenths").list.eval((pl.element() > 0).cast(pl.Int64))
    counts = known.with_columns(seen=seen)
    lively = (
        counts.group_by("video_id", maintain_order=True)
        .agg(pl.col("seen").map_batches(_any_of, return_dtype=pl.Int64, returns_scalar=True))
        .rename({"seen": "lively"})
    )
    covered = pl.col("seen").list.sum()
    boards = pl.col("boarding_share") > (1 + pl.col("boarding_usual")) / 2
    few = (covered <= BRIEF_TENTHS) & (pl.col("lively") > 2 * BRIEF_TENTHS)
    return counts.join(lively, on="video_id", how="left", maintain_order="left").with_columns(
        only_boarding=boards, brief=few
    )


def _any_of(seen: pl.Series) -> int:
    """In how many tenths any of the tracks is seen."""
    return int((np.array(seen.to_list()).sum(axis=0) > 0).sum())


def expected_covariances(at: Floats) -> Floats:
    """(N, 3, 3): the spread of people of one seat, were it at each point."""
    size = np.exp(at[:, 2])
    across, down, depth = EXPECTED_SPREAD
    variances = np.stack(
        [(across * size) ** 2, (down * size) ** 2, np.full(len(at), depth**2)], axis=1
    )
    return variances[:, :, None] * np.eye(3)


def density_anywhere(aspect: float) -> float:
    """Of a face that may be anywhere in the picture and of any size.

    Args:
        aspect: width of the picture over its height.
    """
    low, high = np.log(SIZES)
    return float(1 / (aspect * (high - low)))


def find_seats(places: pl.DataFrame, aspect: float, settings: CameraSettings) -> pl.DataFrame:
    """The table `camera_seats` of a camera.

    Args:
        places: `camera_places` of all videos of the model, with `video_id`.
        aspect: width of the picture over its height.
        settings: how many places, and how often one must be filled.

    Returns:
        A row per part of the mixture, the last one of what may be anywhere; no rows for too few
        videos.
    """
    videos = places["video_id"].n_unique()
    if videos < settings.videos_min:
        return pl.DataFrame(schema=TABLES["camera_seats"])
    known = with_stay(places)
    points = Points(known, features(known))
    anywhere = density_anywhere(aspect)
    mixture = fit(points.at, expected_covariances(points.at), anywhere, settings.seats_max)
    owner = shares(mixture, points.at).argmax(axis=1)
    mixture, owner = _often_filled(mixture, owner, points, settings)
    group = _one_holds_one(mixture, owner, points, videos)
    return _table(_of_those_who_stay(mixture, points), owner, group, points, videos)


def _of_those_who_stay(mixture: Mixture, points: Points) -> Mixture:
    """The parts, weighted by the tracks of which it is asked in which seat they are."""
    stay = ~(points.places["brief"] | points.places["only_boarding"].fill_null(False)).to_numpy()
    seen = shares(mixture, points.at).sum(axis=0)[:-1]
    counts = shares(mixture, points.at[stay]).sum(axis=0)
    counts[-1] += ELSEWHERE_POINTS
    return Mixture(
        counts / counts.sum(), mixture.means, mixture.covariances, mixture.anywhere, seen
    )


def _often_filled(
    mixture: Mixture, owner: NDArray[np.int64], points: Points, settings: CameraSettings
) -> tuple[Mixture, NDArray[np.int64]]:
    """Without the parts that hardly any video fills; what was theirs is anywhere."""
    videos = points.places["video_id"].to_numpy()
    kept = [
        k
        for k in range(mixture.parts)
        if len(set(videos[owner == k])) >= settings.seat_filled_min
    ]
    gone = 1 - mixture.weights[kept].sum() - mixture.weights[-1]
    weights = np.array([*mixture.weights[kept], mixture.weights[-1] + gone])
    smaller = Mixture(weights, mixture.means[kept], mixture.covariances[kept], mixture.anywhere)
    return smaller, shares(smaller, points.at).argmax(axis=1)


def _one_holds_one(
    mixture: Mixture, owner: NDArray[np.int64], points: Points, videos: int
) -> list[int]:
    """The place of each part: parts that are one seat share one."""
    group = list(range(mixture.parts))
    together = _together(owner, points)
    filled = [_videos_of(owner, points, k) for k in range(mixture.parts)]
    for i, j in combinations(range(mixture.parts), 2):
        never = not together[i, j]
        chance = (1 - len(filled[i]) * len(filled[j]) / videos**2) ** videos
        if never and chance <= BY_CHANCE and _one_column(mixture, i, j):
            group = [group[i] if g == group[j] else g for g in group]
    return group


def _videos_of(owner: NDArray[np.int64], points: Points, part: int) -> set[str]:
    return set(points.places["video_id"].to_numpy()[owner == part])


def _together(owner: NDArray[np.int64], points: Points) -> NDArray[np.bool_]:
    """(K + 1, K + 1): whether tracks of two parts were ever in one frame."""
    parts = int(owner.max(initial=0)) + 2
    seen = np.zeros((parts, parts), dtype=bool)
    videos, tracks = points.places["video_id"].to_list(), points.places["track_id"].to_list()
    part_of = {key: int(k) for key, k in zip(zip(videos, tracks, strict=True), owner, strict=True)}
    for video, track, beside in zip(videos, tracks, points.places["beside"], strict=True):
        for other in beside:
            k = part_of.get((video, other))
            if k is not None:
                seen[part_of[video, track], k] = seen[k, part_of[video, track]] = True
    return seen


def _one_column(mixture: Mixture, i: int, j: int) -> bool:
    """Whether two parts can be one seat: one above the other, and of one row."""
    one, other = mixture.means[i], mixture.means[j]
    larger = float(np.exp(max(one[2], other[2])))
    apart = abs(one[0] - other[0]) / larger
    return apart <= ONE_COLUMN and abs(one[2] - other[2]) <= np.log(ROW_RATIO)


def _table(
    mixture: Mixture, owner: NDArray[np.int64], group: list[int], points: Points, videos: int
) -> pl.DataFrame:
    """The rows, places counted from the front row to the back and from left to right."""
    of_point = np.array([*group, -1])[np.minimum(owner, mixture.parts)]
    kinds = {g: _kind(points.places.filter(pl.Series(of_point == g))) for g in set(group)}
    centres = {g: _centre(mixture, [k for k, o in enumerate(group) if o == g]) for g in set(group)}
    rows_of = _rows({g: centre for g, centre in centres.items() if kinds[g] == SEAT})
    nearest = max((centres[g][2] for g in rows_of), default=0.0)
    order = sorted(set(group), key=lambda g: (kinds[g] != SEAT, rows_of.get(g, 0), centres[g][0]))
    number = {g: k for k, g in enumerate(order)}
    rows = []
    for k in sorted(range(mixture.parts), key=lambda k: (number[group[k]], *mixture.means[k])):
        g = group[k]
        known = len(set(points.places["video_id"].to_numpy()[of_point == g]))
        seat = kinds[g] == SEAT
        rows.append(
            {
                "place": number[g],
                "kind": kinds[g],
                "row": rows_of.get(g),
                "depth": float(np.exp(nearest - centres[g][2])) if seat else None,
                **_described(mixture, k),
                "videos": known,
                "of_videos": videos,
                **dict(zip(("filled_low", "filled_high"), wilson(known, videos) or (None, None), strict=True)),
            }
        )
    rows.append({"kind": ELSEWHERE, "weight": float(mixture.weights[-1]), "of_videos": videos})
    return pl.DataFrame(rows, schema=TABLES["camera_seats"])


def _described(mixture: Mixture, k: int) -> dict[str, object]:
    x, y, log_size = (float(v) for v in mixture.means[k])
    spread = mixture.covariances[k][np.triu_indices(3)]
    weight = float(mixture.weights[k])
    return {
        "x": x,
        "y": y,
        "log_size": log_size,
        "spread": spread.tolist(),
        "weight": weight,
        "tracks": None if mixture.counts is None else float(mixture.counts[k]),
    }


def _centre(mixture: Mixture, parts: list[int]) -> Floats:
    weights = mixture.weights[parts]
    return weights @ mixture.means[parts] / weights.sum()


def _rows(seats: dict[int, Floats]) -> dict[int, int]:
    """The row of each seat, by where the sizes jump, from the largest to the smallest."""
    ordered = sorted(seats, key=lambda g: -seats[g][2])
    row, found = 0, dict[int, int]()
    for before, g in zip([None, *ordered], ordered, strict=False):
        if before is not None and seats[before][2] - seats[g][2] > np.log(ROW_RATIO):
            row += 1
        found[g] = row
    return found


def _kind(tracks: pl.DataFrame) -> str:
    """What a place is, by when its people are seen, each video having one vote."""
    told = tracks.filter(pl.col("only_boarding").is_not_null())
    if told.height * 2 > tracks.height:
        only_then = told.group_by("video_id").agg(pl.col("only_boarding").all())["only_boarding"]
        return BOARDING_PLACE if only_then.sum() > HALF * len(only_then) else SEAT
    stays = [
        _any_of(own["seen"]) / own["lively"][0]
        for _, own in tracks.group_by("video_id", maintain_order=True)
    ]
    return SEAT if float(np.median(stays)) > HALF else PASSING
