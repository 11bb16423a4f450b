"""Identity-aware tracks: contaminated tracklets split, fragments stitched, false joins parted.

Works offline on finished tracklets (short-term, boxes only, from `models.tracklets`) and on the
recognition embeddings of some of their faces. Two tracks that share a frame are two people and
are never joined, whatever their embeddings say.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from identity_pipeline.core.tracks.joining import JoinablePairs
from identity_pipeline.core.tracks.parting import Section, people_of
from identity_pipeline.core.vectors import check_unit, mean_direction, to_matrix
from identity_pipeline.settings import TrackingSettings


@dataclass
class Fragment:
    """A run of faces taken for one person.

    `rows` index the face table; `usable` are the embeddings of faces that passed the loose gate,
    `witnesses` those of the others. The template is the mean of the usable ones, of the witnesses
    only where there is nothing better. `parted_cos` is the cosine to the nearest of those that it
    was parted from.
    """

    rows: list[int]
    frames: set[int]
    usable: list[int] = field(default_factory=list)
    witnesses: list[int] = field(default_factory=list)
    split: bool = False
    weakest_join: float | None = None
    parted_cos: float | None = None

    @property
    def evidence(self) -> list[int]:
        """Rows of the embeddings that make the template."""
        return self.usable or self.witnesses


def build_tracks(
    detections: pl.DataFrame,
    embeddings: pl.DataFrame,
    settings: TrackingSettings,
    cuts: Collection[int] = (),
) -> pl.DataFrame:
    """The table `face_tracks` of one video.

    Args:
        detections: table `face_detections`; the order of its rows does not matter.
        embeddings: table `face_embeddings`, of one space.
        settings: thresholds.
        cuts: frames with which a new scene begins.

    Returns:
        One row per face. Track ids count from 0 in the order of first appearance, then from left
        to right.
    """
    faces = detections.join(
        embeddings.select("face_id", "because", "e_id"), on="face_id", how="left"
    ).sort("frame_idx", "face_id")
    vectors = _vectors_by_row(faces)
    usable = {
        i for i, because in enumerate(faces["because"].to_list()) if because == "usable"
    } & vectors.keys()
    fragments: list[Fragment] = []
    for rows in _rows_of_tracklets(faces):
        fragments.extend(
            split_tracklet(rows, faces["frame_idx"].to_list(), vectors, usable, settings)
        )
    clock = Clock(faces, cuts)
    tracks = [
        part
        for track in stitch(fragments, vectors, settings)
        for part in part_track(track, clock, vectors, settings)
    ]
    return _track_table(faces, tracks, vectors)


def _vectors_by_row(faces: pl.DataFrame) -> dict[int, NDArray[np.float32]]:
    rows = [i for i, v in enumerate(faces["e_id"].is_not_null().to_list()) if v]
    matrix = check_unit(to_matrix(faces["e_id"].drop_nulls()), "e_id") if rows else []
    return dict(zip(rows, matrix, strict=True))


def _rows_of_tracklets(faces: pl.DataFrame) -> list[list[int]]:
    """Rows of each tracklet, in time order; a face without a tracklet is one of its own."""
    groups: dict[int, list[int]] = {}
    loners: list[list[int]] = []
    for row, tracklet in enumerate(faces["tracklet_id"].to_list()):
        if tracklet is None:
            loners.append([row])
        else:
            groups.setdefault(tracklet, []).append(row)
    return sorted([*groups.values(), *loners])


def split_tracklet(
    rows: list[int],
    frame_of: list[int],
    vectors: dict[int, NDArray[np.float32]],
    usable: set[int],
    settings: TrackingSettings,
) -> list[Fragment]:
    """Cuts a tracklet where its identity changes.

    Two tests. A segment: the mean of some stretch of faces is farther than `split_cos` from the
    mean of the rest (a swap hides in the overall mean when it lasts). A run: at least `split_run`
    successive embedded faces stay below `split_cos` of the overall mean. Both recurse. Cuts fall
    half-way between two embedded faces.
    """
    bounds = [0, *_cuts(rows, vectors, settings), len(rows)]
    parts = [rows[a:b] for a, b in pairwise(bounds)]
    return [
        Fragment(
            rows=part,
            frames={frame_of[r] for r in part},
            usable=[r for r in part if r in usable],
            witnesses=[r for r in part if r in vectors and r not in usable],
            split=len(parts) > 1,
        )
        for part in parts
    ]


def _cuts(
    rows: list[int], vectors: dict[int, NDArray[np.float32]], settings: TrackingSettings
) -> list[int]:
    """Places in the rows before which a new identity starts, ascending."""
    embedded = [r for r in rows if r in vectors]
    if not embedded:
        return []
    sequence = np.stack([vectors[r] for r in embedded])
    starts = identity_changes(sequence, settings.split_cos, settings.split_run)
    # A change at the k-th embedded face cuts the tracklet after the faces nearer to the one before.
    return [(rows.index(embedded[k - 1]) + rows.index(embedded[k])) // 2 + 1 for k in starts]


def identity_changes(sequence: NDArray[np.floating], split_cos: float, run: int) -> list[int]:
    """Indices in a time-ordered sequence of unit vectors (N, D) where a new identity starts."""
    return sorted(_changes(sequence, 0, split_cos, run))


def _changes(sequence: NDArray[np.floating], offset: int, split_cos: float, run: int) -> set[int]:
    segment = _foreign_segment(sequence, split_cos, run)
    cuts = set(segment) if segment else _run_bounds(sequence, split_cos, run)
    cuts -= {0, len(sequence)}
    if not cuts:
        return set()
    bounds = [0, *sorted(cuts), len(sequence)]
    found = {offset + c for c in cuts}
    for a, b in pairwise(bounds):
        found |= _changes(sequence[a:b], offset + a, split_cos, run)
    return found


MAX_BOUNDS = 1000
"""A longer sequence is only cut at every n-th face: the test below is quadratic in the bounds."""


def _foreign_segment(
    sequence: NDArray[np.floating], split_cos: float, run: int
) -> tuple[int, int] | None:
    """The segment whose mean is least like the mean of the rest, if below `split_cos`.

    A segment at either end is a swap for good, one in the middle a swap for a while. Both sides
    hold at least `run` faces.

    Returns:
        Its first face, and the first face after it.
    """
    n = len(sequence)
    if n < 2 * run:
        return None
    step = -(-n // MAX_BOUNDS)
    at = np.unique(np.append(np.arange(0, n, step), n))
    sums = np.vstack([np.zeros(sequence.shape[1]), np.cumsum(sequence, axis=0, dtype=np.float64)])
    sums = sums[at]
    gram = sums @ sums.T
    square = np.diag(gram)
    inside = square[:, None] + square[None, :] - 2 * gram  # |sum of the segment|^2
    with_all = gram[:, -1][None, :] - gram[:, -1][:, None]  # segment . total
    outside = square[-1] - 2 * with_all + inside
    lengths = at[None, :] - at[:, None]
    allowed = (lengths >= run) & (n - lengths >= run)
    norms = np.sqrt(np.clip(inside, 1e-12, None) * np.clip(outside, 1e-12, None))
    cosines = np.where(allowed, (with_all - inside) / norms, 1.0)
    start, end = np.unravel_index(int(np.argmin(np.round(cosines, 9))), cosines.shape)
    if cosines[start, end] >= split_cos:
        return None
    return int(at[start]), int(at[end])


def _run_bounds(sequence: NDArray[np.floating], split_cos: float, run: int) -> set[int]:
    """Starts and ends of runs of at least `run` faces below `split_cos` of the overall mean."""
    if len(sequence) <= run:
        return set()
    low = sequence @ mean_direction(sequence) < split_cos
    edges = np.flatnonzero(np.diff(np.concatenate([[False], low, [False]]).astype(int)))
    bounds: set[int] = set()
    for start, end in edges.reshape(-1, 2):
        if end - start >= run and end - start < len(sequence):
            bounds |= {int(start), int(end)}
    return bounds - {0, len(sequence)}


def stitch(
    fragments: list[Fragment], vectors: dict[int, NDArray[np.float32]], settings: TrackingSettings
) -> list[Fragment]:
    """Joins fragments of one person, best pair first, until no pair may be joined.

    A pair may be joined when it shares no frame and its templates' cosine is at least
    `stitch_cos`, or at least `stitch_cos_with_margin` with a lead of `stitch_margin` over the
    runner-up of both. Fragments without any embedding stay alone.
    """
    known = [f for f in fragments if f.evidence]
    silent = [f for f in fragments if not f.evidence]
    if not known:
        return silent
    templates = np.stack([_template(f, vectors) for f in known])
    pairs = JoinablePairs(templates, [f.frames for f in known], settings)
    while (best := pairs.best()) is not None:
        i, j, cosine = best
        known[i] = _join(known[i], known[j], cosine)
        pairs.join(i, j, _template(known[i], vectors))
    return [*(known[i] for i in pairs.left()), *silent]


class Clock:
    """When the faces of a table are seen, and in which scene."""

    def __init__(self, faces: pl.DataFrame, cuts: Collection[int]) -> None:
        """Takes frame_idx and timestamp_ms of each row, and the frames that begin a scene."""
        self._frames = faces["frame_idx"].to_list()
        self._ms: list[float] = faces["timestamp_ms"].to_list()
        self._scenes = np.searchsorted(np.array(sorted(cuts)), self._frames, side="right").tolist()

    def sections(self, rows: Sequence[int], gap_s: float) -> list[list[int]]:
        """Rows in time order, cut at scene cuts and where more than `gap_s` lies between two."""
        sections = [[rows[0]]]
        for before, row in pairwise(rows):
            if self._scenes[row] != self._scenes[before] or self.span_s(before, row) > gap_s:
                sections.append([])
            sections[-1].append(row)
        return sections

    def span_s(self, first: int, last: int) -> float:
        """Time from one row to another."""
        return (self._ms[last] - self._ms[first]) / 1000

    def frames(self, rows: Sequence[int]) -> set[int]:
        """Frames of some rows."""
        return {self._frames[row] for row in rows}


def part_track(
    track: Fragment,
    clock: Clock,
    vectors: dict[int, NDArray[np.float32]],
    settings: TrackingSettings,
) -> list[Fragment]:
    """The track, or the people that it turns out to be: see `parting`.

    A section is told by its usable faces, of which there are `split_run` at least, the first and
    the last `part_span_s` apart.
    """
    sections = clock.sections(sorted(track.rows), settings.part_gap_s)
    if len(sections) < 2:
        return [track]
    usable = [sorted(set(track.usable) & set(section)) for section in sections]
    people = people_of([_section(known, clock, vectors, settings) for known in usable], settings)
    rows_of: dict[int, list[int]] = {}
    for section, person in zip(sections, people, strict=True):
        rows_of.setdefault(person, []).extend(section)
    if len(rows_of) == 1:
        return [track]
    parts = [_part_of(track, own, clock) for own in rows_of.values()]
    means = np.stack([_template(part, vectors) for part in parts])
    cosines = means @ means.T - 3.0 * np.eye(len(parts), dtype=np.float32)  # never to itself
    return [
        replace(part, parted_cos=float(highest))
        for part, highest in zip(parts, cosines.max(axis=1), strict=True)
    ]


def _section(
    usable: Sequence[int],
    clock: Clock,
    vectors: dict[int, NDArray[np.float32]],
    settings: TrackingSettings,
) -> Section:
    if not usable:
        return Section(np.zeros((0, 1), np.float32), solid=False)
    long = clock.span_s(usable[0], usable[-1]) >= settings.part_span_s
    solid = long and len(usable) >= settings.split_run
    return Section(np.stack([vectors[row] for row in usable]), solid)


def _part_of(track: Fragment, rows: list[int], clock: Clock) -> Fragment:
    own = set(rows)
    return replace(
        track,
        rows=rows,
        frames=clock.frames(rows),
        usable=[row for row in track.usable if row in own],
        witnesses=[row for row in track.witnesses if row in own],
    )


def _template(fragment: Fragment, vectors: dict[int, NDArray[np.float32]]) -> NDArray[np.float32]:
    return mean_direction(np.stack([vectors[r] for r in sorted(fragment.evidence)]))


def _join(a: Fragment, b: Fragment, cosine: float) -> Fragment:
    joins = [v for v in (a.weakest_join, b.weakest_join, cosine) if v is not None]
    return Fragment(
        rows=sorted(a.rows + b.rows),
        frames=a.frames | b.frames,
        usable=a.usable + b.usable,
        witnesses=a.witnesses + b.witnesses,
        split=a.split or b.split,
        weakest_join=min(joins),
    )


def _track_table(
    faces: pl.DataFrame, tracks: list[Fragment], vectors: dict[int, NDArray[np.float32]]
) -> pl.DataFrame:
    ordered = sorted(tracks, key=lambda track: min(track.rows))
    track_of: dict[int, int] = {}
    cos_of: dict[int, float] = {}
    for track_id, track in enumerate(ordered):
        template = _template(track, vectors) if track.evidence else None
        for row in track.rows:
            track_of[row] = track_id
            if template is not None and row in vectors:
                cos_of[row] = float(vectors[row] @ template)
    rows = range(faces.height)
    of_tracks = pl.DataFrame(
        [(n, t.weakest_join, t.split, t.parted_cos) for n, t in enumerate(ordered)],
        schema={
            "track_id": pl.Int64,
            "stitch_cos": pl.Float32,
            "split": pl.Boolean,
            "parted_cos": pl.Float32,
        },
        orient="row",
    )
    return (
        faces.select("face_id", "frame_idx", "tracklet_id")
        .with_columns(
            track_id=pl.Series([track_of[r] for r in rows], dtype=pl.Int64),
            track_cos=pl.Series([cos_of.get(r) for r in rows], dtype=pl.Float32),
        )
        .join(of_tracks, on="track_id", how="left", maintain_order="left")
    )
