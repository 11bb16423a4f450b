"""What the vision encoder is asked for, as numbers to make small.

Belongs here: losses on tensors. Does not belong here: data or optimisation.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


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
