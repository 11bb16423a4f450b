"""Who of a video sits where.

A seat holds one, and two faces of one frame are two people. So tracks are not seated one by one:
every way to seat them that keeps both is weighed, and a track is in the seat in which it is in
nearly all of the weight. What remains in doubt is in no seat: it is never guessed.

What belongs here: a video against known seats. What does not: how seats become known
(`core.camera.seats`), and who of those seated is a rider (`core.tracks.riders`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from identity_pipeline.core.camera.mixture import Mixture, shares
from identity_pipeline.core.camera.seats import (
    ELSEWHERE,
    SEAT,
    density_anywhere,
    features,
    with_stay,
)
from identity_pipeline.core.tracks.riders import ONLY_BOARDING, SEATED
from identity_pipeline.settings import CameraSettings

Floats = NDArray[np.float64]
NOWHERE: Final = -1
"""Among places: anywhere else."""
Way = tuple[tuple[int, int], ...]
"""Tracks by their number and the place of each; who is nowhere is left out."""
HARDLY: Final = 1e-6
"""Probability below which a track by itself is not looked for at a place: a ten-thousandth of the
doubt that is left to one that is seated."""
WAYS_MAX: Final = 300_000
"""Ways to seat those who are seen at one time that are weighed, over all tracks of a video; with
more, so many people are in doubt that none of it is seated. Forty tracks, six at once at six places
that are alike, have 160,000."""
UNSURE, ASIDE, BRIEF, NOT_A_SEAT = "unsure", "elsewhere", "brief", "not_a_seat"
"""How a track stands to the seats, besides `SEATED` and `ONLY_BOARDING`; see `seat_tracks`."""


def mixture_of(seats: pl.DataFrame, aspect: float) -> tuple[Mixture, list[int]]:
    """The mixture that a table `camera_seats` holds, and the place of each part.

    Args:
        seats: the table.
        aspect: width of the picture over its height.
    """
    parts = seats.filter(pl.col("kind") != ELSEWHERE)
    covariances = np.zeros((parts.height, 3, 3))
    upper = np.triu_indices(3)
    for k, spread in enumerate(parts["spread"].to_list()):
        covariances[k][upper] = spread
        covariances[k] = covariances[k] + np.triu(covariances[k], 1).T
    rest = seats.filter(pl.col("kind") == ELSEWHERE)["weight"].item()
    mixture = Mixture(
        np.array([*parts["weight"], rest]),
        parts.select("x", "y", "log_size").to_numpy().reshape(-1, 3),
        covariances,
        density_anywhere(aspect),
        parts["tracks"].to_numpy(),
    )
    return mixture, parts["place"].to_list()


def seat_tracks(
    places: pl.DataFrame, seats: pl.DataFrame, aspect: float, settings: CameraSettings
) -> pl.DataFrame:
    """The seat of each track of one video.

    Args:
        places: `camera_places` of the video, with `video_id`.
        seats: table `camera_seats`, with rows.
        aspect: width of the picture over its height.
        settings: how sure a seat must be.

    Returns:
        track_id, seat, row (null without a seat), standing, sure (probability of the likeliest
        place; null where none was asked for). Standing is `seated`; `unsure`: no place has nearly
        all of the weight; `elsewhere`: sure to be at no known place; `not_a_seat`: at a place whose
        people do not ride; `only_boarding`, `brief`: by when it is seen it tells nothing, or no
        rider.
    """
    known = with_stay(places)
    asked = known.filter(~pl.col("brief") & ~pl.col("only_boarding").fill_null(False))
    mixture, owners = mixture_of(seats, aspect)
    kinds = dict(seats.select("place", "kind").drop_nulls().iter_rows())
    row_of = dict(seats.select("place", "row").drop_nulls().iter_rows())
    found = _marginals(asked, mixture, owners)
    rows = []
    for track in known.iter_rows(named=True):
        told = found.get(track["track_id"])
        place, sure = (None, None) if told is None else max(told.items(), key=lambda p: p[1])
        standing = _standing(track, place, sure, kinds, settings)
        seat = place if standing == SEATED else None
        row = row_of.get(seat) if seat is not None else None
        rows.append((track["track_id"], seat, row, standing, sure))
    schema = {
        "track_id": pl.Int64,
        "seat": pl.Int64,
        "row": pl.Int64,
        "standing": pl.String,
        "sure": pl.Float64,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def _standing(
    track: Mapping[str, object],
    place: int | None,
    sure: float | None,
    kinds: Mapping[int, str],
    settings: CameraSettings,
) -> str:
    if place is None or sure is None:
        return ONLY_BOARDING if track["only_boarding"] else BRIEF
    if sure < settings.seat_sure:
        return UNSURE
    if place == NOWHERE:
        return ASIDE
    return SEATED if kinds[place] == SEAT else NOT_A_SEAT


def _marginals(
    asked: pl.DataFrame, mixture: Mixture, owners: Sequence[int]
) -> dict[int, dict[int, float]]:
    """How probably each track is at each place, over all ways to seat them together."""
    tracks = asked["track_id"].to_list()
    likely = [_by_place(row, owners) for row in shares(mixture, features(asked))]
    totals = _totals(likely, _before(tracks, asked["beside"].to_list()))
    if totals is None:
        return {each: {NOWHERE: 0.0} for each in tracks}
    return dict(zip(tracks, map(_normalised, totals), strict=True))


def _before(tracks: Sequence[int], beside: Sequence[Sequence[int]]) -> list[list[int]]:
    """For each track those before it that are seen in one of its frames, by their number."""
    index = {track: k for k, track in enumerate(tracks)}
    return [
        [index[other] for other in others if index.get(other, k) < k]
        for k, others in enumerate(beside)
    ]


def _totals(
    likely: Sequence[Mapping[int, float]], before: Sequence[Sequence[int]]
) -> list[dict[int, float]] | None:
    """For each track the weight of all ways to seat the tracks, by the place that it has in them.

    In no way do two of one frame share a place. Ways that differ only in tracks that no later one
    is seen with are one from then on, so what is weighed at once is who is seen at one time. They
    are gone through once forwards, by what was before, and once backwards, by what may follow (the
    forward-backward algorithm over the states of an elimination of variables; Rabiner 1989).

    Args:
        likely: for each track its places, and how probable each is by itself.
        before: for each track those before it that are seen in one of its frames.

    Returns:
        Weights that say something beside each other, of one track alone; None where there are too
        many ways.
    """
    last, weighed = _last_meeting(before), 0
    begun: list[dict[Way, float]] = [{(): 1.0}]
    for k, own in enumerate(likely):
        ways = dict[Way, float]()
        for way, weight in begun[-1].items():
            for _, share, new in _steps(way, k, own, before[k], last):
                ways[new] = ways.get(new, 0.0) + weight * share
            if weighed + len(ways) > WAYS_MAX:
                return None
        begun.append(_scaled(ways))
        weighed += len(ways)
    after: dict[Way, float] = dict.fromkeys(begun[-1], 1.0)
    found = []
    for k in reversed(range(len(likely))):
        own, totals, earlier = likely[k], dict.fromkeys(likely[k], 0.0), dict[Way, float]()
        for way, weight in begun[k].items():
            for place, share, new in _steps(way, k, own, before[k], last):
                follows = share * after[new]
                totals[place] += weight * follows
                earlier[way] = earlier.get(way, 0.0) + follows
        found.append(totals)
        after = _scaled(earlier)
    return found[::-1]


def _scaled(ways: dict[Way, float]) -> dict[Way, float]:
    """Of the likeliest: what is multiplied over a long video would become too small for a float."""
    most = max(ways.values(), default=0.0)
    return {way: weight / most for way, weight in ways.items()} if most else ways


def _last_meeting(before: Sequence[Sequence[int]]) -> list[int]:
    """For each track the number of the last one that is seen with it; its own where none is."""
    last = list(range(len(before)))
    for k, others in enumerate(before):
        for other in others:
            last[other] = k
    return last


def _steps(
    way: Way, k: int, own: Mapping[int, float], met: Collection[int], last: Sequence[int]
) -> Iterator[tuple[int, float, Way]]:
    """The places that a track may have in a way to seat those before it.

    Args:
        way: to seat them.
        k: number of the track.
        own: its places, and how probable each is by itself.
        met: those before it that are seen in one of its frames.
        last: of each track until which one its place matters.

    Yields:
        A place, how probable it is by itself, and the way to seat all up to this one.
    """
    taken = {place for track, place in way if track in met}
    stays = tuple(each for each in way if last[each[0]] > k)
    for place, share in own.items():
        if place not in taken:
            kept = place != NOWHERE and last[k] > k
            yield place, share, (*stays, (k, place)) if kept else stays


def _normalised(own: Mapping[int, float]) -> dict[int, float]:
    """Shares of the whole; in doubt where no way is possible."""
    whole = sum(own.values())
    return {place: share / whole for place, share in own.items()} if whole else {NOWHERE: 0.0}


def _by_place(of_parts: Floats, owners: Sequence[int]) -> dict[int, float]:
    """Summed over the parts of each place, of the places that are likely at all."""
    found = dict.fromkeys([*owners, NOWHERE], 0.0)
    for place, share in zip([*owners, NOWHERE], of_parts, strict=True):
        found[place] += float(share)
    return {p: share for p, share in found.items() if share >= HARDLY or p == NOWHERE}
