"""The body below the head: of riders with folds and jointed arms, of others a plain torso.

Belongs here: meshes in body space (cm, as head space, y up, z toward the camera). Does not belong
here: what moves with the head (`outfit`) or when a hand is lifted (`choreography`).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from tools.bundled_models.albedo import noise
from tools.bundled_models.facekit import CLOTH, LIMB, TRIM
from tools.bundled_models.identity import Person
from tools.bundled_models.outfit import Mesh, Outfit, sheet, tube
from tools.bundled_models.traits import smooth_step

Points = NDArray[np.float64]

# Rings of the shirt from the neck down: half width, height at the side, in front and behind, and
# the z of front and back. It lies outside the bust of the face model.
_RINGS = np.array(
    [
        (7.2, -10.9, -13.2, -10.8, 5.3, -8.0),
        (9.6, -11.5, -15.8, -12.2, 6.8, -9.6),
        (13.0, -12.4, -18.0, -15.0, 8.0, -10.6),
        (16.6, -14.3, -20.2, -18.0, 8.9, -11.2),
        (19.0, -17.6, -22.6, -21.0, 9.6, -11.4),
        (20.0, -22.0, -25.4, -25.0, 10.2, -11.2),
        (19.2, -27.0, -29.0, -29.0, 10.6, -10.8),
        (18.0, -34.0, -34.6, -34.6, 10.4, -10.2),
        (17.2, -48.0, -48.0, -48.0, 10.0, -10.0),
    ]
)
UPPER_ARM, FOREARM = 25.5, 22.5
_CHILD = 0.2  # by how much a small child's body is smaller


def _lifted(y: Any, child: float) -> Any:
    """Heights of the body under a child's shorter face (see `identity`)."""
    return (y + 1.8 * child) * (1 - 0.1 * child)


def body_scale(person: Person) -> float:
    """Size of the body relative to an adult's."""
    return 1 - _CHILD * person.traits.child


def body(person: Person, outfit: Outfit) -> list[Mesh]:
    """Torso and arms: everything that does not move with the head."""
    if outfit.seated:
        return seated(person, outfit)
    rng = np.random.default_rng([outfit.seed, 4])
    width = rng.uniform(17, 24) * (1 - 0.2 * person.traits.child)
    sleeve = rng.random() < 0.6
    u, angle = np.meshgrid(np.linspace(0, 1, 14), np.linspace(0, 2 * np.pi, 32), indexing="ij")
    reach = np.minimum(1, u * 2.2) ** 0.55
    x = (7 + (width - 7) * reach) * np.sin(angle)
    z = -3 + (7.0 + 5 * reach) * np.cos(angle)
    meshes = [sheet(np.stack([x, -13.5 - u * 32 - 2 * reach, z], -1), CLOTH)]
    for hand in outfit.arms:
        meshes += _plain_arm(np.array(hand), width, sleeve)
    return meshes


def _plain_arm(hand: NDArray[np.float64], width: float, sleeve: bool) -> list[Mesh]:
    side = 1.0 if hand[0] >= 0 else -1.0
    shoulder = np.array([side * width * 0.9, -20.0, -3.0])
    middle = (shoulder + hand) / 2
    elbow = middle + np.array([side * 7.0, -6.0, 4.0])
    wrist = hand + (elbow - hand) / np.linalg.norm(elbow - hand) * 8
    upper = np.linspace(shoulder, elbow, 6)
    lower = np.linspace(elbow, wrist, 6)
    meshes = [
        tube(upper, np.linspace(4.6, 3.7, 6), CLOTH),
        tube(lower, np.linspace(3.8, 2.4, 6), CLOTH if sleeve else LIMB),
    ]
    along = (hand - wrist) / np.linalg.norm(hand - wrist)
    across = np.cross(along, [0.0, 0.0, 1.0])
    across /= np.linalg.norm(across) + 1e-9
    for k in range(4):  # the palm, as four overlapping bones, each with its finger
        offset = across * (k - 1.5) * 1.8
        start, knuckle = wrist + offset * 0.55, hand + offset
        spread = along + across * (k - 1.5) * 0.16
        tip = knuckle + spread / np.linalg.norm(spread) * (6.5 if k in (1, 2) else 5.6)
        line = np.concatenate([np.linspace(start, knuckle, 4), np.linspace(knuckle, tip, 5)[1:]])
        meshes.append(tube(line, np.array([1.4, 1.6, 1.5, 1.2, 1.0, 0.95, 0.85, 0.3]), LIMB, 8))
    thumb = np.linspace(wrist + across * -1.5 * side, hand - across * 5.0 * side - along * 1.0, 5)
    meshes.append(tube(thumb, np.array([1.5, 1.3, 1.1, 1.0, 0.3]), LIMB, 8))
    return meshes


