"""Goggles, visors, hands, hair and masks painted onto photographed faces, along their face mesh.

They judge what was learnt from rendered faces, so they are drawn in another way than those that
the nets are trained on (`tools.bundled_models.covers`): along the skin's own points, in colours
taken from the face itself. Pictures are BGR uint8.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Mesh = NDArray[np.floating]
Rng = np.random.Generator

_BAND = (
    *(71, 68, 104, 69, 108, 151, 337, 299, 333, 298, 301),  # above the brows
    *(447, 345, 346, 347, 348, 349, 197, 120, 119, 118, 117, 116, 227),  # below the eyes
)
_LEFT_EYE, _RIGHT_EYE = (
    (70, 63, 105, 66, 55, 193, 121, 120, 119, 118, 117, 35),
    (*(300, 293, 334, 296, 285, 417, 350, 349, 348, 347, 346, 265),),
)
_UPPER = (
    10,
    338,
    297,
    332,
    284,
    251,
    389,
    356,
    454,
    323,
    4,
    93,
    234,
    127,
    162,
    21,
    54,
    103,
    67,
    109,
)
_LOWER = (6, 351, 346, 345, 454, 361, 397, 379, 152, 150, 172, 132, 234, 116, 117, 122)


def _hull(shape: tuple[int, ...], points: NDArray[np.floating], soft: float) -> NDArray[np.float32]:
    mask = np.zeros(shape[:2], np.float32)
    corners = cv2.convexHull(np.round(points).astype(np.int32))
    cv2.fillConvexPoly(mask, corners, 1.0, cv2.LINE_AA)
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), max(0.4, soft)), np.float32)


def _over(image: Picture, colour: Any, mask: NDArray[np.float32]) -> Picture:
    alpha = mask[..., None]
    return np.clip(image * (1 - alpha) + np.asarray(colour) * alpha, 0, 255).astype(np.uint8)


def _eye_distance(mesh: Mesh) -> float:
    return float(np.linalg.norm(mesh[263, :2] - mesh[33, :2]))


def _sheen(image: Picture, mesh: Mesh, rng: Rng, tone: Any, gloss: float) -> NDArray[np.float64]:
    """A glossy surface: darker below, with one bright band across and the sky's tint above."""
    unit = _eye_distance(mesh)
    y, x = np.mgrid[0 : image.shape[0], 0 : image.shape[1]]
    u, v = (x - mesh[168, 0]) / unit, (y - mesh[168, 1]) / unit
    tilt, at = rng.uniform(-0.6, 0.6), rng.uniform(-0.3, 0.1)
    band = np.exp(-(((v + tilt * u - at) / rng.uniform(0.06, 0.2)) ** 2))
    shade = np.clip(0.9 - 0.6 * v, 0.3, 1.4)
    return np.asarray(tone) * shade[..., None] + gloss * band[..., None]


_TONES = ((22, 20, 20), (30, 90, 200), (150, 80, 30), (60, 60, 62), (200, 190, 185), (40, 120, 60))


def goggles(image: Picture, mesh: Mesh, rng: Rng) -> Picture:
    """Ski goggles: one opaque lens over both eyes, a thick rim, a strap."""
    unit, p = _eye_distance(mesh), mesh[list(_BAND), :2]
    out = _over(image, _TONES[int(rng.integers(6))], _hull(image.shape, p, unit * 0.01))
    inner = p.mean(0) + (p - p.mean(0)) * rng.uniform(0.8, 0.94)
    tone = _TONES[int(rng.integers(6))]
    return _over(
        out,
        _sheen(image, mesh, rng, tone, rng.uniform(0, 160)),
        _hull(image.shape, inner, unit * 0.01),
    )


def sunglasses(image: Picture, mesh: Mesh, rng: Rng) -> Picture:
    """Two opaque lenses and a bridge."""
    unit, out = _eye_distance(mesh), image
    tone = _TONES[int(rng.choice([0, 0, 1, 2, 3]))]
    surface = _sheen(image, mesh, rng, tone, rng.uniform(0, 120))
    for ring in (_LEFT_EYE, _RIGHT_EYE):
        out = _over(out, surface, _hull(image.shape, mesh[list(ring), :2], unit * 0.008))
    a, b = (tuple(int(v) for v in mesh[k, :2]) for k in (193, 417))
    cv2.line(out, a, b, _TONES[0], max(1, int(unit * 0.05)), cv2.LINE_AA)
    return out


def visor(image: Picture, mesh: Mesh, rng: Rng) -> Picture:
    """A helmet's dark or mirrored visor from the forehead to the tip of the nose."""
    tone = _TONES[int(rng.integers(6))]
    surface = _sheen(image, mesh, rng, tone, rng.uniform(0, 140))
    p = mesh[list(_UPPER), :2]
    wide = p.mean(0) + (p - p.mean(0)) * 1.08
    return _over(image, surface, _hull(image.shape, wide, _eye_distance(mesh) * 0.015))


