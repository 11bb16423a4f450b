"""How somebody's tracks fall apart by look: what a split would make of them.

The tracks are grouped by average linkage into two, three and four parts; tracks that share a frame
are never in one. How well a grouping describes them is its mean silhouette (Rousseeuw 1987), with
1 - cosine for the distance: 1 where every track is much nearer to its own part than to the next
one, 0 where it makes no difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from identity_pipeline.core.clustering.agglomeration import agglomerate
from identity_pipeline.core.clustering.constraints import Pair, constraints_of
from identity_pipeline.core.clustering.neighbours import find_links
from identity_pipeline.core.vectors import Matrix, check_unit

FEWEST: Final = 2
MOST: Final = 4
"""Parts that are proposed, unless shared frames ask for more; chosen: what one looks through."""
GROUPED: Final = 600
"""So many tracks are grouped, spread over all of them; each other one joins the nearest part that
it may be in. Chosen: below a second."""


@dataclass(frozen=True)
class Part:
    """One part of a proposal.

    Attributes:
        tracks: the least typical first, so that what does not belong is seen at once.
        inside: mean cosine of its pairs of tracks; null for one track.
        across: mean cosine to the tracks of the part that is nearest.
    """

    tracks: tuple[str, ...]
    inside: float | None
    across: float


@dataclass(frozen=True)
class Proposal:
    """One way to split.

    Attributes:
        parts: the largest first, which is the one that stays.
        silhouette: mean over all tracks, in [-1, 1].
    """

    parts: tuple[Part, ...]
    silhouette: float


def propose_splits(
    tracks: Sequence[str], vectors: NDArray[np.floating], apart: Iterable[Pair] = ()
) -> list[Proposal]:
    """Ways to split, the one that describes the tracks best first.

    Args:
        tracks: keys, each once; they decide ties.
        vectors: (N, D) unit vectors of one space.
        apart: pairs of tracks that are two people: they share a frame, or humans said so.

    Returns:
        None for fewer than two tracks. Where shared frames ask for more than `MOST` parts: the one
        with so many.

    Raises:
        NotUnitNormError: a vector is not of unit length.
    """
    if len(tracks) < FEWEST:
        return []
    order = sorted(range(len(tracks)), key=tracks.__getitem__)
    keys, matrix = [tracks[i] for i in order], check_unit(vectors, "template")[order]
    pairs = [(min(pair), max(pair)) for pair in apart]
    found = {
        int(labels.max()) + 1: labels
        for labels in _groupings(keys, matrix, pairs)
        if labels.max() >= FEWEST - 1
    }
    cosines = (matrix @ matrix.T).astype(np.float64)
    told = [_proposal(keys, cosines, labels) for labels in found.values()]
    return sorted(told, key=lambda way: (-round(way.silhouette, 6), len(way.parts)))


def _groupings(keys: list[str], matrix: Matrix, apart: list[Pair]) -> list[NDArray[np.int64]]:
    """Groups of `MOST` parts, then of fewer, each made of those before."""
    several = np.unique(np.linspace(0, len(keys) - 1, min(len(keys), GROUPED)).astype(np.int64))
    chosen = [keys[i] for i in several]
    links = find_links(matrix[several], -1.0)
    together: list[Pair] = []
    found = []
    for fewest in range(MOST, FEWEST - 1, -1):
        constraints = constraints_of(chosen, together, apart)
        labels = agglomerate(matrix[several], links, constraints, None, fewest=fewest)
        together = [
            pair
            for group in range(int(labels.max()) + 1)
            for pair in pairwise(chosen[i] for i in np.flatnonzero(labels == group))
        ]
        found.append(_with_others(keys, matrix, several, labels, apart))
    return found


def _with_others(
    keys: list[str],
    matrix: Matrix,
    several: NDArray[np.int64],
    labels: NDArray[np.int64],
    apart: list[Pair],
) -> NDArray[np.int64]:
    """The groups of all tracks; one that may be in none of them begins another."""
    full = np.full(len(keys), -1, dtype=np.int64)
    full[several] = labels
    place = {key: i for i, key in enumerate(keys)}
    foes: dict[int, set[int]] = {}
    for one, other in apart:
        if one in place and other in place:
            foes.setdefault(place[one], set()).add(place[other])
            foes.setdefault(place[other], set()).add(place[one])
    for i in np.flatnonzero(full < 0).tolist():
        groups = int(full.max()) + 1
        taken = {int(full[j]) for j in foes.get(i, ())}
        near = [
            float((matrix[several[labels == g]] @ matrix[i]).mean()) if g not in taken else -np.inf
            for g in range(int(labels.max()) + 1)
        ]
        best = int(np.argmax(near))
        full[i] = best if near[best] > -np.inf else groups
    return full


def _proposal(keys: list[str], cosines: NDArray[np.float64], labels: NDArray[np.int64]) -> Proposal:
    count = int(labels.max()) + 1
    member = (labels[:, None] == np.arange(count)).astype(np.float64)
    sizes = member.sum(axis=0)
    sums = cosines @ member  # (N, parts): of each track to each part, itself among its own
    rows = np.arange(len(keys))
    own_others = sizes[labels] - 1
    own = (sums[rows, labels] - np.diag(cosines)) / np.maximum(own_others, 1)
    means = sums / sizes
    means[rows, labels] = -np.inf
    next_best = means.max(axis=1)
    near, far = 1 - own, 1 - next_best
    spread = np.maximum(np.maximum(near, far), 1e-12)
    # By its definition 0 for a part of one track.
    silhouette = np.where(own_others > 0, (far - near) / spread, 0.0)
    parts = [_part(keys, labels == part, own, sums, member, part) for part in range(count)]
    parts.sort(key=lambda part: (-len(part.tracks), min(part.tracks)))
    return Proposal(tuple(parts), float(silhouette.mean()))


def _part(
    keys: list[str],
    mine: NDArray[np.bool_],
    own: NDArray[np.float64],
    sums: NDArray[np.float64],
    member: NDArray[np.float64],
    part: int,
) -> Part:
    rows = np.flatnonzero(mine)
    others = [
        float(sums[rows, other].sum() / (len(rows) * member[:, other].sum()))
        for other in range(member.shape[1])
        if other != part
    ]
    ordered = sorted(rows.tolist(), key=lambda i: (round(float(own[i]), 6), keys[i]))
    inside = float(own[rows].mean()) if len(rows) > 1 else None
    return Part(tuple(keys[i] for i in ordered), inside, max(others))
