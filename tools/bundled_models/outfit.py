"""What somebody wears and holds up: long hair, hats, glasses, clothes, arms, as small meshes.

Belongs here: parametric meshes in head space (or body space for torso and arms). Does not belong
here: how they are lit, or when they are worn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tools.bundled_models.facekit import FRAME, HAIR, HAT, LENS, FaceKit, Floats
from tools.bundled_models.identity import Person
from tools.bundled_models.traits import smooth_step


@dataclass(frozen=True)
class Mesh:
    """A mesh that is seen from both sides, of one material."""

    vertices: Floats
    triangles: NDArray[np.int32]
    material: int
    ambient: Floats | None = None  # (V,) share of the sky each vertex sees; None: much the same


@dataclass(frozen=True)
class Outfit:
    """What one person wears in one video."""

    hat: str | None = None  # None, cap, helmet
    glasses: bool = False
    sunglasses: bool = False
    seed: int = 0  # colours, patterns and the cut of hat and clothes
    arms: tuple[tuple[float, float, float], ...] = ()  # body-space places of raised hands, cm
    seated: bool = False  # the finer body and hair of the rides; `arms` are then both wrists


def sheet(points: NDArray[np.floating], material: int, ambient: NDArray[Any] | None = None) -> Mesh:
    """A sheet of rows x columns points, with what each sees of the sky."""
    rows, columns = points.shape[:2]
    i = np.arange((rows - 1) * (columns - 1))
    a = i // (columns - 1) * columns + i % (columns - 1)
    quads = np.concatenate(
        [np.stack([a, a + 1, a + columns], 1), np.stack([a + 1, a + columns + 1, a + columns], 1)]
    )
    shade = None if ambient is None else ambient.reshape(-1).astype(np.float32)
    return Mesh(points.reshape(-1, 3).astype(np.float32), quads.astype(np.int32), material, shade)


def tube(
    line: NDArray[np.floating], radii: NDArray[np.floating], material: int, sides: int = 10
) -> Mesh:
    """A tube around a line of points; zero radii close its ends."""
    along = np.gradient(line, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True) + 1e-9
    side = np.cross(along, [0.13, 0.21, 0.97])
    side /= np.linalg.norm(side, axis=1, keepdims=True) + 1e-9
    up = np.cross(along, side)
    angle = np.linspace(0, 2 * np.pi, sides + 1)
    ring = side[:, None] * np.cos(angle)[None, :, None] + up[:, None] * np.sin(angle)[None, :, None]
    return sheet(line[:, None] + ring * np.asarray(radii)[:, None, None], material)


@dataclass(frozen=True)
class _Skull:
    half_width: float
    top: float
    middle: float
    half_depth: float


def _skull(kit: FaceKit, person: Person) -> _Skull:
    head = person.vertices[kit.is_head]
    crown = person.vertices[kit.is_head & (kit.neutral[:, 1] > 5)]
    front, back = float(crown[:, 2].max()), float(crown[:, 2].min())
    return _Skull(
        float(np.abs(crown[:, 0]).max()),
        float(head[:, 1].max()),
        (front + back) / 2,
        (front - back) / 2,
    )


def worn_on_head(kit: FaceKit, person: Person, outfit: Outfit) -> list[Mesh]:
    """Everything that moves with the head."""
    skull = _skull(kit, person)
    meshes = []
    if person.traits.style == "long":
        make = _flowing_hair if outfit.seated else _long_hair
        meshes.append(make(person, skull))
    if outfit.hat:
        meshes += _hat(person, skull, outfit)
    if outfit.glasses or outfit.sunglasses:
        meshes += _glasses(kit, person, skull, outfit.sunglasses)
    return meshes


def _long_hair(person: Person, skull: _Skull) -> Mesh:
    rng = np.random.default_rng([person.traits.detail_seed, 2])
    opening = np.radians(rng.uniform(52, 78))
    around = np.linspace(opening, 2 * np.pi - opening, 40)
    wave = 0.5 * rng.standard_normal((1, 40))
    flare = rng.uniform(0, 1)
    y, angle = np.meshgrid(np.linspace(9, person.traits.length, 16), around, indexing="ij")
    width = 1 + 0.10 * smooth_step(8, 2, y) + 0.02 * wave * smooth_step(6, -10, y)
    width = width + 0.12 * smooth_step(0, -16, y) * flare
    width = width * np.where(y > 4, np.sqrt(np.clip(1 - ((y - 4) / 9) ** 2 * 0.55, 0.2, 1)), 1)
    thick = person.traits.volume * 0.45
    x = (skull.half_width + thick) * np.sin(angle) * width
    z = skull.middle - 0.6 + (skull.half_depth * 0.93 + thick) * np.cos(angle) * width
    return sheet(np.stack([x, y, z], -1), HAIR)


def _flowing_hair(person: Person, skull: _Skull) -> Mesh:
    """The long hair of the same person in locks, with uneven ends."""
    rng = np.random.default_rng([person.traits.detail_seed, 2])
    opening, columns, rows = np.radians(rng.uniform(52, 78)), 110, 30
    coarse = 0.5 * rng.standard_normal(40)
    flare = rng.uniform(0, 1)
    locks = np.interp(np.linspace(0, 39, columns), np.arange(40), coarse)
    fine = np.convolve(rng.standard_normal(columns + 2), [0.3, 0.4, 0.3], "valid")
    around = np.linspace(opening, 2 * np.pi - opening, columns)[None]
    down = np.linspace(0, 1, rows)[:, None]
    y = 9 + (person.traits.length + 1.1 * locks + 0.7 * fine - 9) * down
    width = 1 + 0.10 * smooth_step(8, 2, y) + 0.02 * locks * smooth_step(6, -10, y)
    width = width + 0.10 * smooth_step(0, -16, y) * flare + 0.018 * fine * smooth_step(8, 0, y)
    width = width - 0.05 * smooth_step(0.75, 1, down)
    width = width * np.where(y > 4, np.sqrt(np.clip(1 - ((y - 4) / 9) ** 2 * 0.55, 0.2, 1)), 1)
    thick = person.traits.volume * 0.45
    x = (skull.half_width + thick) * np.sin(around) * width
    z = skull.middle - 0.6 + (skull.half_depth * 0.93 + thick) * np.cos(around) * width
    shade = np.clip(0.72 + 0.12 * fine + 0.1 * locks - 0.12 * down, 0.3, 1)
    return sheet(np.stack([x, y, z], -1), HAIR, np.broadcast_to(shade, y.shape))


def _hat(person: Person, skull: _Skull, outfit: Outfit) -> list[Mesh]:
    rng = np.random.default_rng([outfit.seed, 3])
    helmet = outfit.hat == "helmet"
    thick = rng.uniform(2.0, 3.2) if helmet else 0.9
    rim = rng.uniform(6.6, 9.4) if helmet else rng.uniform(7.0, 9.5)
    rim *= 1 - 0.1 * person.traits.child
    tilt, drop = rng.uniform(-0.05, 0.22), rng.uniform(2, 6)
    has_brim, brim, slope = (
        (not helmet) or rng.random() < 0.5,
        rng.uniform(3, 7),
        rng.uniform(0, 0.3),
    )
    room = thick + (person.traits.volume * 0.3 if person.traits.style != "bald" else 0)
    rise, angle = np.meshgrid(
        np.linspace(0, np.pi / 2, 12), np.linspace(0, 2 * np.pi, 36), indexing="ij"
    )
    x = (skull.half_width + room) * np.cos(rise) ** 0.8 * np.sin(angle)
    z = skull.middle + (skull.half_depth + room + 0.3) * np.cos(rise) ** 0.8 * np.cos(angle)
    y = rim + (skull.top - rim + thick) * np.sin(rise)
    y = y + tilt * z * (1 - np.sin(rise))
    if helmet:
        behind = np.abs(np.degrees(np.where(angle > np.pi, angle - 2 * np.pi, angle)))
        y = y - smooth_step(60, 110, behind) * (1 - np.sin(rise)) * drop
    meshes = [sheet(np.stack([x, y, z], -1), HAT)]
    if has_brim:
        side, out = np.meshgrid(
            np.radians(np.linspace(-62, 62, 20)), np.linspace(0, brim, 5), indexing="ij"
        )
        ahead = np.cos(side * 1.35)
        bx = (skull.half_width + thick) * np.sin(side)
        bz = skull.middle + (skull.half_depth + thick) * np.cos(side) + out * ahead
        meshes.append(sheet(np.stack([bx, rim + tilt * bz - out * ahead * slope, bz], -1), HAT))
    return meshes


def _glasses(kit: FaceKit, person: Person, skull: _Skull, dark: bool) -> list[Mesh]:
    shape, face = person.traits.glasses, person.vertices[kit.landmarks]
    half_width, half_height, tube_width = shape["half_width"], shape["half_height"], shape["tube"]
    eyes = face[36:42].mean(0), face[42:48].mean(0)
    plane = max(float(face[[19, 24, 27], 2].max()) + 0.15, float(eyes[0][2]) + 1.2)
    angle = np.linspace(0, 2 * np.pi, 28)
    rim_x = np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** (2 / shape["power"])
    rim_y = np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** (2 / shape["power"])
    meshes, centres = [], []
    for eye, side in zip(eyes, (-1, 1), strict=True):
        cx, cy = eye[0] + side * 0.15, eye[1] - 0.35
        centres.append((cx, cy))
        bend = plane - 0.0315 * (cx + rim_x * half_width) ** 2

        def ring(
            grow: float, ahead: float, cx: float = cx, cy: float = cy, bend: Floats = bend
        ) -> Floats:
            x, y = cx + rim_x * (half_width + grow), cy + rim_y * (half_height + grow)
            return np.stack([x, y, bend + ahead], 1)

        rims = np.stack([ring(-tube_width, 0), ring(0, tube_width), ring(tube_width, 0)])
        meshes.append(sheet(rims, FRAME))
        if dark:
            fan = np.concatenate(
                [[[cx, cy, plane - 0.0315 * cx * cx + 0.05]], ring(-tube_width * 0.5, 0)]
            )
            spokes = np.array([[0, i, i + 1] for i in range(1, len(angle))], np.int32)
            meshes.append(Mesh(fan.astype(np.float32), spokes, LENS))
        hinge = plane - 0.0315 * (abs(cx) + half_width) ** 2
        temple = [
            (cx + side * half_width, cy + 0.5, hinge),
            (side * (skull.half_width + 0.15), cy + 0.5, 2.0),
        ]
        temple.append((side * (skull.half_width + 0.15), cy + 0.2, -1.0))
        bar = [[(x, y + tube_width * 1.3, z), (x, y - tube_width * 1.3, z)] for x, y, z in temple]
        meshes.append(sheet(np.array(bar), FRAME))
    (x0, y0), (x1, y1) = centres
    ends = ((x0 + half_width, y0), (x1 - half_width, y1))
    bridge = [[(x, y + 0.5 + tube_width, plane), (x, y + 0.5 - tube_width, plane)] for x, y in ends]
    return [*meshes, sheet(np.array(bridge), FRAME)]
