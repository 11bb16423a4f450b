"""Training samples: crops of the pool, put before backgrounds, occluded, damaged, with targets.

Belongs here: what the recogniser, the face reader and the vision encoder see. The detector's
canvases are in `canvases`. Does not belong here: losses. In training every draw differs (the
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
from tools.bundled_models.pool import Pool, five_points

# Where ArcFace-style recognisers expect the five points in a crop of 112 px.
ARCFACE_POINTS = np.array(
    [
        [38.2946, 51.6963],
        [73.5318, 51.5014],
        [56.0252, 71.7366],
        [41.5493, 92.3655],
        [70.7299, 92.2041],
    ]
)


def as_input(image: Picture, mean: float = 127.5, scale: float = 127.5) -> Tensor:
    """RGB uint8 to a normalised tensor, channels first."""
    return torch.from_numpy(((image.astype(np.float32) - mean) / scale).transpose(2, 0, 1).copy())


def similarity(source: NDArray[Any], target: NDArray[Any]) -> NDArray[np.float64]:
    """The least-squares similarity (2, 3) from points to points (Umeyama)."""
    source_mean, target_mean = source.mean(0), target.mean(0)
    a, b = source - source_mean, target - target_mean
    u, s, vt = np.linalg.svd(b.T @ a / len(a))
    sign = np.array([1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    turn = u @ np.diag(sign) @ vt
    scale = (s * sign).sum() / a.var(0).sum()
    return np.concatenate([scale * turn, (target_mean - scale * turn @ source_mean)[:, None]], 1)


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


class RecogniserCrops(_Crops):
    """Aligned crops of 112 px, and the index of the crop."""

    def __init__(self, folder: Path, kind: str) -> None:
        super().__init__(folder, kind, 300, 256)
        self.points = five_points(self.pool.landmarks)

    def __getitem__(self, item: tuple[int, int]) -> tuple[Tensor, int]:
        rng, index = self.rng(item), item[0]
        jitter = rng.uniform(0.6, 2.4) if self.training else 0.8
        place = similarity(self.points[index] + rng.normal(0, jitter, (5, 2)), ARCFACE_POINTS)
        if self.training:
            place = _shaken(place, rng, 56.0, turn=4, scale=0.04, shift=1.8)
        front = cv2.warpAffine(self.pool.picture(index), place, (112, 112), flags=cv2.INTER_LINEAR)
        image = composite(np.asarray(front, np.uint8), self.backgrounds.get(rng, 112, 112))
        image, _ = occlude(image, rng, np.array([22, 20, 90, 108]), 0.3 if self.training else 0.15)
        if self.training and rng.random() < 0.5:
            image = np.ascontiguousarray(image[:, ::-1])
        return as_input(camera(image, rng, 1.0 if self.training else 0.7)), index


def _shaken(
    place: NDArray[np.float64],
    rng: np.random.Generator,
    centre: float,
    turn: float,
    scale: float,
    shift: float,
) -> NDArray[np.float64]:
    """An affine map followed by a small random one about a centre."""
    angle, factor = np.radians(rng.normal(0, turn)), np.exp(rng.normal(0, scale))
    linear = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * factor
    offset = linear @ (place[:, 2] - centre) + centre + rng.normal(0, shift, 2)
    return np.concatenate([linear @ place[:, :2], offset[:, None]], 1)


class ReaderCrops(_Crops):
    """Crops as insightface cuts them for landmarks: 1.5 times the longer side of the box, 192 px."""

    SIZE = 192

    def __init__(self, folder: Path, kind: str) -> None:
        super().__init__(folder, kind, 300, 256)

    def __getitem__(self, item: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor, Tensor, int]:
        rng, index = self.rng(item), item[0]
        box, half = self.pool.box[index], self.SIZE / 2
        amount = 1.0 if self.training else 0.5
        side = max(box[2] - box[0], box[3] - box[1])
        centre = (box[:2] + box[2:]) / 2 + rng.normal(0, 0.045 * amount, 2) * side
        scale = self.SIZE / (side * 1.5) * np.exp(rng.normal(0, 0.08 * amount))
        degrees = rng.normal(0, 8) if self.training else 0.0
        turn = np.radians(degrees)
        linear = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) * scale
        place = np.concatenate([linear, (half - linear @ centre)[:, None]], 1)
        front = np.asarray(
            cv2.warpAffine(self.pool.picture(index), place, (self.SIZE, self.SIZE)), np.uint8
        )
        image = composite(front, self.backgrounds.get(rng, self.SIZE, self.SIZE))
        image, mask = occlude(
            image, rng, np.array([35, 35, 157, 157]), 0.35 if self.training else 0.25
        )
        marks = self.pool.landmarks[index].copy()
        marks[:, :2] = marks[:, :2] @ linear.T + place[:, 2]
        marks[:, 2] *= scale
        attributes, pose = self.pool.attributes[index].copy(), self.pool.pose[index].copy()
        pose[2] += degrees
        if mask is not None:
            attributes[3] = self._occlusion(index, place, marks, mask)
        if self.training and rng.random() < 0.5:
            image, marks = np.ascontiguousarray(image[:, ::-1]), marks[MIRRORED_68]
            marks[:, 0] = self.SIZE - 1 - marks[:, 0]
            pose[1:] *= -1
        target = marks / half
        target[:, :2] -= 1
        numbers = [
            torch.from_numpy(np.asarray(a, np.float32)) for a in (target, attributes, pose / 45)
        ]
        return (
            as_input(camera(image, rng, 0.75), scale=128.0),
            numbers[0],
            numbers[1],
            numbers[2],
            index,
        )


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


class PeopleDraws(Sampler[list[tuple[int, int]]]):
    """Batches of `people` persons with `each` crops, for contrastive losses."""

    def __init__(
        self, person: NDArray[Any], people: int, each: int, samples: int, seed: int
    ) -> None:
        self.groups = [np.flatnonzero(person == p) for p in np.unique(person)]
        self.people, self.each, self.seed = people, each, seed
        self.batches = samples // (people * each)

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        rng, draw = np.random.default_rng(self.seed), 0
        for _ in range(self.batches):
            batch = []
            for group in rng.choice(len(self.groups), self.people, replace=False):
                for crop in rng.choice(self.groups[group], self.each, replace=False):
                    batch.append((int(crop), draw))
                    draw += 1
            yield batch
