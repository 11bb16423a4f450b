"""The projection network as torch trains it, and its objectives.

The network is Linear D->256, ReLU, Linear 256->128, L2; the sizes are the design's, after the
face-management ancestors' plan. The objectives are semi-hard triplets, and an angular margin
against one proxy per person. Distances are 1 - cosine.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from identity_pipeline.core.heads.projection import HIDDEN, OUTPUT, WEIGHTS, Head


class ProjectionNetwork(nn.Module):
    """(N, D) -> (N, 128), of unit length."""

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.first = nn.Linear(dimension, HIDDEN)
        self.second = nn.Linear(HIDDEN, OUTPUT)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """The projected unit vectors, in float32 also under autocast."""
        return functional.normalize(self.second(functional.relu(self.first(vectors))).float())


def head_of(network: ProjectionNetwork, base_share: float) -> Head:
    """The network's weights as plain arrays."""
    state = network.state_dict()
    return Head(
        {name: state[name].detach().cpu().numpy().astype(np.float32) for name in WEIGHTS},
        base_share,
    )


def semi_hard_triplets(
    vectors: torch.Tensor, person: torch.Tensor, margin: float
) -> tuple[torch.Tensor, float]:
    """Triplet loss with semi-hard negatives (Schroff et al. 2015, FaceNet).

    For each pair of one person the nearest negative that is farther than the positive; where none
    is, the farthest of all. The very hardest negatives are left out on purpose: they are where
    wrong labels are.

    Args:
        vectors: (N, K) unit vectors.
        person: (N,) number of the person.
        margin: by how much a negative must be farther.

    Returns:
        The mean over all pairs, and the share of pairs that lie within the margin.
    """
    distance = 1.0 - vectors @ vectors.T
    same = person[:, None] == person[None, :]
    itself = torch.eye(len(person), dtype=torch.bool, device=vectors.device)
    anchor, positive = torch.nonzero(same & ~itself, as_tuple=True)
    to_positive = distance[anchor, positive]
    to_others = distance[anchor].masked_fill(same[anchor], torch.inf)
    farther = to_others.masked_fill(to_others <= to_positive[:, None], torch.inf)
    semi_hard = farther.min(dim=1).values
    farthest = to_others.masked_fill(torch.isinf(to_others), -torch.inf).max(dim=1).values
    negative = torch.where(torch.isinf(semi_hard), farthest, semi_hard)
    loss = functional.relu(to_positive - negative + margin)
    return loss.mean(), float((loss.detach() > 0).float().mean())


class AngularProxies(nn.Module):
    """Additive angular margin softmax (Deng et al. 2019, ArcFace) over one proxy per person."""

    def __init__(self, people: int, dimension: int, margin: float, scale: float) -> None:
        super().__init__()
        self.proxies = nn.Parameter(torch.empty(people, dimension))
        nn.init.normal_(self.proxies, std=dimension**-0.5)
        self._margin, self._scale = margin, scale

    def forward(self, vectors: torch.Tensor, person: torch.Tensor) -> tuple[torch.Tensor, float]:
        """The mean loss, and the share of faces that are not nearest to their own proxy."""
        cosine = vectors @ functional.normalize(self.proxies).T
        own = cosine.gather(1, person[:, None])
        angle = torch.acos(own.clamp(-1 + 1e-6, 1 - 1e-6))
        logits = cosine.scatter(1, person[:, None], torch.cos(angle + self._margin))
        wrong = float((cosine.detach().argmax(dim=1) != person).float().mean())
        return functional.cross_entropy(self._scale * logits, person), wrong
