"""One moment of somebody's life: expression, pose, light, and what of it can be measured.

Belongs here: sampling of everything that changes from frame to frame, and the truths derived from
geometry (openness of eyes and mouth, smile). Does not belong here: drawing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tools.bundled_models.facekit import FaceKit, Floats
from tools.bundled_models.identity import Person
from tools.bundled_models.outfit import Outfit

_RARE = (
    "mouthPucker", "mouthFunnel", "jawLeft", "jawRight", "mouthStretch", "noseSneer", "browDown", "browOuterUp",
    "cheekPuff", "mouthRollLower", "mouthPress", "mouthDimple", "mouthLowerDown", "jawOpen", "mouthLeft",
    "mouthRight", "mouthUpperUp",
)  # fmt: skip


@dataclass(frozen=True)
class Light:
    """Directional lights (the first one casts a shadow) and a hemisphere of ambient light."""

    directions: Floats  # (n, 3) unit vectors toward the light
    colours: Floats  # (n, 3)
    sky: Floats
    ground: Floats

    def scaled(self, exposure: float) -> Light:
        factor = np.float32(exposure)
        return Light(
            self.directions, self.colours * factor, self.sky * factor, self.ground * factor
        )


def rotation(pitch: float, yaw: float, roll: float) -> NDArray[np.float64]:
    """Head rotation in head space. Yaw > 0: nose to the image's right; pitch > 0: up; roll > 0: clockwise."""
    p, y, r = np.radians([-pitch, yaw, -roll])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    about_z = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    return np.asarray(about_z @ about_y @ about_x)


class Expression:
    """57 blend-shape weights by name; a name without side sets both sides."""

    def __init__(self, kit: FaceKit) -> None:
        self.kit = kit
        self.weights = np.zeros(len(kit.expression_names), np.float32)

    def set(self, name: str, value: float) -> Expression:
        names = [name] if name in self.kit.expression_names else [name + "_L", name + "_R"]
        for one in names:
            self.weights[self.kit.expression_index(one)] = np.clip(value, 0, 1.05)
        return self

    def look(self, right: float, up: float) -> Expression:
        """Turn the eyes; `right` is the image's right."""
        toward, away = ("eyeLookOut_L", "eyeLookIn_R"), ("eyeLookOut_R", "eyeLookIn_L")
        for name in toward if right > 0 else away:
            self.set(name, min(abs(right), 1))
        for side in ("_L", "_R"):
            self.set(("eyeLookUp" if up > 0 else "eyeLookDown") + side, min(abs(up), 1))
        return self


def sample_expression(kit: FaceKit, rng: np.random.Generator) -> Floats:
    """A mixture: neutral, smiling, shouting, frowning, anything; with blinks and glances."""
    face = Expression(kit)

    def both(name: str, value: float) -> None:
        if name in kit.expression_names:
            face.set(name, value)
        else:
            for side in ("_L", "_R"):
                face.set(name + side, value * rng.normal(1, 0.08))

    kind = rng.random()
    if kind < 0.22:
        pass
    elif kind < 0.48:
        both("mouthSmile", rng.uniform(0.2, 1))
        both("cheekSquint", rng.uniform(0, 0.6))
        both("jawOpen", max(0, rng.uniform(-0.3, 0.4)))
        both("mouthUpperUp", rng.uniform(0, 0.35))
    elif kind < 0.66:
        both("jawOpen", rng.uniform(0.1, 1))
        both("browInnerUp", rng.uniform(0, 1))
        both("eyeWide", rng.uniform(0, 1))
        both("mouthSmile", max(0, rng.uniform(-0.5, 0.7)))
    elif kind < 0.75:
        both("mouthFrown", rng.uniform(0.2, 1))
        both("browDown", rng.uniform(0, 1))
        both("mouthShrugLower", rng.uniform(0, 0.5))
    else:
        for name in rng.choice(_RARE, 3, replace=False):
            both(str(name), rng.uniform(0, 0.8))
    if rng.random() < 0.24:
        both("eyeBlink", rng.uniform(0.3, 1.05))
    else:
        both("eyeBlink", max(0, rng.uniform(-0.2, 0.25)))
    if rng.random() < 0.2:
        both("eyeSquint", rng.uniform(0.2, 1))
    glance = rng.normal(0, 0.35, 2)
    return face.look(float(glance[0]), float(glance[1])).weights