def seated(person: Person, outfit: Outfit) -> list[Mesh]:
    """Shirt, both arms and both hands. `outfit.arms` are the wrists, left of the image first."""
    return list(_seated(outfit, person.traits.female, person.traits.child))


@lru_cache(maxsize=16)  # arms rest most of the time
def _seated(outfit: Outfit, female: bool, child: float) -> tuple[Mesh, ...]:
    rng = np.random.default_rng([outfit.seed, 6])
    scale = 1 - _CHILD * child
    build = float(rng.normal(1.0, 0.05)) * (0.94 if female else 1.02) * scale
    sleeve = float(rng.choice([0.5, 0.62, 2.0, 2.0]))  # share of the arm that the sleeve covers
    scoop = float(rng.uniform(-0.6, 2.4)) * (1.0 if female else 0.4)
    meshes = _shirt(rng, female, child, build, scoop)
    for side, wrist in zip((-1.0, 1.0), outfit.arms, strict=False):
        meshes += _arm(np.array(wrist), side, build, scale, sleeve, outfit.seed, child)
    return tuple(meshes)


def _shirt(
    rng: np.random.Generator, female: bool, child: float, build: float, scoop: float
) -> list[Mesh]:
    shape, rows, columns = _RINGS.copy(), 40, 64
    outer = smooth_step(7, 17, shape[:, 0])
    shape[:, 0] *= 1 + (build - 1) * outer
    shape[:, 0] = np.where(outer > 0, shape[:, 0], shape[:, 0] * (1 - 0.08 * child))
    shape[:2, 2] -= scoop
    shape[:, 1:4] = _lifted(shape[:, 1:4], child)
    along = np.linspace(0, len(shape) - 1, rows)
    rings = np.asarray(PchipInterpolator(np.arange(len(shape)), shape)(along))
    width, side_y, front_y, back_y, front, back = (rings[:, k, None] for k in range(6))
    angle = np.linspace(0, 2 * np.pi, columns)[None]
    sine, cosine = np.sin(angle), np.cos(angle)
    x = width * sine
    ahead, behind = np.clip(cosine, 0, 1) ** 1.6, np.clip(-cosine, 0, 1) ** 1.6
    y = side_y * (1 - ahead - behind) + front_y * ahead + back_y * behind
    z = (front + back) / 2 + (front - back) / 2 * cosine
    folds = noise(rng, rows, columns, (5, 11), 1.0)
    folds[:, -1] = folds[:, 0]
    depth = smooth_step(2, 9, along)[:, None] * folds * 0.28
    if female and not child:
        chest = np.exp(-(((np.abs(x) - 7) / 5) ** 2) - ((y + 30) / 5.5) ** 2)
        z = z + 2.4 * chest * ahead
    points = np.stack([x + sine * depth, y, z + cosine * depth], -1)
    shade = np.clip(0.82 + 0.16 * folds, 0.45, 1.0) * (1 - 0.25 * np.exp(-along / 3))[:, None]
    collar = _limb(points[0] + [0, 0.1, 0], 0.45, 0.45, TRIM, 8)
    return [sheet(points, CLOTH, shade.astype(np.float32)), collar]


def _limb(
    line: NDArray[Any], across: Any, through: Any, material: int, sides: int = 14,
    flat: NDArray[Any] | None = None, ambient: float = 0.85,
) -> Mesh:  # fmt: skip
    """A tube of elliptic section around a line; `flat` is the direction of its broad side."""
    along = np.gradient(line, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True) + 1e-9
    broad = np.broadcast_to(np.array([0.13, 0.21, 0.97]) if flat is None else flat, line.shape)
    broad = broad - (broad * along).sum(1, keepdims=True) * along
    broad = broad / (np.linalg.norm(broad, axis=1, keepdims=True) + 1e-9)
    thin = np.cross(along, broad)
    angle = np.linspace(0, 2 * np.pi, sides + 1)[None, :, None]
    across = np.broadcast_to(np.asarray(across, float), len(line))[:, None, None]
    through = np.broadcast_to(np.asarray(through, float), len(line))[:, None, None]
    ring = broad[:, None] * np.cos(angle) * across + thin[:, None] * np.sin(angle) * through
    shade = np.full((len(line), sides + 1), ambient, np.float32)
    return sheet(line[:, None] + ring, material, shade)


