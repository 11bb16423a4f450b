"""Who rides, and what they do: the plan of a ride and the choreography of its riders.

Belongs here: motion over time, as functions of seeds. Does not belong here: drawing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline, PchipInterpolator

from tools.bundled_models import moments
from tools.bundled_models.facekit import FaceKit, Floats
from tools.bundled_models.identity import Person, person_of
from tools.bundled_models.outfit import Outfit


@dataclass(frozen=True)
class RidePlan:
    """One ride: who sits where, and the seed of everything that happens."""

    name: str
    riders: tuple[int, ...]  # seeds, left to right in the image
    seed: int
    seconds: float = 18.0
    fps: int = 30

    @property
    def frames(self) -> int:
        return round(self.seconds * self.fps)


DEMO = (
    RidePlan("demo_duo_a", (200_031, 200_018), 11),
    RidePlan("demo_duo_b", (200_018, 200_012), 12),
    RidePlan("demo_solo", (200_031,), 13),
)


def person_name(seed: int) -> str:
    return f"rider_{seed}"


def drift(
    rng: np.random.Generator, frames: int, period: float, amplitude: float
) -> NDArray[np.float64]:
    """A smooth random motion; `period` in frames."""
    knots = rng.standard_normal(max(2, int(frames / period)) + 4)
    where = np.linspace(1, len(knots) - 2.001, frames)
    return np.asarray(CubicSpline(np.arange(len(knots)), knots)(where) * amplitude)


def course(frames: int, keys: list[tuple[float, float]]) -> NDArray[np.float64]:
    """Values between (share of the ride, value) without overshoot."""
    shares, values = zip(*keys, strict=True)
    return np.asarray(PchipInterpolator(shares, values)(np.linspace(0, 1, frames)))


def bump(
    frames: int, spans: list[tuple[float, float, float]], ramp: float = 0.012
) -> NDArray[np.float64]:
    """1-D plateaus: (from, to, height) in shares of the ride, with soft edges."""
    t = np.linspace(0, 1, frames)
    out = np.zeros(frames)
    for start, end, height in spans:
        out = np.maximum(out, height * np.clip(np.minimum(t - start, end - t) / ramp, 0, 1))
    return out


@dataclass(frozen=True)
class Performance:
    """What one rider does, per frame."""

    person: Person
    outfit: Outfit
    pitch: NDArray[np.float64]
    yaw: NDArray[np.float64]
    roll: NDArray[np.float64]
    smile: NDArray[np.float64]
    jaw: NDArray[np.float64]
    blink: NDArray[np.float64]
    hands: NDArray[np.float64]  # 0: down, 1: up
    cover: NDArray[np.float64]  # 1: a hand in front of the face

    def weights(self, kit: FaceKit, frame: int) -> Floats:
        face = moments.Expression(kit)
        smile, jaw, blink = self.smile[frame], self.jaw[frame], self.blink[frame]
        face.set("mouthSmile", smile).set("cheekSquint", 0.5 * smile).set(
            "mouthUpperUp", 0.2 * smile
        )
        face.set("jawOpen", jaw).set("browInnerUp", 0.6 * jaw).set("eyeWide", 0.5 * jaw)
        face.set("eyeBlink", blink)
        return face.look(float(np.clip(-self.yaw[frame] / 90, -0.4, 0.4)), 0.0).weights

    def dressed(self, frame: int) -> Outfit:
        arms: list[tuple[float, float, float]] = []
        up, cover = self.hands[frame], self.cover[frame]
        if up > 0.02:
            arms += [(side * 21.0, -30 + 42 * up, 12 - 4 * up) for side in (-1, 1)]
        if cover > 0.02:
            arms.append((5.0, -32 + 27 * cover, 17.0))
        return replace(self.outfit, arms=tuple(arms))


def perform(kit: FaceKit, plan: RidePlan, seat: int) -> Performance:
    """The choreography of one rider: every rider turns both ways, looks up and down, smiles, shouts."""
    rng = np.random.default_rng([plan.seed, seat])
    person, frames = person_of(kit, plan.riders[seat]), plan.frames
    side = 1 if seat == 0 else -1
    shift = rng.uniform(-0.012, 0.012)

    def keys(*pairs: tuple[float, float]) -> list[tuple[float, float]]:
        return [(0, 0), *((share + shift, value) for share, value in pairs), (1, 0)]

    far = rng.uniform(46, 54)
    yaw = course(frames, keys((0.05, 8), (0.10, -10), (0.16, 0), (0.20, 24 * side), (0.245, far * side),
                               (0.275, 38 * side), (0.31, 0), (0.40, 10), (0.46, -22 * side), (0.50, -far * side),
                               (0.53, -36 * side), (0.57, 0), (0.65, 20 * side), (0.72, -20), (0.77, 0),
                               (0.88, -33 * side), (0.92, 34 * side), (0.96, 0)))  # fmt: skip
    pitch = course(frames, keys((0.12, 0), (0.17, 17), (0.19, 20), (0.23, 3), (0.29, -17), (0.32, -3), (0.44, 8),
                                 (0.52, 2), (0.61, 20), (0.64, 2), (0.74, -20), (0.78, 0), (0.90, 7)))  # fmt: skip
    smile = bump(
        frames,
        [
            (0.03, 0.09, 0.7),
            (0.22, 0.27, 0.9),
            (0.47, 0.52, 0.8),
            (0.72, 0.79, 0.9),
            (0.90, 0.95, 1),
        ],
    )
    jaw = bump(
        frames, [(0.17, 0.215, 0.6), (0.44, 0.475, 0.8), (0.60, 0.66, 1.0), (0.86, 0.895, 0.7)]
    )
    closed = bump(
        frames,
        [(0.285, 0.315, 1.0), (0.53, 0.56, 1.0), (0.685, 0.70, 1.0), (0.955, 0.98, 1.0)],
        0.006,
    )
    blinks = np.zeros(frames)
    for start in np.cumsum(rng.uniform(45, 95, 40)).astype(int):
        span = np.arange(start, min(start + 5, frames))
        blinks[span] = np.sin((span - start + 0.5) / 5 * np.pi)
    return Performance(
        person=person,
        outfit=Outfit(
            hat=(None, None, "cap", "helmet")[int(rng.integers(4))],
            glasses=person.traits.wears_glasses,
            seed=int(rng.integers(1 << 30)),
        ),
        pitch=pitch + drift(rng, frames, plan.fps * 0.8, 2.5),
        yaw=yaw + drift(rng, frames, plan.fps * 0.8, 3.0),
        roll=drift(rng, frames, plan.fps * 0.9, 5.0) + 0.1 * yaw,
        smile=np.clip(smile + 0.05 * drift(rng, frames, plan.fps, 1.0), 0, 1),
        jaw=jaw,
        blink=np.clip(np.maximum(closed, blinks), 0, 1.05),
        hands=bump(frames, [(0.605, 0.665, 1.0)], 0.015) if seat == 0 else np.zeros(frames),
        cover=bump(frames, [(0.725, 0.765, 1.0)], 0.012)
        if seat == 1 or len(plan.riders) == 1
        else np.zeros(frames),
    )
