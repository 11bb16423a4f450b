"""The keys of many videos in one table by key, into which those of new videos are merged.

Sorting all of them anew for each new ride would cost as much as everything else of it together.

What belongs here: holding keys. What does not: what they are (`copies.keys_of`), which pairs they
lead to (`copies.candidate_pairs`), or where they lie (`storage.video.copy_keys`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Keys(NamedTuple):
    """What pairs are found by: some parts of hashes and when they are seen.

    Attributes:
        key: (n,) `uint64`, ascending, each once.
        time_ms: (n,) when it is first seen.
    """

    key: NDArray[np.uint64]
    time_ms: NDArray[np.float32]


@dataclass(frozen=True)
class KeyTable:
    """Keys of V videos.

    Attributes:
        versions: what the keys of each video were made of, by its id; in the order of `video`.
        key: (n,) ascending.
        video: (n,) from 0, whose it is.
        time_ms: (n,) when it is first seen there.
    """

    versions: Mapping[str, str]
    key: NDArray[np.uint64]
    video: NDArray[np.int32]
    time_ms: NDArray[np.float32]

    @classmethod
    def of(cls, videos: Mapping[str, tuple[str, Keys]]) -> KeyTable:
        """Of the keys of some videos, with what they were made of."""
        keys = [held for _, held in videos.values()]
        key = np.concatenate([np.empty(0, np.uint64), *(held.key for held in keys)])
        time_ms = np.concatenate([np.empty(0, np.float32), *(held.time_ms for held in keys)])
        video = np.repeat(np.arange(len(keys), dtype=np.int32), [len(held.key) for held in keys])
        order = np.argsort(key, kind="stable")
        versions = {video_id: version for video_id, (version, _) in videos.items()}
        return cls(versions, key[order], video[order], time_ms[order])

    def kept(self, versions: Mapping[str, str]) -> KeyTable:
        """Without videos that are not among these, or are of another version; itself with all."""
        stay = [versions.get(video) == version for video, version in self.versions.items()]
        if all(stay):
            return self
        number = np.cumsum(stay, dtype=np.int32) - 1
        rows = np.array(stay)[self.video]
        left = {v: version for (v, version), kept in zip(self.versions.items(), stay, strict=True)
                if kept}  # fmt: skip
        return KeyTable(left, self.key[rows], number[self.video[rows]], self.time_ms[rows])

    def merged(self, other: KeyTable) -> KeyTable:
        """With the keys of other videos."""
        if not other.versions:
            return self
        at = np.searchsorted(self.key, other.key)
        number = (other.video + len(self.versions)).astype(np.int32)
        return KeyTable(
            {**self.versions, **other.versions},
            np.insert(self.key, at, other.key),
            np.insert(self.video, at, number),
            np.insert(self.time_ms, at, other.time_ms),
        )

    def in_order(self) -> KeyTable:
        """With the videos numbered in the order of their ids."""
        videos = list(self.versions)
        order = np.array(sorted(range(len(videos)), key=videos.__getitem__), dtype=np.int32)
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order), dtype=np.int32)
        return replace(
            self,
            versions={videos[i]: self.versions[videos[i]] for i in order.tolist()},
            video=rank[self.video],
        )
