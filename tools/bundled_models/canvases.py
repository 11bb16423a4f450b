"""The detector's training pictures: canvases with none to six faces, and what each anchor must say.

Belongs here: laying faces (and things that are no faces) on canvases, and assigning targets.
Does not belong here: the loss.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from tools.bundled_models.datasets import as_input
from tools.bundled_models.degrade import Backgrounds, Picture, camera, composite, occlude
from tools.bundled_models.networks import Detector
from tools.bundled_models.pool import Pool, five_points

LEAST_SEEN = 0.45  # of a face, for the detector to be asked for it
_MIRRORED_5 = [1, 0, 2, 4, 3]
Boxes = NDArray[np.float32]


def _overlap(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Intersection over the smaller box."""
    w = min(a[2], b[2]) - max(a[0], b[0])
    h = min(a[3], b[3]) - max(a[1], b[1])
    smaller = min((a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1]))
    return float(max(0, w) * max(0, h) / smaller)


def _covered(picture: NDArray[np.uint8], x: int, y: int, box: NDArray[Any]) -> float:
    """Share of a box that a picture laid at (x, y) would hide."""
    x0, y0 = np.maximum(box[:2] - [x, y], 0).astype(int)
    x1, y1 = np.maximum(box[2:] - [x, y], 0).astype(int)
    part = picture[y0:y1, x0:x1, 3]
    area = float((box[2] - box[0]) * (box[3] - box[1]))
    return float((part > 127).sum()) / area


