"""What the cover nets learn from: eye crops and face chips of rendered people, with what is hidden.

Belongs here: rendering people, painting covers, cutting and damaging the crops, their truths.
Run `python -m tools.bundled_models.cover_samples --facekit ARRAYS --out FILE --part 0 --parts 2`.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from identity_pipeline.core.faces.cover import CHIP_PX, EYE_PX, GRID, chip_matrix, eye_matrix
from tools.bundled_models import covers, facekit, head, moments
from tools.bundled_models.degrade import Backgrounds, Picture, camera, composite
from tools.bundled_models.facekit import FaceKit
from tools.bundled_models.identity import Person, person_of
from tools.bundled_models.pool import HELD_OUT

SIZE = 256
PEOPLE, MOMENTS, DRAWS = 2400, 4, 3
TEST_PEOPLE = 60


@dataclass(frozen=True)
class Hard:
    """How often what is hard is drawn.

    Attributes:
        hands: share of moments with a hand lifted to the face.
        tunnel: share of draws by so little light that few levels of brightness are left.
    """

    hands: float
    tunnel: float


EYES_68 = ((36, 39), (42, 45))
CHIP_68 = (36, 39, 42, 45, 27, 31, 33, 35)
"""The landmarks of `cover.CHIP_VERTICES` in the 68-point scheme."""


@dataclass
class Samples:
    """Growing lists of one part."""

    eyes: list[Picture] = field(default_factory=list)
    eye_hidden: list[float] = field(default_factory=list)
    chips: list[Picture] = field(default_factory=list)
    covered: list[NDArray[np.uint8]] = field(default_factory=list)
    face: list[NDArray[np.uint8]] = field(default_factory=list)
    kind: list[str] = field(default_factory=list)
    person: list[int] = field(default_factory=list)

    def save(self, path: Path) -> None:
        np.savez(path, **{k: np.array(v) for k, v in self.__dict__.items()})


def render(
    kit: FaceKit, person: Person, rng: np.random.Generator, hands: float
) -> tuple[head.Portrait, moments.Light]:
    """A person in a moment, the face filling most of the picture; a hand before some faces."""
    pitch, yaw, roll = moments.sample_pose(rng)
    outfit = moments.sample_outfit(person, rng)
    if hands and rng.random() < hands:
        outfit = replace(outfit, seated=True, arms=_lifted_hands(rng))
    weights, light = moments.sample_expression(kit, rng), moments.sample_light(rng)
    view = head.Camera(
        size=SIZE,
        scale=SIZE * 0.72 / 18,
        distance=rng.uniform(35, 120),
        supersampling=1.25,
    )
    pose = (pitch * 0.8, yaw * 0.8, roll)
    body = (0.0, rng.normal(0, 15) + yaw * 0.4, rng.normal(0, 4))
    return head.draw(kit, person, weights, pose, light, view, outfit, body, True), light


def _lifted_hands(rng: np.random.Generator) -> tuple[tuple[float, float, float], ...]:
    """Wrists of both arms, in most cases so high that a hand is before the face."""
    arms = []
    for side in (-1, 1):
        before = (side * rng.uniform(-2, 8), rng.uniform(-19, -5), rng.uniform(11, 17))
        arms.append(before if rng.random() < 0.65 else (side * 17.0, -40.0, 6.0))
    return tuple(arms)


def _tunnel(picture: Picture, rng: np.random.Generator) -> Picture:
    """The picture by so little light that few levels of brightness are left."""
    dark = picture * rng.uniform(0.04, 0.2) + rng.normal(0, rng.uniform(0.2, 1.5), picture.shape)
    return np.clip(dark, 0, 255).astype(np.uint8)


def hidden_share(hidden: NDArray[np.floating], marks: NDArray[Any], eye: int) -> float:
    """Share of an eye's opening and lids that is hidden."""
    around = marks[36 + 6 * eye : 42 + 6 * eye, :2]
    middle = around.mean(0)
    width = np.linalg.norm(marks[EYES_68[eye][0], :2] - marks[EYES_68[eye][1], :2])
    mask = np.zeros(hidden.shape, np.uint8)
    wide = middle + (around - middle) * 1.15
    cv2.fillConvexPoly(mask, cv2.convexHull(np.round(wide).astype(np.int32)), 1)
    least = (int(width * 0.5), max(2, int(width * 0.2)))
    turn = np.degrees(np.arctan2(*(marks[EYES_68[eye][1]] - marks[EYES_68[eye][0]])[1::-1]))
    cv2.ellipse(mask, tuple(int(v) for v in middle), least, float(turn), 0, 360, 1, -1)
    return float((hidden * mask).sum() / max(1, mask.sum()))


