"""The park a ride goes through: weather, panorama, tunnel, track and car.

Belongs here: pictures behind the riders, painted once per ride, and their light. Does not belong
here: the station, seats and harness (`scenery`), people, time, truth.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.bundled_models.albedo import noise
from tools.bundled_models.facekit import Floats
from tools.bundled_models.moments import Light

Picture = NDArray[np.uint8]
Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Weather:
    """The sky's colours (display values) and its light (linear)."""

    zenith: Colour
    horizon: Colour
    clouds: float
    sun: Colour
    sky: Colour
    ground: Colour
    height: float  # of the sun
    shine: float = 1.0  # brightness of the landscape


WEATHERS = {
    "sunny": Weather((0.32, 0.54, 0.90), (0.82, 0.90, 0.97), 0.12, (0.92, 0.87, 0.78), (0.36, 0.41, 0.5), (0.22, 0.2, 0.16), 0.7),
    "overcast": Weather((0.62, 0.65, 0.69), (0.80, 0.81, 0.82), 0.10, (0.28, 0.28, 0.28), (0.66, 0.67, 0.70), (0.33, 0.32, 0.3), 1.2, 0.85),
    "evening": Weather((0.36, 0.42, 0.66), (0.98, 0.76, 0.52), 0.10, (0.98, 0.72, 0.45), (0.30, 0.32, 0.42), (0.22, 0.17, 0.13), 0.25, 0.8),
    "hazy": Weather((0.60, 0.72, 0.86), (0.93, 0.93, 0.91), 0.05, (0.62, 0.59, 0.54), (0.48, 0.50, 0.54), (0.28, 0.26, 0.22), 0.9, 1.0),
}  # fmt: skip


def light_of(weather: Weather, sun_angle: float, boarding: bool) -> Light:
    """The sun at an angle around the car (radians, 0 behind the camera), or the station's lamps."""
    if boarding:
        directions = np.array([[0.15, 0.9, 0.45], [0, 0.3, 1]])
        colours, sky, ground = (
            [(0.5, 0.48, 0.43), (0.14, 0.14, 0.14)],
            (0.4, 0.41, 0.43),
            (0.24, 0.22, 0.2),
        )
    else:
        sun = [np.sin(sun_angle), weather.height, np.cos(sun_angle) * 0.8 + 0.2]
        directions = np.array([sun, [0, 0.3, 1]])
        colours, sky, ground = [weather.sun, (0.12, 0.13, 0.15)], weather.sky, weather.ground
    directions = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    parts = (directions, colours, sky, ground)
    return Light(*(np.asarray(part, np.float32) for part in parts))


def panorama(
    rng: np.random.Generator, weather: Weather, width: int, height: int, horizon: float = 0.5
) -> Picture:
    """Sky, hills, trees, halls and track supports, a little out of focus; wraps around."""
    wide, high = width // 2, height // 2  # painted small: it is out of focus
    down = np.linspace(0, 1, high)[:, None, None] / horizon
    share = np.clip(down, 0, 1) ** 1.3
    image = np.repeat(
        np.array(weather.zenith) * (1 - share) + np.array(weather.horizon) * share, wide, 1
    )
    image = image.astype(np.float32)
    cover = noise(rng, high, wide, (7, 15, 34), 1.0)
    image += (np.clip(cover - 0.2, 0, 1.2) * weather.clouds)[..., None]
    rows = np.arange(high)[:, None]
    haze = np.array(weather.horizon)
    for level, tone, rough, far in (
        (0.96, (0.30, 0.38, 0.36), 10, 0.55),
        (1.03, (0.20, 0.31, 0.15), 9, 0.2),
    ):
        edge = high * horizon * level + noise(rng, 4, wide, (9, 31, 90), rough)[0]
        edge += 4 * np.abs(noise(rng, 4, wide, (wide // 14,), 1.0)[0]) * (far < 0.5)
        texture = 1 + noise(rng, high, wide, (60, 160, 420), 0.25)[..., None]
        colour = (np.array(tone) * weather.shine * (1 - far) + haze * far).astype(np.float32)
        image = np.where((rows > edge[None])[..., None], colour * texture, image)
        if far > 0.5:
            image = _halls(image, rng, weather, horizon)
    lawn = np.clip((rows / high - horizon * 1.1) / 0.3, 0, 1)[..., None]
    ground = np.array([0.33, 0.37, 0.25]) * weather.shine
    patches = 1 + noise(rng, high, wide, (24, 90), 0.14)[..., None]
    image = image * (1 - lawn) + lawn * ground.astype(np.float32) * patches
    picture = (np.clip(image, 0, 1) * 255).astype(np.uint8)
    _supports(picture, rng, weather, horizon)
    picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), 0.9), np.uint8)
    seam = 90
    blend = np.linspace(0, 1, seam)[None, :, None]
    head, tail = picture[:, :seam], picture[:, -seam:]
    picture[:, -seam:] = (tail * (1 - blend) + head[:, ::-1] * blend).astype(np.uint8)
    return np.asarray(
        cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8
    )


