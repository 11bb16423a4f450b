"""Looks of one person between rides: with glasses and without, hair up and down.

What belongs here: which rides of a person show them alike. What does not: how pictures of several
looks are chosen (`core.datasets.selection`).

Nothing names what changed. A ride is compared with another in the vision space, each of its faces
with the nearest of the other ride, and with the nearest of its own that is not of the same moment.
Two rides show two looks where faces find much less of their like in the other ride than in their
own. That is blind to how diverse a ride is, and needs no threshold on a cosine of an encoder.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from identity_pipeline.core.vectors import to_matrix

LEAST: Final = 3
"""Faces that a ride needs to be compared; one with fewer is counted to the ride it resembles most.
Chosen: the median of two is either."""
APART_MS: Final = 2000.0
"""Faces of one ride that are nearer in time tell nothing of how alike its faces are; chosen."""


def looks_of(pool: pl.DataFrame, margin: float) -> dict[str, str]:
    """The look of each ride and photo set: `look_1` is that of most faces, then `look_2`, ...

    Sources are joined as long as no two of a group differ by more than the margin (complete
    linkage), the most alike first.

    Args:
        pool: faces of one person: `source_id`, `timestamp_ms`, `e_vis_face`.
        margin: by how much the median cosine to the nearest face of the other source may be lower
            than to the nearest of the own.

    Returns:
        Look by source; empty where fewer than two sources can be compared.
    """
    parts = pool.sort("source_id", "timestamp_ms", "face_id").partition_by(
        "source_id", as_dict=True, maintain_order=True
    )
    faces = {str(name): rows for (name,), rows in parts.items()}
    told = [name for name, rows in faces.items() if rows.height >= LEAST]
    if len(told) < 2:
        return {}
    vectors = {name: to_matrix(rows["e_vis_face"]) for name, rows in faces.items()}
    groups = _grouped(told, _drops(told, faces, vectors), margin)
    for name in sorted(faces.keys() - set(told)):
        own = vectors[name]
        _, nearest = max((_across(own, vectors[other]), other) for other in told)
        next(group for group in groups if nearest in group).append(name)
    return _named(groups, faces)


def _named(groups: list[list[str]], faces: Mapping[str, pl.DataFrame]) -> dict[str, str]:
    """The look of each source; the first is that of most faces."""
    groups.sort(key=lambda group: (-sum(faces[name].height for name in group), sorted(group)))
    return {name: f"look_{n}" for n, group in enumerate(groups, 1) for name in sorted(group)}


def _drops(
    names: list[str],
    faces: Mapping[str, pl.DataFrame],
    vectors: Mapping[str, NDArray[np.float32]],
) -> dict[tuple[str, str], float]:
    """By how much less alike faces are to those of another source than to their own."""
    own = {name: _within(vectors[name], faces[name]["timestamp_ms"].to_numpy()) for name in names}
    return {
        pair: max(own[a] - _across(vectors[a], vectors[b]) for a, b in (pair, pair[::-1]))
        for pair in combinations(names, 2)
    }


def _within(vectors: NDArray[np.float32], times: NDArray[np.float64]) -> float:
    """The median cosine of faces to the nearest one of the same source that is apart in time."""
    cosines = vectors @ vectors.T
    apart = np.abs(times[:, None] - times) >= APART_MS
    nearest = np.where(apart, cosines, -1.0).max(axis=1)
    known = nearest[apart.any(axis=1)]
    return float(np.median(known)) if len(known) else 1.0


def _across(vectors: NDArray[np.float32], others: NDArray[np.float32]) -> float:
    return float(np.median((vectors @ others.T).max(axis=1)))


def _grouped(
    names: list[str], drops: Mapping[tuple[str, str], float], margin: float
) -> list[list[str]]:
    """Complete linkage: the two groups whose farthest members are nearest are joined first."""
    groups = [[name] for name in names]

    def farthest(pair: tuple[int, int]) -> float:
        left, right = (groups[n] for n in pair)
        return round(max(drops[min(a, b), max(a, b)] for a in left for b in right), 6)

    while len(groups) > 1:
        pair = min(combinations(range(len(groups)), 2), key=lambda p: (farthest(p), p))
        if farthest(pair) > margin:
            break
        groups[pair[0]] += groups.pop(pair[1])
    return groups
