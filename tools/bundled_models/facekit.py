"""The face model: mesh, identity and expression bases, landmarks, materials.

Belongs here: reading the ICT-FaceKit arrays and everything that follows from the mesh alone.
Does not belong here: what a particular person looks like (`identity`), or drawing (`raster`).
Head space: centimetres, x to the person's left (the image's right), y up, z out of the face.
"""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tools.bundled_models import raster

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

# Materials, the index of a row in the material table of `head`.
(
    SKIN,
    SOCKET,
    GUM,
    TEETH,
    EYE_LEFT,
    EYE_RIGHT,
    HAIR,
    HAT,
    FRAME,
    LENS,
    CLOTH,
    LIMB,
    TRIM,
    HAIR_ROOT,
) = range(14)
FACE_MATERIALS = (SKIN, SOCKET, GUM, TEETH, EYE_LEFT, EYE_RIGHT)

# First and last vertex of each part that is drawn; lashes, irises and eye fluid are left out.
_PARTS = (
    (0, 11247, SKIN),
    (11248, 13293, SOCKET),
    (13294, 14061, SOCKET),
    (14062, 17038, GUM),
    (17039, 21450, TEETH),
    (21451, 22220, EYE_LEFT),
    (23021, 23790, EYE_RIGHT),
)

# The 68 Multi-PIE landmarks as vertex numbers of the full mesh.
_LANDMARKS = (
    1225, 1888, 1052, 367, 1719, 1722, 2199, 1447, 966, 3661, 4390, 3927, 3924, 2608, 3272, 4088, 3443,
    268, 493, 1914, 2044, 1401, 3615, 4240, 4114, 2734, 2509, 978, 4527, 4942, 4857, 1140, 2075, 1147,
    4269, 3360, 1507, 1542, 1537, 1528, 1518, 1511, 3742, 3751, 3756, 3721, 3725, 3732, 5708, 5695, 2081,
    0, 4275, 6200, 6213, 6346, 6461, 5518, 5957, 5841, 5702, 5711, 5533, 6216, 6207, 6470, 5517, 5966,
)  # fmt: skip

# Which landmark a landmark becomes when the picture is mirrored.
MIRRORED_68 = np.array(
    [16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 27,
     28, 29, 30, 35, 34, 33, 32, 31, 45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40, 54, 53, 52, 51, 50, 49,
     48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65]
)  # fmt: skip

TEXTURE_WIDTH, TEXTURE_HEIGHT = 512, 256


def cylindrical(points: NDArray[np.floating]) -> Floats:
    """Texture coordinates (pixels) of points in head space: angle around the head, and height."""
    u = (np.arctan2(points[..., 0], points[..., 2] + 1) / (2 * np.pi) + 0.5) * TEXTURE_WIDTH
    v = (15 - points[..., 1]) / 35 * TEXTURE_HEIGHT
    return np.stack([u, v], -1).astype(np.float32)


@dataclass(frozen=True)
class FaceKit:
    """The drawn part of the morphable model."""

    neutral: Floats  # (V, 3)
    identity: Floats  # (100, V * 3)
    expression: Floats  # (57, V * 3)
    expression_names: tuple[str, ...]
    triangles: Ints  # (T, 3)
    triangle_material: Ints  # (T,)
    is_head: NDArray[np.bool_]  # (V,) skin, as opposed to eyes, teeth and sockets
    landmarks: NDArray[np.int64]  # (68,)
    box_vertices: NDArray[np.int64]  # what a face box has to contain
    texture_uv: Floats  # (V, 2)
    ambient: Floats  # (V,) share of the sky each vertex sees
    eye_centres: Floats  # (2, 3)

    def expression_index(self, name: str) -> int:
        return self.expression_names.index(name)


@lru_cache(maxsize=2)
def load(path: Path) -> FaceKit:
    """Read the arrays (see README for how to make them from a FaceKit checkout)."""
    with np.load(path) as arrays:
        neutral = arrays["neutral"].astype(np.float32)
        identity, expression = arrays["identity"], arrays["expression"]
        names = tuple(str(name) for name in arrays["expression_names"])
        triangles = arrays["triangles"]
    material = np.full(len(neutral), -1, np.int32)
    for first, last, value in _PARTS:
        material[first : last + 1] = value
    triangles = triangles[(material[triangles] >= 0).all(1)]
    kept = np.unique(triangles)
    renumbered = np.full(len(neutral), -1, np.int64)
    renumbered[kept] = np.arange(len(kept))
    triangles = renumbered[triangles].astype(np.int32)
    neutral, material = np.ascontiguousarray(neutral[kept]), material[kept]
    eyes = np.stack([neutral[material == part].mean(0) for part in (EYE_LEFT, EYE_RIGHT)])
    y, z = neutral[:, 1], neutral[:, 2]
    face = (material == SKIN) & (np.arange(len(kept)) <= 6705)
    return FaceKit(
        neutral=neutral,
        identity=identity[:, kept].astype(np.float32).reshape(len(identity), -1),
        expression=expression[:, kept].astype(np.float32).reshape(len(expression), -1),
        expression_names=names,
        triangles=triangles,
        triangle_material=np.ascontiguousarray(material[triangles[:, 0]]),
        is_head=material == SKIN,
        landmarks=renumbered[np.array(_LANDMARKS)],
        box_vertices=np.flatnonzero(face & (y > -8.0) & (y < 9.2) & (z > 2.5)),
        texture_uv=cylindrical(neutral),
        ambient=_ambient(neutral, triangles),
        eye_centres=eyes.astype(np.float32),
    )


def _ambient(vertices: Floats, triangles: Ints, directions: int = 140) -> Floats:
    """Ambient occlusion per vertex, from depth maps seen from many sides; kept in the temp folder."""
    digest = hashlib.sha256(vertices.tobytes() + triangles.tobytes()).hexdigest()[:16]
    kept = Path(tempfile.gettempdir()) / f"facekit_ambient_{digest}.npy"
    if kept.exists():
        return np.asarray(np.load(kept), np.float32)
    rng = np.random.default_rng(0)
    size = 256
    normals = raster.vertex_normals(vertices, triangles)
    lit, total = np.zeros(len(vertices)), np.zeros(len(vertices))
    for _ in range(directions):
        direction, side, up = raster.frame_of(rng.standard_normal(3))
        points = np.stack(
            [
                vertices @ side * (size / 44) + size / 2,
                vertices @ up * (size / 44) + size / 2,
                vertices @ direction,
            ],
            1,
        ).astype(np.float32)
        depth = raster.depth_map(points, triangles, size)
        facing = np.maximum(0, normals @ direction)
        cell = np.clip(points[:, :2].astype(int), 0, size - 1)
        lit += facing * (points[:, 2] >= depth[cell[:, 1], cell[:, 0]] - 0.35)
        total += facing
    ambient = np.clip(lit / np.maximum(total, 1e-6), 0.03, 1).astype(np.float32)
    np.save(kept, ambient)
    return ambient
