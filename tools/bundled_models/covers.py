"""What people have before their face, painted onto a rendered picture, with the mask of what it hides.

Belongs here: goggles, visors, hands, hair, bars, scarves and brims as functions of a random
generator and the 68 landmarks; and what only looks like a cover and is none: shadows, glare on
spectacles. Does not belong here: hats, sunglasses and arms, which the renderer has as meshes.
Pictures are RGB uint8, masks float in [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.bundled_models.degrade import Backgrounds, Picture, any_colour, skin_colour

Mask = NDArray[np.float32]
Marks = NDArray[np.floating]
Rng = np.random.Generator


class Frame:
    """The face's own axes in the picture: its middle between the eyes, right and down, in eye distances."""

    def __init__(self, marks: Marks) -> None:
        left, right = marks[36:42, :2].mean(0), marks[42:48, :2].mean(0)
        self.centre = (left + right) / 2
        across = right - left
        # Of a turned head the eyes stand closer; the nose and chin then tell the face's size.
        height = float(np.linalg.norm(marks[8, :2] - self.centre)) / 1.75
        size = max(float(np.linalg.norm(across)), height)
        self.right = across / (np.linalg.norm(across) + 1e-6) * size
        down = marks[8, :2] - self.centre
        self.down = down / (np.linalg.norm(down) + 1e-6) * size
        self.squeeze = float(np.linalg.norm(across)) / size
        self.size = size

    def at(self, points: Any) -> NDArray[np.float64]:
        """(n, 2) points in eye distances from the middle between the eyes, as pixels."""
        p = np.asarray(points, np.float64).reshape(-1, 2)
        return self.centre + p[:, :1] * self.right * self.squeeze + p[:, 1:] * self.down


def _filled(shape: tuple[int, ...], corners: NDArray[np.floating], soft: float = 0.0) -> Mask:
    mask = np.zeros(shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.round(corners * 8).astype(np.int32)], 255, cv2.LINE_AA, 3)
    if soft > 0:
        mask = np.asarray(cv2.GaussianBlur(mask, (0, 0), soft), np.uint8)
    return mask.astype(np.float32) / 255


def _rounded(x0: float, y0: float, x1: float, y1: float, power: float) -> NDArray[np.float64]:
    """A superellipse in a box: 2 is an ellipse, large powers a rectangle."""
    t = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    c, s = np.cos(t), np.sin(t)
    x = np.sign(c) * np.abs(c) ** (2 / power)
    y = np.sign(s) * np.abs(s) ** (2 / power)
    return np.stack([(x0 + x1) / 2 + x * (x1 - x0) / 2, (y0 + y1) / 2 + y * (y1 - y0) / 2], axis=1)


