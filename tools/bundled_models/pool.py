"""The pool of crops every network is trained on: rendered once, read many times.

Belongs here: rendering shards of crops with their truths, and reading them memory-mapped.
Does not belong here: backgrounds, occluders in front of the crop, or the camera's faults.
Run `python -m bundled_models.pool --facekit ARRAYS --out FOLDER --part 0 --parts 2` once per core.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.bundled_models import facekit, head, moments
from tools.bundled_models.facekit import FaceKit, Floats
from tools.bundled_models.identity import Person, person_of

CROP = 208
HELD_OUT = 100_000  # seeds from here on are never trained on
ATTRIBUTES = ("eye_open", "mouth_open", "smile", "occlusion")


@dataclass(frozen=True)
class Shard:
    """What one file of the pool holds."""

    name: str
    seeds: range
    per_person: int
    size: int = CROP
    backs: bool = False  # heads seen from behind: what a detector must not find


def shards() -> list[Shard]:
    """The pool: about 36 000 crops of 3 200 people to train on, 1 500 of 150 held-out people."""
    out = [
        Shard(f"test{k:03d}", range(HELD_OUT + k * 15, HELD_OUT + k * 15 + 15), 10)
        for k in range(10)
    ]
    out += [
        Shard(f"large{k:03d}", range(50_000 + k * 40, 50_000 + k * 40 + 40), 3, 416)
        for k in range(10)
    ]
    out += [
        Shard(f"backs{k:03d}", range(60_000 + k * 40, 60_000 + k * 40 + 40), 4, backs=True)
        for k in range(4)
    ]
    out += [Shard(f"train{k:03d}", range(k * 40, k * 40 + 40), 11) for k in range(80)]
    # the order in which they are rendered: some of each kind first, so that training can start early
    order = {"test": 0.0, "large": 4.0, "backs": 4.5, "train": 0.1}
    return sorted(
        out,
        key=lambda s: (
            order[s.name[:-3]] + int(s.name[-3:]) * (1 if s.name[0] == "t" else 2),
            s.name,
        ),
    )


@dataclass(frozen=True)
class Moment:
    """Everything sampled for one crop."""

    portrait: head.Portrait
    weights: Floats
    pose: tuple[float, float, float]
    attributes: tuple[float, float, float]


def sample(
    kit: FaceKit, person: Person, rng: np.random.Generator, size: int, backs: bool = False
) -> Moment:
    """Draw a person in a random moment, the face filling a little over half of the crop."""
    pitch, yaw, roll = moments.sample_pose(rng)
    if backs:
        yaw = float(rng.uniform(115, 245))
    weights, light = moments.sample_expression(kit, rng), moments.sample_light(rng)
    outfit = moments.sample_outfit(person, rng)
    camera = head.Camera(
        size=size,
        scale=size * 0.537 / 18,
        centre=(0.5 + rng.normal(0, 0.02), 0.5 + rng.normal(0, 0.02)),
        distance=rng.uniform(35, 120),
        supersampling=1.5 if size <= CROP else 1.25,
    )
    body_pose = (0.0, rng.normal(0, 15) + yaw * 0.4, rng.normal(0, 4))
    shadow = bool(rng.random() < 0.75)
    portrait = head.draw(
        kit, person, weights, (pitch, yaw, roll), light, camera, outfit, body_pose, shadow
    )
    return Moment(portrait, weights, (pitch, yaw, roll), moments.attributes(kit, person, weights))


def render_shard(kit: FaceKit, shard: Shard, folder: Path) -> None:
    """Render one shard; whole or not at all (the index is written last)."""
    count = len(shard.seeds) * shard.per_person
    pixels = np.zeros((count, shard.size, shard.size, 4), np.uint8)
    visible = np.zeros((count, shard.size * shard.size // 8), np.uint8)
    rows: dict[str, list[object]] = {
        key: [] for key in ("landmarks", "box", "person", "pose", "attributes", "weights")
    }
    for seed in shard.seeds:
        person, rng = person_of(kit, seed), np.random.default_rng([seed, 77])
        for _ in range(shard.per_person):
            moment = sample(kit, person, rng, shard.size, shard.backs)
            k = len(rows["box"])
            pixels[k] = np.clip(moment.portrait.rgba * 255 + 0.5, 0, 255)
            visible[k] = np.packbits(moment.portrait.visible)
            rows["landmarks"].append(moment.portrait.landmarks)
            rows["box"].append(moment.portrait.box)
            rows["person"].append(seed)
            rows["pose"].append(moment.pose)
            rows["attributes"].append((*moment.attributes, moment.portrait.occlusion))
            rows["weights"].append(moment.weights)
    np.save(folder / f"{shard.name}.npy", pixels)
    arrays = {
        key: np.array(value, np.int64 if key == "person" else np.float32)
        for key, value in rows.items()
    }
    np.savez(folder / f"{shard.name}.part.npz", visible=visible, **arrays)  # type: ignore[arg-type]
    (folder / f"{shard.name}.part.npz").rename(folder / f"{shard.name}.npz")


class Pool:
    """Crops of one kind (`train`, `test`, `large`, `backs`), pixels memory-mapped."""

    def __init__(self, folder: Path, kind: str) -> None:
        indices = sorted(folder.glob(f"{kind}[0-9]*.npz"))
        indices = [path for path in indices if ".part" not in path.name]
        if not indices:
            raise FileNotFoundError(f"no {kind} shards in {folder}")
        tables = [dict(np.load(path)) for path in indices]
        self._pixels = [np.load(path.with_suffix(".npy"), mmap_mode="r") for path in indices]
        self._place = [(s, i) for s, table in enumerate(tables) for i in range(len(table["box"]))]

        def joined(key: str) -> NDArray[Any]:
            return np.concatenate([table[key] for table in tables])

        self.landmarks, self.box = joined("landmarks"), joined("box")
        self.person, self.pose = joined("person"), joined("pose")
        self.attributes, self.weights = joined("attributes"), joined("weights")
        self._visible = joined("visible")
        self.size = self._pixels[0].shape[1]

    def __len__(self) -> int:
        return len(self._place)

    def picture(self, index: int) -> NDArray[np.uint8]:
        """Premultiplied RGBA."""
        shard, row = self._place[index]
        return np.asarray(self._pixels[shard][row])

    def visible(self, index: int) -> NDArray[np.uint8]:
        """1 where the face itself is seen."""
        return np.unpackbits(self._visible[index]).reshape(self.size, self.size)


def five_points(landmarks: NDArray[np.floating]) -> NDArray[np.floating]:
    """Eyes, nose tip and mouth corners from the 68 landmarks, x and y only."""
    marks = landmarks[..., :2]
    parts = [marks[..., 36:42, :].mean(-2), marks[..., 42:48, :].mean(-2), marks[..., 30, :]]
    return np.stack([*parts, marks[..., 48, :], marks[..., 54, :]], -2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--facekit", type=Path, required=True, help="the arrays, ict_facekit.npz")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--part", type=int, default=0)
    parser.add_argument("--parts", type=int, default=1)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    kit, started = facekit.load(arguments.facekit), time.monotonic()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for number, shard in enumerate(shards()):
        if (
            number % arguments.parts == arguments.part
            and not (arguments.out / f"{shard.name}.npz").exists()
        ):
            render_shard(kit, shard, arguments.out)
            print(f"{shard.name} {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