def _halls(image: Floats, rng: np.random.Generator, weather: Weather, horizon: float) -> Floats:
    """Halls and towers in plaster and brick colours."""
    high, wide = image.shape[:2]
    walls = np.array(
        [
            (0.72, 0.66, 0.56),
            (0.55, 0.36, 0.28),
            (0.62, 0.63, 0.62),
            (0.42, 0.47, 0.52),
            (0.76, 0.72, 0.66),
        ]
    )
    out = np.ascontiguousarray(image, np.float32)
    for _ in range(11):
        x, w, h = int(rng.uniform(0, wide)), int(rng.uniform(30, 120)), int(rng.uniform(18, 64))
        top, base = int(high * horizon * 1.06) - h, int(high * horizon * 1.12)
        wall = walls[rng.integers(len(walls))] * rng.uniform(0.7, 1.05) * weather.shine
        cv2.rectangle(out, (x, top), (x + w, base), wall.tolist(), -1)
        cv2.rectangle(out, (x + int(w * 0.7), top), (x + w, base), (wall * 0.8).tolist(), -1)
        cv2.rectangle(out, (x - 3, top - 4), (x + w + 3, top), (wall * 0.5).tolist(), -1)
        for wy in range(top + 8, top + h - 4, 15):
            for wx in range(x + 6, x + w - 8, 13):
                cv2.rectangle(out, (wx, wy), (wx + 5, wy + 8), (wall * 0.4).tolist(), -1)
    return out


def _supports(picture: Picture, rng: np.random.Generator, weather: Weather, horizon: float) -> None:
    """Columns of other track, and one far track that winds between them."""
    high, wide = picture.shape[:2]
    hues = np.array(
        [
            (176, 58, 44),
            (48, 92, 150),
            (214, 186, 80),
            (140, 142, 146),
            (226, 226, 224),
            (60, 110, 84),
        ]
    )
    colour = hues[rng.integers(len(hues))] * weather.shine
    xs = np.sort(rng.uniform(0, wide, 22)).astype(int)
    knots = high * horizon * (0.55 + 0.3 * rng.standard_normal(12))
    line = np.interp(np.arange(wide), np.linspace(0, wide, 12), knots)
    line = cv2.GaussianBlur(line[None].astype(np.float32), (0, 0), 60)[0]
    for x in xs:
        top, lean = int(line[min(x, wide - 1)]), int(rng.normal(0, 14))
        thick = int(rng.uniform(2, 6))
        for part, tone in ((1.0, 0.6), (0.55, 1.0)):
            shade = np.clip(colour * tone, 0, 255).tolist()
            size = max(1, int(thick * part))
            cv2.line(picture, (x, top), (x + lean, high), shade, size, cv2.LINE_AA)
    track = np.stack([np.arange(wide), line], 1).round().astype(np.int32)
    for offset, tone in ((0, 1.0), (7, 0.7)):
        shade = np.clip(colour * tone, 0, 255).tolist()
        cv2.polylines(picture, [track + [0, offset]], False, shade, 3, cv2.LINE_AA)
    for x in range(0, wide - 8, 10):
        a, b = (x, int(line[x])), (x + 5, int(line[x + 5]) + 7)
        cv2.line(picture, a, b, (colour * 0.7).tolist(), 1, cv2.LINE_AA)