def _stuff(shape: tuple[int, ...], rng: Rng, behind: Backgrounds, colour: Any = None) -> Mask:
    """What a surface looks like: plain, shaded, striped, or reflecting its surroundings."""
    height, width = shape[:2]
    base = any_colour(rng) if colour is None else np.asarray(colour, np.float64)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    ramp = np.cos(angle) * (x / width - 0.5) + np.sin(angle) * (y / height - 0.5)
    out = np.ones((height, width, 3), np.float32) * base.astype(np.float32)
    out *= (1 + ramp * rng.uniform(0, 1.6))[..., None]
    kind = rng.random()
    if kind < 0.25:
        seen = behind.get(rng, height, width).astype(np.float32)
        out = out * (1 - 0.55) + seen * rng.uniform(0.2, 0.8)
    elif kind < 0.4:
        step, other = rng.uniform(4, 30), any_colour(rng)
        stripes = (np.sin((np.cos(angle) * y + np.sin(angle) * x) * 2 * np.pi / step) > 0)[
            ..., None
        ]
        out = np.where(stripes, out, other.astype(np.float32))
    elif kind < 0.55:
        grain = rng.standard_normal((height // 3 + 1, width // 3 + 1, 1)).astype(np.float32)
        out += cv2.resize(grain, (width, height))[..., None] * rng.uniform(3, 25)
    return out


def _laid(image: Picture, surface: Mask, mask: Mask) -> Picture:
    cover = mask[..., None]
    return np.clip(image * (1 - cover) + surface * cover, 0, 255).astype(np.uint8)


def goggles(image: Picture, marks: Marks, rng: Rng, behind: Backgrounds) -> tuple[Picture, Mask]:
    """One wide lens, or two; opaque or mirrored, with a rim, streaks of light, perhaps a strap."""
    face, shape = Frame(marks), image.shape
    power = rng.uniform(2.2, 6)
    top, low = rng.uniform(-0.75, -0.38), rng.uniform(0.3, 0.75)
    if rng.random() < 0.6:
        wide = rng.uniform(0.95, 1.3)
        parts = [_rounded(-wide, top, wide, low, power)]
    else:
        half = rng.uniform(0.36, 0.48)
        spots = (-0.5, 0.5)
        parts = [_rounded(x - half, top * 0.8, x + half, low * 0.9, power) for x in spots]
    return _lenses(image, face, parts, rng, behind, shape)


def _lenses(
    image: Picture, face: Frame, parts: list[Any], rng: Rng, behind: Backgrounds, shape: Any
) -> tuple[Picture, Mask]:
    mask, rims = np.zeros(shape[:2], np.float32), np.zeros(shape[:2], np.uint8)
    for part in parts:
        corners = face.at(part)
        mask = np.maximum(mask, _filled(shape, corners))
        thick = max(1, int(face.size * rng.uniform(0.02, 0.14)))
        cv2.polylines(
            rims, [np.round(corners).astype(np.int32)], True, 255, thick, lineType=cv2.LINE_AA
        )
    surface = _stuff(shape, rng, behind)
    for _ in range(rng.integers(0, 4)):  # streaks of light on the lens
        at = face.at(rng.uniform((-1, -0.6), (1, 0.6), (2, 2)))
        glow = np.zeros(shape[:2], np.uint8)
        ends = [tuple(int(v) for v in p) for p in at]
        cv2.line(glow, ends[0], ends[1], 255, max(1, int(face.size * rng.uniform(0.02, 0.2))))
        soft = cv2.GaussianBlur(glow, (0, 0), face.size * rng.uniform(0.01, 0.1))
        surface += soft[..., None].astype(np.float32) / 255 * rng.uniform(20, 180)
    if rng.random() < 0.5:  # the strap
        y = rng.uniform(-0.2, 0.1)
        strap = face.at([(-2, y - 0.15), (2, y - 0.15), (2, y + 0.15), (-2, y + 0.15)])
        band = _filled(shape, strap) * (1 - mask)
        side = np.abs((np.indices(shape[:2])[1] - face.centre[0]) / face.size) > 0.9
        image = _laid(image, _stuff(shape, rng, behind), band * side)
    opaque = 1.0 if rng.random() < 0.8 else float(rng.uniform(0.9, 1))
    image = _laid(image, surface, mask * opaque)
    rim = rims.astype(np.float32) / 255
    return _laid(image, _stuff(shape, rng, behind), rim), np.maximum(mask, rim)


def visor(image: Picture, marks: Marks, rng: Rng, behind: Backgrounds) -> tuple[Picture, Mask]:
    """A helmet's visor, from the forehead to the nose or the chin."""
    low, wide = rng.uniform(0.4, 2.0), rng.uniform(1.1, 1.6)
    part = _rounded(-wide, rng.uniform(-1.6, -0.5), wide, low, rng.uniform(3, 8))
    return _lenses(image, Frame(marks), [part], rng, behind, image.shape)


def hand(image: Picture, marks: Marks, rng: Rng, behind: Backgrounds) -> tuple[Picture, Mask]:
    """Fingers beside each other and a palm, mostly of the face's own colour, over eyes or mouth."""
    face, shape = Frame(marks), image.shape
    colour = skin_colour(rng)
    if rng.random() < 0.75:
        cheek = face.at([(rng.choice([-0.6, 0.6]), 0.6)])[0]
        x, y = np.clip(cheek, 4, np.array(shape[1::-1]) - 5).astype(int)
        colour = image[y - 3 : y + 4, x - 3 : x + 4].reshape(-1, 3).mean(0)
        colour = colour * rng.uniform(0.75, 1.25) * rng.normal(1, 0.03, 3)
    target = np.array(
        (rng.choice([-0.5, 0.5, 0.0]), rng.uniform(-0.15, 0.2))
        if rng.random() < 0.65
        else (rng.uniform(-0.6, 0.6), rng.uniform(0.5, 1.5))
    )
    angle, width = rng.uniform(0, 2 * np.pi), rng.uniform(0.2, 0.34)
    along = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-along[1], along[0]])
    out, mask = image, np.zeros(shape[:2], np.float32)
    lit = rng.normal(0, 1, 2)
    number = int(rng.integers(3, 6))
    palm = target - along * rng.uniform(0.6, 1.6)
    pieces = [(palm, palm - along * 1.2, width * number * 0.55)]
    for k in range(number):
        side = across * (k - (number - 1) / 2) * width * rng.uniform(0.95, 1.15)
        tip = target + side + along * rng.uniform(0.1, 0.8)
        pieces.append((palm + side, tip, width * 0.5 * rng.uniform(0.9, 1.05)))
    for start, end, radius in pieces:
        out, mask = _limb(out, mask, face, (start, end), radius, (colour, lit))
    return out, mask


