"""Painting the skin: tone, blemishes, lips, lids, brows, beard and scalp on a cylindrical texture.

Belongs here: textures as pure functions of traits. Does not belong here: geometry or light.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.bundled_models.facekit import TEXTURE_HEIGHT, TEXTURE_WIDTH, FaceKit, Floats, cylindrical
from tools.bundled_models.traits import Traits, hairline_height, smooth_step

_Y, _X = np.mgrid[0:TEXTURE_HEIGHT, 0:TEXTURE_WIDTH].astype(np.float32)
_HEIGHT = 15 - _Y / TEXTURE_HEIGHT * 35  # cm
_ANGLE = (_X / TEXTURE_WIDTH - 0.5) * 2 * np.pi


def noise(
    rng: np.random.Generator, height: int, width: int, cells: tuple[int, ...], amplitude: float
) -> Floats:
    """Smooth noise of several scales; `cells` is the number of bumps across."""
    out = np.zeros((height, width), np.float32)
    for count in cells:
        grid = rng.standard_normal((max(2, int(count * height / width) + 2), count + 2)).astype(
            np.float32
        )
        out += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(out * (amplitude / len(cells) ** 0.5), np.float32)


def strands(rng: np.random.Generator) -> Floats:
    """Brightness of hair, streaked along the strands."""
    coarse = cv2.resize(
        rng.standard_normal((8, 128)).astype(np.float32), (128, 128), interpolation=cv2.INTER_CUBIC
    )
    fine = rng.standard_normal((128, 128)).astype(np.float32)
    return np.clip(1 + 0.28 * coarse + 0.12 * fine, 0.35, 2.0).astype(np.float32)


def _spot(x: float, y: float, radius: float) -> Floats:
    return np.asarray(np.exp(-((_X - x) ** 2 + (_Y - y) ** 2) / (2 * radius * radius)), np.float32)


def _mask(points: NDArray[Any], blur: float, stroke: int = 0) -> Floats:
    """A soft polygon (or, with `stroke`, a polyline of that width) on the texture."""
    mask = np.zeros((TEXTURE_HEIGHT * 2, TEXTURE_WIDTH * 2), np.float32)
    fixed = np.round(np.asarray(points) * 2 * 16).astype(np.int32)
    if stroke:
        cv2.polylines(mask, [fixed], False, 1.0, stroke, cv2.LINE_AA, 4)
    else:
        cv2.fillPoly(mask, [fixed], 1.0, cv2.LINE_AA, 4)
    small = cv2.resize(mask, (TEXTURE_WIDTH, TEXTURE_HEIGHT), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.GaussianBlur(small, (0, 0), blur) if blur > 0 else small, np.float32)


@lru_cache(maxsize=2)
def _landmarks_of(key: bytes) -> Floats:
    return cylindrical(np.frombuffer(key, np.float32).reshape(68, 3))


def paint(kit: FaceKit, traits: Traits) -> Floats:
    """The albedo (linear RGB) of a person."""
    rng = np.random.default_rng(traits.detail_seed)
    marks = _landmarks_of(kit.neutral[kit.landmarks].tobytes())
    skin = np.ones((TEXTURE_HEIGHT, TEXTURE_WIDTH, 3), np.float32) * traits.skin.astype(np.float32)
    _complexion(skin, rng, traits, marks)
    _folds(skin, rng, traits, marks)
    lips = _lips(skin, rng, traits, marks)
    _lids(skin, rng, traits, marks)
    _brows(skin, rng, traits, marks)
    if traits.beard > 0:
        _beard(skin, rng, traits, marks, lips)
    _scalp(skin, rng, traits)
    return np.ascontiguousarray(np.clip(skin, 0.004, 0.95).astype(np.float32))


def _complexion(skin: Floats, rng: np.random.Generator, traits: Traits, marks: Floats) -> None:
    skin *= (1 + noise(rng, TEXTURE_HEIGHT, TEXTURE_WIDTH, (6, 14, 40), 0.05))[..., None]
    redness = noise(rng, TEXTURE_HEIGHT, TEXTURE_WIDTH, (10, 24), 0.05)
    skin[..., 0] *= 1 + redness * 0.5
    skin[..., 1:] *= (1 - redness * 0.5)[..., None]
    left_cheek = (marks[2, 0] * 0.4 + marks[31, 0] * 0.6, marks[31, 1], 16, 0.16)
    right_cheek = (marks[14, 0] * 0.4 + marks[35, 0] * 0.6, marks[35, 1], 16, 0.16)
    for x, y, radius, strength in (left_cheek, right_cheek, (marks[30, 0], marks[30, 1], 8, 0.14)):
        flush = strength * rng.uniform(0, 1.4) * _spot(x, y, radius)
        skin[..., 0] *= 1 + 0.3 * flush
        skin[..., 1] *= 1 - flush
        skin[..., 2] *= 1 - flush * 0.9
    if rng.random() < 0.35 and not traits.dark_skin:
        dots = (rng.random((TEXTURE_HEIGHT, TEXTURE_WIDTH)) > 0.985).astype(np.float32)
        freckles = cv2.GaussianBlur(dots, (0, 0), 0.7) * rng.uniform(0.3, 1.2)
        freckles *= (np.abs(_ANGLE) < 1.1) & (_HEIGHT > -5) & (_HEIGHT < 9)
        skin *= 1 - freckles[..., None] * np.array([0.3, 0.45, 0.5], np.float32)
    for _ in range(rng.integers(0, 6)):
        mole = _spot(rng.uniform(190, 322), rng.uniform(45, 165), rng.uniform(0.8, 2.4))
        skin *= (1 - rng.uniform(0.3, 0.75) * mole)[..., None]


def _folds(skin: Floats, rng: np.random.Generator, traits: Traits, marks: Floats) -> None:
    age = 0.3 if traits.child else 1.0
    shade = rng.uniform(0, 0.3) * age
    for eye in (range(36, 42), range(42, 48)):
        x, y = marks[list(eye)].mean(0) + [0, 4]
        skin *= (1 - shade * np.exp(-((_X - x) ** 2 / 200 + (_Y - y) ** 2 / 40)))[..., None]
    depth = rng.uniform(0, 0.35) * age
    for nostril, corner, side in ((31, 48, -1), (35, 54, 1)):
        middle = (marks[nostril] + marks[corner]) / 2
        line = [
            marks[nostril] + [side * 3, -2],
            middle + [side * 6, 0],
            marks[corner] + [side * 5, 2],
        ]
        skin *= (1 - depth * np.minimum(1, _mask(np.array(line), 1.6, 4) * 1.5))[..., None]
    lines = rng.uniform(0, 0.22) * age * (rng.random() < 0.5)
    for k in range(3):
        y = marks[19, 1] - 9 - 6 * k + rng.normal(0, 0.8)
        x = np.linspace(marks[17, 0] + 8, marks[26, 0] - 8, 9)
        wave = np.stack([x, y - 2 * np.cos((x - 256) / 22)], 1)
        skin *= (1 - lines * np.minimum(1, _mask(wave, 0.9, 2) * 1.3))[..., None]


def _lips(skin: Floats, rng: np.random.Generator, traits: Traits, marks: Floats) -> Floats:
    lips = _mask(marks[48:60], 0.9)
    colour = np.clip(
        traits.skin * [rng.uniform(0.8, 1.05), rng.uniform(0.5, 0.8), rng.uniform(0.55, 0.85)], 0, 1
    )
    lipstick = np.array([rng.uniform(0.4, 0.7), rng.uniform(0.05, 0.25), rng.uniform(0.08, 0.3)])
    if traits.female and not traits.child and rng.random() < 0.4:
        colour = 0.4 * colour + 0.6 * lipstick
    grain = (1 + noise(rng, TEXTURE_HEIGHT, TEXTURE_WIDTH, (60,), 0.05))[..., None]
    skin *= 1 - lips[..., None]
    skin += lips[..., None] * colour.astype(np.float32) * grain
    skin *= (1 - 0.35 * _mask(marks[60:68], 1.0))[..., None]
    return lips


def _lids(skin: Floats, rng: np.random.Generator, traits: Traits, marks: Floats) -> None:
    line = rng.uniform(0.25, 0.6) + (rng.uniform(0, 0.35) if traits.female else 0)
    shadow = 0.35 if traits.female and not traits.child and rng.random() < 0.4 else 0.0
    for upper in ([36, 37, 38, 39], [42, 43, 44, 45]):
        skin *= (1 - line * np.minimum(1, 1.3 * _mask(marks[upper] - [0, 0.3], 0.9, 3)))[..., None]
        if shadow:
            skin *= (1 - shadow * np.minimum(1, _mask(marks[upper] - [0, 3.0], 2.0, 8)))[..., None]
    for lower in ([36, 41, 40, 39], [42, 47, 46, 45]):
        skin *= (1 - line * 0.5 * np.minimum(1, _mask(marks[lower], 0.8, 2)))[..., None]


def _brows(skin: Floats, rng: np.random.Generator, traits: Traits, marks: Floats) -> None:
    thickness = rng.uniform(1.6, 5.2) * (0.75 if traits.female or traits.child else 1)
    lift, arch, density = rng.uniform(-2.2, 2), rng.uniform(-1.5, 2.5), rng.uniform(0.55, 1)
    reach = rng.uniform(-2, 3)
    hairs = 1 + 0.35 * noise(rng, TEXTURE_HEIGHT, TEXTURE_WIDTH, (180,), 1)
    brows = np.zeros((TEXTURE_HEIGHT, TEXTURE_WIDTH), np.float32)
    for outer_to_inner in ([17, 18, 19, 20, 21], [26, 25, 24, 23, 22]):
        line = marks[outer_to_inner].copy()
        line[:, 1] -= lift + arch * np.array([0, 0.6, 1, 0.5, 0])
        line[-1, 0] += reach * (-0.5 if outer_to_inner[0] == 26 else 0.5)
        upper = line - np.array([0, 1]) * np.array([0.2, 0.55, 0.7, 0.75, 0.7])[:, None] * thickness
        lower = line + np.array([0, 1]) * np.array([0.1, 0.35, 0.4, 0.45, 0.5])[:, None] * thickness
        brows += _mask(np.concatenate([upper, lower[::-1]]), 0.8)
    cover = np.clip(brows * density * hairs, 0, 1)[..., None]
    skin *= 1 - cover
    skin += cover * traits.brow.astype(np.float32)


def _beard(
    skin: Floats, rng: np.random.Generator, traits: Traits, marks: Floats, lips: Floats
) -> None:
    across = np.abs(_X - 256)
    chin, mouth = marks[8, 1], marks[[48, 54], 1].mean()
    edge = np.interp(
        across, [0, 20, 45, 60, 75], [mouth - 2, mouth - 2, mouth - 6, marks[2, 1], marks[0, 1]]
    )
    region = smooth_step(-4, 4, _Y - edge) * smooth_step(0, 1, (86 - across) / 14)
    region = region * (1 - smooth_step(chin + 6, chin + 22, _Y))
    moustache = np.exp(-((across / 17) ** 4)) * smooth_step(marks[33, 1] + 1, marks[33, 1] + 4, _Y)
    moustache = moustache * (1 - smooth_step(mouth - 2, mouth + 3, _Y))
    if traits.beard_style == 1:
        region = region * np.exp(-((across / 20) ** 4))
    elif traits.beard_style == 2:
        region = region * 0.25
    grain = 0.16 * noise(rng, TEXTURE_HEIGHT, TEXTURE_WIDTH, (200,), 1)
    patches = 0.12 * noise(rng, TEXTURE_HEIGHT, TEXTURE_WIDTH, (30,), 1)
    cover = np.maximum(region, moustache) * traits.beard * (0.95 + grain + patches)
    cover = (np.clip(cover, 0, 0.97) * (1 - lips))[..., None]
    skin *= 1 - cover
    skin += cover * traits.hair.astype(np.float32) * 0.8


def _scalp(skin: Floats, rng: np.random.Generator, traits: Traits) -> None:
    edge = hairline_height(_ANGLE, traits.hairline) + noise(
        rng, TEXTURE_HEIGHT, TEXTURE_WIDTH, (80,), 0.35
    )
    cover = smooth_step(-0.5, 1.2, _HEIGHT - edge) * (0.5 if traits.style == "bald" else 0.93)
    grain = (1 + 0.2 * noise(rng, TEXTURE_HEIGHT, TEXTURE_WIDTH, (200,), 1))[..., None]
    skin *= (1 - cover)[..., None]
    skin += cover[..., None] * traits.hair.astype(np.float32) * grain
