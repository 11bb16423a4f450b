"""Pieces of bytes, many at once, found in other bytes at whatever place they begin.

What belongs here: which pieces of a picture or vector are worth looking for, and finding thousands
of them in one pass. What does not: where the bytes come from (`stages.privacy.scanning`), and
names, which are too short for this (`core.privacy.spelling`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

LENGTH: Final = 32
"""Bytes of a piece: eight float32 numbers or ten pixels. Two pictures or vectors that were not made
of the same face never agree in so many (chosen: 8 x 23 bits of mantissa)."""
DISTINCT: Final = 10
"""Different values among the bytes of a piece, at least (chosen): a black border or a flat sky is
the same in everybody's picture, and is no piece of anybody."""
STEPS: Final = 10
"""Different differences between bytes of a piece that lie three apart, a pixel and the next one, at
least: a smooth slope of the dark is drawn alike in the pictures of strangers. Chosen: of seven
real clips and eight drawn rides none holds a piece of another; with `DISTINCT` alone four did."""
PLACES: Final = 24
"""Places of one blob at which a piece is tried (chosen)."""
BITS: Final = 22
"""Of the filter's table: 4 MiB, which stays in a processor's cache."""
MULTIPLIER: Final = np.uint32(2654435761)
"""Knuth's multiplicative hash of 32 bits (The Art of Computer Programming 3, 6.4)."""


def pieces(blob: bytes, count: int) -> list[bytes]:
    """Pieces of a blob by which it is known again, even where only a part of it is left.

    Args:
        blob: a vector's bytes, or a picture's.
        count: pieces wanted; fewer where the blob is short or has few that are its own.

    Returns:
        Pieces of `LENGTH` bytes from all over the blob, no two overlapping.
    """
    room = len(blob) - LENGTH
    if room < 0:
        return []
    places = dict.fromkeys(np.linspace(0, room, PLACES + 2)[1:-1].round().astype(int).tolist())
    apart: list[bytes] = []
    free = 0
    for place in places:
        piece = blob[place : place + LENGTH]
        if place >= free and _is_own(piece):
            apart.append(piece)
            free = place + LENGTH
    if not apart:
        return []
    chosen = np.linspace(0, len(apart) - 1, min(count, len(apart))).round().astype(int)
    return [apart[i] for i in dict.fromkeys(chosen.tolist())]


def _is_own(piece: bytes) -> bool:
    """Whether it is nobody else's; its first bytes too, by which it is looked for first."""
    steps = {(after - before) % 256 for before, after in zip(piece, piece[3:], strict=False)}
    return len(set(piece)) >= DISTINCT and len(steps) >= STEPS and len(set(piece[:4])) >= 3


class Needles:
    """Pieces, prepared to be looked for together.

    A table says for a hash of four bytes whether any piece begins so; only the places that pass
    are compared, first by eight bytes, then by all.
    """

    def __init__(self, needles: Sequence[bytes]) -> None:
        """Prepares pieces of `LENGTH` bytes each.

        Raises:
            ValueError: one is of another length.
        """
        if any(len(needle) != LENGTH for needle in needles):
            raise ValueError(f"a piece has {LENGTH} bytes")
        self.known: dict[bytes, list[int]] = {}
        for number, needle in enumerate(needles):
            self.known.setdefault(needle, []).append(number)
        heads = np.frombuffer(b"".join(n[:8] for n in self.known), dtype="<u8")
        self.heads = np.unique(heads)
        self.table = np.zeros(1 << BITS, dtype=bool)
        self.table[_hash((self.heads & 0xFFFFFFFF).astype(np.uint32))] = True

    def find(self, data: bytes) -> list[tuple[int, int]]:
        """(place, number of the piece) of each piece in some bytes, sorted by place.

        Time is proportional to the bytes, whatever the number of pieces.
        """
        if not self.known or len(data) < LENGTH:
            return []
        found: list[tuple[int, int]] = []
        for places in self._likely(data):
            for place in places.tolist():
                numbers = self.known.get(data[place : place + LENGTH], ())
                found += [(place, number) for number in numbers]
        return sorted(found)

    def _likely(self, data: bytes) -> Iterable[NDArray[np.int64]]:
        """Places at which eight bytes are those of a piece."""
        last = len(data) - LENGTH
        view = np.frombuffer(data, dtype=np.uint8)
        for shift in range(4):
            words = np.frombuffer(data, "<u4", (len(data) - shift) // 4, shift)
            places = np.flatnonzero(self.table[_hash(words)]) * 4 + shift
            places = places[places <= last]
            if not len(places):
                continue
            eight = view[places[:, None] + np.arange(8)].copy().view("<u8").ravel()
            at = np.minimum(np.searchsorted(self.heads, eight), len(self.heads) - 1)
            yield places[self.heads[at] == eight]


def _hash(words: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Of 32 bits the highest `BITS` after a multiplication that mixes them."""
    return (words * MULTIPLIER) >> np.uint32(32 - BITS)


def same_direction(
    rows: NDArray[np.floating], wanted: NDArray[np.float32], least: float
) -> NDArray[np.int64]:
    """Which rows point where a wanted vector does, in whatever precision they were written.

    Args:
        rows: (N, D), of any length.
        wanted: (P, D) unit vectors.
        least: cosine from which two are taken for one vector.

    Returns:
        For each row that is one, the number of the wanted vector, else -1; (N,).
    """
    values = np.nan_to_num(np.asarray(rows, dtype=np.float32), posinf=0.0, neginf=0.0)
    norms = np.linalg.norm(values, axis=1, keepdims=True)
    unit = np.divide(values, norms, out=np.zeros_like(values), where=norms > 0)
    cosines = unit @ wanted.T
    best = cosines.argmax(axis=1)
    alike = cosines[np.arange(len(best)), best] >= least
    return np.where(alike, best, -1)
