"""Pairs of which it is known whether they are one person: what calibration is made of.

Without any label: two faces of one track more than a second apart are one person (`genuine`), two
tracks that share a frame are two (`impostor`). What labels and other videos add is in
`core.matching.cross_pairs`.

Three levels, for a threshold must fit what it is compared with: `face` (face to face), `probe`
(one face to a template), `template` (template to template, whose cosines are the highest).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from itertools import combinations
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from identity_pipeline.core.matching.templates import (
    VideoTables,
    by_track,
    track_key,
    usable_faces,
    weighted_direction,
)
from identity_pipeline.core.vectors import Matrix, check_unit, to_matrix
from identity_pipeline.settings import MatchSettings
from identity_pipeline.tables import TABLES

LEVELS: Final = ("face", "probe", "template")
PAIRS: Final = TABLES["calibration_pairs"]
SAMPLES: Final = TABLES["face_samples"]
BLOCK: Final = 512
Scores = NDArray[np.floating]


class _Track:
    """The usable faces of one rider's track, in time order."""

    def __init__(self, key: str, faces: pl.DataFrame, settings: MatchSettings) -> None:
        self.key = key
        self.vectors = check_unit(to_matrix(faces["e_id"]), "e_id")
        self.quality = faces["quality_score"].cast(pl.Float64).to_numpy()
        self.seconds = faces["timestamp_ms"].to_numpy() / 1000.0
        self.frames = set(faces["frame_idx"].to_list())
        self._settings = settings

    def template(self, rows: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
        chosen = np.arange(len(self.vectors)) if rows is None else rows
        floor = self._settings.template_weight_floor
        return weighted_direction(self.vectors[chosen], self.quality[chosen], floor)

    def halves(self) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
        """Rows before and after the middle, farther apart in time than the gap; None if too few."""
        half_gap = self._settings.genuine_gap_s / 2
        middle = self.seconds[len(self.seconds) // 2]
        early = np.flatnonzero(self.seconds < middle - half_gap)
        late = np.flatnonzero(self.seconds > middle + half_gap)
        enough = min(len(early), len(late)) >= self._settings.template_min_faces
        return (early, late) if enough else None


def video_pairs(video: VideoTables, settings: MatchSettings) -> pl.DataFrame:
    """The table `PAIRS` of one video, from its riders, without any label.

    Args:
        video: its tables.
        settings: the gap in time and how many pairs are taken.

    Raises:
        SpaceMismatchError: the embeddings are of more than one space.
    """
    faces = usable_faces(video).filter(pl.col("rider").is_not_null())
    if not faces.height:
        return pl.DataFrame(schema=PAIRS)
    seen: dict[int, set[int]] = {}
    for track, frame in video.tracks.select("track_id", "frame_idx").iter_rows():
        seen.setdefault(track, set()).add(frame)
    tracks = {
        track: _Track(track_key(video.video_id, track), group, settings)
        for track, group in by_track(faces)
        if group.height >= settings.template_min_faces
    }
    parts: list[pl.DataFrame] = []
    for own in tracks.values():
        unit, where = (own.key, own.key), (video.video_id, video.video_id)
        parts += [
            _table(level, "genuine", "track", unit, where, scores)
            for level, scores in _genuine(own, settings)
        ]
    for a, b in combinations(sorted(tracks), 2):
        if seen[a].isdisjoint(seen[b]):
            continue
        pair = f"{tracks[a].key}|{tracks[b].key}"
        unit, where = (pair, pair), (video.video_id, video.video_id)
        parts += [
            _table(level, "impostor", "same_frame", unit, where, scores)
            for level, scores in _impostor(tracks[a], tracks[b], settings.pairs_per_track)
        ]
    return _joined(parts, faces["space"][0])


def _genuine(track: _Track, settings: MatchSettings) -> Iterator[tuple[str, Scores]]:
    i, j = np.triu_indices(len(track.vectors), k=1)
    apart = track.seconds[j] - track.seconds[i] > settings.genuine_gap_s
    i, j = spread(i[apart], settings.pairs_per_track), spread(j[apart], settings.pairs_per_track)
    yield "face", cosines(track.vectors[i], track.vectors[j])
    halves = track.halves()
    if halves is None:
        return
    early, late = halves
    first, second = track.template(early), track.template(late)
    forth, back = track.vectors[early] @ second, track.vectors[late] @ first
    yield "probe", spread(np.concatenate([forth, back]), settings.pairs_per_track)
    yield "template", np.array([first @ second])


def _impostor(a: _Track, b: _Track, most: int) -> Iterator[tuple[str, Scores]]:
    yield "face", spread((a.vectors @ b.vectors.T).ravel(), most)
    to_a, to_b = b.vectors @ a.template(), a.vectors @ b.template()
    yield "probe", spread(np.concatenate([to_a, to_b]), most)
    yield "template", np.array([a.template() @ b.template()])


def sample_faces(video: VideoTables, settings: MatchSettings) -> pl.DataFrame:
    """Some usable faces of each rider's track, evenly spread in time: the table `SAMPLES`."""
    faces = usable_faces(video).filter(pl.col("rider").is_not_null())
    rows = [
        group[spread(np.arange(group.height), settings.samples_per_track).tolist()]
        for _, group in by_track(faces)
    ]
    if not rows:
        return pl.DataFrame(schema=SAMPLES)
    keys = pl.format("track:{}:{}", pl.lit(video.video_id), "track_id")
    return pl.concat(rows).select(
        track_key=keys, video_id=pl.lit(video.video_id), space="space", e_id="e_id"
    )


def _table(
    level: str,
    kind: str,
    source: str,
    units: tuple[str, str],
    videos: tuple[str, str],
    scores: Scores,
) -> pl.DataFrame:
    values = np.asarray(scores, dtype=np.float64)
    return pl.DataFrame({"score": values}).select(
        level=pl.lit(level),
        kind=pl.lit(kind),
        source=pl.lit(source),
        left=pl.lit(units[0]),
        right=pl.lit(units[1]),
        left_video=pl.lit(videos[0]),
        right_video=pl.lit(videos[1]),
        score="score",
    )


def _joined(parts: list[pl.DataFrame], space: str) -> pl.DataFrame:
    filled = [part for part in parts if part.height]
    if not filled:
        return pl.DataFrame(schema=PAIRS)
    return pl.concat(filled).select(pl.lit(space).alias("space"), pl.all())


def cosines(a: Matrix, b: Matrix) -> Scores:
    """Cosine of each row of (N, D) unit vectors with the same row of another, in float64."""
    scores = np.empty(len(a), dtype=np.float64)
    for start in range(0, len(a), BLOCK):
        part = slice(start, start + BLOCK)
        scores[part] = np.einsum("ij,ij->i", a[part].astype(np.float64), b[part].astype(np.float64))
    return scores


def spread(values: NDArray, most: int) -> NDArray:
    """At most so many rows of an array, evenly spread, always the same ones."""
    if len(values) <= most:
        return values
    return values[(np.arange(most) * len(values)) // most]


def sampled(keys: Iterable[str], most: int) -> list[str]:
    """At most so many of some keys, chosen by their hashes alone, sorted.

    One key more changes the sample only where it is chosen itself, and then by one: a library that
    grows by a ride keeps nearly always the sample that it was calibrated on.
    """
    every = list(dict.fromkeys(keys))
    if len(every) <= most:
        return sorted(every)
    digests = [hashlib.sha256(key.encode()).digest() for key in every]
    # By the first eight bytes all at once; the few that they leave open by all of them.
    head = np.frombuffer(b"".join(digests), dtype=">u8")[:: len(digests[0]) // 8]
    near = np.flatnonzero(head <= np.partition(head, most - 1)[most - 1]).tolist()
    return sorted(every[i] for i in sorted(near, key=digests.__getitem__)[:most])
