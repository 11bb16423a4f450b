"""Which sections of a track are somebody else's, though the track was joined over them.

A track runs over scene cuts and long gaps only because fragments on both sides looked alike enough
to be stitched. By then more is known: what all faces of a section have in common, and how much they
agree among themselves. Two sections are two people's where their means are less alike than
`tracking.part_cos` asks of one person, and their faces agree less across than within either by
`tracking.part_margin`. The second test is what bad light needs: faces in a tunnel or behind hands
are unlike the same person's others, and also unlike each other.

What belongs here: the judgement on vectors. What does not: frames, cuts and tracks (`tracking`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from identity_pipeline.core.vectors import Matrix, mean_direction
from identity_pipeline.settings import TrackingSettings

DECIMALS = 6
"""Cosines that agree so far are the same: the order of sums in a product must not decide."""


class Section(NamedTuple):
    """A stretch of a track between two cuts or long gaps.

    Attributes:
        vectors: (N, D) unit vectors of its usable faces; N may be 0.
        solid: whether they are enough to tell a person by.
    """

    vectors: Matrix
    solid: bool


def people_of(sections: Sequence[Section], settings: TrackingSettings) -> list[int]:
    """Which person each section shows, counted from 0 in the order of first appearance.

    Solid sections are put together, the most alike first, as long as they are not two people's. A
    section that is not solid goes with the group that it is most like; without any vector, with
    the section before it, and the first with the next that has any.

    Args:
        sections: of one track, in time order.
        settings: thresholds.
    """
    groups = _groups(sections, settings)
    if len(groups) < 2:
        return [0] * len(sections)
    owner = _owners(groups, sections)
    told = [owner[min(owner)]]
    for number in range(len(sections)):
        told.append(owner.get(number, told[-1]))
    rank = {group: n for n, group in enumerate(dict.fromkeys(told[1:]))}
    return [rank[group] for group in told[1:]]


def _groups(sections: Sequence[Section], settings: TrackingSettings) -> list[list[int]]:
    """The solid sections by person."""
    groups = [[number] for number, section in enumerate(sections) if section.solid]
    while (best := _closest(groups, sections, settings)) is not None:
        groups[best[0]] += groups.pop(best[1])
    return groups


def _owners(groups: Sequence[Sequence[int]], sections: Sequence[Section]) -> dict[int, int]:
    """The group of each section that has a vector."""
    owner = {number: group for group, members in enumerate(groups) for number in members}
    means = np.stack([mean_direction(_vectors(group, sections)) for group in groups])
    for number, section in enumerate(sections):
        if number not in owner and len(section.vectors):
            cosines = np.round(means @ mean_direction(section.vectors), DECIMALS)
            owner[number] = int(np.argmax(cosines))
    return owner


def _vectors(group: Sequence[int], sections: Sequence[Section]) -> Matrix:
    return np.concatenate([sections[number].vectors for number in sorted(group)])


def _closest(
    groups: Sequence[Sequence[int]], sections: Sequence[Section], settings: TrackingSettings
) -> tuple[int, int] | None:
    """The two most alike groups that may be one person's; None where there are none."""
    vectors = [_vectors(group, sections) for group in groups]
    best: tuple[float, int, int] | None = None
    for i in range(len(groups)):
        for j in range(i + 1, len(groups)):
            cosine = round(float(mean_direction(vectors[i]) @ mean_direction(vectors[j])), DECIMALS)
            higher = best is None or cosine > best[0]
            if higher and not are_two_people(vectors[i], vectors[j], settings):
                best = (cosine, i, j)
    return best and best[1:]


def are_two_people(a: Matrix, b: Matrix, settings: TrackingSettings) -> bool:
    """Whether two sections' usable faces, of two at least each, show that they are two people.

    Args:
        a: (N, D) unit vectors.
        b: (M, D) unit vectors.
        settings: `part_cos` and `part_margin`.
    """
    cosine = float(mean_direction(a) @ mean_direction(b))
    across = float((a @ b.T).mean())
    within = min(_agreement(a), _agreement(b))
    return cosine < settings.part_cos and within - across > settings.part_margin


def _agreement(vectors: Matrix) -> float:
    """Mean cosine of two different ones of (N, D) unit vectors, N >= 2."""
    n = len(vectors)
    total = float(np.square(vectors.sum(axis=0, dtype=np.float64)).sum())
    return (total - n) / (n * (n - 1))
