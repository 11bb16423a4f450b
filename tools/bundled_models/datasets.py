"""Training samples: crops of the pool, put before backgrounds, occluded, damaged, with targets.

Belongs here: what the vision encoder sees. Does not belong here: losses. In training every draw differs (the
generator is seeded by the run's seed and the sample's number); in testing it is fixed per crop.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from tools.bundled_models.degrade import Backgrounds, Picture, camera, composite, occlude
from tools.bundled_models.facekit import MIRRORED_68
from tools.bundled_models.pool import Pool


class _Crops(Dataset[Any]):
    """A pool with backgrounds; items are addressed by (crop, draw) so that every draw can differ."""

    def __init__(self, folder: Path, kind: str, backgrounds: int, size: int) -> None:
        self.pool, self.training = Pool(folder, kind), kind == "train"
        self.backgrounds = Backgrounds(backgrounds, size, 1)

    def __len__(self) -> int:
        return len(self.pool)

    def rng(self, item: tuple[int, int]) -> np.random.Generator:
        return np.random.default_rng([item[0], item[1], self.training])

    def _occlusion(
        self, index: int, place: NDArray[Any], marks: NDArray[Any], mask: NDArray[np.uint8]
    ) -> float:
        """Share of the landmarks' hull where the face is not seen."""
        size = (mask.shape[1], mask.shape[0])
        warped = cv2.warpAffine(self.pool.visible(index), place, size, flags=cv2.INTER_NEAREST)
        visible = np.asarray(warped, np.uint8)
        hull = np.zeros(mask.shape, np.uint8)
        cv2.fillConvexPoly(hull, cv2.convexHull(np.round(marks[:, :2]).astype(np.int32)), 1)
        return 1 - float((visible & hull & (mask < 128)).sum()) / max(1, int(hull.sum()))


class VisionCrops(_Crops):
    """Damaged pictures of a moment, as a vision encoder sees a face crop, and what must be near.

    A picture's targets are pose and attributes, scaled so that one unit is a difference that
    everybody sees, and the 68 landmarks relative to the box.
    """

    MEAN, STD = np.array([0.485, 0.456, 0.406]) * 255, np.array([0.229, 0.224, 0.225]) * 255
    SCALES = np.array([15, 25, 12, 0.33, 0.25, 0.33, 0.5])

    def __init__(self, folder: Path, kind: str, size: int) -> None:
        super().__init__(folder, kind, 200, 256)
        self.size = size
        numbers = np.concatenate([self.pool.pose, self.pool.attributes], 1)
        self.targets = (numbers / self.SCALES).astype(np.float32)

    def __getitem__(self, item: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor, int]:
        image, *numbers = self.view(item)
        normal = ((image - self.MEAN) / self.STD).astype(np.float32)
        target, marks = (torch.from_numpy(np.asarray(a, np.float32)) for a in numbers)
        return torch.from_numpy(normal.transpose(2, 0, 1).copy()), target, marks, item[0]

    def view(self, item: tuple[int, int]) -> tuple[Picture, NDArray[Any], NDArray[Any]]:
        """A damaged picture, its targets (7,) and landmarks (68, 2)."""
        rng, index = self.rng(item), item[0]
        box = self.pool.box[index]
        side = max(box[2] - box[0], box[3] - box[1])
        amount = 2.0 if self.training else 1.0
        centre = (box[:2] + box[2:]) / 2 + rng.normal(0, 0.03 * amount, 2) * side
        scale = self.size / (1.5 * side) * np.exp(rng.normal(0, 0.05 * amount))
        place = np.concatenate([np.eye(2) * scale, (self.size / 2 - scale * centre)[:, None]], 1)
        front = cv2.warpAffine(self.pool.picture(index), place, (self.size, self.size))
        behind = self.backgrounds.get(rng, self.size, self.size)
        image = composite(np.asarray(front, np.uint8), behind)
        marks = self.pool.landmarks[index][:, :2] @ place[:, :2].T + place[:, 2]
        target = self.targets[index].copy()
        if self.training:
            around = np.array([0.18, 0.18, 0.82, 0.82]) * self.size
            image, mask = occlude(image, rng, around, 0.2)
            if mask is not None:
                target[6] = self._occlusion(index, place, marks, mask) / self.SCALES[6]
        marks = (self.pool.landmarks[index][:, :2] - (box[:2] + box[2:]) / 2) / side * 2
        if self.training and rng.random() < 0.5:
            image, marks = np.ascontiguousarray(image[:, ::-1]), marks[MIRRORED_68] * [-1, 1]
            target[1:3] *= -1
        return camera(image, rng, 0.6), target, marks


class TwiceDraws(Sampler[list[tuple[int, int]]]):
    """Batches in which every moment occurs twice, damaged differently."""

    def __init__(self, crops: int, moments: int, samples: int, seed: int) -> None:
        self.draws, self.moments = Draws(crops, samples // 2, seed), moments

    def __len__(self) -> int:
        return len(self.draws) // self.moments

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        batch: list[tuple[int, int]] = []
        for crop, draw in self.draws:
            batch += [(crop, 2 * draw), (crop, 2 * draw + 1)]
            if len(batch) == 2 * self.moments:
                yield batch
                batch = []


class Draws(Sampler[tuple[int, int]]):
    """A fixed number of (crop, draw) pairs, shuffled epochs, a pure function of the seed."""

    def __init__(self, crops: int, samples: int, seed: int) -> None:
        self.crops, self.samples, self.seed = crops, samples, seed

    def __len__(self) -> int:
        return self.samples

    def __iter__(self) -> Iterator[tuple[int, int]]:
        rng = np.random.default_rng(self.seed)
        draw = 0
        while draw < self.samples:
            for crop in rng.permutation(self.crops)[: self.samples - draw]:
                yield int(crop), draw
                draw += 1
