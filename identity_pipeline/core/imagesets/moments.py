"""Moments: runs of a rider's faces that show the same, their best face, and which are worth more.

A moment is a run of successive faces of one track with the same bins of pose, expression,
occlusion and light, no longer than `moments.span_s`. It stands for as much of the ride as a
photographer would take one picture of, so what is dear (identity, vision) is computed for one face
of each, and only for those moments that may become an image.

Bins flicker where a measure lies near an edge. So the bins of a stretch of faces are voted on
before runs are cut: of all ways to give each face a combination of bins that occurs in the stretch,
the one with the least cost is taken, where a face costs what it is away from its combination (an
angle by its distance to the bin over `moments.margin_deg`, anything else 1, in all at most 1) and a
change of the combination costs as much as `min_faces` successive faces can outweigh. What passes
before a face is no noise though it is seen once: a covered face outweighs a change alone. This is
the Potts model on a line, whose optimum dynamic programming finds (Friedrich et al., "Complexity
Penalized M-Estimation", J. Comput. Graph. Stat. 17, 2008).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from identity_pipeline.core.faces.buckets import BEYOND, PITCH_NAMES, UNKNOWN, axis_bins
from identity_pipeline.core.imagesets.challenge import challenge_kind
from identity_pipeline.core.imagesets.decided import (
    NOTHING,
    DecidedPictures,
    is_accepted,
    is_barred,
)
from identity_pipeline.core.imagesets.portrait import anchor_eligible
from identity_pipeline.core.imagesets.score_parts import MARRED
from identity_pipeline.settings import BucketSettings, MomentSettings, SelectionSettings
from identity_pipeline.tables import TABLES

POSE: Final = ("yaw", "pitch")
AXES: Final = ("yaw_bin", "pitch_bin", "expression_bin", "occlusion_bin", "lighting_bin")
"""Columns of `face_buckets` that a moment has in common."""
BARE: Final = "none"
"""The occlusion bin of a face that nothing covers."""
Bins = tuple[str, ...]
"""The bins of a face, in the order of `AXES`."""


class Interval(NamedTuple):
    """The ends of a bin, in degrees."""

    low: float
    high: float


def _intervals(settings: BucketSettings) -> list[dict[str, Interval]]:
    """Per axis of pose, the interval of each bin by its label."""
    axes = ((settings.yaw_edges, None), (settings.pitch_edges, PITCH_NAMES))
    return [
        {
            each.label: Interval(low, high)
            for each, low, high in zip(axis_bins(edges, names), edges[:-1], edges[1:], strict=True)
        }
        for edges, names in axes
    ]


def _degrees_away(
    values: NDArray[np.float64], own: NDArray[np.str_], bin_: str, ends: dict[str, Interval]
) -> NDArray[np.float64]:
    """(N,) degrees from each angle to a bin; `inf` where one of the two is not known."""
    if bin_ == UNKNOWN:
        away = np.full(len(values), np.inf)
    elif bin_ == BEYOND:
        low, high = min(e.low for e in ends.values()), max(e.high for e in ends.values())
        away = np.minimum(values - low, high - values)
    else:
        away = np.maximum(ends[bin_].low - values, values - ends[bin_].high)
    away = np.where(np.isnan(away) | (own == UNKNOWN), np.inf, np.clip(away, 0.0, None))
    return np.where(own == bin_, 0.0, away)


def _costs(
    faces: pl.DataFrame, states: Sequence[Bins], moments: MomentSettings, buckets: BucketSettings
) -> NDArray[np.float64]:
    """(N, K): how far each face is from each combination of bins, in [0, 1] but of covered ones."""
    margin = max(moments.margin_deg, 1e-9)
    costs = np.zeros((faces.height, len(states)))
    for column, axis in enumerate(AXES):
        own = faces[axis].to_numpy().astype(str)
        wanted = [state[column] for state in states]
        if column < len(POSE):
            values = faces[POSE[column]].cast(pl.Float64).to_numpy()
            ends = _intervals(buckets)[column]
            away = {bin_: _degrees_away(values, own, bin_, ends) for bin_ in set(wanted)}
            costs += np.stack([away[bin_] for bin_ in wanted], axis=1) / margin
        else:
            costs += own[:, None] != np.array(wanted)[None, :]
    costs = np.minimum(costs, 1.0)
    bare = np.array([state[AXES.index("occlusion_bin")] == BARE for state in states])
    covered = faces["covered"].to_numpy().astype(bool)
    return np.where(covered[:, None] & bare[None, :], float(moments.min_faces), costs)


def _least_cost_path(costs: NDArray[np.float64], change: float) -> list[int]:
    """The state of each row with the least sum of costs and changes; the first of equals."""
    n, states = costs.shape
    came_from = np.zeros((n, states), dtype=np.int64)
    total = costs[0].copy()
    for row in range(1, n):
        best = int(np.argmin(np.round(total, 9)))
        moved = total[best] + change < total - 1e-9
        came_from[row] = np.where(moved, best, np.arange(states))
        total = np.where(moved, total[best] + change, total) + costs[row]
    path = [int(np.argmin(np.round(total, 9)))]
    for row in range(n - 1, 0, -1):
        path.append(int(came_from[row, path[-1]]))
    return path[::-1]


def voted_bins(faces: pl.DataFrame, moments: MomentSettings, buckets: BucketSettings) -> list[Bins]:
    """The bins that each face of a stretch is counted under.

    Args:
        faces: of one track in time order, at least one, with the columns of `AXES`, yaw, pitch, and
            whether each is `covered`.
        moments: how much a change needs.
        buckets: edges of the pose's bins.
    """
    states = sorted(set(faces.select(AXES).iter_rows()))
    # An island of m faces costs m where it is overruled, and two changes where it is not.
    change = (moments.min_faces - 0.5) / 2
    path = _least_cost_path(_costs(faces, states, moments, buckets), change)
    covered = faces["covered"].to_list()
    return [states[state] for state in _without_short_ends(path, covered, moments.min_faces)]


def _without_short_ends(path: list[int], covered: list[bool], min_faces: int) -> list[int]:
    """A run of fewer faces at an end, which only one change sets apart, joins the run beside it.

    But one with a covered face: that is no noise.
    """
    for _ in range(2):
        path, covered = path[::-1], covered[::-1]
        first = next((i for i, state in enumerate(path) if state != path[0]), len(path))
        if first < min(min_faces, len(path)) and not any(covered[:first]):
            path = [path[first]] * first + path[first:]
    return path


class _Face(NamedTuple):
    """What is looked at of a face to find moments."""

    face_id: str
    timestamp_ms: float
    own: Bins
    voted: Bins
    fit: bool
    worth: float
    accepted: bool


def _faces_of(
    track: pl.DataFrame, moments: MomentSettings, buckets: BucketSettings
) -> Iterator[_Face]:
    """The faces of one track in time order, with the bins that they are counted under.

    The track is cut where none is seen for longer than a moment may last: across such a gap no face
    says anything of another.
    """
    gap = (pl.col("timestamp_ms").diff() > moments.span_s * 1000).fill_null(True)
    for _, part in track.with_columns(part=gap.cum_sum()).group_by("part", maintain_order=True):
        voted = voted_bins(part, moments, buckets)
        own = list(part.select(AXES).iter_rows())
        known = part.select(
            "face_id", "timestamp_ms", "fit", "worth", "accepted", "corrected"
        ).iter_rows()
        for (face_id, at, fit, worth, accepted, sure), bins, counted in zip(
            known, own, voted, strict=True
        ):
            # What a human says of a face is no noise, whatever is seen beside it.
            yield _Face(face_id, at, bins, bins if sure else counted, fit, worth, accepted)


def _runs(faces: Iterable[_Face], span_ms: float) -> Iterator[list[_Face]]:
    """The moments of one track in time order."""
    run: list[_Face] = []
    for face in faces:
        late = bool(run) and face.timestamp_ms - run[0].timestamp_ms > span_ms
        second = face.accepted and any(other.accepted for other in run)
        if run and (late or second or face.voted != run[0].voted):
            yield run
            run = []
        run.append(face)
    if run:
        yield run


def _shown(run: Sequence[_Face]) -> Bins:
    """The bins that a moment shows: as voted, or those of most of its faces if none has these.

    Those of a face that a human accepted come before. That no face has the bins as voted happens
    where a long run is cut by the clock. A moment shows what one of its faces shows.
    """
    accepted = next((face.own for face in run if face.accepted), None)
    if accepted is not None:
        return accepted
    own = [face.own for face in run]
    counts = Counter(own)
    voted = run[0].voted
    return voted if voted in counts else max(own, key=lambda bins: (counts[bins], -own.index(bins)))


def find_moments(
    faces: pl.DataFrame,
    moments: MomentSettings,
    buckets: BucketSettings,
    selection: SelectionSettings,
    decided: DecidedPictures = NOTHING,
    rejected_within_s: float = 0.0,
) -> pl.DataFrame:
    """The table `moments`.

    A face that a human rejected, or so near to one that it is the same picture, comes last in its
    moment and is not shortlisted. One that a human accepted stands for its moment and is; of two of
    a moment each has its own.

    Args:
        faces: the riders' usable faces in any order: face_id, frame_idx, person_id, track_id,
            timestamp_ms, the columns of `face_quality` after `gates.regate`, of `face_landmarks`
            and `face_buckets`, the scores, `crop_reason`, and `bonus` of their highlight.
        moments: what a moment is, and how many are looked at more closely.
        buckets: edges of the pose's bins.
        selection: what an anchor and a covered face are.
        decided: what humans decided on these pictures.
        rejected_within_s: how far in time a picture is the same as a rejected one.
    """
    accepted = is_accepted(decided)
    free = ~is_barred(decided, rejected_within_s)
    ordered = faces.sort("person_id", "track_id", "timestamp_ms", "face_id").with_columns(
        fit=(pl.col("loose") | accepted) & pl.col("crop_reason").is_null() & free,
        accepted=accepted & pl.col("crop_reason").is_null(),
        corrected=pl.col("measured_bins").is_not_null(),
        covered=pl.col("occlusion").fill_null(0.0) >= selection.covered_from,
        worth=(pl.col("picture_score").fill_null(0.0) + pl.col("bonus").fill_null(0.0)).round(6),
    )
    fit = pl.col("fit").sum().over("person_id")
    ordered = ordered.with_columns(most=(fit * moments.share).floor().clip(moments.least))
    rows: list[dict[str, Any]] = []
    number = 0
    for _, track in ordered.group_by("track_id", maintain_order=True):
        for run in _runs(_faces_of(track, moments, buckets), moments.span_s * 1000):
            rows.extend(_rows_of(number, run))
            number += 1
    told = pl.DataFrame(rows, schema=_TOLD)
    joined = ordered.join(told, on="face_id", how="left", maintain_order="left")
    chosen = shortlist(joined.filter("representative"), moments, selection)
    chosen |= set(joined.filter("representative", "accepted")["face_id"])
    listed = pl.when("representative").then(pl.col("face_id").is_in(sorted(chosen)))
    return (
        joined.with_columns(shortlisted=listed)
        .select(TABLES["moments"].keys())
        .sort("frame_idx", "face_id")
    )


_TOLD: Final = {
    "face_id": pl.String,
    "moment_id": pl.Int64,
    "representative_face_id": pl.String,
    "representative": pl.Boolean,
    "rank": pl.Int64,
}


def _rows_of(number: int, run: Sequence[_Face]) -> Iterator[dict[str, Any]]:
    """What the table says of the faces of one moment."""
    bins = _shown(run)
    ranked = sorted(
        (face for face in run if face.own == bins),
        key=lambda face: (not face.fit, not face.accepted, -face.worth, face.face_id),
    )
    ranks = {face.face_id: rank for rank, face in enumerate(ranked, start=1)}
    best = ranked[0].face_id
    for face in run:
        yield {
            "face_id": face.face_id,
            "moment_id": number,
            "representative_face_id": best,
            "representative": face.face_id == best,
            "rank": ranks.get(face.face_id),
        }


def shortlist(
    representatives: pl.DataFrame, moments: MomentSettings, selection: SelectionSettings
) -> set[str]:
    """The representatives that may become images: the best few for each place in a set.

    Places are the buckets of each rider, the kinds of challenge in turn, and the anchors; pairs
    need no vision embedding. The faces of one place are apart in time: what is a moment later is
    often the same picture. Each place may choose among `moments.rounds` times what it at
    least wants. Where that is more than a rider's share, all places give way alike.

    Args:
        representatives: with the columns that `find_moments` takes, `fit`, `worth`, and `most`, how
            many of their rider may be chosen.
        moments: how many.
        selection: what an anchor and a covered face are, and what the sets want.
    """
    fit = representatives.filter("fit").with_columns(
        kind=challenge_kind(selection), anchor=anchor_eligible(selection)
    )
    bucket = fit.filter(_is_plain(selection) & pl.col("bucket_key").is_not_null())
    anchors = fit.filter("anchor").with_columns(
        worth=(pl.col("portrait_score").fill_null(0.0) + pl.col("bonus").fill_null(0.0)).round(6)
    )
    apart, anchors_apart = selection.min_gap_s * 1000, selection.anchor_gap_s * 1000
    # A ride of one kind alone is to have enough of it.
    of_kind = max(selection.challenge_min, selection.challenge_max // 2)
    kinds = _kinds_in_turn(fit, of_kind, apart)
    places = (
        (bucket, ("person_id", "bucket_key"), 1, apart),
        # As many as may be: the coverage, which is chosen before, takes some extreme poses.
        (kinds, ("person_id",), selection.challenge_max, 0.0),
        (anchors, ("person_id",), selection.anchor_min, anchors_apart),
    )
    turns: dict[str, float] = {}
    for faces, groups, wanted, gap in places:
        for face_id, turn in _best(faces, groups, moments.rounds * wanted, gap):
            turns[face_id] = min(turn / wanted, turns.get(face_id, turn / wanted))
    return _within_share(fit, turns, apart)


def _kinds_in_turn(faces: pl.DataFrame, most: int, apart_ms: float) -> pl.DataFrame:
    """The best challenges, at most so many of a kind: the best of each kind, then the seconds."""
    hard = faces.filter(pl.col("kind").is_not_null())
    turns = dict(_best(hard, ("person_id", "kind"), most, apart_ms))
    # A whole turn counts for more than any score and bonus.
    return _with_turn(hard, turns).with_columns(worth=pl.col("worth") - 10 * pl.col("turn"))


def _is_plain(selection: SelectionSettings) -> pl.Expr:
    """Whether pose and expression can be shown by a face: in plain light, and not covered."""
    hidden = pl.col("occlusion").fill_null(0.0) >= selection.covered_from
    covered = hidden | (pl.col("score_view").fill_null(1.0) < MARRED)
    return ~pl.col("lighting_bin").is_in(["dark", "overexposed"]) & ~covered


def _best(
    faces: pl.DataFrame, groups: Sequence[str], limit: int, apart_ms: float
) -> Iterator[tuple[str, int]]:
    """The `limit` worthiest faces of each group, the earlier of equals, apart in time.

    Yields:
        The face, and which of them it is, from 1.
    """
    ordered = faces.sort(["worth", "timestamp_ms", "face_id"], descending=[True, False, False])
    for _, group in ordered.group_by(groups, maintain_order=True):
        times: list[float] = []
        for face_id, at in group.select("face_id", "timestamp_ms").iter_rows():
            if len(times) < limit and all(abs(at - other) >= apart_ms for other in times):
                times.append(at)
                yield face_id, len(times)


def _with_turn(faces: pl.DataFrame, turns: Mapping[str, float]) -> pl.DataFrame:
    """Those faces that have a turn, with it."""
    columns = {"face_id": list(turns), "turn": list(turns.values())}
    known = pl.DataFrame(columns, schema={"face_id": pl.String, "turn": pl.Float64})
    return faces.join(known, on="face_id", how="inner", maintain_order="left")


def _within_share(faces: pl.DataFrame, turns: Mapping[str, float], apart_ms: float) -> set[str]:
    """The faces whose turn comes first, as many of each rider as may be chosen.

    Of two that are too near in time for both to be exported the later one has to wait until all
    others are served.
    """
    ordered = _with_turn(faces, turns).sort(
        ["turn", "worth", "face_id"], descending=[False, True, False]
    )
    chosen: set[str] = set()
    for _, rows in ordered.group_by("person_id", maintain_order=True):
        times: list[float] = []
        served: list[str] = []
        waiting: list[str] = []
        for face_id, at in rows.select("face_id", "timestamp_ms").iter_rows():
            near = any(abs(at - other) < apart_ms for other in times)
            (waiting if near else served).append(face_id)
            times += [] if near else [at]
        chosen |= set([*served, *waiting][: int(rows["most"][0])])
    return chosen
