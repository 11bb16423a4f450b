"""What the small nets are built of.

Belongs here: layers that several of them share. Does not belong here: a net (`vision`,
`train_cover`), losses and data. Dense 3x3 convolutions: they are faster than depthwise ones on a
CPU with bfloat16.
"""

from __future__ import annotations

import torch
from torch import nn


def bfloat16() -> torch.autocast:
    return torch.autocast("cpu", dtype=torch.bfloat16)


def conv(
    inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1, relu: bool = True
) -> nn.Sequential:
    """Convolution, batch norm and, unless told otherwise, ReLU."""
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*layers, nn.ReLU()) if relu else nn.Sequential(*layers)
