"""Rendered photographs of the demo's riders: the same people as in the rides, on other days.

Belongs here: what is photographed, the camera's part of it, files, the command line. Does not belong
here: who somebody is (`identity`) and how they are drawn (`head`), which are those of the rides.
Run `python -m tools.bundled_models.photographs --facekit ARRAYS --out FOLDER`.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tools.bundled_models import facekit, head, moments, park, raster, scenery
from tools.bundled_models.albedo import noise
from tools.bundled_models.choreography import DEMO, person_name
from tools.bundled_models.facekit import FaceKit, Floats
from tools.bundled_models.identity import rider_of
from tools.bundled_models.outfit import Outfit
from tools.bundled_models.torso import body_scale

WIDTH, HEIGHT = 840, 1050
QUALITY = 80
_WRISTS = np.array([[-10.0, -42, 12], [10.0, -42, 12]])
_CENTRE = 0.42  # row of the head's centre in the picture of a person
_LYING = 6  # EXIF: turn it clockwise to see it upright
_ORIENTATION = 0x0112
Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Shot:
    """One photograph.

    Attributes:
        name: of the file.
        place: `park`, `room`, `evening` or `station`.
        pose: of the head: pitch, yaw, roll in degrees.
        smile, jaw: 0 to 1.
        scale: px per cm at the head; a face is about 18 cm high.
        sun: where the light comes from, radians around the person, 0 behind the camera.
        friend: somebody beside them, no smaller.
        passer: somebody further behind, behind bushes.
        lying: the file's pixels lie on their side, as a phone writes them.
    """

    name: str
    place: str
    pose: tuple[float, float, float]
    smile: float
    jaw: float
    scale: float
    sun: float
    friend: bool = False
    passer: bool = False
    lying: bool = False


SHOTS = (
    Shot("1_park", "park", (2, -9, 2), 0.75, 0.05, 17, 0.5, lying=True),
    Shot("2_room", "room", (-2, 14, -3), 0.15, 0.0, 24, -0.9),
    Shot("3_evening", "evening", (4, 4, 1), 0.9, 0.25, 13, 0.7, passer=True),
    Shot("4_together", "station", (0, 3, 4), 0.6, 0.1, 12, 0.0, friend=True),
)


@dataclass(frozen=True)
class _Body:
    """Somebody in a photograph, and where: px of the head's centre."""

    seed: int
    x: int
    y: int
    scale: float
    pose: tuple[float, float, float]


def photograph(kit: FaceKit, seed: int, number: int, shot: Shot, friend: int) -> Picture:
    """One photograph (RGB) of the person of a seed.

    Args:
        kit: the face model.
        seed: of the person.
        number: of the photograph, which seeds clothes and place.
        shot: what is photographed.
        friend: seed of whoever stands beside or behind them.
    """
    rng = np.random.default_rng([seed, 60, number])
    canvas, light = _place(rng, shot)
    owner = np.full((HEIGHT, WIDTH), -1, np.int16)
    for body in _bodies(seed, shot, friend):
        portrait, left, above = _drawn(kit, body, shot, light, rng)
        behind = canvas.copy()
        at = (body.x - left, body.y - above)
        raster.lay(canvas, owner, portrait.rgba, *at, 1.0, portrait.visible, 0)
        if shot.passer and body.seed != seed:
            canvas = _among_bushes(canvas, behind, body)
    grain = 0.006 * rng.standard_normal((HEIGHT, WIDTH, 1), np.float32)
    return np.asarray(np.clip((canvas + grain) * 255 + 0.5, 0, 255), np.uint8)


def _bodies(seed: int, shot: Shot, friend: int) -> list[_Body]:
    """Who is in a photograph, the farthest first."""
    middle, row = WIDTH // 2, round(HEIGHT * _CENTRE)
    if shot.friend:
        away = round(11.5 * shot.scale) + 40
        return [
            _Body(friend, middle + away, row - 10, shot.scale, (1, -8, -5)),
            _Body(seed, middle - away, row + 10, shot.scale, shot.pose),
        ]
    own = _Body(seed, middle, row, shot.scale, shot.pose)
    if shot.passer:
        return [_Body(friend, WIDTH - 150, row + 55, 0.32 * shot.scale, (0, -30, 0)), own]
    return [own]


def _among_bushes(canvas: Floats, behind: Floats, body: _Body) -> Floats:
    """Out of focus, and below the chest hidden by what is behind."""
    soft = np.asarray(cv2.GaussianBlur(canvas, (0, 0), 2.0), np.float32)
    chest = body.y + 24 * body.scale
    hidden = np.clip((np.arange(HEIGHT, dtype=np.float32) - chest) / 12, 0, 1)[:, None, None]
    return np.ascontiguousarray(soft * (1 - hidden) + behind * hidden)