def tunnel(rng: np.random.Generator, width: int, height: int, lamps: int) -> Picture:
    """A concrete wall with ribs, pipes and `lamps` lamps; already as dark as the camera shows it."""
    wide, high = width // 2, height // 2
    wall = rng.uniform(0.05, 0.09) * np.array([1.0, 0.97, 0.92])
    down = np.abs(np.linspace(-1, 1, high))[:, None, None]
    image = np.repeat(wall * (1.15 - 0.7 * down), wide, 1).astype(np.float32)
    image *= 1 + noise(rng, high, wide, (20, 90, 240), 0.22)[..., None]
    x = np.arange(wide)
    step = wide / lamps
    rib = np.abs((x / step * 3) % 1 - 0.5) < 0.06
    image[:, rib] *= 0.5
    for y in (0.3, 0.34, 0.72):
        row = int(high * y)
        image[row : row + 5] = image[row : row + 5] * 0.4 + 0.03
    glow = np.array([1.0, 0.8, 0.5]) * rng.uniform(0.8, 1.0)
    ys = np.arange(high)[:, None]
    for k in range(lamps):
        cx, cy = (k + 0.5) * step, high * 0.13
        near = np.minimum(np.abs(x - cx), wide - np.abs(x - cx))[None]
        away = (near / 70) ** 2 + ((ys - cy) / 60) ** 2
        image += (0.22 / (1 + away))[..., None] * glow
        image += (np.clip(1.5 - (near / 16) ** 2 - ((ys - cy) / 5) ** 2, 0, 1))[..., None] * glow
    picture = (np.clip(image, 0, 1) * 255).astype(np.uint8)
    return np.asarray(
        cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8
    )


def window(
    picture: Picture, x: float, y: float, turn: float, size: tuple[int, int], smear: float
) -> Picture:
    """The part of a wrapping picture around column x and row y (its middle), turned by `turn` degrees."""
    wide, high = size
    around = picture.shape[1]
    reach = int(wide * 0.62)
    columns = np.arange(int(x) - reach, int(x) + reach) % around
    band = np.take(picture, columns, axis=1)
    matrix = cv2.getRotationMatrix2D((reach, float(y)), turn, 1.0)
    matrix[:, 2] += [wide / 2 - reach - (x - int(x)), high / 2 - y]
    out = cv2.warpAffine(
        band, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    length = int(abs(smear) * 0.5) | 1  # what passes during half of a frame's time
    return np.asarray(cv2.blur(out, (length, 1)) if length > 1 else out, np.uint8)


def rails(
    picture: Picture, horizon: float, bend: float, rise: float, phase: float, colour: Any
) -> None:
    """The track behind the car, drawn into the picture. `rise` > 0: it comes from above."""
    width = picture.shape[1]

    def place(z: NDArray[Any], x: float) -> NDArray[np.int32]:
        scale = 620 / z
        column = width / 2 + (x + bend * z**2) * scale
        row = horizon + (1.5 - rise * z**2) * scale
        return np.stack([column, row], -1).round().astype(np.int32)

    ties = 2.2 + (np.arange(34) + phase % 1) * 0.9
    dark, pale = (np.array(colour) * 0.45).tolist(), np.array(colour).tolist()
    for z in ties[::-1]:
        a, b = place(np.array([z]), -0.62)[0], place(np.array([z]), 0.62)[0]
        size = max(1, int(90 / z / 2.2))
        cv2.line(picture, tuple(map(int, a)), tuple(map(int, b)), dark, size, cv2.LINE_AA)
    z = np.geomspace(2.0, 34, 26)
    for x in (0.0, -0.55, 0.55):
        line = place(z, x)
        for k in range(len(z) - 2, -1, -1):
            size = max(1, int((150 if x == 0 else 75) / z[k] / 2.2))
            a, b = tuple(map(int, line[k])), tuple(map(int, line[k + 1]))
            cv2.line(picture, a, b, dark if x == 0 else pale, size, cv2.LINE_AA)


def portal(
    inside: Picture, outside: Picture, horizon: float, passed: float, leaving: bool
) -> Picture:
    """The mouth of the tunnel recedes behind the car; `passed` is the way since it, in cm of the car."""
    height, width = inside.shape[:2]
    radius = max(1, int(1000 / (0.35 + passed)))
    mask = np.zeros((height, width), np.uint8)
    centre = (width // 2, int(horizon))
    cv2.ellipse(mask, centre, (radius, int(radius * 0.85)), 0, 180, 360, 255, -1, cv2.LINE_AA)
    foot = (width // 2 + radius, int(horizon + radius * 0.35))
    cv2.rectangle(mask, (width // 2 - radius, int(horizon)), foot, 255, -1)
    seen, around = (inside, outside) if leaving else (outside, inside)
    share = mask[..., None].astype(np.float32) / 255
    return (seen * share + around * (1 - share)).astype(np.uint8)