def _warp(image: NDArray[Any], matrix: NDArray[np.float64], side: int) -> NDArray[Any]:
    return np.asarray(cv2.warpAffine(image, matrix, (side, side), flags=cv2.INTER_LINEAR))


def add(
    out: Samples,
    portrait: head.Portrait,
    behind: Backgrounds,
    rng: np.random.Generator,
    seed: int,
    tunnel: float,
) -> None:
    """One draw of one rendered person: two eye crops and a chip."""
    marks = portrait.landmarks.astype(np.float64)
    front = np.clip(portrait.rgba * 255 + 0.5, 0, 255).astype(np.uint8)
    picture = composite(front, behind.get(rng, SIZE, SIZE))
    # Spectacles are worn, not held before the face: what their frame hides is not covered.
    worn = portrait.face & ~portrait.visible & ~portrait.framed
    picture, mask, kind = covers.paint(picture, marks, rng, behind)
    hidden = np.maximum(mask, worn.astype(np.float32))
    if tunnel and rng.random() < tunnel:
        picture = _tunnel(picture, rng)
    picture = camera(picture, rng, 0.7)
    # A mesh on a covered face is a guess: its points stray farther.
    stray = (0.02 + 0.06 * float(hidden[portrait.face].mean() > 0.15)) * rng.uniform(0.3, 1.5)
    width = float(np.linalg.norm(marks[45, :2] - marks[36, :2]))
    moved = marks[:, :2] + rng.normal(0, stray * width * 0.7, 2)
    moved = moved + rng.normal(0, stray * width * 0.5, moved.shape)
    for eye, (a, b) in enumerate(EYES_68):
        matrix = eye_matrix(moved[a], moved[b])
        crop = _warp(picture, matrix, EYE_PX)
        out.eyes.append(np.ascontiguousarray(crop[:, ::-1]) if eye else crop)
        out.eye_hidden.append(hidden_share(hidden, marks, eye))
    matrix = chip_matrix(moved[list(CHIP_68)])
    out.chips.append(_warp(picture, matrix, CHIP_PX))
    cells = (GRID, GRID)
    share = _warp(hidden.astype(np.float32), matrix, CHIP_PX)
    face = _warp(portrait.face.astype(np.float32), matrix, CHIP_PX)
    out.covered.append(
        (cv2.resize(share, cells, interpolation=cv2.INTER_AREA) * 255).astype(np.uint8)
    )
    out.face.append((cv2.resize(face, cells, interpolation=cv2.INTER_AREA) * 255).astype(np.uint8))
    out.kind.append(kind)
    out.person.append(seed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--facekit", type=Path, required=True, help="the arrays, ict_facekit.npz")
    parser.add_argument("--out", type=Path, required=True, help="folder of the parts")
    parser.add_argument("--part", type=int, default=0)
    parser.add_argument("--parts", type=int, default=1)
    parser.add_argument("--people", type=int, default=PEOPLE)
    parser.add_argument("--hands", type=float, default=0.3)
    parser.add_argument("--tunnel", type=float, default=0.06)
    arguments = parser.parse_args()
    hard = Hard(arguments.hands, arguments.tunnel)
    cv2.setNumThreads(1)
    kit, started = facekit.load(arguments.facekit), time.monotonic()
    behind = Backgrounds(200, SIZE, 11)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, first, count in (("test", HELD_OUT, TEST_PEOPLE), ("train", 0, arguments.people)):
        out = Samples()
        for seed in range(first + arguments.part, first + count, arguments.parts):
            person, rng = person_of(kit, seed), np.random.default_rng([seed, 91])
            for _ in range(MOMENTS):
                portrait, _ = render(kit, person, rng, hard.hands)
                for _ in range(DRAWS):
                    add(out, portrait, behind, rng, seed, hard.tunnel)
        out.save(arguments.out / f"{name}-{arguments.part}.npz")
        print(f"{name}: {len(out.kind)} in {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