def elbow_of(shoulder: Points, wrist: Points, side: float, scale: float) -> tuple[Points, Points]:
    """Elbow and reachable wrist of a two-bone arm whose elbow points down."""
    upper, lower = UPPER_ARM * scale, FOREARM * scale
    toward = wrist - shoulder
    reach = float(np.clip(np.linalg.norm(toward), abs(upper - lower) + 1, upper + lower - 0.6))
    toward = toward / (np.linalg.norm(toward) + 1e-9)
    share = (upper**2 - lower**2 + reach**2) / (2 * reach)
    lifted = float(smooth_step(-30, 0, wrist[1]))  # elbows go back on the lap, forward above
    pole = np.array([side * (0.25 + 0.2 * lifted), -0.7, -0.7 + 1.3 * lifted])
    pole -= (pole @ toward) * toward
    pole /= np.linalg.norm(pole) + 1e-9
    bend = np.sqrt(max(0.0, upper**2 - share**2))
    return shoulder + toward * share + pole * bend, shoulder + toward * reach


def _arm(
    wrist: Points, side: float, build: float, scale: float, sleeve: float, seed: int, child: float
) -> list[Mesh]:
    shoulder = np.array([side * 15.8 * build, _lifted(-18.4, child), -1.5])
    elbow, wrist = elbow_of(shoulder, wrist, side, scale)
    upper, lower = np.linspace(shoulder, elbow, 14), np.linspace(elbow, wrist, 14)
    whole = np.concatenate([upper, lower[1:]])
    smooth = whole.copy()
    for _ in range(3):  # the elbow is round
        smooth[1:-1] = (smooth[:-2] + 2 * smooth[1:-1] + smooth[2:]) / 4
    t = np.linspace(0, 2, len(whole))
    bare = np.interp(t, [0, 0.25, 0.9, 1.0, 1.25, 2.0], [5.0, 4.7, 3.7, 3.8, 3.9, 2.5]) * scale
    meshes = [_limb(smooth[4:], bare[4:], bare[4:] * 0.93, LIMB)]
    rng = np.random.default_rng([seed, 7, int(side > 0)])
    ripple = noise(rng, 2, len(whole), (6, 12), 1.0)[0]
    covered = t <= sleeve
    loose = (bare + np.interp(t, [0, 0.5, 1.9, 2], [0.7, 1.3, 0.8, 0.6]) + 0.22 * ripple)[covered]
    loose[:3] *= [0.05, 0.75, 0.95]  # a round shoulder
    meshes.append(_limb(smooth[covered], loose, loose * 0.95, CLOTH))
    if covered.sum() > 2:
        meshes.append(_limb(smooth[covered][-2:], loose[-1] + 0.06, loose[-1] + 0.06, TRIM))
    return meshes + _hand(elbow, wrist, side, scale)


def _hand(elbow: Points, wrist: Points, side: float, scale: float) -> list[Mesh]:
    """Palm toward the camera: four bent fingers and a thumb on the inner side."""
    along = (wrist - elbow) / (np.linalg.norm(wrist - elbow) + 1e-9) + np.array([0, 0.35, 0])
    along /= np.linalg.norm(along)
    palm = np.array([0.0, 0.15, 1.0])
    palm -= (palm @ along) * along
    palm /= np.linalg.norm(palm) + 1e-9
    inner = np.cross(along, palm)
    if inner[0] * side > 0:
        inner = -inner
    knuckles = wrist + along * 8.6 * scale
    line = np.linspace(wrist - along * 1.5, knuckles, 8)
    width = np.array([2.4, 2.6, 3.2, 3.7, 4.0, 4.1, 4.0, 3.3]) * scale
    thick = np.array([2.0, 1.8, 1.6, 1.5, 1.4, 1.3, 1.1, 0.4]) * scale
    meshes = [_limb(line, width, thick, LIMB, 16, flat=inner)]
    lengths = (6.8, 7.8, 7.3, 5.8)  # index to little finger, from the inner side
    for k, length in enumerate(lengths):
        place = 1.5 - k
        base = knuckles + inner * place * 1.95 * scale - along * (1.5 + 0.25 * place**2) * scale
        fan = along + inner * place * 0.09
        fan /= np.linalg.norm(fan)
        s = np.linspace(0, 1, 9)[:, None]
        curl = palm * (0.28 * (length * scale) * s**2)
        finger = base + fan * (length + 1.2) * scale * s * (1 - 0.06 * s) + curl
        radius = np.array([0.95, 0.98, 0.92, 0.9, 0.86, 0.82, 0.76, 0.62, 0.12]) * scale
        meshes.append(_limb(finger, radius, radius * 0.9, LIMB, 9, flat=inner))
    s = np.linspace(0, 1, 8)[:, None]
    root = wrist + along * 1.8 * scale + inner * 2.0 * scale
    thumb = root + (along * 0.75 + inner * 0.75) * 7.2 * scale * s + palm * 1.2 * scale * s
    thumb = thumb + along * 1.2 * scale * s**2
    radius = np.array([1.5, 1.5, 1.35, 1.15, 1.1, 1.05, 0.85, 0.2]) * scale
    return [*meshes, _limb(thumb, radius, radius * 0.9, LIMB, 9, flat=inner)]