def _skin(image: Picture, mesh: Mesh) -> NDArray[np.floating]:
    """The usual colour of cheeks and forehead."""
    spots = mesh[[50, 280, 151, 205, 425], :2]
    x, y = np.clip(spots, 2, np.array(image.shape[1::-1]) - 3).astype(int).T
    return np.median(image[y, x].astype(np.float64), axis=0)


def hand(image: Picture, mesh: Mesh, rng: Rng) -> Picture:
    """Fingers across both eyes, or across one, of the face's own colour."""
    unit = _eye_distance(mesh)
    across = (mesh[263, :2] - mesh[33, :2]) / unit
    down = np.array([-across[1], across[0]])
    one = rng.random() < 0.4
    side = int(rng.integers(2))
    eye = mesh[[[33, 133], [362, 263]][side], :2].mean(0)
    centre = eye if one else (mesh[33, :2] + mesh[263, :2]) / 2
    lean = rng.uniform(-0.35, 0.35) + (np.pi / 2 if one else 0)
    along = across * np.cos(lean) + down * np.sin(lean)
    over = np.array([-along[1], along[0]])
    half = unit * (0.75 if one else rng.uniform(0.8, 1.1))
    width = unit * rng.uniform(0.17, 0.22)
    colour = _skin(image, mesh) * rng.uniform(0.8, 1.15)
    grain = cv2.GaussianBlur(rng.standard_normal(image.shape[:2]), (0, 0), 2.0) * 12
    surface = colour + grain[..., None]
    out = image
    for k in range(4):
        shift = over * (k - 1.5) * width * 1.02
        start = centre + shift - along * half * (2.2 if one else 1.8)
        end = centre + shift + along * half * rng.uniform(0.75, 1.0)
        mask = np.zeros(image.shape[:2], np.float32)
        ends = [tuple(int(v) for v in q) for q in (start, end)]
        cv2.line(mask, ends[0], ends[1], 1.0, max(2, int(width)), cv2.LINE_AA)
        edge = cv2.GaussianBlur(mask, (0, 0), max(0.5, width * 0.12))
        rim = cv2.GaussianBlur(mask, (0, 0), max(0.5, width * 0.3))
        out = _over(out, surface * (0.55 + 0.45 * rim[..., None]), edge)
    return out


def hair(image: Picture, mesh: Mesh, rng: Rng) -> Picture:
    """A dense lock from the forehead over both eyes or one, of a hair's colour."""
    unit = _eye_distance(mesh)
    tones = ((20, 24, 32), (30, 45, 70), (60, 110, 160), (40, 60, 110), (130, 170, 200))
    tone = np.array(tones[int(rng.integers(5))], np.float64)
    across = (mesh[263, :2] - mesh[33, :2]) / unit
    down = np.array([-across[1], across[0]])
    centre = (mesh[33, :2] + mesh[263, :2]) / 2
    both, side = rng.random() < 0.4, rng.choice([-1, 1])
    low, high = (-0.62, 0.62) if both else sorted((side * 0.02, side * 0.66))
    out = image.copy()
    for u in rng.permutation(np.linspace(low, high, 150 if both else 90)):
        reach, sway = rng.uniform(0.3, 0.7), rng.normal(0, 0.06)
        t = np.linspace(-1.0, reach, 10)
        line = centre + unit * ((u + sway * t)[:, None] * across + t[:, None] * down)
        shade = tuple(float(v) for v in np.clip(tone * rng.uniform(0.6, 1.5), 0, 255))
        thick = max(1, int(unit * 0.02))
        cv2.polylines(out, [np.round(line).astype(np.int32)], False, shade, thick, cv2.LINE_AA)
    return out


def mask(image: Picture, mesh: Mesh, rng: Rng) -> Picture:
    """A medical mask or a scarf over nose and mouth."""
    tones = ((210, 200, 170), (40, 40, 45), (120, 60, 160), (90, 140, 90), (235, 235, 235))
    tone = tones[int(rng.integers(5))]
    y = np.arange(image.shape[0])[:, None, None] / (_eye_distance(mesh) * rng.uniform(0.05, 0.15))
    folds = np.broadcast_to(np.array(tone) * (1 + 0.08 * np.sin(2 * np.pi * y)), image.shape)
    region = _hull(image.shape, mesh[list(_LOWER), :2], _eye_distance(mesh) * 0.01)
    return _over(image, folds, region)


OVER_THE_EYES: dict[str, Callable[[Picture, Mesh, Rng], Picture]] = {
    "goggles": goggles,
    "sunglasses": sunglasses,
    "visor": visor,
    "hand": hand,
    "hair": hair,
}
ELSEWHERE: dict[str, Callable[[Picture, Mesh, Rng], Picture]] = {"mask": mask}
