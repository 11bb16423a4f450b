"""A person's memory bank: a few looks, each learnt from many faces, and how near a face is to them.

The rules are momentbank's, with three faults mended: the first node is never evicted, wherever it
stands; every face of sufficient quality has an outcome, so that none between the two cosines is
dropped; and an overflow merges until the bank fits.

What belongs here: how a bank learns, and what it says of a face. What does not: whose faces may
teach it (`stages.library.banks`). Only faces that surely are the person may: a bank does not
decide who somebody is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from identity_pipeline.core.vectors import Matrix, check_unit, mean_direction, normalise
from identity_pipeline.settings import BankSettings

Vector = NDArray[np.float32]
Outcome = Literal["opened", "joined", "taught_nearest", "too_poor", "poor_and_far"]


@dataclass(frozen=True, eq=False)
class BankNode:
    """One look of the person.

    Attributes:
        vector: (D,) unit.
        count: faces that taught it.
        anchor: it is never evicted; the first one is.
    """

    vector: Vector
    count: int
    anchor: bool


@dataclass(frozen=True)
class Bank:
    """The nodes, in the order they were opened."""

    nodes: tuple[BankNode, ...] = ()

    @cached_property
    def vectors(self) -> Matrix:
        """(K, D) unit vectors of the nodes."""
        return np.stack([node.vector for node in self.nodes])

    def nearest(self, vectors: NDArray[np.floating]) -> NDArray[np.float32]:
        """The largest cosine of each of (N, D) unit vectors to a node: its stability, (N,).

        Raises:
            ValueError: the bank is empty.
            NotUnitNormError: a vector is not of unit length.
        """
        if not self.nodes:
            raise ValueError("nothing is near to an empty bank")
        return (check_unit(vectors, "e_id") @ self.vectors.T).max(axis=1)


@dataclass(frozen=True)
class Confirmed:
    """The faces of a track that a human gave to a person, in the order of time.

    Attributes:
        vectors: (N, D) unit.
        quality: (N,) in [0, 1].
    """

    vectors: NDArray[np.floating]
    quality: NDArray[np.floating]


def bank_of(tracks: Iterable[Confirmed], settings: BankSettings, stable_min: float) -> Bank:
    """What is known of a person: learnt from confirmed tracks, one after the other.

    A track may hold a face that its embedding does not know, covered or blown: only those teach
    that are as near to their track's mean as a stable face is to its prototype.

    Args:
        tracks: of one person, in an order that does not change.
        settings: thresholds.
        stable_min: cosine to the track's mean from which a face is surely the track's.
    """
    bank = Bank()
    for track in tracks:
        vectors = check_unit(track.vectors, "e_id")
        if not len(vectors):
            continue
        surely = vectors @ mean_direction(vectors) >= stable_min
        for vector, quality in zip(vectors[surely], track.quality[surely], strict=True):
            bank, _ = update(bank, vector, float(quality), settings)
    return bank


def update(
    bank: Bank, vector: NDArray[np.floating], quality: float, settings: BankSettings
) -> tuple[Bank, Outcome]:
    """The bank after seeing a face, and what became of it.

    `too_poor`: below the quality that may change a node. `joined`: at or above `merge_cos` to the
    nearest node, which moves towards it. `opened`: farther, and good enough for a node of its own.
    `taught_nearest`: not that good, but at or above `far_cos`. `poor_and_far`: neither.

    Args:
        bank: before.
        vector: (D,) unit embedding of a face that surely is the person.
        quality: of the face, in [0, 1].
        settings: thresholds.
    """
    unit = check_unit(np.asarray(vector)[None], "e_id")[0]
    cosines = [float(node.vector @ unit) for node in bank.nodes]
    outcome = _outcome(max(cosines, default=None), quality, settings)
    nodes = list(bank.nodes)
    if outcome == "opened":
        nodes.append(BankNode(unit, 1, not nodes))
    elif outcome in ("joined", "taught_nearest"):
        nearest = int(np.argmax(cosines))
        nodes[nearest] = _moved(nodes[nearest], unit, settings.rate)
    else:
        return bank, outcome
    return Bank(tuple(_fitting(nodes, settings))), outcome


def _outcome(closeness: float | None, quality: float, settings: BankSettings) -> Outcome:
    """What becomes of a face; `closeness` is null while the bank is empty."""
    if quality < settings.quality_update:
        return "too_poor"
    if closeness is not None and closeness >= settings.merge_cos:
        return "joined"
    if quality >= settings.quality_new:
        return "opened"
    if closeness is not None and closeness >= settings.far_cos:
        return "taught_nearest"
    return "poor_and_far"


def _moved(node: BankNode, unit: Vector, rate: float) -> BankNode:
    moved = normalise(((1 - rate) * node.vector + rate * unit)[None])[0]
    return replace(node, vector=moved, count=node.count + 1)


def _fitting(nodes: list[BankNode], settings: BankSettings) -> list[BankNode]:
    """Merges the closest nodes until the bank fits; what is not close is evicted instead.

    Evicted is the node that the fewest faces taught, the older one of equals, never an anchor.
    """
    while len(nodes) > settings.nodes_max:
        i, j, closeness = _closest(nodes)
        loose = [node for node in nodes if not node.anchor]
        if closeness >= settings.close_cos or not loose:
            nodes = [*nodes[:i], _merged(nodes[i], nodes[j]), *nodes[i + 1 : j], *nodes[j + 1 :]]
        else:
            weakest = min(loose, key=lambda node: node.count)
            nodes = [node for node in nodes if node is not weakest]
    return nodes


def _closest(nodes: list[BankNode]) -> tuple[int, int, float]:
    vectors = np.stack([node.vector for node in nodes])
    cosines = np.round((vectors @ vectors.T).astype(np.float64), 9)
    cosines[np.tril_indices(len(nodes))] = -np.inf
    i, j = divmod(int(np.argmax(cosines)), len(nodes))
    return i, j, float(cosines[i, j])


def _merged(one: BankNode, other: BankNode) -> BankNode:
    """Both as one; two nodes that merge are close, or none but anchors is left."""
    together = one.count * one.vector.astype(np.float64) + other.count * other.vector
    count, anchor = one.count + other.count, one.anchor or other.anchor
    return BankNode(normalise(together[None])[0], count, anchor)
