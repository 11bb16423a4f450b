"""What a merge of two people brings together: how alike their tracks are, and what forbids it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from identity_pipeline.core.clustering.constraints import Pair
from identity_pipeline.core.vectors import check_unit

BLOCK: Final = 4096
"""Tracks that are compared at once, with all of the other person; chosen: 10,000 take 160 MB."""


@dataclass(frozen=True)
class AlikePair:
    """A track of each person, and their cosine."""

    one: str
    other: str
    cosine: float


@dataclass(frozen=True)
class Resemblance:
    """How alike the tracks of two people are.

    Attributes:
        pairs: of a track of the one with a track of the other.
        mean: cosine over all of them.
        best, worst: the most and the least alike; of equals the first by key.
        below: how many pairs lie below the cosine from which two tracks may be one person.
    """

    pairs: int
    mean: float
    best: AlikePair
    worst: AlikePair
    below: int


def resemblance(
    one: Mapping[str, NDArray[np.floating]],
    other: Mapping[str, NDArray[np.floating]],
    exclude: float,
) -> Resemblance | None:
    """Compares all tracks of two people.

    Args:
        one: unit vectors (D,) by track, of one space.
        other: those of the other person.
        exclude: cosine, see `core.matching.thresholds`.

    Returns:
        Null where one of them has no vector.

    Raises:
        NotUnitNormError: a vector is not of unit length.
    """
    if not one or not other:
        return None
    left, right = sorted(one), sorted(other)
    theirs = _matrix(other, right)
    total, below = 0.0, 0
    best, worst = [], []
    for start in range(0, len(left), BLOCK):
        keys = left[start : start + BLOCK]
        cosines = _matrix(one, keys) @ theirs.T
        total += float(cosines.sum(dtype=np.float64))
        below += int((cosines < exclude).sum())
        best.append(_at(cosines, int(cosines.argmax()), keys, right))
        worst.append(_at(cosines, int(cosines.argmin()), keys, right))
    count = len(left) * len(right)
    top = max(best, key=lambda pair: pair.cosine)
    return Resemblance(count, total / count, top, min(worst, key=lambda p: p.cosine), below)


def _matrix(vectors: Mapping[str, NDArray[np.floating]], keys: Sequence[str]) -> NDArray:
    return check_unit(np.stack([vectors[key] for key in keys]), "template")


def _at(
    cosines: NDArray[np.float32], place: int, left: Sequence[str], right: Sequence[str]
) -> AlikePair:
    row, column = divmod(place, len(right))
    return AlikePair(left[row], right[column], float(cosines[row, column]))


@dataclass(frozen=True)
class Conflict:
    """Why two people cannot be one.

    Attributes:
        kind: `one_frame`: two tracks are seen at the same moment; `rejected`: a human said that the
            track is not the other person; `split`: a human split the two tracks apart.
        tracks: which; of a rejection one.
    """

    kind: Literal["one_frame", "rejected", "split"]
    tracks: tuple[str, ...]


def conflicts(
    one: tuple[str, Collection[str]],
    other: tuple[str, Collection[str]],
    seen_together: Iterable[Pair],
    rejected: Collection[Pair],
    apart: Iterable[Pair],
) -> list[Conflict]:
    """Everything that stands between two people.

    Args:
        one: id of a person, and their tracks.
        other: those of the other person.
        seen_together: pairs of tracks with a face in one frame.
        rejected: (track, person) that must never come together.
        apart: pairs of tracks that must never be one person.
    """
    found = [
        Conflict("one_frame", pair) for pair in sorted(_between(one[1], other[1], seen_together))
    ]
    for (_, tracks), (whom, _) in ((one, other), (other, one)):
        found += [Conflict("rejected", (key,)) for key in sorted(tracks) if (key, whom) in rejected]
    found += [Conflict("split", pair) for pair in sorted(_between(one[1], other[1], apart))]
    return found


def _between(one: Collection[str], other: Collection[str], pairs: Iterable[Pair]) -> set[Pair]:
    """The pairs with a track of each, that of the first person first."""
    ones, others = set(one), set(other)
    both = ((a, b) for pair in pairs for a, b in (pair, pair[::-1]))
    return {(a, b) for a, b in both if a in ones and b in others}
