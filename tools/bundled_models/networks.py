"""The networks of the pack, small enough for two CPU cores.

Belongs here: architectures, and the thin wrappers that give an exported graph the outputs that
insightface expects. Does not belong here: losses and data. Dense 3x3 convolutions throughout: they
are faster than depthwise ones on a CPU with bfloat16.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LANDMARK_INPUT = 192
_CELLS = LANDMARK_INPUT // 8
# Landmarks (from, to) of each eye, the inner lips, the outer lips, the jaw.
_SPOTS = ((36, 42), (42, 48), (60, 68), (48, 60), (0, 17))


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


def stem(outputs: int) -> nn.Sequential:
    """6x6 patches, stride 4."""
    return nn.Sequential(
        nn.Conv2d(3, outputs, 6, 4, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


class Residual(nn.Module):
    """Two 3x3 convolutions; with a projected shortcut where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.first, self.second = (
            conv(inputs, outputs, 3, stride),
            conv(outputs, outputs, relu=False),
        )
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same else conv(inputs, outputs, 1, stride, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.second(self.first(x)) + self.shortcut(x))


class Trunk(nn.Module):
    """What all three face networks see with: features at strides 8, 16 and 32.

    The face reader learns it first (landmarks teach quickly what a face is made of); detector and
    recogniser begin with the reader's.
    """

    CHANNELS = (56, 96, 112)

    def __init__(self, coarse: bool = True) -> None:
        super().__init__()
        self.fine = nn.Sequential(stem(24), Residual(24, 24), Residual(24, 56, 2), Residual(56, 56))
        self.middle = nn.Sequential(Residual(56, 96, 2), Residual(96, 96))
        self.coarse = Residual(96, 112, 2) if coarse else nn.Identity()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        fine = self.fine(x)
        middle = self.middle(fine)
        return fine, middle, self.coarse(middle)


class Recogniser(nn.Module):
    """A face (112 px, aligned by five points) to an embedding.

    For training only: `aux` describes the person, `people` holds one direction per person.
    """

    def __init__(self, size: int = 256, described: int = 0, people: int = 0) -> None:
        super().__init__()
        self.trunk, self.widen = Trunk(coarse=False), conv(96, 384, 1)
        self.head = nn.Sequential(
            nn.Conv2d(384, 384, 7, groups=384, bias=False), nn.BatchNorm2d(384), nn.Flatten(),
            nn.Linear(384, size, bias=False), nn.BatchNorm1d(size),
        )  # fmt: skip
        self.aux = nn.Linear(size, described) if described else None
        self.people = nn.Linear(size, people, bias=False) if people else None

    def features(self, x: Tensor) -> Tensor:
        return torch.as_tensor(self.widen(self.trunk(x)[1]))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            with bfloat16():
                features = self.features(x)
            return torch.as_tensor(self.head(features.float()))
        return torch.as_tensor(self.head(self.features(x)))


