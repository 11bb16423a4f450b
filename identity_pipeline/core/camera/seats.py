"""The seats of a camera: where people are seen again and again, in which row, and how far away.

Every track is a point: where in the picture, and how large. Points of many videos heap up at the
places where people are. Two heaps that stand in one column, are of one size and never had people in
one frame are one seat, as grown-ups and as children fill it.

A **seat** is a place whose people stay. Who is seen while the phase is boarding and never else, or
for a short while only, makes no seat; where such people are in most videos is a **boarding** or a
**passing** place: staff, the queue. Where phases are not known, staff that stays long makes a heap
too: its people are seen for less than half of the time, and it is passing.

What belongs here: the places. What does not: the mixture (`core.camera.mixture`), and who of a
video sits where (`core.camera.seating`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from identity_pipeline.core.camera.mixture import ELSEWHERE_POINTS, Mixture, fit, shares
from identity_pipeline.core.camera.rank_test import restless
from identity_pipeline.core.evaluation.intervals import wilson
from identity_pipeline.settings import CameraSettings
from identity_pipeline.tables import TABLES

Floats = NDArray[np.float64]

SEAT, BOARDING_PLACE, PASSING, ELSEWHERE = "seat", "boarding", "passing", "elsewhere"
EXPECTED_SPREAD: Final = (0.35, 0.5, 0.12)
"""Standard deviation that people of one seat are expected to have: across and down in face sizes,
and of the logarithm of the size. Of geometry: a body sways by a third of a head, sitting heights of
people differ by 3.5 to 10 cm (children), which is half a face, faces by 6 % in size (children: 15
%) and what one leans forward by as much."""
SIZES: Final = (0.02, 1.0)
"""Of faces that are found, in picture heights: from 16 px of 720 to all of it."""
ROW_RATIO: Final = 1.23
"""Rows differ in size at least by this factor. Of geometry: a camera is at most 2.5 m before the
first row and rows are at least 0.8 m apart, which makes 1.32; within a row a camera that looks from
25 degrees aside sees the farther of two seats 1.15 times as far. Between these, the geometric
mean."""
ONE_COLUMN: Final = 1.0
"""Face sizes by which the middles of an adult and of a child in one seat may differ across."""
HALF: Final = 0.5
"""Of the time in which anybody is seen: whose place is empty for more of it does not ride. Of the
videos: where passers-by are in fewer is no place."""


UNSURE_MAX: Final = 0.2
"""Share of those who stay that may be at no place surely: where more are, the places are none."""
BRIEF_TENTHS: Final = 2
DIGITS: Final = 6
"""Significant ones of a number of a seat, so that another processor's last bits change no table."""
"""A stretch of a tenth of a video, the least that a rider is seen for (`riders.min_presence`),
touches at most so many of its tenths: who is seen in no more may have been there for as little."""


@dataclass(frozen=True)
class Heaps:
    """Tracks of many videos, and the heaps that they make.

    Attributes:
        places: the rows of `camera_places`, with `video_id` and the columns of `with_stay`.
        owner: (N,) the part of each: those of `sitting`, elsewhere, those of `passing`, elsewhere.
        sitting: of the tracks that stay.
        passing: of the others.
    """

    places: pl.DataFrame
    owner: NDArray[np.int64]
    sitting: Mixture
    passing: Mixture


@dataclass(frozen=True)
class Place:
    """A place of one or several parts.

    Attributes:
        parts: their numbers among all.
        kind: what it is.
        middle: x, y, log size.
        videos: in which somebody was there.
    """

    parts: list[int]
    kind: str
    middle: list[float]
    videos: int


def features(places: pl.DataFrame) -> Floats:
    """(N, 3): x, y and log size of the rows of `camera_places`."""
    table = places.select("x", "y", pl.col("size").log()).cast(pl.Float64)
    return table.to_numpy().reshape(-1, 3)


