"""What each network is asked for, as numbers to make small.

Belongs here: losses on tensors. Does not belong here: data or optimisation.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from tools.bundled_models.networks import Detector

# Pairs whose distances say how open eyes and mouth are, and how wide the mouth is.
_OPENINGS = ((37, 41), (38, 40), (43, 47), (44, 46), (61, 67), (62, 66), (63, 65), (48, 54))


def anchor_points(side: int) -> tuple[Tensor, Tensor]:
    """Place (A, 2) and stride (A,) of every anchor of a square canvas, in the order of the outputs."""
    places, strides = [], []
    for stride in Detector.STRIDES:
        steps = torch.arange(side // stride, dtype=torch.float32) * stride
        y, x = torch.meshgrid(steps, steps, indexing="ij")
        place = torch.stack([x, y], -1).reshape(-1, 1, 2).repeat(1, 2, 1).reshape(-1, 2)
        places.append(place)
        strides.append(torch.full((len(place),), float(stride)))
    return torch.cat(places), torch.cat(strides)


def detection(
    outputs: tuple[list[Tensor], ...], labels: Tensor, targets: Tensor, side: int
) -> dict[str, Tensor]:
    """Quality-focal score, generalised IoU of boxes, smooth L1 of points over the face's size."""
    scores, boxes, points = (torch.cat(level, 1) for level in outputs)
    scores = scores[..., 0]
    places, strides = anchor_points(side)
    positive = labels == 1
    anchor = positive.nonzero(as_tuple=True)[1]
    centre, stride = places[anchor], strides[anchor][:, None]
    reach = boxes[positive] * stride
    predicted = torch.cat([centre - reach[:, :2], centre + reach[:, 2:]], 1)
    wanted = targets[positive]
    iou, giou = _ious(predicted, wanted[:, :4])
    quality = torch.zeros_like(scores)
    quality[positive] = (0.25 + 0.8 * iou.detach()).clamp(0, 1)
    weight = (torch.sigmoid(scores).detach() - quality).abs() ** 2
    score = (F.binary_cross_entropy_with_logits(scores, quality, reduction="none") * weight)[
        labels >= 0
    ].sum()
    size = ((wanted[:, 2] - wanted[:, 0]) * (wanted[:, 3] - wanted[:, 1])).sqrt()[:, None]
    at = points[positive] * stride + centre.repeat(1, 5)
    off = F.smooth_l1_loss(at / size, wanted[:, 4:] / size, beta=0.03, reduction="sum") / 10
    count = max(1, int(positive.sum()))
    return {
        "score": 1.5 * score / count,
        "box": 2 * (1 - giou).sum() / count,
        "points": 7 * off / count,
    }


def _ious(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    low, high = torch.maximum(a[:, :2], b[:, :2]), torch.minimum(a[:, 2:], b[:, 2:])
    both = (high - low).clamp(min=0).prod(1)
    union = (a[:, 2:] - a[:, :2]).prod(1) + (b[:, 2:] - b[:, :2]).prod(1) - both + 1e-6
    hull = (torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])).prod(1) + 1e-6
    iou = both / union
    return iou, iou - (hull - union) / hull


def contrastive(embeddings: Tensor, group: Tensor, temperature: float) -> Tensor:
    """Supervised contrastive loss: members of a group attract, all others repel."""
    unit = F.normalize(embeddings)
    self_mask = torch.eye(len(unit), dtype=torch.bool)
    logits = (unit @ unit.T / temperature).masked_fill(self_mask, -1e4)
    same = (group[:, None] == group[None]) & ~self_mask
    log_share = logits - torch.logsumexp(logits, 1, keepdim=True)
    return -((log_share * same).sum(1) / same.sum(1).clamp(min=1)).mean()


def classification(
    embeddings: Tensor, directions: Tensor, row: Tensor, margin: float, scale: float = 20.0
) -> Tensor:
    """CosFace (Wang et al. 2018): each face nearest to its own person's direction, by a margin."""
    cosine = F.normalize(embeddings) @ F.normalize(directions).T
    own = F.one_hot(row, len(directions)) * margin
    return F.cross_entropy(scale * (cosine - own), row)


def recognition(
    embeddings: Tensor, described: Tensor, person: Tensor, wanted: Tensor, temperature: float
) -> dict[str, Tensor]:
    """Who it is, and what the person is made of (which the renderer knows exactly)."""
    return {
        "contrastive": contrastive(embeddings, person, temperature),
        "description": 4 * F.smooth_l1_loss(described, wanted),
    }


def _landmark_weights() -> Tensor:
    weights = torch.ones(68)
    weights[:17], weights[36:48], weights[48:] = 0.7, 2.0, 1.6
    return weights[None, :, None]


_HARD = torch.tensor([2.0, 1.0, 1.2, 2.0])  # eyes and occlusion are learned last


def reading(
    outputs: tuple[Tensor, Tensor, Tensor], landmarks: Tensor, attributes: Tensor, pose: Tensor
) -> dict[str, Tensor]:
    """Landmarks, the openings between them, attributes, pose."""
    marks, logits, turn = outputs
    off = (marks - landmarks).abs()
    near = torch.where(off < 0.02, off * off / 0.04, off - 0.01)
    near = near * _landmark_weights() * torch.tensor([1.0, 1.0, 0.6])
    openings = sum(
        ((marks[:, a] - marks[:, b]) - (landmarks[:, a] - landmarks[:, b])).abs().mean()
        for a, b in _OPENINGS
    )
    return {
        "landmarks": 20 * near.mean(),
        "openings": 3 * torch.as_tensor(openings),
        "attributes": 2 * ((torch.sigmoid(logits) - attributes).abs() * _HARD).mean()
        + 0.5 * F.binary_cross_entropy_with_logits(logits, attributes, weight=_HARD),
        "pose": 0.5 * F.smooth_l1_loss(turn, pose, beta=0.1),
    }


def sameness(embeddings: Tensor, targets: Tensor, temperature: float = 0.1) -> dict[str, Tensor]:
    """Embeddings whose cosine follows the distance between pose and expression, whoever it is.

    Each embedding must find its neighbours in the order of the targets (a soft contrastive loss),
    and cosines must spread: 1 for the same moment, 0.6 a unit of the targets away, 0 for strangers.
    """
    unit = F.normalize(embeddings)
    self_mask = torch.eye(len(unit), dtype=torch.bool)
    distance = torch.cdist(targets, targets) ** 2
    cosine = unit @ unit.T
    wanted = torch.softmax((-distance / 0.7).masked_fill(self_mask, -1e4), 1)
    log_share = torch.log_softmax((cosine / temperature).masked_fill(self_mask, -1e4), 1)
    off = (cosine - torch.exp(-distance / 2)) ** 2
    return {
        "neighbours": (wanted * ((wanted + 1e-9).log() - log_share)).sum(1).mean(),
        "spread": 4 * off[~self_mask].mean(),
    }


def seeing(
    embeddings: Tensor, read: Tensor, marks: Tensor, targets: Tensor, landmarks: Tensor
) -> dict[str, Tensor]:
    """What the vision encoder is asked for: sameness, and to read pose, attributes and landmarks."""
    return sameness(embeddings, targets) | {
        "reading": 2 * F.smooth_l1_loss(read, targets, beta=0.5),
        "landmarks": 10 * F.smooth_l1_loss(marks, landmarks.flatten(1), beta=0.05),
    }
