"""The projection network as torch trains it: Linear D->256, ReLU, Linear 256->128, L2.

The sizes are the design's, after the face-management ancestors' plan.
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
