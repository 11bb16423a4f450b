"""What somebody looks like: shape, skin and hair, a pure function of a seed.

Belongs here: everything about a person that is the same in every video. Does not belong here: what
they wear today, their expression or the light (`moments`), or how the skin is painted (`albedo`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tools.bundled_models import albedo
from tools.bundled_models.facekit import FaceKit, Floats
from tools.bundled_models.traits import Traits, hairline_height, ride_traits, smooth_step, traits_of


@dataclass(frozen=True)
class Person:
    """A person ready to be drawn."""

    traits: Traits
    vertices: Floats  # (V, 3) neutral face
    skin: Floats  # albedo texture
    strands: Floats  # (128, 128) brightness of hair
    hair_triangles: NDArray[np.int32]  # the part of the skull that carries hair
    hair_depth: Floats  # (V,) cm of hair above each vertex
    hair_above: Floats | None = None  # (V,) cm above the hairline, where that is drawn smoothly


def person_of(kit: FaceKit, seed: int) -> Person:
    """Build a person from a seed (about 30 ms: the skin is painted)."""
    return _built(kit, traits_of(seed))


def rider_of(kit: FaceKit, seed: int) -> Person:
    """As `person_of`, for rides: twins exist, children have rounder faces, hairlines no steps."""
    person = _built(kit, ride_traits(seed), smooth_hairline=True)
    if not person.traits.child:
        return person
    return replace(person, vertices=_rounder(kit, person.vertices, person.traits.child))


def _built(kit: FaceKit, traits: Traits, smooth_hairline: bool = False) -> Person:
    vertices = (kit.neutral.reshape(-1) + traits.shape @ kit.identity).reshape(-1, 3)
    if traits.child:
        vertices = _childlike(kit, vertices, traits.child)
    rng = np.random.default_rng([traits.detail_seed, 1])
    triangles, depth, above = _hair(kit, traits, rng, 1.4 if smooth_hairline else 0.2)
    return Person(
        traits=traits,
        vertices=vertices.astype(np.float32),
        skin=albedo.paint(kit, traits),
        strands=albedo.strands(rng),
        hair_triangles=triangles,
        hair_depth=depth,
        hair_above=above if smooth_hairline else None,
    )


def _childlike(kit: FaceKit, vertices: Floats, degree: float) -> Floats:
    """A shorter, narrower lower face and a smaller head."""
    out = vertices.copy()
    eye_level = kit.eye_centres[:, 1].mean()
    below = np.clip((eye_level - kit.neutral[:, 1]) / 8, 0, 1)
    out[:, 1] += 1.5 * degree * below * np.clip((eye_level - kit.neutral[:, 1]) / 9, 0, 1.2)
    out[:, 0] *= 1 - 0.05 * degree * below
    return np.asarray(out * (1 - 0.1 * degree), np.float32)


def _rounder(kit: FaceKit, vertices: Floats, degree: float) -> Floats:
    """Larger eyes, a smaller nose, fuller cheeks, a higher forehead and a thinner neck."""
    out, rest = vertices.astype(np.float64), kit.neutral
    for k in range(2):
        reach = np.exp(-(((rest - kit.eye_centres[k]) / [2.6, 2.2, 3.5]) ** 2).sum(1))
        ball = np.square(rest - kit.eye_centres[k]).sum(1) < 2.0
        out += 0.09 * degree * reach[:, None] * (vertices - vertices[ball].mean(0))
    nose = np.exp(-(((rest - [0, -0.3, 11.5]) / [2.2, 2.6, 4]) ** 2).sum(1))[:, None]
    out -= degree * nose * np.array([0, -0.25, 0.75])
    out[:, 0] -= 0.14 * degree * nose[:, 0] * out[:, 0]
    cheek = np.exp(-(((np.abs(rest) - [4.8, 2.6, 6.0]) / [2.6, 2.4, 4.5]) ** 2).sum(1))
    cheek *= (rest[:, 1] < 0) & kit.is_head
    out[:, 0] += 0.55 * degree * cheek * np.sign(rest[:, 0])
    out[:, 2] += 0.5 * degree * cheek
    forehead = np.exp(-(((rest - [0, 8.5, 8.5]) / [6, 3, 5]) ** 2).sum(1)) * kit.is_head
    out[:, 2] += 0.5 * degree * forehead
    neck = smooth_step(-8.0, -9.5, rest[:, 1]) * (1 - smooth_step(-11, -13.5, rest[:, 1]))
    out[:, 0] *= 1 - 0.16 * degree * neck
    return np.asarray(out, np.float32)


def _hair(
    kit: FaceKit, traits: Traits, rng: np.random.Generator, margin: float
) -> tuple[NDArray[np.int32], Floats, Floats]:
    """Triangles down to `margin` cm below the hairline, cm of hair and cm above it per vertex."""
    x, y, z = kit.neutral.T
    angle = np.arctan2(x, z + 1)
    above = y - hairline_height(angle, traits.hairline)
    ear = (np.abs(x) > 7.6) & (y < 5.6) & (y > -3) & (z > -4)
    hairy = kit.is_head & (above > -margin)
    if traits.style != "long":
        hairy &= ~ear
    skull = kit.triangles[kit.triangle_material == 0]
    triangles = skull[hairy[skull].all(1)]
    if traits.style == "bald" and traits.hairline["front"] >= 13:
        triangles = triangles[:0]
    cells, amount = ((12, 30, 60), 0.45) if traits.style == "curly" else ((12, 30), 0.25)
    uneven = albedo.noise(rng, 256, 512, cells, amount)
    cell = np.clip(kit.texture_uv.astype(int), 0, [511, 255])
    depth = traits.volume * smooth_step(-0.2, 2.2, above) * (1 + uneven[cell[:, 1], cell[:, 0]])
    depth = np.maximum(depth, 0.03) * (1 + 0.35 * smooth_step(6, 13, y))
    return np.ascontiguousarray(triangles), depth.astype(np.float32), above.astype(np.float32)