def with_stay(places: pl.DataFrame) -> pl.DataFrame:
    """When the tracks of each video are seen.

    Args:
        places: `camera_places` with `video_id`.

    Returns:
        Those that have a size, with `seen` (in each tenth, whether the track is), `lively` (tenths
        of its video in which anybody is), `only_boarding` (null where no phase is known) and
        `brief`.
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


def face_units(at: Floats) -> Floats:
    """(N, 3): across and down in faces of the size there; the logarithm of the size as it is."""
    size = np.exp(at[:, 2])
    return np.stack([size, size, np.ones(len(at))], axis=1)


def density_anywhere(aspect: float) -> float:
    """Of a face that may be anywhere in the picture and of any size.

    Args:
        aspect: width of the picture over its height.
    """
    low, high = np.log(SIZES)
    return float(1 / (aspect * (high - low)))


def find_seats(
    places: pl.DataFrame, order: Sequence[str], aspect: float, settings: CameraSettings
) -> pl.DataFrame:
    """The table `camera_seats` of a camera.

    Args:
        places: `camera_places` of all videos of the model, with `video_id`.
        order: the videos as they came.
        aspect: width of the picture over its height.
        settings: how many places, and how often one must be filled.

    Returns:
        A row per part of the mixture, the last one of what may be anywhere. No rows for too few
        videos, and for a camera that moves: people are off the places alike in successive
        videos, or all over the picture.
    """
    videos = places["video_id"].n_unique()
    if videos < settings.videos_min:
        return pl.DataFrame(schema=TABLES["camera_seats"])
    known = with_stay(places)
    stay = ~(known["brief"] | known["only_boarding"].fill_null(False)).to_numpy()
    at, names = features(known), known["video_id"].to_numpy()
    sitting = _heaps(at[stay], names[stay], aspect, settings.seat_filled_min, settings)
    passing = _heaps(at[~stay], names[~stay], aspect, int(HALF * videos) + 1, settings)
    owner = np.empty(len(at), dtype=np.int64)
    owner[stay] = shares(sitting, at[stay]).argmax(axis=1)
    owner[~stay] = shares(passing, at[~stay]).argmax(axis=1) + sitting.parts + 1
    heaps = Heaps(known, owner, sitting, passing)
    group = _one_holds_one(heaps)
    if _unsure(shares(sitting, at[stay]), group, settings) > UNSURE_MAX or _moves(heaps, order):
        return pl.DataFrame(schema=TABLES["camera_seats"])
    return _table(heaps, group, videos)


def _unsure(share: Floats, group: list[int], settings: CameraSettings) -> float:
    """How many tracks are at no place surely."""
    if not len(share) or not group:
        return 1.0
    places = np.stack(
        [share[:, [k for k, o in enumerate(group) if o == g]].sum(axis=1) for g in set(group)]
    )
    return float((places.max(axis=0) < settings.seat_sure).mean())


def _moves(heaps: Heaps, order: Sequence[str]) -> bool:
    """Whether people are off their places, or at some and not at others, alike day by day."""
    sits = heaps.owner < heaps.sitting.parts
    owner = heaps.owner[sits]
    at = features(heaps.places)[sits]
    off = pl.DataFrame(at - heaps.sitting.means[owner], schema=["x", "y", "s"])
    told = off.with_columns(
        video_id=heaps.places["video_id"].filter(pl.Series(sits)),
        **{f"part{k}": pl.Series(owner == k).cast(pl.Float64) for k in range(heaps.sitting.parts)},
    )
    films = told.group_by("video_id").agg(pl.col("x", "y", "s").median(), pl.col("^part.*$").max())
    ordered = pl.DataFrame({"video_id": list(order)}).join(
        films, on="video_id", how="left", maintain_order="left"
    )
    return restless(ordered.drop("video_id").to_numpy())


def _heaps(
    at: Floats, videos: NDArray[np.object_], aspect: float, filled: int, settings: CameraSettings
) -> Mixture:
    """The mixture of some tracks, of its parts those that so many videos fill."""
    expected = np.diag(np.square(EXPECTED_SPREAD))
    mixture = fit(at, expected, face_units, density_anywhere(aspect), settings.seats_max)
    share = shares(mixture, at)
    owner = share.argmax(axis=1) if len(at) else np.empty(0, dtype=np.int64)
    kept = [k for k in range(mixture.parts) if len(set(videos[owner == k])) >= filled]
    counts = share.sum(axis=0)[kept]
    rest = len(at) - counts.sum() + ELSEWHERE_POINTS
    return Mixture(
        np.array([*counts, rest]) / (len(at) + ELSEWHERE_POINTS),
        mixture.means[kept],
        mixture.covariances[kept],
        mixture.anywhere,
        counts,
    )


def _one_holds_one(heaps: Heaps) -> list[int]:
    """The place of each part of those who stay: parts that are one seat share one.

    No two parts of a seat were seen in one frame, also where a third is like both.
    """
    group = list(range(heaps.sitting.parts))
    together = _together(heaps)
    for i, j in combinations(range(heaps.sitting.parts), 2):
        one, other = ([k for k, g in enumerate(group) if g == group[part]] for part in (i, j))
        if together.isdisjoint(product(one, other)) and _one_column(heaps.sitting, i, j):
            group = [group[i] if g == group[j] else g for g in group]
    return group


def _together(heaps: Heaps) -> set[tuple[int, int]]:
    """Which two parts had tracks in one frame, in either order."""
    videos, tracks = heaps.places["video_id"].to_list(), heaps.places["track_id"].to_list()
    owner = heaps.owner.tolist()
    part_of = dict(zip(zip(videos, tracks, strict=True), owner, strict=True))
    seen = set[tuple[int, int]]()
    for video, part, beside in zip(videos, owner, heaps.places["beside"], strict=True):
        for other in beside:
            found = part_of.get((video, other), part)
            seen |= {(part, found), (found, part)}
    return seen


def _one_column(mixture: Mixture, i: int, j: int) -> bool:
    """Whether two parts can be one seat: one above the other, and of one row."""
    one, other = mixture.means[i], mixture.means[j]
    larger = float(np.exp(max(one[2], other[2])))
    apart = abs(one[0] - other[0]) / larger
    return apart <= ONE_COLUMN and abs(one[2] - other[2]) <= np.log(ROW_RATIO)


def _table(heaps: Heaps, group: list[int], videos: int) -> pl.DataFrame:
    """The rows: seats from the front row to the back and from left to right, then other places."""
    found = _places(heaps, group)
    seats = [each for each in found if each.kind == SEAT]
    row_of = dict(zip(map(id, seats), _rows([each.middle[2] for each in seats]), strict=True))
    nearest = max((each.middle[2] for each in seats), default=0.0)
    found.sort(key=lambda each: (each.kind != SEAT, row_of.get(id(each), 0), each.middle[0]))
    rows: list[dict[str, object]] = []
    for number, place in enumerate(found):
        row = row_of.get(id(place))
        depth = None if row is None else float(np.exp(nearest - place.middle[2]))
        about = {"place": number, "row": row, "depth": depth, **_filled(place, videos)}
        rows += [{**about, **_described(heaps, k)} for k in place.parts]
    rest = float(heaps.sitting.weights[-1])
    rows.append({"kind": ELSEWHERE, "weight": rest, "of_videos": videos})
    table = pl.DataFrame(rows, schema=TABLES["camera_seats"])
    return table.with_columns(
        pl.col("depth", "x", "y", "log_size", "weight", "tracks").round_sig_figs(DIGITS),
        pl.col("spread").list.eval(pl.element().round_sig_figs(DIGITS)),
    )


def _places(heaps: Heaps, group: list[int]) -> list[Place]:
    """All places: those of people who stay, then those of others."""
    parts_of = [[k for k, o in enumerate(group) if o == g] for g in sorted(set(group))]
    first = heaps.sitting.parts + 1
    return [
        *(_place(heaps, parts, SEAT) for parts in parts_of),
        *(_place(heaps, [first + k], PASSING) for k in range(heaps.passing.parts)),
    ]


def _filled(place: Place, videos: int) -> dict[str, object]:
    """What a place is, and how often somebody is there."""
    low, high = wilson(place.videos, videos) or (None, None)
    return {
        "kind": place.kind,
        "videos": place.videos,
        "of_videos": videos,
        "filled_low": low,
        "filled_high": high,
    }


def _part(heaps: Heaps, k: int) -> tuple[Mixture, int]:
    """The mixture that a part is of, and its number there."""
    past = k - heaps.sitting.parts - 1
    return (heaps.passing, past) if past >= 0 else (heaps.sitting, k)


def _place(heaps: Heaps, parts: list[int], kind: str) -> Place:
    """A place of some parts; who is at a seat for less than half of the time passes by."""
    own = heaps.places.filter(pl.Series(np.isin(heaps.owner, parts)))
    videos = own["video_id"].n_unique()
    if kind == PASSING and (own["only_boarding"].sum() or 0) > HALF * own.height:
        kind = BOARDING_PLACE
    if kind == SEAT:
        stays = [
            _any_of(each["seen"]) / each["lively"][0]
            for each in own.partition_by("video_id", maintain_order=True)
        ]
        kind = SEAT if float(np.median(stays)) > HALF else PASSING
    mixture, first = _part(heaps, parts[0])
    numbers = [first + k - parts[0] for k in parts]
    weights = mixture.weights[numbers]
    middle = weights @ mixture.means[numbers] / weights.sum()
    return Place(parts, kind, middle.tolist(), videos)


def _described(heaps: Heaps, k: int) -> dict[str, object]:
    mixture, own = _part(heaps, k)
    x, y, log_size = (float(v) for v in mixture.means[own])
    return {
        "x": x,
        "y": y,
        "log_size": log_size,
        "spread": mixture.covariances[own][np.triu_indices(3)].tolist(),
        "weight": float(mixture.weights[own]) if mixture is heaps.sitting else 0.0,
        "tracks": None if mixture.counts is None else float(mixture.counts[own]),
    }


def _rows(sizes: Sequence[float]) -> list[int]:
    """The row of each seat, by where the sizes jump, from the largest to the smallest.

    Args:
        sizes: logarithms.
    """
    values = np.asarray(sizes, dtype=np.float64)
    ordered = np.argsort(-values, kind="stable")
    jumps = -np.diff(values[ordered], prepend=values[ordered][:1])
    found = np.empty(len(values), dtype=np.int64)
    found[ordered] = np.cumsum(jumps > np.log(ROW_RATIO))
    return found.tolist()
