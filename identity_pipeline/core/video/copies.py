"""Which videos are copies of one ride, from the hashes of their frames over time.

A copy shows the same frames at the same distances: rescaled, encoded anew, in another container,
with another frame rate, cut at an end, or mapped from HDR. Two rides on one track show the same
scenery, but other riders, and the same scenery a little earlier or later.

What belongs here: hashes of frames, finding pairs without comparing all with all, judging a pair,
and grouping. What does not: where hashes come from (`stages.library.copies`), or what becomes of a
copy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from identity_pipeline.core.video.key_table import Keys, KeyTable
from identity_pipeline.settings import CopySettings

ROWS: Final = 9
COLUMNS: Final = 16
BITS: Final = (ROWS - 1) * COLUMNS
FLAT_STD: Final = 1.0
"""A thumbnail with a smaller standard deviation (black or blown) has no hash."""
BANDS: Final = 4
KEYS: Final = 256
"""Keys kept of a video: the smallest, so that a copy keeps the same ones."""
COMMON_TO: Final = 32
"""A key of more videos than this is of the scenery, and leads to no pair."""
VOTES: Final = 3
"""So many keys must say the same shift in time."""
STEP_MS: Final = 100.0
SHIFTS: Final = 1 << 20
"""More than there are steps in the longest videos, forth and back."""
OFFSETS_TRIED: Final = 8
NEAR_MS: Final = 60.0
"""Frames at most this far apart, after the shift, are compared."""


def frame_hash(thumbnail: NDArray[np.uint8]) -> bytes | None:
    """A hash of what a frame shows, which survives scaling, encoding and tone mapping.

    The signs of the vertical differences of 16 x 9 mean values, and which of them are at least the
    median: only those are compared, for the sign of a small one is noise.

    Args:
        thumbnail: (18, 32) luma.

    Returns:
        2 * `BITS` bits as bytes; None for a flat frame, of which nothing can be said.
    """
    if thumbnail.std() < FLAT_STD:
        return None
    cells = thumbnail.astype(np.float64).reshape(ROWS, 2, COLUMNS, 2).mean(axis=(1, 3))
    steps = np.diff(cells, axis=0).ravel()
    large = np.abs(steps) >= max(float(np.median(np.abs(steps))), 0.5)
    return np.packbits(steps > 0).tobytes() + np.packbits(large).tobytes()


class Look(NamedTuple):
    """The hashed frames of a video in the order of time.

    Attributes:
        time_ms: (n,) since its first sampled frame.
        signs: (n, 2) `uint64`.
        large: (n, 2) `uint64`, where a sign counts.
    """

    time_ms: NDArray[np.float64]
    signs: NDArray[np.uint64]
    large: NDArray[np.uint64]

    @property
    def duration_ms(self) -> float:
        """From the first hashed frame to the last."""
        return float(self.time_ms[-1] - self.time_ms[0]) if len(self.time_ms) else 0.0


def look_of(time_ms: Sequence[float], hashes: Sequence[bytes | None]) -> Look:
    """The frames of a video that have a hash.

    Args:
        time_ms: of each sampled frame, ascending.
        hashes: by `frame_hash`.
    """
    kept = [i for i, known in enumerate(hashes) if known is not None]
    data = b"".join(known for known in hashes if known is not None)
    words = np.frombuffer(data, dtype=np.uint64).reshape(len(kept), 4)
    times = np.asarray(time_ms, np.float64)
    return Look(times[kept] - (times[0] if len(times) else 0.0), words[:, :2], words[:, 2:])


def keys_of(look: Look) -> Keys:
    """Up to `KEYS` parts of a video's hashes, chosen by their values alone.

    A part is a quarter of the signs: that many agree exactly in some frames of a copy.
    """
    parts = look.signs.view(np.uint32).reshape(-1, BANDS)
    numbered = parts.astype(np.uint64) | (np.arange(BANDS, dtype=np.uint64) << np.uint64(32))
    mixed = _mixed(numbered.ravel())
    times = np.repeat(look.time_ms, BANDS)
    key, first = np.unique(mixed, return_index=True)
    return Keys(key[:KEYS], times[first][:KEYS].astype(np.float32))


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of splitmix64: the smallest of the results are a fair choice of values."""
    with np.errstate(over="ignore"):
        z = values + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


class Candidate(NamedTuple):
    """Two videos that may be copies.

    Attributes:
        left, right: their ids, left < right.
        offsets_ms: what to add to the time of `right`, the most likely first.
    """

    left: str
    right: str
    offsets_ms: tuple[float, ...]