def sample_light(rng: np.random.Generator) -> Light:
    """One to three lights of any colour, from tunnel-dark to over-exposed."""
    ranges = ((0.25, 0.6), (0.6, 1.3), (0.7, 1.3), (1.3, 2.6))
    total = rng.uniform(*ranges[rng.integers(len(ranges))])
    directions, colours = [], []
    for k in range(rng.integers(1, 4)):
        ahead = np.array([rng.normal(0, 0.8), rng.normal(0.45, 0.6), rng.uniform(0.05, 1.2)])
        way = ahead if rng.random() < 0.85 else rng.standard_normal(3)
        directions.append(way / np.linalg.norm(way))
        warm = rng.uniform(-1, 1)
        tint = np.array([1 + 0.22 * warm, 1 + 0.02 * warm, 1 - 0.25 * warm]) * rng.normal(
            1, 0.04, 3
        )
        colours.append(total * rng.uniform(0.3, 1.1) / (1 if k == 0 else 2) * tint)
    ambient, warm = rng.uniform(0.15, 0.9) * total * rng.uniform(0.4, 1), rng.uniform(-1, 1)
    sky = ambient * np.array([1 - 0.1 * warm, 1, 1 + 0.15 * warm])
    ground = ambient * rng.uniform(0.3, 1) * rng.uniform(0.7, 1.1, 3)
    as32 = (np.asarray(v, np.float32) for v in (directions, colours, sky, ground))
    return Light(*as32)


def sample_pose(rng: np.random.Generator) -> tuple[float, float, float]:
    """Pitch, yaw, roll in degrees."""
    yaw = np.clip(rng.normal(0, 26), -62, 62) if rng.random() < 0.7 else rng.uniform(-60, 60)
    return (
        float(np.clip(rng.normal(0, 15), -42, 42)),
        float(yaw),
        float(np.clip(rng.normal(0, 9), -28, 28)),
    )


def sample_outfit(person: Person, rng: np.random.Generator) -> Outfit:
    """Hat, glasses, clothes and perhaps a raised hand."""
    hats = (None, None, None, None, "cap", "helmet", "helmet")
    hat = hats[rng.integers(len(hats))]
    usual = person.traits.wears_glasses
    glasses = usual if rng.random() < 0.85 else not usual
    arms: list[tuple[float, float, float]] = []
    if rng.random() < 0.16:
        for side in (-1, 1):
            if rng.random() < 0.65:
                near_face = rng.random() < 0.4
                x = rng.uniform(1, 9) if near_face else rng.uniform(11, 24)
                y = rng.uniform(-12, 4) if near_face else rng.uniform(-6, 18)
                arms.append((side * x, y, rng.uniform(14, 19) if near_face else rng.uniform(4, 12)))
    return Outfit(
        hat=hat,
        glasses=glasses,
        sunglasses=bool(glasses and rng.random() < 0.35),
        seed=int(rng.integers(1 << 30)),
        arms=tuple(arms),
    )


def _gaps(marks: Floats) -> tuple[float, float, float]:
    """Eye opening (mean of both), mouth opening, mouth width, in the units of the landmarks."""

    def gap(a: int, b: int) -> float:
        return float(np.linalg.norm(marks[a] - marks[b]))

    eyes = (gap(37, 41) + gap(38, 40) + gap(43, 47) + gap(44, 46)) / 4
    return eyes, (gap(61, 67) + gap(62, 66) + gap(63, 65)) / 3, gap(48, 54)


def attributes(kit: FaceKit, person: Person, weights: Floats) -> tuple[float, float, float]:
    """Eye openness (1: as open as this person's neutral), mouth openness, smile; each in [0, 1].

    Mouth openness is the inner lip gap beyond neutral over 60 % of the neutral mouth width.
    """
    used = np.flatnonzero(weights)
    index = (kit.landmarks[:, None] * 3 + np.arange(3)).reshape(-1)
    moved = person.vertices[kit.landmarks] + (
        weights[used] @ kit.expression[used][:, index]
    ).reshape(-1, 3)
    eyes0, lips0, width0 = _gaps(person.vertices[kit.landmarks])
    eyes, lips, _ = _gaps(moved)
    left, right = (weights[kit.expression_index("mouthSmile" + side)] for side in ("_L", "_R"))
    openness = (eyes / eyes0, (lips - lips0) / (0.6 * width0), (left + right) / 2)
    return tuple(float(np.clip(value, 0, 1)) for value in openness)  # type: ignore[return-value]