class FaceReader(nn.Module):
    """68 landmarks, head pose and attributes from one crop of 192 px.

    Landmarks are the centre of mass of a heat map each (so they learn quickly), plus a small
    correction from the whole face, which also gives depth, pose and attributes. Attributes are
    read once more where the heat maps say that eyes and lips are.
    """

    def __init__(self) -> None:
        super().__init__()
        self.trunk = Trunk()  # 24, 12 and 6 cells a side
        self.from_fine, self.from_middle = conv(56, 64, 1, relu=False), conv(96, 64, 1, relu=False)
        self.from_coarse = conv(112, 64, 1, relu=False)
        self.merge = conv(64, 64)
        self.heat = nn.Conv2d(64, 68, 1)
        self.glance = nn.Sequential(
            conv(112, 24, 1), nn.Flatten(), nn.Linear(24 * 36, 160), nn.ReLU()
        )
        self.spatial = nn.Linear(160, 204)
        self.close_up = nn.Sequential(
            conv(56, 12, 3, 2), nn.Flatten(), nn.Linear(12 * 144, 96), nn.ReLU()
        )
        self.attributes = nn.Linear(160 + 96, 4)
        self.refine = nn.Sequential(
            nn.Linear(160 + 96 + 64 * len(_SPOTS) + 204, 64), nn.ReLU(), nn.Linear(64, 4)
        )
        self.pose = nn.Linear(160, 3)
        for layer in (self.spatial, self.refine[2]):  # both correct a first answer
            nn.init.zeros_(layer.get_parameter("weight"))
            nn.init.zeros_(layer.get_parameter("bias"))
        steps = (torch.arange(_CELLS) + 0.5) / _CELLS * 2 - 1
        self.register_buffer(
            "grid", torch.stack([steps.repeat(_CELLS), steps.repeat_interleave(_CELLS)], 1)
        )

    def features(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        fine, middle, coarse = self.trunk(x)
        merged = self.from_middle(middle) + F.interpolate(
            self.from_coarse(coarse), scale_factor=2.0, mode="nearest"
        )
        merged = self.from_fine(fine) + F.interpolate(
            F.relu(merged), scale_factor=2.0, mode="nearest"
        )
        return self.merge(F.relu(merged)), coarse, fine

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Landmarks (n, 68, 3) in [-1, 1] of the crop, attributes (n, 4) as logits, pose (n, 3) in 45 degrees."""
        if self.training:
            with bfloat16():
                merged, coarse, fine = self.features(x)
            merged, coarse, fine = merged.float(), coarse.float(), fine.float()
        else:
            merged, coarse, fine = self.features(x)
        mass = torch.softmax(self.heat(merged).flatten(2), 2)
        glance = self.glance(coarse)
        correction = self.spatial(glance).reshape(-1, 68, 3)
        flat = torch.matmul(mass, torch.as_tensor(self.grid))
        landmarks = torch.cat([flat + correction[..., :2], correction[..., 2:]], 2)
        seen = torch.cat([glance, self.close_up(fine)], 1)
        spots = torch.stack([mass[:, first:last].mean(1) for first, last in _SPOTS], 1)
        there = torch.matmul(spots, merged.flatten(2).transpose(1, 2))
        details = torch.cat([seen, there.flatten(1), landmarks.flatten(1)], 1)
        return landmarks, self.attributes(seen) + self.refine(details), self.pose(glance)


class LandmarkGraph(nn.Module):
    """What `landmark_3d_68` of insightface reads: the last 204 of 3309 numbers."""

    def __init__(self, reader: FaceReader) -> None:
        super().__init__()
        self.reader = reader

    def forward(self, x: Tensor) -> Tensor:
        landmarks, _, _ = self.reader(x)
        return F.pad(landmarks.flatten(1), (3309 - 204, 0))


class AttributeGraph(nn.Module):
    """Eye openness, mouth openness, smile and occlusion ratio, each in [0, 1]; pitch, yaw, roll in degrees."""

    def __init__(self, reader: FaceReader) -> None:
        super().__init__()
        self.reader = reader

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        _, attributes, pose = self.reader(x)
        return torch.sigmoid(attributes), pose * 45


def _separable(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(conv(inputs, inputs, 3, stride, inputs), conv(inputs, outputs, 1))


class Context(nn.Module):
    """Looks far around each cell (dilated convolutions), so that a close-up is seen whole.

    Begins as nothing at all, so that it can be added to trained weights.
    """

    def __init__(self, channels: int, width: int = 64) -> None:
        super().__init__()
        self.narrow = conv(channels, width, 1)
        self.looks = nn.ModuleList([_dilated(width, reach) for reach in (1, 2, 4)])
        self.widen = conv(width, channels, 1, relu=False)
        nn.init.zeros_(self.widen[1].get_parameter("weight"))

    def forward(self, x: Tensor) -> Tensor:
        seen = self.narrow(x)
        for look in self.looks:
            seen = seen + look(seen)
        return F.relu(x + self.widen(seen))


def _dilated(width: int, reach: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(width, width, 3, 1, reach, dilation=reach, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
    )


class Detector(nn.Module):
    """Faces with five points at strides 8, 16 and 32, two anchors a cell (SCRFD's format)."""

    STRIDES = (8, 16, 32)
    ANCHORS = (16, 32, 64, 128, 256, 512)

    def __init__(self, width: int = 40, head: int = 48) -> None:
        super().__init__()
        self.trunk, self.context = Trunk(), Context(Trunk.CHANNELS[2])
        self.lateral = nn.ModuleList([conv(k, width, 1) for k in Trunk.CHANNELS])
        self.smooth = nn.ModuleList([_separable(width, width) for _ in range(3)])
        self.down = nn.ModuleList([_separable(width, width, 2) for _ in range(2)])
        self.heads = nn.ModuleList(
            [nn.Sequential(_separable(width, head), _separable(head, head)) for _ in range(3)]
        )
        self.scores = nn.ModuleList([nn.Conv2d(head, 2, 1) for _ in range(3)])
        self.boxes = nn.ModuleList([nn.Conv2d(head, 8, 1) for _ in range(3)])
        self.points = nn.ModuleList([nn.Conv2d(head, 20, 1) for _ in range(3)])
        for layers, bias in ((self.scores, -4.0), (self.boxes, 1.5)):
            for layer in layers:
                nn.init.constant_(layer.get_parameter("bias"), bias)

    def forward(self, x: Tensor) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Per level: score logits (n, A, 1), box distances (n, A, 4) and points (n, A, 10) in strides."""
        if self.training:
            with bfloat16():
                a, b, c = self.trunk(x)
                c = self.context(c)
            a, b, c = a.float(), b.float(), c.float()
        else:
            a, b, c = self.trunk(x)
            c = self.context(c)
        a, b, c = self.lateral[0](a), self.lateral[1](b), self.lateral[2](c)
        b = b + F.interpolate(c, scale_factor=2.0, mode="nearest")
        a = a + F.interpolate(b, scale_factor=2.0, mode="nearest")
        a = self.smooth[0](a)
        b = self.smooth[1](b) + self.down[0](a)
        c = self.smooth[2](c) + self.down[1](b)
        scores, boxes, points = [], [], []
        for level, feature in enumerate((a, b, c)):
            feature = self.heads[level](feature)
            n = feature.shape[0]
            scores.append(self.scores[level](feature).permute(0, 2, 3, 1).reshape(n, -1, 1))
            boxes.append(
                F.softplus(self.boxes[level](feature)).permute(0, 2, 3, 1).reshape(n, -1, 4)
            )
            points.append(self.points[level](feature).permute(0, 2, 3, 1).reshape(n, -1, 10))
        return scores, boxes, points


class DetectorGraph(nn.Module):
    """The nine outputs insightface reads: scores, boxes, points at strides 8, 16, 32."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        scores, boxes, points = self.detector(x)
        return tuple([torch.sigmoid(score) for score in scores] + boxes + points)