def candidate_pairs(keys: KeyTable) -> list[Candidate]:
    """Pairs of videos that share keys which few videos have, at one shift in time.

    The work grows with the number of keys, not with the number of pairs of videos.
    """
    keys = keys.in_order()
    videos = list(keys.versions)
    starts, sizes = _shared(keys.key)
    parts = []
    for size in np.unique(sizes[sizes <= COMMON_TO]).tolist():
        at = starts[sizes == size][:, None] + np.arange(size)
        at = np.take_along_axis(at, np.argsort(keys.video[at], axis=1), axis=1)
        video = keys.video[at].astype(np.int64)
        step = np.round(keys.time_ms[at] / STEP_MS).astype(np.int64)
        i, j = np.triu_indices(size, 1)
        pair = video[:, i] * len(videos) + video[:, j]
        parts.append((pair * SHIFTS + step[:, i] - step[:, j] + SHIFTS // 2).ravel())
    if not parts:
        return []
    said, votes = np.unique(np.concatenate(parts), return_counts=True)
    pair, shift = said // SHIFTS, said % SHIFTS - SHIFTS // 2
    # Times are rounded: what is meant by one shift may be said by two.
    nearby = np.r_[np.where(np.diff(said) == 1, votes[1:], 0), 0]
    first = np.flatnonzero(np.r_[True, pair[1:] != pair[:-1]])
    best = np.maximum.reduceat(votes + nearby, first)
    ends = np.r_[first[1:], len(pair)]
    found = []
    for start, end in zip(first[best >= VOTES].tolist(), ends[best >= VOTES].tolist(), strict=True):
        by_votes = np.lexsort((np.abs(shift[start:end]), -votes[start:end]))[:OFFSETS_TRIED]
        offsets = (STEP_MS * float(shift[start + k]) for k in by_votes.tolist())
        left, right = divmod(int(pair[start]), len(videos))
        shifts = tuple(dict.fromkeys((*offsets, 0.0)))
        found.append(Candidate(videos[left], videos[right], shifts))
    return found


def _shared(key: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where each key that is there more than once begins among ascending ones, and how often."""
    again = np.flatnonzero(key[1:] == key[:-1])
    first = np.flatnonzero(np.diff(again, prepend=-2) > 1)
    return again[first], np.diff(np.r_[first, len(again)]) + 1


class Likeness(NamedTuple):
    """How alike two videos are at the best shift.

    Attributes:
        share: of the signs that are large in both, those that agree, over all frames in common.
        offset_ms: to be added to the time of the second video.
        common_ms: how long they show something at the same time.
    """

    share: float
    offset_ms: float
    common_ms: float


def likeness(one: Look, other: Look, offsets_ms: Sequence[float]) -> Likeness:
    """How alike two videos are, at the best of some shifts and near them."""
    tried = [_aligned(one, other, offset) for offset in offsets_ms]
    best = max(tried, key=_rank, default=Likeness(0.0, 0.0, 0.0))
    finer = (best.offset_ms + step for step in (-66.0, -33.0, 33.0, 66.0))
    return max([best, *(_aligned(one, other, offset) for offset in finer)], key=_rank)


def _rank(found: Likeness) -> tuple[float, float]:
    """A shift at which hardly anything is in common is no good one, however alike that is."""
    return (found.share if found.common_ms >= 1000 else 0.0, found.common_ms)


def _aligned(one: Look, other: Look, offset_ms: float) -> Likeness:
    mine, near = nearest(one, other, offset_ms)
    if not len(mine):
        return Likeness(0.0, offset_ms, 0.0)
    counts = one.large[near] & other.large[mine]
    agree = ~(one.signs[near] ^ other.signs[mine]) & counts
    total = int(np.bitwise_count(counts).sum())
    share = int(np.bitwise_count(agree).sum()) / total if total else 0.0
    return Likeness(share, offset_ms, float(other.time_ms[mine[-1]] - other.time_ms[mine[0]]))


def nearest(
    one: Look, other: Look, offset_ms: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Frames of two videos at the same time: places in the second, and in the first.

    Args:
        one: looked for.
        other: whose frames are gone through.
        offset_ms: added to the times of `other`, gives those of `one`.
    """
    if not len(one.time_ms) or not len(other.time_ms):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    shifted = other.time_ms + offset_ms
    after = np.searchsorted(one.time_ms, shifted).clip(0, len(one.time_ms) - 1)
    before = (after - 1).clip(0)
    nearer = np.abs(one.time_ms[before] - shifted) <= np.abs(one.time_ms[after] - shifted)
    near = np.where(nearer, before, after)
    mine = np.flatnonzero(np.abs(one.time_ms[near] - shifted) <= NEAR_MS)
    return mine, near[mine]


def are_copies(found: Likeness, one: Look, other: Look, settings: CopySettings) -> bool:
    """Whether two videos show one ride: alike enough, long enough, and most of the shorter one."""
    shorter = min(one.duration_ms, other.duration_ms)
    return (
        found.share >= settings.likeness_min
        and found.common_ms >= settings.common_min_s * 1000
        and found.common_ms >= settings.common_share * shorter
    )


@dataclass(frozen=True)
class Link:
    """Two videos that show one ride; see `Likeness`."""

    left: str
    right: str
    found: Likeness


class Size(NamedTuple):
    """What a group's representative is chosen by.

    Attributes:
        has_riders: whether it gives the library anything.
        pixels: of a frame.
        duration_ms: of its sampled frames.
    """

    has_riders: bool
    pixels: int
    duration_ms: float


def representatives(links: Sequence[Link], sizes: Mapping[str, Size]) -> dict[str, str]:
    """The representative of each video that has one other than itself.

    Videos that are linked, also by way of others, are one group. The one with riders stands for it,
    with the most pixels, then the longest, then the first by id.

    Args:
        links: between videos.
        sizes: of every linked video.
    """
    parent: dict[str, str] = {}

    def root(video: str) -> str:
        while parent.setdefault(video, video) != video:
            video = parent[video]
        return video

    for link in links:
        one, other = sorted((root(link.left), root(link.right)))
        parent[other] = one
    groups: dict[str, list[str]] = {}
    for video in sorted(parent):
        groups.setdefault(root(video), []).append(video)
    result: dict[str, str] = {}
    for members in groups.values():
        best = min(members, key=lambda v: _order(v, sizes[v]))
        result |= {video: best for video in members if video != best}
    return dict(sorted(result.items()))


def _order(video: str, size: Size) -> tuple[bool, int, float, str]:
    return not size.has_riders, -size.pixels, -size.duration_ms, video