def _shuffled(
    picture: NDArray[np.uint8], box: NDArray[Any], rng: np.random.Generator
) -> NDArray[np.uint8]:
    """The face's patches in another order: skin and features, but no face."""
    out = picture.copy()
    x0, y0, x1, y1 = np.clip(box, 0, picture.shape[0] - 1).astype(int)
    step = max(4, int((x1 - x0) // rng.integers(2, 5)))
    places = [
        (y, x) for y in range(y0, y1 - step + 1, step) for x in range(x0, x1 - step + 1, step)
    ]
    for (y, x), k in zip(places, rng.permutation(len(places)), strict=True):
        v, u = places[k]
        out[y : y + step, x : x + step] = picture[v : v + step, u : u + step]
    return out


class Canvases(Dataset[Any]):
    """Addressed by (canvas side, draw)."""

    def __init__(self, folder: Path, seed: int, kind: str = "train") -> None:
        self.training = kind == "train"
        self.pool, self.large = Pool(folder, kind), Pool(folder, "large")
        self.backs = Pool(folder, "backs")
        self.backgrounds, self.seed = Backgrounds(400, 512, seed + 2), seed

    def __len__(self) -> int:
        return 1 << 30

    def __getitem__(self, item: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
        side, draw = item
        rng = np.random.default_rng([self.seed, draw])
        frame = _frame(rng, side)
        image, boxes, points, seen = self.canvas(rng, side, frame, close_ups=True)
        labels, targets = assign(boxes, points, side, seen >= LEAST_SEEN)
        image = camera(image, rng, 0.65)
        image[frame[1] :], image[:, frame[0] :] = 0, 0
        return (
            as_input(image, scale=128.0),
            torch.from_numpy(labels),
            torch.from_numpy(targets),
        )

    def canvas(
        self,
        rng: np.random.Generator,
        side: int,
        frame: tuple[int, int] | None = None,
        close_ups: bool = False,
    ) -> tuple[Picture, Boxes, Boxes, Boxes]:
        """A picture with its faces' boxes, points, and the share of each that is seen.

        With a frame (width, height) faces lie in that part from the top left. With close-ups
        some pictures hold one face about as large as the frame.
        """
        sheet = _Sheet(self.backgrounds.get(rng, side, side), frame or (side, side))
        for size in self._sizes(rng, side, min(sheet.frame), close_ups):
            self._put(sheet, rng, float(size))
        return (
            sheet.image,
            np.array([face.box for face in sheet.faces], np.float32).reshape(-1, 4),
            np.array([face.points for face in sheet.faces], np.float32).reshape(-1, 10),
            np.array([sheet.seen(k) for k in range(len(sheet.faces))], np.float32),
        )

    @staticmethod
    def _sizes(
        rng: np.random.Generator, side: int, shorter: int, close_ups: bool
    ) -> NDArray[np.float64]:
        """Sizes of what is laid down, large ones first, so that they hide no small one."""
        if close_ups and rng.random() < (0.15 if side <= 256 else 0.45):
            extra = rng.uniform(20, 0.3 * side, rng.choice([0, 1, 2], p=[0.6, 0.25, 0.15]))
            return np.array([rng.uniform(0.45, 1.2) * shorter, *extra])
        count = rng.choice([0, 1, 2, 3, 4, 6], p=[0.13, 0.3, 0.27, 0.16, 0.08, 0.06])
        smallest, largest = (15, 230) if side <= 256 else (20, 0.92 * side)
        return np.sort(np.exp(rng.uniform(np.log(smallest), np.log(largest), count)))[::-1]

    def _put(self, sheet: _Sheet, rng: np.random.Generator, size: float) -> None:
        """Lay one face or look-alike on the sheet, where it hides no other; or leave it."""
        kind = rng.random()
        backs, shuffled = kind < 0.08, 0.08 <= kind < 0.18
        large = size > 130 and rng.random() < 0.7
        pool = self.backs if backs else self.large if large else self.pool
        index = int(rng.integers(len(pool)))
        picture, box = pool.picture(index), pool.box[index]
        points = five_points(pool.landmarks[index])
        factor = size / np.sqrt((box[2] - box[0]) * (box[3] - box[1]))
        width = max(8, round(pool.size * factor))
        factor = width / pool.size
        if shuffled:
            picture = _shuffled(picture, box, rng)
        box, points = box * factor, points * factor
        if rng.random() < 0.5:
            picture = picture[:, ::-1]
            box = np.array([width - box[2], box[1], width - box[0], box[3]])
            points = np.stack([width - points[:, 0], points[:, 1]], 1)[_MIRRORED_5]
        way = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
        small = cv2.resize(np.ascontiguousarray(picture), (width, width), interpolation=way)
        face = _Face(box, points.reshape(-1), 1 - float(pool.attributes[index][3]))
        sheet.lay(np.asarray(small, np.uint8), face, rng, not (backs or shuffled))


@dataclass
class _Face:
    """A face on a sheet: box (4,), points (10,), and the share that its own hair and hands leave."""

    box: NDArray[Any]
    points: NDArray[Any]
    bare: float

    @property
    def size(self) -> float:
        return float(np.sqrt((self.box[2] - self.box[0]) * (self.box[3] - self.box[1])))


class _Sheet:
    """A picture that things are laid on, and what is seen of each."""

    def __init__(self, image: Picture, frame: tuple[int, int]) -> None:
        self.image, self.frame = image, frame
        self.faces: list[_Face] = []
        self.taken: list[NDArray[Any]] = []
        self._area: list[int] = []
        # per pixel the number of the face on top of it, from 1; 0: anything else
        self._owner = np.zeros(image.shape[:2], np.uint8)

    def seen(self, face: int) -> float:
        """Share of a face that lies in the frame and under nothing else."""
        x0, y0, x1, y1 = np.clip(self.faces[face].box, 0, None).round().astype(int)
        width, height = self.frame
        inside = self._owner[y0 : min(y1, height), x0 : min(x1, width)] == face + 1
        return self.faces[face].bare * float(inside.sum()) / max(1, self._area[face])

    def lay(
        self, picture: NDArray[np.uint8], face: _Face, rng: np.random.Generator, wanted: bool
    ) -> None:
        """Find a place for a picture; with `wanted` its face is one to be found."""
        box, size, width = face.box, face.size, picture.shape[1]
        for _ in range(8):
            x = int(rng.uniform(-0.3 * size - box[0], self.frame[0] - box[2] + 0.3 * size))
            y = int(rng.uniform(-0.3 * size - box[1], self.frame[1] - box[3] + 0.3 * size))
            moved = box + np.array([x, y, x, y])
            if all(
                _overlap(moved, other) < 0.12 and _covered(picture, x, y, other) < 0.2
                for other in self.taken
            ):
                break
        else:
            return
        side = self.image.shape[0]
        x0, y0, x1, y1 = max(0, x), max(0, y), min(side, x + width), min(side, y + width)
        if x1 <= x0 or y1 <= y0:
            return
        part = picture[y0 - y : y1 - y, x0 - x : x1 - x]
        self.image[y0:y1, x0:x1] = composite(part, self.image[y0:y1, x0:x1])
        self.taken.append(moved)
        if wanted:
            points = face.points + np.tile([x, y], 5)
            self.faces.append(_Face(moved, points, face.bare))
            bx0, by0, bx1, by1 = np.clip(box, 0, None).round().astype(int)
            self._area.append(int((picture[by0:by1, bx0:bx1, 3] > 127).sum()))
        self._owner[y0:y1, x0:x1][part[..., 3] > 127] = len(self.faces) if wanted else 0
        if size > 16:
            self.image, mask = occlude(self.image, rng, moved, 0.25)
            if mask is not None:
                self._owner[mask > 127] = 0


def _frame(rng: np.random.Generator, side: int) -> tuple[int, int]:
    """Width and height of the picture on its square canvas: letterboxed now and then."""
    if rng.random() < 0.7:
        return side, side
    part = int(side * rng.uniform(0.5, 1))
    return (part, side) if rng.random() < 0.5 else (side, part)


def assign(
    boxes: Boxes, points: Boxes, side: int, wanted: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.int8], Boxes]:
    """Per anchor 1 (a face), 0 (nothing) or -1 (ignored), and the face's box and points (A, 14).

    A face belongs to anchors of about its size, near its centre; the smaller face wins. Faces
    that are not wanted (hardly seen) are ignored wherever they might be found.
    """
    wanted = np.ones(len(boxes), bool) if wanted is None else wanted
    labels, targets = [], []
    order = np.argsort(-((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])))
    for level, stride in enumerate(Detector.STRIDES):
        cells = side // stride
        label = np.zeros((cells, cells, 2), np.int8)
        target = np.zeros((cells, cells, 2, 14), np.float32)
        for k in order:
            x0, y0, x1, y1 = boxes[k]
            w, h, cx, cy = x1 - x0, y1 - y0, (x0 + x1) / 2, (y0 + y1) / 2
            size = np.sqrt(w * h)
            for anchor in range(2):
                octaves = abs(np.log2(size / Detector.ANCHORS[2 * level + anchor]))
                if size < 16 and level == 0 and anchor == 0:
                    octaves = 0
                if octaves < 1.3:
                    ignored = _cells(cx, cy, 0.42 * w, 0.42 * h, stride, cells)
                    region = label[ignored][..., anchor]
                    region[region == 0] = -1
                if octaves < 0.75 and wanted[k]:
                    radius = max(0.8 * stride, 0.2 * size)
                    chosen = _cells(
                        cx, cy, min(radius, 0.6 * w), min(radius, 0.6 * h), stride, cells
                    )
                    label[chosen][..., anchor] = 1
                    target[chosen][..., anchor, :4] = boxes[k]
                    target[chosen][..., anchor, 4:] = points[k]
        labels.append(label.reshape(-1))
        targets.append(target.reshape(-1, 14))
    return np.concatenate(labels), np.concatenate(targets)


def _cells(
    cx: float, cy: float, rx: float, ry: float, stride: int, cells: int
) -> tuple[slice, slice]:
    """Rows and columns whose points lie within (rx, ry) of a centre."""
    left, right = int(np.ceil((cx - rx) / stride)), int(np.floor((cx + rx) / stride))
    top, bottom = int(np.ceil((cy - ry) / stride)), int(np.floor((cy + ry) / stride))
    return slice(max(0, top), min(cells, bottom + 1)), slice(max(0, left), min(cells, right + 1))


class CanvasDraws(Sampler[list[tuple[int, int]]]):
    """Batches of canvases of one side: mostly small ones, some large, the same cost each."""

    SIDES = ((256, 16), (448, 6))

    def __init__(self, batches: int, seed: int) -> None:
        self.batches, self.seed = batches, seed

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        rng, draw = np.random.default_rng(self.seed), 0
        for _ in range(self.batches):
            side, count = self.SIDES[int(rng.random() < 0.45)]
            yield [(side, draw + k) for k in range(count)]
            draw += count