def _limb(
    image: Picture, mask: Mask, face: Frame, ends: Any, radius: float, look: Any
) -> tuple[Picture, Mask]:
    """A rounded limb, darker toward its edges and on the side away from the light."""
    a, b = face.at(np.stack(ends))
    y, x = np.mgrid[0 : image.shape[0], 0 : image.shape[1]].astype(np.float32)
    d = b - a
    t = np.clip(((x - a[0]) * d[0] + (y - a[1]) * d[1]) / (d @ d + 1e-6), 0, 1)
    dx, dy = x - a[0] - t * d[0], y - a[1] - t * d[1]
    r = max(1.0, radius * face.size)
    far = np.sqrt(dx * dx + dy * dy) / r
    own = np.clip((1 - far) * r + 0.5, 0, 1).astype(np.float32)
    colour, lit = look
    shade = 1 - 0.35 * np.clip(far, 0, 1) ** 3 + 0.15 * (dx * lit[0] + dy * lit[1]) / r
    surface = (shade[..., None] * np.asarray(colour)).astype(np.float32)
    return _laid(image, surface, own), np.maximum(mask, own)


def hair(image: Picture, marks: Marks, rng: Rng, behind: Backgrounds) -> tuple[Picture, Mask]:
    """Strands from above across one eye or both; seen through where they are thin."""
    face, shape = Frame(marks), image.shape
    side = float(rng.choice([-1, 1]))
    both = rng.random() < 0.3
    dark = rng.uniform(5, 90) * np.array([1, rng.uniform(0.6, 1), rng.uniform(0.35, 0.95)])
    tone = dark if rng.random() < 0.7 else rng.uniform(90, 220) * np.array([1, 0.85, 0.6])
    mask, surface = np.zeros(shape[:2], np.float32), np.zeros(shape, np.float32)
    left = -0.9 if both else min(side * 0.1, side * 0.9)
    right = 0.9 if both else max(side * 0.1, side * 0.9)
    number, lean = int(rng.integers(20, 160)), rng.normal(0, 0.35)
    for _ in range(number):
        x = rng.uniform(left, right)
        end = rng.uniform(0.1, 1.8)
        bend = rng.normal(lean, 0.12)
        t = np.linspace(0, 1, 9)[:, None]
        line = np.concatenate(
            [x + bend * t + 0.1 * np.sin(3 * t + rng.uniform(0, 6)), -1.4 + (end + 1.4) * t], 1
        )
        stroke = np.zeros(shape[:2], np.uint8)
        thick = max(1, int(face.size * rng.uniform(0.01, 0.07)))
        corners = [np.round(face.at(line)).astype(np.int32)]
        cv2.polylines(stroke, corners, False, 255, thick, lineType=cv2.LINE_AA)
        own = (stroke.astype(np.float32) / 255)[..., None]
        surface = surface * (1 - own) + own * (tone * rng.uniform(0.6, 1.5)).astype(np.float32)
        mask = np.maximum(mask, own[..., 0])
    return _laid(image, surface, mask), mask


def bar(image: Picture, marks: Marks, rng: Rng, behind: Backgrounds) -> tuple[Picture, Mask]:
    """A post or a rail before the face, at any angle, most of them upright."""
    face, shape = Frame(marks), image.shape
    angle = rng.normal(0, 0.1) if rng.random() < 0.7 else rng.uniform(-np.pi / 2, np.pi / 2)
    along, across = (
        np.array([-np.sin(angle), np.cos(angle)]),
        np.array([np.cos(angle), np.sin(angle)]),
    )
    middle = face.at([(rng.uniform(-1.1, 1.1), rng.uniform(-0.5, 1.5))])[0]
    half, reach = face.size * rng.uniform(0.1, 0.8), 4.0 * shape[0]
    corners = np.stack(
        [
            middle + along * reach - across * half,
            middle + along * reach + across * half,
            middle - along * reach + across * half,
            middle - along * reach - across * half,
        ]
    )
    mask = _filled(shape, np.clip(corners, -3000, 3000))
    return _laid(image, _stuff(shape, rng, behind), mask), mask