def _drawn(
    kit: FaceKit, body: _Body, shot: Shot, light: moments.Light, rng: np.random.Generator
) -> tuple[head.Portrait, int, int]:
    """A person, and the column and row of the picture in which the head's centre is."""
    person = rider_of(kit, body.seed)
    below = (HEIGHT - body.y + 16) / body.scale
    size = round(max(72.0, below / (1 - _CENTRE)) * body.scale / 20) * 20
    face = moments.Expression(kit)
    face.set("mouthSmile", shot.smile).set("cheekSquint", 0.5 * shot.smile)
    face.set("mouthUpperUp", 0.2 * shot.smile).set("jawOpen", shot.jaw)
    pitch, yaw, _ = body.pose
    weights = face.look(float(np.clip(-yaw / 60, -0.4, 0.4)), -pitch / 80).weights
    outfit = Outfit(
        glasses=person.traits.wears_glasses, seed=int(rng.integers(1 << 30)), seated=True
    )
    wrists = _WRISTS * body_scale(person)
    arms = tuple((float(x), float(y), float(z)) for x, y, z in wrists)
    camera = head.Camera(size, body.scale, (0.5, _CENTRE), 130.0, 1.4)
    turned = (0.0, 0.3 * yaw, 0.0)
    portrait = head.draw(
        kit, person, weights, body.pose, light, camera, replace(outfit, arms=arms), turned
    )
    return portrait, size // 2, round(size * _CENTRE)


def _place(rng: np.random.Generator, shot: Shot) -> tuple[Floats, moments.Light]:
    """What is behind, in display values and out of focus, and the light."""
    if shot.place == "room":
        picture, light = _room(rng), _window(shot.sun)
    elif shot.place == "station":
        picture = scenery.station(rng, WIDTH, HEIGHT)
        light = park.light_of(park.WEATHERS["overcast"], shot.sun, boarding=False)
    else:
        weather = park.WEATHERS["sunny" if shot.place == "park" else "evening"]
        wide = park.panorama(rng, weather, 3 * WIDTH, HEIGHT, horizon=0.45)
        left = int(rng.integers(0, 2 * WIDTH))
        picture = wide[:, left : left + WIDTH]
        light = park.light_of(weather, shot.sun, boarding=False)
    soft = cv2.GaussianBlur(np.ascontiguousarray(picture), (0, 0), 5.0)
    return np.ascontiguousarray(soft, np.float32) / np.float32(255), light


def _room(rng: np.random.Generator) -> Picture:
    """A wall with a shelf and a lamp's glow on it."""
    tint = rng.uniform(0.45, 0.75) * rng.uniform(0.9, 1.1, 3)
    across = np.linspace(1.1, 0.7, WIDTH)[None, :, None]
    wall = np.broadcast_to(tint * across, (HEIGHT, WIDTH, 3)) * (
        1 + noise(rng, HEIGHT, WIDTH, (4, 12), 0.03)[..., None]
    )
    picture = (np.clip(wall, 0, 1) * 255).astype(np.uint8)
    top = int(rng.integers(180, 320))
    cv2.rectangle(picture, (0, top), (WIDTH, top + 24), (96, 70, 48), -1)
    for left in range(10, WIDTH - 60, 70):
        high = int(rng.integers(60, 150))
        colour = rng.integers(40, 200, 3).tolist()
        cv2.rectangle(picture, (left, top - high), (left + 44, top), colour, -1)
    return picture


def _window(side: float) -> moments.Light:
    """Daylight from a window at one side, and what the room throws back."""
    ways = np.array([[np.sin(side), 0.35, np.cos(side)], [-np.sin(side), 0.1, 0.8]])
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    parts = (ways, [(0.62, 0.64, 0.68), (0.16, 0.14, 0.11)], (0.3, 0.29, 0.27), (0.2, 0.17, 0.14))
    return moments.Light(*(np.asarray(part, np.float32) for part in parts))


def write(kit: FaceKit, folder: Path) -> None:
    """Render all photographs into `folder`: `{person}/{shot}.jpg`."""
    seeds = list(dict.fromkeys(seed for plan in DEMO for seed in plan.riders))
    for place, seed in enumerate(seeds):
        own = folder / person_name(seed)
        own.mkdir(parents=True, exist_ok=True)
        friend = seeds[(place + 1) % len(seeds)]
        for number, shot in enumerate(SHOTS):
            image = Image.fromarray(photograph(kit, seed, number, shot, friend))
            exif = Image.Exif()
            if shot.lying:
                image = image.transpose(Image.Transpose.ROTATE_90)
                exif[_ORIENTATION] = _LYING
            image.save(own / f"{shot.name}.jpg", quality=QUALITY, optimize=True, exif=exif)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--facekit", type=Path, required=True, help="the arrays, ict_facekit.npz")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    write(facekit.load(arguments.facekit), arguments.out)


if __name__ == "__main__":
    main()
