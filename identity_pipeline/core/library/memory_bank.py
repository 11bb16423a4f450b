"""A person's memory bank: a few looks, each learnt from many faces.

The bank is momentbank's, with three faults mended: anchors carry a flag instead of being "the
first node", so no sort moves them; every face of sufficient quality has an outcome, so none
between the two cosines is dropped; and an overflow merges until the bank fits.

Only faces that surely are the person may be shown to `update`: the bank does not decide identity.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from identity_pipeline.core.vectors import check_unit, normalise
from identity_pipeline.settings import BankSettings

Vector = NDArray[np.float32]
Outcome = Literal["opened", "joined", "taught_nearest", "too_poor", "poor_and_far"]
OTHER_EXPRESSION_DEGREES = 15.0
"""An image of another expression counts as this much turned away."""


@dataclass(frozen=True)
class BankImage:
    """A face as it stands for a node: its bucket is null where unknown."""

    face_id: str
    quality: float
    yaw_key: int | None = None
    pitch_key: int | None = None
    expression: str | None = None


@dataclass(frozen=True, eq=False)
class BankNode:
    """One look of the person.

    Attributes:
        node_id: never reused in a bank.
        vector: (D,) unit.
        count: faces that taught it.
        anchor: it is never evicted.
        images: its best images by quality.
    """

    node_id: int
    vector: Vector
    count: int
    anchor: bool
    images: tuple[BankImage, ...]


@dataclass(frozen=True)
class Bank:
    """The nodes, in the order they were opened."""

    nodes: tuple[BankNode, ...] = ()
    next_id: int = 0


@dataclass(frozen=True)
class BankMatch:
    """How a face fits.

    Attributes:
        score: cosine to the nearest node: the stability score.
        node_id: that node.
        weights: share of each node that counts, by id; they sum to 1.
    """

    score: float
    node_id: int
    weights: dict[int, float]


def update(
    bank: Bank,
    vector: NDArray[np.floating],
    image: BankImage,
    settings: BankSettings,
    *,
    anchor: bool = False,
) -> tuple[Bank, Outcome]:
    """The bank after seeing a face, and what became of it.

    `too_poor`: below the quality that may change a node. `joined`: at or above `merge_cos` to the
    nearest node, which moves towards it. `opened`: farther, and good enough for a node of its own.
    `taught_nearest`: not that good, but at or above `far_cos`. `poor_and_far`: neither.

    Args:
        bank: before.
        vector: (D,) unit embedding of a face that surely is the person.
        image: the face.
        settings: thresholds.
        anchor: the node it opens or joins becomes an anchor. The first node always is one.
    """
    unit = check_unit(np.asarray(vector)[None], "e_id")[0]
    if image.quality < settings.quality_update:
        return bank, "too_poor"
    cosines = [float(node.vector @ unit) for node in bank.nodes]
    nearest = int(np.argmax(cosines)) if cosines else None
    closeness = cosines[nearest] if nearest is not None else -1.0
    outcome: Outcome
    if nearest is not None and closeness >= settings.merge_cos:
        outcome = "joined"
    elif image.quality >= settings.quality_new:
        outcome = "opened"
    elif nearest is not None and closeness >= settings.far_cos:
        outcome = "taught_nearest"
    else:
        return bank, "poor_and_far"
    nodes = list(bank.nodes)
    if outcome == "opened" or nearest is None:
        nodes.append(BankNode(bank.next_id, unit, 1, anchor or not nodes, (image,)))
        return _compact(Bank(tuple(nodes), bank.next_id + 1), settings), outcome
    nodes[nearest] = _taught(nodes[nearest], unit, image, settings, anchor=anchor)
    return replace(bank, nodes=tuple(nodes)), outcome


def _taught(
    node: BankNode, unit: Vector, image: BankImage, settings: BankSettings, *, anchor: bool
) -> BankNode:
    rate = settings.rate
    return BankNode(
        node.node_id,
        normalise(((1 - rate) * node.vector + rate * unit)[None])[0],
        node.count + 1,
        node.anchor or anchor,
        _best((*node.images, image), settings),
    )


def _best(images: tuple[BankImage, ...], settings: BankSettings) -> tuple[BankImage, ...]:
    ranked = sorted(set(images), key=lambda image: (-image.quality, image.face_id))
    return tuple(ranked[: settings.images_max])


def _compact(bank: Bank, settings: BankSettings) -> Bank:
    """Merges the closest nodes until the bank fits; what is not close is evicted instead.

    Evicted is the node that the fewest faces taught, never an anchor; where all are anchors, the
    closest two are merged after all.
    """
    nodes = list(bank.nodes)
    while len(nodes) > settings.nodes_max:
        i, j, closeness = _closest(nodes)
        loose = [node for node in nodes if not node.anchor]
        if closeness >= settings.close_cos or not loose:
            merged = _merged(nodes[i], nodes[j], settings)
            nodes = [*nodes[:i], merged, *nodes[i + 1 : j], *nodes[j + 1 :]]
        else:
            weakest = min(loose, key=lambda node: (node.count, node.node_id))
            nodes = [node for node in nodes if node is not weakest]
    return replace(bank, nodes=tuple(nodes))


def _closest(nodes: list[BankNode]) -> tuple[int, int, float]:
    vectors = np.stack([node.vector for node in nodes])
    cosines = np.round((vectors @ vectors.T).astype(np.float64), 9)
    cosines[np.tril_indices(len(nodes))] = -np.inf
    i, j = divmod(int(np.argmax(cosines)), len(nodes))
    return i, j, float(cosines[i, j])


def _merged(a: BankNode, b: BankNode, settings: BankSettings) -> BankNode:
    together = a.count * a.vector.astype(np.float64) + b.count * b.vector
    # Opposite nodes have no middle; the better taught one stands for both.
    direction = together if np.linalg.norm(together) > 1e-6 else max(a, b, key=_count).vector
    return BankNode(
        a.node_id,
        normalise(direction[None])[0],
        a.count + b.count,
        a.anchor or b.anchor,
        _best((*a.images, *b.images), settings),
    )


def _count(node: BankNode) -> int:
    return node.count


def match(bank: Bank, vector: NDArray[np.floating], settings: BankSettings) -> BankMatch | None:
    """How well a face fits the bank; None while it is empty.

    The weights are the softmax of cosine / temperature over the `top` nearest nodes; where the
    anchors get less than `anchor_weight_min` together, they are raised to it.
    """
    if not bank.nodes:
        return None
    unit = check_unit(np.asarray(vector)[None], "e_id")[0]
    cosines = np.array([float(node.vector @ unit) for node in bank.nodes])
    near = np.argsort(-cosines, kind="stable")[: settings.top]
    weights = np.zeros(len(cosines))
    weights[near] = np.exp((cosines[near] - cosines.max()) / settings.temperature)
    weights /= weights.sum()
    anchors = np.array([node.anchor for node in bank.nodes])
    least, share = settings.anchor_weight_min, float(weights[anchors].sum())
    if anchors.any() and share < least:
        weights[~anchors] *= (1.0 - least) / (1.0 - share)
        own = np.exp((cosines[anchors] - cosines[anchors].max()) / settings.temperature)
        weights[anchors] = least * own / own.sum()
    best = int(near[0])
    used = {node.node_id: float(w) for node, w in zip(bank.nodes, weights, strict=True) if w > 0}
    return BankMatch(float(cosines[best]), bank.nodes[best].node_id, used)


def select_references(
    bank: Bank,
    yaw_key: int | None,
    pitch_key: int | None,
    expression: str | None,
    count: int,
) -> list[BankImage]:
    """The images that best stand for the person in a bucket, the nearest first.

    The distance is |yaw| + |pitch| in degrees between the bins' keys, plus 15 for another
    expression; images with an unknown bin come last; ties go to quality. One anchor image is always
    among them.

    Args:
        bank: the person's.
        yaw_key: bin of the wanted yaw; null: any.
        pitch_key: bin of the wanted pitch; null: any.
        expression: wanted expression bin; null: any.
        count: images wanted, >= 1.
    """

    def order(image: BankImage) -> tuple[float, float, str]:
        away = 0.0
        for wanted, own in ((yaw_key, image.yaw_key), (pitch_key, image.pitch_key)):
            if wanted is not None:
                away += float("inf") if own is None else abs(wanted - own)
        if expression is not None and image.expression != expression:
            away += OTHER_EXPRESSION_DEGREES
        return away, -image.quality, image.face_id

    ranked = sorted({image for node in bank.nodes for image in node.images}, key=order)
    chosen = ranked[:count]
    anchors = {image for node in bank.nodes if node.anchor for image in node.images}
    if anchors and not anchors & set(chosen):
        chosen[-1:] = [min(anchors, key=order)]
    return chosen
