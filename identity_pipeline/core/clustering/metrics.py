"""How good a grouping is against known people: B-cubed, pairwise, adjusted Rand.

Noise (a null label) is a group of its own for each item. Items whose true person is not known are
left out and counted. A figure that is not defined is null, never 0 or 1.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array


@dataclass(frozen=True)
class ClusterMetrics:
    """Figures of one grouping; all but the counts in [0, 1] (`ari` from -0.5), or None.

    Attributes:
        items: items with a known person.
        without_truth: items left out.
        people: true groups.
        groups: found groups, noise not counted.
        noise: items without a group.
        b3_precision: mean share of an item's group that is its person (Bagga & Baldwin 1998).
        b3_recall: mean share of an item's person that is in its group.
        b3_f: harmonic mean of the two.
        pair_precision: share of the grouped pairs that are one person; null without such a pair.
        pair_recall: share of one person's pairs that are grouped; null without such a pair.
        ari: adjusted Rand index.
    """

    items: int
    without_truth: int
    people: int
    groups: int
    noise: int
    b3_precision: float | None
    b3_recall: float | None
    b3_f: float | None
    pair_precision: float | None
    pair_recall: float | None
    ari: float | None


def cluster_metrics(
    found: Sequence[Hashable | None], truth: Sequence[Hashable | None]
) -> ClusterMetrics:
    """Compares found groups with true people; None is noise in the one, unknown in the other.

    Raises:
        ValueError: the two are of different length.
    """
    if len(found) != len(truth):
        raise ValueError(f"{len(found)} labels cannot be compared with {len(truth)} people.")
    known = [i for i, person in enumerate(truth) if person is not None]
    labels = [found[i] for i in known]
    people = _numbered([truth[i] for i in known])
    groups = _numbered(labels)
    noise = np.array([label is None for label in labels], dtype=bool)
    counts = (int(groups.max(initial=-1)) + 1, int(people.max(initial=-1)) + 1)
    figures = dict.fromkeys(("b3_precision", "b3_recall", "b3_f", "pair_precision", "pair_recall"))
    ari = None
    if known:
        figures = _figures(groups, people, counts)
        # Here and not at the top: scikit-learn takes seconds to load.
        from sklearn.metrics import adjusted_rand_score

        ari = float(adjusted_rand_score(people, groups))
    return ClusterMetrics(
        items=len(known),
        without_truth=len(truth) - len(known),
        people=counts[1],
        groups=counts[0] - int(noise.sum()),
        noise=int(noise.sum()),
        ari=ari,
        **figures,
    )


def _numbered(labels: Sequence[Hashable | None]) -> NDArray[np.int64]:
    """Labels as numbers from 0; every None is a number of its own."""
    number: dict[Hashable, int] = {}
    return np.array(
        [
            number.setdefault(("noise", i) if label is None else ("label", label), len(number))
            for i, label in enumerate(labels)
        ],
        dtype=np.int64,
    )


def _figures(
    groups: NDArray[np.int64], people: NDArray[np.int64], shape: tuple[int, int]
) -> dict[str, float | None]:
    table = coo_array((np.ones(len(groups)), (groups, people)), shape=shape).tocsr().tocoo()
    shared = table.data.astype(np.float64)
    in_group, of_person = (np.bincount(x).astype(np.float64) for x in (groups, people))
    precision = float((shared**2 / in_group[table.row]).sum() / len(groups))
    recall = float((shared**2 / of_person[table.col]).sum() / len(groups))
    right = _pairs(shared)
    return {
        "b3_precision": precision,
        "b3_recall": recall,
        "b3_f": 2 * precision * recall / (precision + recall),
        "pair_precision": _share(right, _pairs(in_group)),
        "pair_recall": _share(right, _pairs(of_person)),
    }


def _pairs(sizes: NDArray[np.float64]) -> float:
    return float((sizes * (sizes - 1) / 2).sum())


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None