def scarf(image: Picture, marks: Marks, rng: Rng, behind: Backgrounds) -> tuple[Picture, Mask]:
    """A mask or a scarf over nose and mouth, or over the mouth alone."""
    face, shape = Frame(marks), image.shape
    top, dip = rng.uniform(0.2, 0.9), rng.uniform(0, 0.2)
    low = rng.uniform(1.9, 3.5)
    upper = [
        (-1.5, top + dip),
        (-0.6, top + dip / 2),
        (0, top),
        (0.6, top + dip / 2),
        (1.5, top + dip),
    ]
    mask = _filled(shape, face.at([*upper, (1.5, low), (-1.5, low)]))
    return _laid(image, _stuff(shape, rng, behind), mask), mask


def brim(image: Picture, marks: Marks, rng: Rng, behind: Backgrounds) -> tuple[Picture, Mask]:
    """The brim of a cap, pulled down to the brows or over the eyes."""
    face, shape = Frame(marks), image.shape
    low, bow = rng.uniform(-0.5, 0.3), rng.uniform(-0.4, 0.3)
    edge = [(x, low + bow * (1 - (x / 1.6) ** 2)) for x in np.linspace(-1.6, 1.6, 13)]
    mask = _filled(shape, face.at([*edge, (1.8, -2.5), (-1.8, -2.5)]))
    return _laid(image, _stuff(shape, rng, behind), mask), mask


def shadow(image: Picture, marks: Marks, rng: Rng, behind: Backgrounds) -> tuple[Picture, Mask]:
    """A shadow or a patch of sun with a hard or soft edge, or glare on spectacles: covers nothing."""
    face, shape = Frame(marks), image.shape
    nothing = np.zeros(shape[:2], np.float32)
    if rng.random() < 0.35:
        out = image.astype(np.float32)
        tint = np.array([rng.uniform(0.6, 1), rng.uniform(0.7, 1), 1]) * rng.uniform(60, 200)
        for x in (-0.5, 0.5):
            w, h = rng.uniform(0.04, 0.3, 2)
            cx, cy = x + rng.uniform(-0.3, 0.3), rng.uniform(-0.25, 0.25)
            spot = _filled(
                shape, face.at(_rounded(cx - w, cy - h, cx + w, cy + h, 2)), face.size * 0.03
            )
            out += spot[..., None] * tint * rng.uniform(0.3, 0.9)
        return np.clip(out, 0, 255).astype(np.uint8), nothing
    corners = face.at(rng.uniform((-2, -2), (2, 3), (int(rng.integers(3, 7)), 2)))
    mask = _filled(shape, corners, face.size * rng.choice([0.01, 0.05, 0.2]))
    factor = rng.uniform(0.25, 0.8) if rng.random() < 0.7 else rng.uniform(1.3, 2.2)
    tint = factor * rng.normal(1, 0.06, 3)
    lit = image * (1 - mask[..., None] * (1 - tint))
    return np.clip(lit, 0, 255).astype(np.uint8), nothing


COVERS: dict[str, Callable[[Picture, Marks, Rng, Backgrounds], tuple[Picture, Mask]]] = {
    "goggles": goggles,
    "visor": visor,
    "hand": hand,
    "hair": hair,
    "bar": bar,
    "scarf": scarf,
    "brim": brim,
    "shadow": shadow,
}
SHARES = (0.13, 0.07, 0.13, 0.09, 0.11, 0.07, 0.04, 0.14)
"""How often each is painted; nothing is in the rest."""


def paint(image: Picture, marks: Marks, rng: Rng, behind: Backgrounds) -> tuple[Picture, Mask, str]:
    """Perhaps something before the face: the picture, what is hidden, and what it is."""
    draw, place = rng.random(), np.cumsum(SHARES)
    kind = int(np.searchsorted(place, draw))
    if kind >= len(COVERS):
        return image, np.zeros(image.shape[:2], np.float32), "nothing"
    name = list(COVERS)[kind]
    if name != "shadow" and rng.random() < 0.25:
        image = shadow(image, marks, rng, behind)[0]
    return *COVERS[name](image, marks, rng, behind), name
