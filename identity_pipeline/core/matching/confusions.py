"""Whom a recogniser takes for each other: how near the known people come who are different people.

What belongs here: the closest pairs of people by their references, and how often pairs come so
near, by group of look. What does not: thresholds that follow from rates
(`core.matching.calibration`), or from the nearest other person (`core.matching.gallery.raised`).

Every recogniser has people whom it takes for each other, and more of them in groups that the data
it learned from showed seldom. A rate over all pairs hides that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from identity_pipeline.core.matching.gallery import Gallery


@dataclass(frozen=True)
class ClosePair:
    """Two people, and the two references of theirs that are nearest to each other.

    Attributes:
        people: their ids, ascending.
        tracks: track key of an exemplar of each.
        cosine: of the two.
    """

    people: tuple[str, str]
    tracks: tuple[str, str]
    cosine: float


def closest_pairs(gallery: Gallery) -> list[ClosePair]:
    """Every pair of known people by their nearest exemplars, the nearest pair first."""
    own, owner = gallery.exemplars
    found = []
    for person in range(len(gallery.people)):
        mine = own[owner == person]
        later = own[owner > person]
        if not len(mine) or not len(later):
            continue
        cosines = gallery.vectors[later] @ gallery.vectors[mine].T
        best, of_mine = cosines.max(axis=1), mine[cosines.argmax(axis=1)]
        others = gallery.owner[later]
        for other in np.unique(others).tolist():
            at = np.flatnonzero(others == other)
            place = at[int(np.argmax(best[at]))]
            found.append(
                ClosePair(
                    (gallery.people[person], gallery.people[other]),
                    (gallery.names[of_mine[place]], gallery.names[later[place]]),
                    float(best[place]),
                )
            )
    return sorted(found, key=lambda pair: (-pair.cosine, pair.people))


@dataclass(frozen=True)
class ImpostorCurve:
    """How near pairs of different people come, of one kind of pair.

    Attributes:
        kind: `all`; `within NAME`, both of one group of look; `across groups`.
        people: in such pairs.
        pairs: of people, each by its nearest exemplars.
        median, p95, largest: of their cosines.
        reach: share of the pairs at or above each threshold, by its name.
    """

    kind: str
    people: int
    pairs: int
    median: float
    p95: float
    largest: float
    reach: Mapping[str, float]


def impostor_curves(
    pairs: Sequence[ClosePair], group_of: Mapping[str, str], at: Mapping[str, float]
) -> list[ImpostorCurve]:
    """Curves of all pairs, of pairs within each group of look, and of pairs across groups.

    Args:
        pairs: of `closest_pairs`.
        group_of: group of a person by id, as far as somebody said.
        at: thresholds by name.
    """
    kinds: dict[str, list[ClosePair]] = {"all": list(pairs)}
    for pair in pairs:
        first, second = (group_of.get(person) for person in pair.people)
        if first is not None and second is not None:
            kind = f"within {first}" if first == second else "across groups"
            kinds.setdefault(kind, []).append(pair)
    order = sorted(kinds, key=lambda kind: (kind != "all", kind == "across groups", kind))
    return [_curve(kind, kinds[kind], at) for kind in order if kinds[kind]]


def _curve(kind: str, pairs: Sequence[ClosePair], at: Mapping[str, float]) -> ImpostorCurve:
    cosines = np.array([pair.cosine for pair in pairs])
    return ImpostorCurve(
        kind,
        len({person for pair in pairs for person in pair.people}),
        len(pairs),
        float(np.median(cosines)),
        float(np.quantile(cosines, 0.95)),
        float(cosines.max()),
        {name: float((cosines >= value).mean()) for name, value in at.items()},
    )
